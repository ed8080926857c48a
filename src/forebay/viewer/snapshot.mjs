// Keeps the memory of an interpreter that has just started, for pages to go on from:
//   node snapshot.mjs PYODIDE_FOLDER/ OUT
//
// Pyodide has the means for it but does not document them, so whoever calls this must do without
// if it fails. One with native libraries in it cannot be kept.

import fs from "node:fs";
import zlib from "node:zlib";

process.on("uncaughtException", (error) => {
  console.error(String(error.message).slice(-500)); // not the megabyte it was thrown in
  process.exit(1);
});
const [folder, out] = process.argv.slice(2);
const { loadPyodide } = await import(`${folder}pyodide.mjs`);
const pyodide = await loadPyodide({ indexURL: folder, _makeSnapshot: true });
fs.writeFileSync(out, zlib.gzipSync(pyodide.makeMemorySnapshot(), { level: 9 }));
process.exit(0);
