// Pyodide of a site, with the engine in it and no network, under Node.

import fs from "node:fs";
import path from "node:path";

process.on("uncaughtException", (error) => {
  console.error(String(error.message ?? error).slice(-3000)); // not the megabyte it was thrown in
  process.exit(1);
});
globalThis.fetch = () => Promise.reject(new Error("the network is off"));

export const bytesOf = (file) => new Uint8Array(fs.readFileSync(file));

/** The interpreter, with these files of Python ready to be imported. */
export async function start(site, ...sources) {
  const folder = path.join(path.resolve(site), "pyodide") + "/";
  const { loadPyodide } = await import(`${folder}pyodide.mjs`);
  const py = await loadPyodide({ indexURL: folder });
  const wheels = fs.readdirSync(folder).filter((name) => name.endsWith(".whl")).sort();
  for (const wheel of wheels) {
    await py.loadPackage(folder + wheel, { checkIntegrity: false, messageCallback() {} });
  }
  py.unpackArchive(bytesOf(path.join(site, "engine.zip")), "zip", { extractDir: "/forebay" });
  for (const source of sources) {
    py.FS.writeFile(`/forebay/${path.basename(source)}`, bytesOf(source));
  }
  py.runPython("import sys; sys.path.insert(0, '/forebay')");
  return py;
}
