// What loading recordings costs in Pyodide under Node:
//   node node_cost.mjs SITE COST.py ROUNDS RECORDING...
// prints a JSON list: for each recording what `cost.of_loading` gives.

import { bytesOf, start } from "./node.mjs";

const [site, cost, rounds, ...recordings] = process.argv.slice(2);
const py = await start(site, cost);
globalThis.processorSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const costs = recordings.map((recording) => {
  py.FS.writeFile("/recording.rrd", bytesOf(recording));
  return JSON.parse(py.runPython(`
import json, cost
from js import processorSeconds
json.dumps(cost.of_loading("/recording.rrd", ${Number(rounds)}, processorSeconds))`));
});
console.log(JSON.stringify(costs));
