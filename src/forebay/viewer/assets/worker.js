// One recording's interpreter. Bytes come in by credit, queries at any time; answers are transferred
// buffers. engine.js documents the messages.

let pyodide = null;
let Session = null;
let session = null;
let blocksWaiting = 0; // fed but not yet decoded: their credits are not yet returned
let isFinishing = false;

const PROGRESS_MS = 200;

const post = (message, transfer = []) => self.postMessage(message, transfer);

// ---- boot ----------------------------------------------------------------------------------

const compiled = []; // [key, module] of what this worker compiled, for later workers
const given = new Map(); // what earlier workers compiled

/** Identifies a binary without reading 40 MB: its size, and samples of it. */
function keyOf(bytes) {
  const view = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes.buffer ?? bytes);
  let hash = view.length | 0;
  const step = Math.max(1, view.length >> 14);
  for (let at = 0; at < view.length; at += step) hash = (Math.imul(hash, 31) + view[at]) | 0;
  return `${view.length}:${hash}`;
}

/** Compile each WebAssembly binary once for all workers: modules can be sent, instances not. */
function shareModules(sharedFrom) {
  for (const [key, module] of sharedFrom) given.set(key, module);
  const { instantiate } = WebAssembly;
  const once = async (key, bytes, imports) => {
    const known = given.get(key);
    if (known) return { module: known, instance: await instantiate(known, imports) };
    const made = await instantiate(bytes, imports);
    compiled.push([key, made.module]);
    return made;
  };
  WebAssembly.instantiate = (source, imports) =>
    source instanceof WebAssembly.Module
      ? instantiate(source, imports)
      : once(keyOf(source), source, imports);
  const { instantiateStreaming } = WebAssembly;
  WebAssembly.instantiateStreaming = async (source, imports) => {
    const response = await source;
    const known = given.get(response.url);
    if (known) {
      response.body?.cancel();
      return { module: known, instance: await instantiate(known, imports) };
    }
    const made = await instantiateStreaming(response, imports);
    compiled.push([response.url, made.module]);
    return made;
  };
}

/** Request all files at once; a later fetch of one of them gets the response in progress. */
function fetchEarly(urls) {
  const { fetch } = self;
  const onTheirWay = new Map(urls.map((url) => [url, fetch(url)]));
  for (const response of onTheirWay.values()) response.catch(() => {}); // reported by the later fetch
  self.fetch = (resource, options) => {
    const url = new URL(resource.url ?? resource, self.location.href).href;
    const early = onTheirWay.get(url);
    onTheirWay.delete(url);
    return early ?? fetch(resource, options);
  };
}

/** Names of the wheels: those of Pyodide (`lock`), or the site's smaller ones. */
async function wheelsOf(config) {
  if (config.wheels) return config.wheels;
  const lock = await (await fetch(`${config.pyodide}pyodide-lock.json`)).json();
  return config.packages.map((name) => config.pyodide + lock.packages[name].file_name);
}

/** True if started from the site's snapshot. Pyodide may fail to in a browser that it was not made
 *  for, and then starts without it. */
async function startPython(config) {
  const { loadPyodide } = await import(`${config.pyodide}pyodide.mjs`);
  const indexURL = config.pyodide;
  if (config.snapshot) {
    try {
      pyodide = await loadPyodide({ indexURL, _loadSnapshot: unpacked(config.snapshot) });
      return true;
    } catch (error) {
      console.warn(`the interpreter's snapshot cannot be used here: ${lastLine(error)}`);
    }
  }
  pyodide = await loadPyodide({ indexURL });
  return false;
}

