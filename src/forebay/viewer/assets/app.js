// The page: recordings on the left, and on the right the selected one at the time of the cursor.

import { readTable } from "./arrow.js";
import { Engine } from "./engine.js";
import { Plot } from "./plot.js";
import { named, printable } from "./printable.js";
import { Recording, Spares } from "./recording.js";
import { FileSource, UrlSource } from "./sources.js";
import { countText, fractionOf, sizeText, tickText, timeAt, timeText } from "./times.js";
import { Tree } from "./tree.js";

const $ = (id) => document.getElementById(id);
const CURSOR_STEPS = 100_000;
const PLOTTED_ENTITIES_MAX = 8;
const BUCKETS_MIN = 100;
const REFRESH_MS = 1000;
const PROGRESS_MS = 200;
const BETWEEN_MS = 100; // parts of the page that refresh by themselves do so one after the other

const config = JSON.parse($("config").textContent, (key, value) =>
  ["python", "pyodide", "snapshot"].includes(key) ? new URL(value, document.baseURI).href : value);
if (config.wheels) config.wheels = config.wheels.map((url) => new URL(url, document.baseURI).href);

const spares = new Spares(config);
const recordings = [];
const chosen = { recording: null, store: null, timeline: null, entity: null, time: null };

/** For scripts and debugging: the state of the page. */
window.forebay = { recordings, chosen, spares, readTable, Engine, open };

// ---- opening -------------------------------------------------------------------------------

function open(source, part = 0) {
  const recording = new Recording(source, spares, changed, part);
  recordings.push(recording);
  if (!chosen.recording) choose(recording);
  changed(recording);
  return recording;
}

const openFiles = (files) => [...files].map((file) => open(new FileSource(file)));

$("files").addEventListener("change", ({ target }) => {
  openFiles(target.files);
  target.value = "";
});
$("open-url").addEventListener("submit", (event) => {
  event.preventDefault();
  if ($("url").value) open(new UrlSource($("url").value));
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) document.body.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  openFiles(event.dataTransfer.files);
});

// ---- recordings ----------------------------------------------------------------------------

const cards = new Map();
let isDue = false;

/** A recording has changed; the list is redrawn at most five times a second. */
function changed(recording) {
  const { source } = recording;
  while (source.parts < source.recordings.length) open(source, source.parts++);
  if (recording === chosen.recording && recording.overview && recording.state !== "reading") {
    showOverview();
  }
  if (isDue) return;
  isDue = true;
  setTimeout(() => {
    isDue = false;
    drawRecordings();
  }, PROGRESS_MS);
}

function drawRecordings() {
  $("empty").hidden = recordings.length > 0;
  $("work").hidden = recordings.length === 0;
  for (const recording of recordings) {
    if (!cards.has(recording)) cards.set(recording, makeCard(recording));
    drawCard(recording, cards.get(recording));
  }
  const problems = chosen.recording?.problems ?? [];
  $("problem").hidden = problems.length === 0;
  $("problem").textContent = problems.map(printable).join("\n");
}

function makeCard(recording) {
  const item = document.createElement("li");
  item.innerHTML = `<button class="card"><b></b><span class="which"></span><progress max="1"></progress><small></small></button>
    <span class="tools"><button class="again" hidden>Try again</button>
    <button class="close" aria-label="Close">×</button></span>`;
  item.querySelector("b").textContent = item.querySelector("b").title = named(recording.name);
  item.querySelector(".card").addEventListener("click", () => choose(recording));
  item.querySelector(".again").addEventListener("click", () => recording.retry());
  item.querySelector(".close").addEventListener("click", () => close(recording));
  $("recordings").append(item);
  return item;
}

