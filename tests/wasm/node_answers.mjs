// Asks recordings in Pyodide under Node:
//   node node_answers.mjs SITE QUESTIONS.py OUT RECORDING...
// writes OUT/<number>.pickle for each recording, and OUT/figures.json.

import fs from "node:fs";
import path from "node:path";

process.on("uncaughtException", (error) => {
  console.error(String(error.message ?? error).slice(-3000)); // not the megabyte it was thrown in
  process.exit(1);
});
globalThis.fetch = () => Promise.reject(new Error("the network is off"));

const [site, questions, out, ...recordings] = process.argv.slice(2);
const folder = path.join(path.resolve(site), "pyodide") + "/";
const bytesOf = (file) => new Uint8Array(fs.readFileSync(file));
const { loadPyodide } = await import(`${folder}pyodide.mjs`);
const py = await loadPyodide({ indexURL: folder });
const wheels = fs.readdirSync(folder).filter((name) => name.endsWith(".whl")).sort();
for (const wheel of wheels) {
  await py.loadPackage(folder + wheel, { checkIntegrity: false, messageCallback() {} });
}
py.unpackArchive(bytesOf(path.join(site, "engine.zip")), "zip", { extractDir: "/forebay" });
py.FS.writeFile("/forebay/questions.py", bytesOf(questions));
py.runPython("import sys; sys.path.insert(0, '/forebay')");

const figures = JSON.parse(py.runPython(`
import json, sys, threading
import forebay
from forebay.runtime import default_runtime

try:
    threading.Thread(target=print).start()
    threads = "started"
except RuntimeError:
    threads = "refused"
try:
    forebay.serve()
    served = "served"
except forebay.errors.MissingExtraError as error:
    served = str(error)
json.dumps({
    "platform": sys.platform,
    "runtime": default_runtime().name,
    "threads": threads,
    "serve": served,
    "foreign": sorted({"click", "rich", "grpc", "rerun"} & {m.split(".")[0] for m in sys.modules}),
})`));
for (const [number, recording] of recordings.entries()) {
  py.FS.writeFile("/recording.rrd", bytesOf(recording));
  py.runPython(`
import pickle, questions
with open("/answers.pickle", "wb") as file:
    pickle.dump(questions.answers("/recording.rrd"), file)`);
  fs.writeFileSync(path.join(out, `${number}.pickle`), py.FS.readFile("/answers.pickle"));
}
fs.writeFileSync(path.join(out, "figures.json"), JSON.stringify(figures));
