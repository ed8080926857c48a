// Makes names and texts from senders safe to show, with the rules of `forebay.printable`.

const SUSPECT = /[\p{C}\p{Zl}\p{Zp}]/gu;
const NAMES_MAX = 120; // characters

/** One line, with every control, format, private and unassigned character as an escape. */
export function printable(text) {
  return String(text).replace(SUSPECT, (char) => {
    const short = { "\t": "\\t", "\n": "\\n", "\r": "\\r" }[char];
    if (short) return short;
    const code = char.codePointAt(0);
    const [mark, digits] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
    return `\\${mark}${code.toString(16).padStart(digits, "0")}`;
  });
}

/** The same, cut in the middle if it is long: names differ at their ends. */
export function named(text) {
  return shortened(printable(shortened(String(text))));
}

function shortened(text) {
  if (text.length <= NAMES_MAX) return text;
  const tail = Math.floor((NAMES_MAX - 1) / 2);
  return `${text.slice(0, NAMES_MAX - 1 - tail)}…${text.slice(-tail)}`;
}
