// One recording: its source, its engine and their progress. If a source has several recordings, each
// has a `Recording`, and so an engine, of its own: `part` is its number.
//
// States: starting → reading → whole | damaged (the readable part is shown) | lost (the worker is).

import { Engine } from "./engine.js";

/** Engines that are started in advance, so that one is ready for a recording. */
export class Spares {
  #spares = [];

  constructor(config) {
    this.config = config;
  }

  /** Start engines until there are so many; returns the one that is used next. */
  prepare(count = 1) {
    while (this.#spares.length < count) {
      const engine = new Engine(this.config);
      engine.onFailed = () => { this.#spares = this.#spares.filter((each) => each !== engine); };
      this.#spares.push(engine);
    }
    return this.#spares[0];
  }

  /** All unused engines, when they are ready. */
  ready() {
    return Promise.all(this.#spares.map((engine) => engine.ready));
  }

  take() {
    this.prepare();
    const engine = this.#spares.shift();
    engine.onFailed = () => {};
    return engine;
  }
}

export class Recording {
  #attempt = 0;

  /** `onChange(recording)` is called whenever something has changed. */
  constructor(source, spares, onChange, part = 0) {
    this.source = source;
    this.part = part;
    this.spares = spares;
    this.onChange = onChange;
    this.overview = null;
    this.lost = []; // why workers of this recording were lost, one text each
    this.#begin();
  }

  get name() {
    return this.source.name;
  }

  /** Which recording of its source it is, for display; empty if there is only one. */
  get which() {
    return this.source.recordings.length > 1 ? this.source.recordings[this.part] : "";
  }

  get fraction() {
    if (this.state === "whole" || this.state === "damaged") return 1;
    return this.source.size ? this.progress.bytes / this.source.size : null;
  }

  /** What is wrong with it, for display; empty if nothing is. */
  get problems() {
    const found = [...this.lost];
    if (this.overview?.error) found.push(this.overview.error.message);
    for (const store of this.overview?.stores ?? []) {
      const [first] = store.rejections;
      if (first) found.push(`${store.rejected} rejected; the first: ${first.message}`);
    }
    return found;
  }

  #begin() {
    this.state = "starting";
    this.stage = "";
    this.progress = { bytes: 0, messages: 0, committed: 0, rejected: 0, recordings: [] };
    const attempt = ++this.#attempt;
    const isCurrent = () => attempt === this.#attempt;
    this.engine = this.spares.take();
    this.engine.onProgress = (progress) => {
      if (!isCurrent()) return;
      if (progress.stage) this.stage = progress.stage;
      else this.#progressed(progress);
      this.onChange(this);
    };
    this.engine.onFinished = (progress, overview) => {
      this.#progressed(progress);
      this.overview = overview;
      const rejected = overview.stores.some((store) => store.rejected > 0);
      this.state = overview.error || rejected ? "damaged" : "whole";
      this.onChange(this);
    };
    this.engine.onFailed = (reason) => this.#lose(reason);
    this.done = this.#read(isCurrent);
  }

  #progressed(progress) {
    this.progress = progress;
    if (progress.recordings.length > this.source.recordings.length) {
      this.source.recordings = progress.recordings;
    }
  }

  async #read(isCurrent) {
    const { engine } = this;
    try {
      await engine.ready;
      engine.open(this.name, this.part);
      this.state = "reading";
      this.onChange(this);
      if (this.source.file) {
        engine.read(this.source.file);
        return;
      }
      for await (const buffer of this.source.blocks()) {
        if (!isCurrent()) return;
        await engine.feed(buffer);
      }
      engine.end();
    } catch (error) {
      if (engine.failure) this.#lose(engine.failure);
      else engine.fail(`${this.name} could not be read: ${error.message ?? error}`);
    }
  }

  /** The worker is lost with its data: report it, and start a new one in its place. */
  #lose(reason) {
    if (this.state === "lost") return;
    this.state = "lost";
    this.overview = null;
    this.lost.push(reason);
    this.spares.prepare();
    this.onChange(this);
  }

  /** Read the source again, in a new worker. */
  retry() {
    this.#begin();
    this.onChange(this);
  }

  /** The current overview, while the recording is loading. */
  async refresh() {
    if (this.state === "reading") this.overview = await this.engine.ask({ kind: "overview" });
  }

  close() {
    this.#attempt += 1;
    this.engine.close();
  }
}