async function unpacked(url) {
  const { body } = await fetch(url);
  const stream = body.pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function boot({ config, modules }) {
  let last = performance.now();
  const stage = (name) => {
    const now = performance.now();
    post({ type: "stage", name, ms: now - last });
    last = now;
  };
  shareModules(modules);
  fetchEarly([config.snapshot, config.python, ...(config.wheels ?? [])].filter(Boolean));
  const hasSnapshot = await startPython(config);
  stage("interpreter");
  for (const wheel of await wheelsOf(config)) {
    await pyodide.loadPackage(wheel, { checkIntegrity: false, messageCallback() {} });
  }
  stage("packages");
  const python = await (await fetch(config.python)).arrayBuffer();
  pyodide.unpackArchive(python, "zip", { extractDir: "/forebay" });
  pyodide.runPython("import sys; sys.path.insert(0, '/forebay')");
  pyodide.runPython("import numpy, pyarrow");
  stage("arrow");
  Session = pyodide.pyimport("forebay.viewer").Session;
  stage("engine");
  const heap = pyodide._module?.HEAPU8?.length ?? 0;
  post({ type: "ready", modules: compiled, heap, hasSnapshot });
}

// ---- decoding, a slice at a time -----------------------------------------------------------

// A message to itself is handled after the queued messages, and without the delay that browsers
// add to nested timeouts.
const turnstile = new MessageChannel();
turnstile.port1.onmessage = () => {
  const ms = restsUntil - performance.now();
  if (ms >= 1) {
    restedMs += ms;
    setTimeout(() => guarded(runSlice), ms);
  } else guarded(runSlice);
};

let rest = 0; // milliseconds of pause per millisecond of work; the page sets it (see pace.js)
let restsUntil = 0;
let restedMs = 0;

function requestSlice() {
  turnstile.port2.postMessage(null);
}

function runSlice() {
  const began = performance.now();
  const isMore = session.run_slice();
  const ended = performance.now();
  restsUntil = ended + rest * (ended - began);
  if (!isMore) settle();
}

function settle() {
  if (!session.is_idle) return;
  if (blocksWaiting) {
    tellProgress();
    blocksWaiting = 0;
    wakeReader?.();
  }
  if (isFinishing) {
    isFinishing = false;
    session.finish();
    post({
      type: "finished",
      restedMs,
      progress: JSON.parse(session.progress()),
      overview: JSON.parse(session.overview()),
    });
  }
}

let wakeReader = null; // while this worker reads a file
let toldAt = 0;

/** Send progress: with each credit, or for a file read here as often as the page shows it. */
function tellProgress() {
  const now = performance.now();
  if (wakeReader && now - toldAt < PROGRESS_MS) return;
  toldAt = now;
  const progress = JSON.parse(session.progress());
  post(wakeReader ? { type: "progress", progress } : { type: "credit", blocks: blocksWaiting, progress });
}

function feed(buffer) {
  blocksWaiting += 1;
  const bytes = pyodide.toPy(buffer); // one copy, into the interpreter's memory
  try {
    session.feed(bytes);
  } finally {
    bytes.destroy?.();
  }
  settle();
}

/** Read a file here, with the same credits: its bytes never pass the page's thread. */
async function read({ file, blockBytes, credits }) {
  wakeReader = () => {};
  for (let at = 0; at < file.size; at += blockBytes) {
    let buffer;
    try {
      buffer = await file.slice(at, at + blockBytes).arrayBuffer();
    } catch (error) {
      post({ type: "crashed", error: `${file.name} could not be read: ${error.message}` });
      self.close();
      return;
    }
    while (blocksWaiting >= credits) await new Promise((resolve) => { wakeReader = resolve; });
    guarded(() => feed(buffer));
  }
  isFinishing = true;
  guarded(settle);
}

// ---- queries -------------------------------------------------------------------------------

function answer({ id, question }) {
  try {
    if (question.kind === "overview") {
      post({ type: "answer", id, value: JSON.parse(session.overview()) });
      return;
    }
    const proxy = session.ask(JSON.stringify(question));
    const view = proxy.getBuffer("u8");
    const buffer = view.data.slice().buffer;
    view.release();
    proxy.destroy();
    post({ type: "answer", id, buffer }, [buffer]);
  } catch (error) {
    if (isFatal(error)) throw error;
    post({ type: "refused", id, error: lastLine(error) });
  }
}

// ---- failures ------------------------------------------------------------------------------

/** A Python exception leaves the interpreter usable; anything else has broken it. */
const isFatal = (error) => error?.constructor?.name !== "PythonError";

/** The last line of a traceback without the exception's module: the text for people. */
function lastLine(error) {
  const lines = String(error?.message ?? error).trim().split("\n");
  return lines[lines.length - 1].replace(/^[\w.]+\.(\w+: )/, "$1");
}

function guarded(job) {
  try {
    job();
  } catch (error) {
    post({ type: "crashed", error: lastLine(error) });
    self.close();
  }
}

self.onmessage = ({ data }) => {
  switch (data.type) {
    case "boot":
      boot(data).catch((error) => {
        post({ type: "crashed", error: `the engine did not start: ${lastLine(error)}` });
        self.close();
      });
      break;
    case "open":
      guarded(() => { session = Session(data.source, requestSlice, data.part); });
      break;
    case "read":
      read(data);
      break;
    case "block":
      guarded(() => feed(data.buffer));
      break;
    case "end":
      isFinishing = true;
      guarded(settle);
      break;
    case "pace":
      rest = data.rest;
      break;
    case "ask":
      guarded(() => answer(data));
      break;
    case "ping":
      post({ type: "pong" });
      break;
  }
};

post({ type: "loaded" });
