// Asks recordings in Pyodide under Node:
//   node node_answers.mjs SITE QUESTIONS.py OUT RECORDING...
// writes OUT/<number>.pickle for each recording, and OUT/figures.json.

import fs from "node:fs";
import path from "node:path";
import { bytesOf, start } from "./node.mjs";

const [site, questions, out, ...recordings] = process.argv.slice(2);
const py = await start(site, questions);

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