function drawCard(recording, item) {
  item.dataset.state = recording.state;
  item.querySelector(".card").setAttribute("aria-pressed", recording === chosen.recording);
  const bar = item.querySelector("progress");
  if (recording.fraction === null) bar.removeAttribute("value");
  else bar.value = recording.fraction;
  bar.hidden = !["starting", "reading"].includes(recording.state);
  item.querySelector(".again").hidden = recording.state !== "lost";
  setText(item.querySelector(".which"), recording.which);
  setText(item.querySelector("small"), stateText(recording));
}

/** An unchanged element costs no layout. */
function setText(element, text) {
  const shown = printable(text);
  if (element.textContent !== shown) element.textContent = shown;
}

function stateText({ state, stage, progress, overview, problems }) {
  const size = sizeText(progress.bytes);
  const chunks = countText(progress.committed, "chunk");
  switch (state) {
    case "starting":
      return `starting Python${stage && ` · ${stage} ready`}`;
    case "reading":
      return `${chunks} · ${size}`;
    case "whole": {
      const rows = overview.stores.reduce((sum, store) => sum + store.rows, 0);
      return `${countText(rows, "row")} · ${chunks} · ${size}`;
    }
    case "damaged":
      return `damaged · ${chunks} readable · ${problems.at(-1) ?? ""}`;
    default:
      return `lost · ${problems.at(-1) ?? ""}`;
  }
}

function close(recording) {
  recording.close();
  recordings.splice(recordings.indexOf(recording), 1);
  cards.get(recording)?.remove();
  cards.delete(recording);
  if (chosen.recording === recording) choose(recordings[0] ?? null);
  drawRecordings();
}

function choose(recording) {
  Object.assign(chosen, { recording, store: null, timeline: null, entity: null, time: null });
  if (recording?.overview) showOverview();
  else clearWork();
  drawRecordings();
}

function clearWork() {
  tree.show([], null);
  plot.show([], () => "");
  $("latest-title").textContent = "At the cursor";
  $("now").textContent = "";
  fillTable($("latest"), { rows: 0, names: [], columns: {} });
  fillTable($("rows"), { rows: 0, names: [], columns: {} });
}

// The part that is already read can be shown while the rest is loading.
setInterval(async () => {
  const { recording } = chosen;
  if (recording?.state !== "reading" || document.hidden) return;
  await recording.refresh().catch(() => {});
  if (recording === chosen.recording && recording.overview?.stores.length) showOverview(BETWEEN_MS);
}, REFRESH_MS);

// ---- the selected recording ------------------------------------------------------------------

const tree = new Tree($("tree"), (path) => {
  chosen.entity = path;
  showData();
});
const plot = new Plot($("plot"), (fraction) => moveTo(fraction));

const currentStore = () => chosen.recording?.overview?.stores[chosen.store];
const currentTimeline = () => currentStore()?.timelines[chosen.timeline];
const currentRange = () => currentTimeline()?.range.map(BigInt);

function showOverview(betweenMs = 0) {
  const { stores } = chosen.recording.overview;
  if (!stores[chosen.store]) {
    // A file may contain a blueprint before its recording.
    const first = stores.findIndex((store) => store.kind === "recording" && store.entities.length);
    chosen.store = Math.max(0, first);
  }
  showOptions($("store"), stores.map((store, i) =>
    [`${store.kind === "blueprint" ? "blueprint of " : ""}${store.application_id} · ${store.recording_id}`, i]));
  $("store").value = chosen.store;
  for (const part of document.querySelectorAll(".several")) part.hidden = stores.length < 2;
  const store = currentStore();
  if (!store) return;
  const names = Object.keys(store.timelines);
  if (!names.includes(chosen.timeline)) {
    const own = names.filter((name) => !["log_time", "log_tick"].includes(name));
    chosen.timeline = own[0] ?? names[0] ?? null;
    chosen.time = null;
  }
  showOptions($("timeline"), names.map((name) => [`${name} (${store.timelines[name].type})`, name]));
  $("timeline").value = chosen.timeline ?? "";
  if (!store.entities.some(({ path }) => path.startsWith(chosen.entity ?? "?"))) {
    const has = (test) => store.entities.find(({ path, components }) =>
      !path.startsWith("/__") && components.some(test));
    const best = has(({ name }) => name === "Scalars:scalars") ?? has((each) => each.is_plottable);
    chosen.entity = (best ?? store.entities[0])?.path ?? null;
  }
  tree.show(store.entities, chosen.entity);
  showData(betweenMs);
}

