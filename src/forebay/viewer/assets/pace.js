// How long workers pause so that the page gets a processor when it needs one. Browsers schedule all
// threads of a page alike, so with more workers than free processors every action of the user would
// wait behind all of them.
//
// The page measures how late its own timer fires: if it is late, workers pause longer after each
// slice of work; if it is in time again, shorter. Pauses are in milliseconds per millisecond of work.

const BEAT_MS = 20;
const LATE_MS = 12;
const REST_MAX = 2;
const REST_WHERE_CROWDED = 0.5;
const GROWTH = 1.5;
const DECAY = 0.98; // per tick of the timer: by half in 0.7 s

/** The pause to request after a tick that was so late; at least `least`. */
export function restAfter(rest, lateMs, least) {
  if (lateMs <= LATE_MS) return Math.max(least, rest < 0.05 ? 0 : rest * DECAY);
  return Math.min(REST_MAX, Math.max(least, 0.25, rest * GROWTH));
}

const reading = new Set(); // engines that have data to decode
let rest = 0;
let timer = null;
let due = 0;

/** One tick. On a hidden page the browser delays the timer on purpose. */
function beat() {
  const now = performance.now();
  const late = document.hidden ? 0 : now - due;
  due = now + BEAT_MS;
  const least = !document.hidden && reading.size >= navigator.hardwareConcurrency ? REST_WHERE_CROWDED : 0;
  rest = restAfter(rest, late, least);
  for (const engine of reading) engine.pace(rest);
}

/** Add an engine. */
export function join(engine) {
  reading.add(engine);
  if (timer !== null) return;
  due = performance.now() + BEAT_MS;
  timer = setInterval(beat, BEAT_MS);
}

/** Remove an engine that has read everything, or is lost. */
export function leave(engine) {
  reading.delete(engine);
  if (reading.size || timer === null) return;
  clearInterval(timer);
  timer = null;
}
