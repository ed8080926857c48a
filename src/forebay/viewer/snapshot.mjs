// Saves the memory of a started interpreter, for pages to resume:
//   node snapshot.mjs PYODIDE_FOLDER/ OUT
//
// Pyodide supports this but does not document it, so the caller must handle failure. An interpreter
// with native libraries cannot be saved.

import fs from "node:fs";
import zlib from "node:zlib";

process.on("uncaughtException", (error) => {
  console.error(String(error.message).slice(-500)); // without the source line of a megabyte
  process.exit(1);
});
const [folder, out] = process.argv.slice(2);
const { loadPyodide } = await import(`${folder}pyodide.mjs`);
const pyodide = await loadPyodide({ indexURL: folder, _makeSnapshot: true });
fs.writeFileSync(out, zlib.gzipSync(pyodide.makeMemorySnapshot(), { level: 9 }));
process.exit(0);