/** Only if they have changed: while a recording loads, this is called every second. */
function showOptions(select, options) {
  const shown = JSON.stringify(options);
  if (select.dataset.shown === shown) return;
  select.dataset.shown = shown;
  select.replaceChildren(...options.map(([title, value]) => new Option(named(title), value)));
}

$("store").addEventListener("change", ({ target }) => {
  Object.assign(chosen, { store: Number(target.value), timeline: null, entity: null, time: null });
  showOverview();
});
$("timeline").addEventListener("change", ({ target }) => {
  chosen.timeline = target.value;
  chosen.time = null;
  showData();
});
$("cursor").addEventListener("input", ({ target }) => moveTo(Number(target.value) / CURSOR_STEPS));
$("fill").addEventListener("change", () => showData());

function moveTo(fraction) {
  const range = currentRange();
  if (!range) return;
  chosen.time = timeAt(...range, fraction);
  showCursor();
  ask("tables", showTables);
}

function showCursor() {
  const range = currentRange();
  if (!range) return;
  const fraction = chosen.time === null ? 1 : fractionOf(...range, chosen.time);
  $("cursor").value = Math.round(fraction * CURSOR_STEPS);
  $("now").textContent = timeText(chosen.time ?? range[1], currentTimeline().type);
  plot.move(fraction);
}

function showData(betweenMs = 0) {
  showCursor();
  if (betweenMs) {
    setTimeout(() => ask("tables", showTables), betweenMs);
    setTimeout(() => ask("plot", showPlot), 2 * betweenMs);
  } else {
    ask("tables", showTables);
    ask("plot", showPlot);
  }
}

/** One query of a kind at a time; of those made meanwhile only the last is sent. */
const asking = new Map();
function ask(kind, question) {
  if (asking.has(kind)) {
    asking.set(kind, question);
    return;
  }
  asking.set(kind, null);
  question()
    .catch((error) => { if (chosen.recording?.state !== "lost") complain(error); })
    .finally(() => {
      const next = asking.get(kind);
      asking.delete(kind);
      if (next) ask(kind, next);
    });
}

function complain(error) {
  $("problem").hidden = false;
  $("problem").textContent = printable(error.message ?? error);
}

async function showTables() {
  const { recording, store, timeline, entity } = chosen;
  const range = currentRange();
  if (!recording || !entity || !range) return;
  const time = String(chosen.time ?? range[1]);
  const about = { store, timeline, entity };
  const isEntity = currentStore().entities.some(({ path }) => path === entity);
  const latest = isEntity
    ? readTable(await recording.engine.ask({ kind: "latest_at", ...about, time }))
    : { rows: 0, names: [], columns: {} };
  if (recording !== chosen.recording) return;
  $("latest-title").textContent = named(entity);
  fillTable($("latest"), latest, ["component", "value", "at", "instances"]);
  const rows = readTable(
    await recording.engine.ask({
      kind: "rows", store, timeline, contents: `${entity}/**`, start: time, limit: 100,
      fill_latest_at: $("fill").checked,
    }));
  if (recording !== chosen.recording) return;
  fillTable($("rows"), rows, rows.names.filter((name, i) => i > 0 && name !== "time"));
}

function fillTable(table, { rows, columns }, names = []) {
  const texts = Array.from({ length: rows }, (_, row) =>
    names.map((name) => String(columns[name][row] ?? "")));
  const shown = JSON.stringify(names);
  if (table.dataset.shown !== shown || table.rows.length !== rows + 1) {
    table.dataset.shown = shown;
    table.replaceChildren(headOf(names), ...texts.map((line) => {
      const made = document.createElement("tr");
      made.append(...line.map(() => document.createElement("td")));
      return made;
    }));
  }
  texts.forEach((line, row) =>
    line.forEach((text, i) => setText(table.rows[row + 1].cells[i], text)));
}

