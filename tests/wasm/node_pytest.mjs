// Runs tests in Pyodide under Node:
//   node node_pytest.mjs SITE SUITE.zip ARGUMENT...
// ends as pytest does.

import { bytesOf, start } from "./node.mjs";

const [site, suite, ...suiteArguments] = process.argv.slice(2);
const py = await start(site);
py.unpackArchive(bytesOf(suite), "zip", { extractDir: "/suite" });
py.globals.set("suite_arguments", py.toPy(suiteArguments));
process.exitCode = py.runPython(`
import os, sys
os.chdir("/suite")
sys.path.insert(0, "/suite")
import pytest
int(pytest.main(suite_arguments))`);
