// The page's side of a worker with an interpreter of its own. The protocol:
//
// To the worker                      From the worker
//                                      loaded
//   boot   config, modules             stage    name, ms
//                                      ready    modules, heap, hasSnapshot
//   open   source, part
//   read   file, blockBytes, credits
//   block  buffer (transferred)        credit   blocks, progress
//   end                                progress progress (of a file that it reads itself)
//   pace   rest                        finished progress, overview, restedMs
//   ask    id, question                answer   id, value | buffer (transferred)
//                                      refused  id, error
//   ping                               pong
//                                      crashed  error
//
// A block costs a credit, which is returned when the block is decoded and committed. So at most
// CREDITS × BLOCK_BYTES of a recording are between the file and its store. The worker reads a file
// itself, with the same credits; the page fetches a URL and sends it in blocks.

import { join, leave } from "./pace.js";

export const BLOCK_BYTES = 256 * 1024;
export const CREDITS = 4;

const PING_MS = 1000;
const HANG_MS = 30_000; // one message of 100 MB, or one large export, takes seconds uninterrupted
const BOOT_MS = 180_000;

const REST_STEP = 0.1; // smallest change of the pause that is sent to the worker

const compiled = new Map(); // WebAssembly modules by key: compiled by one worker, used by all

/**
 * A worker inherits the page's content security policy only if it is started from a blob. In such a
 * worker, Chromium refuses static imports of the page's own files, but not dynamic ones.
 */
function startWorker() {
  const address = JSON.stringify(new URL("worker.js", import.meta.url).href);
  const code = `import(${address}).catch((error) =>
    self.postMessage({ type: "crashed", error: String(error) }));`;
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const worker = new Worker(url, { type: "module", name: "forebay" });
  return { worker, url };
}

export class EngineError extends Error {}

export class Engine {
  /** Queries that are not yet answered, by id. */
  #asked = new Map();
  #nextId = 0;
  #credits = CREDITS;
  #waitingForCredit = [];
  #heardAt = performance.now();
  #watch;
  #failure = null;
  rest = 0; // the pause that was last requested
  restedMs = 0; // in total, when it has finished

  /** `config` has the URLs of Pyodide, the wheels and the engine. */
  constructor(config) {
    this.#boot = { type: "boot", config };
    this.stages = [];
    this.heapBytes = 0;
    this.hasSnapshot = false;
    this.onProgress = () => {};
    this.onFinished = () => {};
    this.onFailed = () => {};
    this.isReady = false;
    const { worker, url } = startWorker();
    this.worker = worker;
    this.#watch = setInterval(() => this.#look(), PING_MS);
    worker.onerror = (event) => {
      event.preventDefault?.();
      this.fail(event.message || "its worker could not be started");
    };
    worker.onmessageerror = () => this.fail("a message could not be read");
    this.ready = new Promise((resolve, reject) => {
      this.#onReady = resolve;
      this.#onNeverReady = reject;
    });
    this.ready.catch(() => {});
    worker.onmessage = ({ data }) => this.#receive(data);
    this.ready.finally(() => URL.revokeObjectURL(url)).catch(() => {});
  }

  #boot;
  #onReady;
  #onNeverReady;

  get failure() {
    return this.#failure;
  }

  /**
   * Begin a source with its display name; once, and before its first block. If it has several
   * recordings, `part` is the number of the one that is kept; without `part` all are kept.
   */
  open(source, part) {
    if (this.#failure) return;
    this.worker.postMessage({ type: "open", source, part });
    join(this);
  }

  /** Let the worker pause for so long per unit of work (see pace.js). */
  pace(rest) {
    if (Math.abs(rest - this.rest) < REST_STEP && (rest > 0 || this.rest === 0)) return;
    this.rest = rest;
    this.worker.postMessage({ type: "pace", rest });
  }

  /** Let the worker read a file to its end. */
  read(file) {
    if (this.#failure) return;
    this.worker.postMessage({ type: "read", file, blockBytes: BLOCK_BYTES, credits: CREDITS });
  }

  /** Send bytes of the recording, at most BLOCK_BYTES; waits for a credit. */
  async feed(buffer) {
    while (this.#credits === 0 && !this.#failure) {
      await new Promise((resolve) => this.#waitingForCredit.push(resolve));
    }
    if (this.#failure) throw new EngineError(this.#failure);
    this.#credits -= 1;
    this.worker.postMessage({ type: "block", buffer }, [buffer]);
  }

  /** All bytes were fed. */
  end() {
    if (!this.#failure) this.worker.postMessage({ type: "end" });
  }

  /** Send a query; returns an ArrayBuffer, or an object for `overview`. */
  ask(question) {
    if (this.#failure) return Promise.reject(new EngineError(this.#failure));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject });
      this.worker.postMessage({ type: "ask", id, question });
    });
  }

  /** End the worker, and reject everything that waits for it. */
  close(reason = "it was closed") {
    this.#stop(reason);
  }

  /** The worker is lost: report it, once. */
  fail(reason) {
    if (this.#failure) return;
    this.#stop(reason);
    this.onFailed(reason);
  }

  #stop(reason) {
    this.#failure ??= reason;
    clearInterval(this.#watch);
    leave(this);
    this.worker.terminate();
    this.#onNeverReady(new EngineError(reason));
    for (const { reject } of this.#asked.values()) reject(new EngineError(reason));
    this.#asked.clear();
    for (const wake of this.#waitingForCredit.splice(0)) wake();
  }

  #look() {
    const silent = performance.now() - this.#heardAt;
    if (silent > (this.isReady ? Engine.hangMs : BOOT_MS)) {
      this.fail(`its worker gave no sign of life for ${Math.round(silent / 1000)} s`);
    } else if (this.isReady) {
      this.worker.postMessage({ type: "ping" });
    }
  }

  #receive(message) {
    this.#heardAt = performance.now();
    switch (message.type) {
      case "loaded":
        this.worker.postMessage({ ...this.#boot, modules: [...compiled] });
        break;
      case "stage":
        this.stages.push({ name: message.name, ms: message.ms });
        this.onProgress({ stage: message.name });
        break;
      case "ready":
        for (const [key, module] of message.modules) compiled.set(key, module);
        this.heapBytes = message.heap;
        this.hasSnapshot = message.hasSnapshot;
        this.isReady = true;
        this.#onReady();
        break;
      case "credit":
        this.#credits += message.blocks;
        for (const wake of this.#waitingForCredit.splice(0)) wake();
        this.onProgress(message.progress);
        break;
      case "progress":
        this.onProgress(message.progress);
        break;
      case "finished":
        leave(this);
        this.restedMs = message.restedMs;
        this.onFinished(message.progress, message.overview);
        break;
      case "answer":
      case "refused":
        this.#settle(message);
        break;
      case "crashed":
        this.fail(message.error);
        break;
    }
  }

  #settle({ id, type, value, buffer, error }) {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (type === "refused") asked?.reject(new EngineError(error));
    else asked?.resolve(buffer ?? value);
  }
}

/** How long a worker may be silent; a page with known recordings may change it. */
Engine.hangMs = HANG_MS;