function headOf(names) {
  const head = document.createElement("tr");
  for (const name of names) {
    const cell = document.createElement("th");
    cell.scope = "col";
    const [entity, ...rest] = name.split(":");
    cell.title = printable(name);
    cell.textContent = named(entity.startsWith("/") ? rest.join(":") : name);
    if (entity.startsWith("/")) cell.prepend(Object.assign(document.createElement("small"), { textContent: named(entity) }));
    head.append(cell);
  }
  return head;
}

async function showPlot() {
  const { recording, store, timeline, entity } = chosen;
  const range = currentRange();
  if (!recording || !entity || !range) return;
  const { type } = currentTimeline();
  const below = currentStore().entities
    .filter(({ path }) => path === entity || path.startsWith(`${entity}/`))
    .filter(({ components }) => components.some((each) => each.is_plottable))
    .slice(0, PLOTTED_ENTITIES_MAX);
  // A bucket per two pixels, or per four while loading: drawing is most of the time of a frame.
  const pixels = recording.state === "reading" ? 4 : 2;
  const buckets = Math.max(BUCKETS_MIN, Math.round(plot.width / pixels));
  const lines = [];
  for (const { path, components } of below) {
    const table = readTable(
      await recording.engine.ask({
        kind: "plot", store, timeline, entity: path, buckets,
        components: components.filter((each) => each.is_plottable).map((each) => each.name),
        start: String(range[0]), end: String(range[1]),
      }));
    lines.push(...linesOf(table, path, range));
  }
  if (recording !== chosen.recording) return;
  const span = range[1] - range[0];
  plot.show(lines, (fraction) => tickText(timeAt(...range, fraction), type, span));
}

function linesOf({ rows, columns }, path, range) {
  const lines = [];
  for (let row = 0; row < rows; row++) {
    const title = `${path} ${columns.series[row].replace("Scalars:scalars", "")}`.trim();
    if (lines.at(-1)?.title !== title) lines.push({ title, x: [], least: [], greatest: [] });
    const line = lines.at(-1);
    line.x.push(fractionOf(...range, columns.time[row]));
    line.least.push(columns.least[row]);
    line.greatest.push(columns.greatest[row]);
  }
  return lines;
}

// ---- exports -------------------------------------------------------------------------------

async function exportAs(kind, ending, type) {
  const { recording, store, timeline, entity } = chosen;
  const buffer = await recording.engine.ask({
    kind, store, timeline, contents: `${entity}/**`, fill_latest_at: $("fill").checked,
  });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([buffer], { type }));
  const name = named(recording.name.replace(/\.\w+$/, ""));
  link.download = `${name}${recording.which && `-${recording.which}`}${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

$("export-csv").addEventListener("click", () =>
  exportAs("csv", ".csv", "text/csv").catch(complain));
$("export-arrow").addEventListener("click", () =>
  exportAs("dataframe", ".arrows", "application/vnd.apache.arrow.stream").catch(complain));

// ---- the engine ----------------------------------------------------------------------------

// The first interpreter starts with the page, so that it is ready, or nearly, for a dropped file.
const first = spares.prepare();
const began = performance.now();
$("engine").textContent = "starting Python…";
first.onProgress = ({ stage }) => {
  if (stage) $("engine").textContent = `starting Python: ${stage} ready`;
};
first.ready.then(
  () => {
    window.forebay.bootMs = performance.now() - began;
    $("engine").textContent = "ready";
    document.documentElement.dataset.engine = "ready";
  },
  (error) => {
    $("engine").textContent = `Python could not be started: ${error.message}`;
    document.documentElement.dataset.engine = "failed";
  },
);
drawRecordings();
