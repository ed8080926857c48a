// Where bytes come from. A URL is fetched in blocks, one at a time and only on request. A reader
// without credits makes no request, which stops the connection (backpressure).

import { BLOCK_BYTES } from "./engine.js";

/** Base class: if its workers report several recordings, each gets a worker of its own. */
class Source {
  recordings = []; // ids
  parts = 1; // number of them that have a worker
}

/** A dropped file, which the worker reads; it can be read again. */
export class FileSource extends Source {
  constructor(file) {
    super();
    this.file = file;
    this.name = file.name;
    this.size = file.size;
  }
}

/** A URL, fetched by a frame without access to the page; fetched again for each part. */
export class UrlSource extends Source {
  constructor(url) {
    super();
    this.url = new URL(url, window.location.href).href;
    this.name = decodeURIComponent(new URL(this.url).pathname.split("/").pop() || this.url);
    this.size = null;
  }

  async *blocks() {
    const frame = await fetcher();
    const { port1: port, port2 } = new MessageChannel();
    const next = () => new Promise((resolve) => { port.onmessage = ({ data }) => resolve(data); });
    const opened = next();
    frame.contentWindow.postMessage({ url: this.url }, window.location.origin, [port2]);
    try {
      let said = await opened;
      this.size = said.size ?? null;
      while (!said.done) {
        if (said.error) throw new Error(said.error);
        if (said.buffer) yield* inBlocks(said.buffer);
        const coming = next();
        port.postMessage("next");
        said = await coming;
      }
    } finally {
      port.postMessage("cancel");
    }
  }
}

function* inBlocks(buffer) {
  if (buffer.byteLength <= BLOCK_BYTES) yield buffer;
  else {
    for (let at = 0; at < buffer.byteLength; at += BLOCK_BYTES) {
      yield buffer.slice(at, at + BLOCK_BYTES);
    }
  }
}

let frameReady = null;

function fetcher() {
  frameReady ??= new Promise((resolve) => {
    const frame = document.createElement("iframe");
    frame.hidden = true;
    frame.src = "fetcher.html";
    window.addEventListener("message", ({ source, data }) => {
      if (source === frame.contentWindow && data === "fetcher is ready") resolve(frame);
    });
    document.body.append(frame);
  });
  return frameReady;
}
