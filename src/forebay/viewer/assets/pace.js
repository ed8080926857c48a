// How much workers rest so that the page has a processor when it needs one. Browsers give all
// threads of a page their turns alike, so where there are more workers than processors to spare,
// every touch of the page would wait behind all of them.
//
// The page listens to its own heart: as beats come late, workers rest longer after each slice of
// work; as they come in time again, shorter. Rests are in milliseconds for each one of work.

const BEAT_MS = 20;
const LATE_MS = 12;
const REST_MAX = 2;
const REST_WHERE_CROWDED = 0.5;
const GROWTH = 1.5;
const DECAY = 0.98; // each beat: by half in 0.7 s

/** What rest to ask for after a beat that came so late; `least` where workers crowd the page. */
export function restAfter(rest, lateMs, least) {
  if (lateMs <= LATE_MS) return Math.max(least, rest < 0.05 ? 0 : rest * DECAY);
  return Math.min(REST_MAX, Math.max(least, 0.25, rest * GROWTH));
}

const reading = new Set(); // engines that have something to decode
let rest = 0;
let timer = null;
let due = 0;

/** A beat. Of a page that nobody looks at, beats are late by the browser's own wish. */
function beat() {
  const now = performance.now();
  const late = document.hidden ? 0 : now - due;
  due = now + BEAT_MS;
  const least = !document.hidden && reading.size >= navigator.hardwareConcurrency ? REST_WHERE_CROWDED : 0;
  rest = restAfter(rest, late, least);
  for (const engine of reading) engine.pace(rest);
}

/** From now on an engine takes part. */
export function join(engine) {
  reading.add(engine);
  if (timer !== null) return;
  due = performance.now() + BEAT_MS;
  timer = setInterval(beat, BEAT_MS);
}

/** It has read everything, or is gone. */
export function leave(engine) {
  reading.delete(engine);
  if (reading.size || timer === null) return;
  clearInterval(timer);
  timer = null;
}
