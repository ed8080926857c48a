// Numbers as text. 64-bit times are BigInt everywhere, so that nanoseconds stay exact.

const NO_BREAK = "\u00a0";

/** A count with its noun: "1 row", "1,200 rows". */
export function countText(count, one) {
  return `${count.toLocaleString("en")}${NO_BREAK}${one}${count === 1 ? "" : "s"}`;
}

export function sizeText(bytes) {
  const [size, unit] = bytes < 1e6 ? [Math.ceil(bytes / 1e3), "kB"] : [(bytes / 1e6).toFixed(1), "MB"];
  return `${size}${NO_BREAK}${unit}`;
}

const NS = 1_000_000_000n;

/** A time on a timeline of that type, as text. */
export function timeText(time, type) {
  if (type === "sequence") return time.toLocaleString("en");
  const sign = time < 0n ? "-" : "";
  const size = time < 0n ? -time : time;
  if (type === "duration") {
    const rest = String(size % NS).padStart(9, "0").replace(/0+$/, "");
    return `${sign}${size / NS}${rest && `.${rest}`} s`;
  }
  let seconds = time / NS;
  let rest = time % NS;
  if (rest < 0n) { seconds -= 1n; rest += NS; }
  const whole = new Date(Number(seconds) * 1000);
  if (Number.isNaN(whole.getTime())) return `${time} ns`;
  const fraction = String(rest).padStart(9, "0").replace(/0+$/, "");
  return whole.toISOString().slice(0, 19).replace("T", " ") + (fraction && `.${fraction}`) + "Z";
}

/** The same with only the digits that a tick of an axis needs. */
export function tickText(time, type, span) {
  if (type === "sequence") return time.toLocaleString("en");
  const digits = span > 600n * NS ? 0 : span > NS ? 2 : span > 1_000_000n ? 5 : 9;
  const text = timeText(time, type).replace(/(\.\d+)?(Z| s)$/, (_, fraction = "", unit) =>
    (digits ? fraction.slice(0, digits + 1) : "") + (unit === "Z" ? "" : unit));
  return type === "timestamp" && span < 86_400n * NS ? text.slice(11) : text;
}

/** The time at a fraction of the way from `start` to `end`. */
export function timeAt(start, end, fraction) {
  const parts = 1_000_000_000n;
  return start + ((end - start) * BigInt(Math.round(fraction * Number(parts)))) / parts;
}

/** The position of a time between `start` (0) and `end` (1). */
export function fractionOf(start, end, time) {
  return end === start ? 1 : Number(time - start) / Number(end - start);
}
