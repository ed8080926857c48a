// Lines over time on a canvas: minimum to maximum of each bucket, and a cursor that can be set.

const COLORS = ["#2a8fbd", "#d9722b", "#3d9a50", "#c4477b", "#8464c4", "#a88a1c", "#4a9fa5", "#b0523c"];
const LEFT = 56;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 24;
const STROKED_POINTS_MAX = 150;
const BAND_MARGIN = 0.5; // so that a band of no height is a line

export class Plot {
  /** `onPick(fraction)` is called with the position of a click in the range. */
  constructor(figure, onPick) {
    this.canvas = figure.querySelector("canvas");
    this.caption = figure.querySelector("figcaption");
    this.lines = [];
    this.cursor = 1;
    this.format = String;
    const pick = (event) => {
      const box = this.canvas.getBoundingClientRect();
      const place = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
      onPick(Math.min(1, Math.max(0, place)));
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      pick(event);
    });
    this.canvas.addEventListener("pointermove", (event) => { if (event.buttons) pick(event); });
    this.canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.01, ArrowRight: 0.01, Home: -1, End: 1 }[event.key];
      if (step) { event.preventDefault(); onPick(Math.min(1, Math.max(0, this.cursor + step))); }
    });
    this.width = this.canvas.clientWidth; // reading it during changes costs a layout
    this.height = this.canvas.clientHeight;
    new ResizeObserver(([{ contentRect }]) => {
      this.width = contentRect.width;
      this.height = contentRect.height;
      this.draw();
    }).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** `lines`: `[{ title, x, least, greatest }]`, `x` from 0 to 1 along the range. */
  show(lines, formatX) {
    this.lines = lines;
    this.format = formatX;
    this.caption.replaceChildren(
      ...lines.map(({ title }, i) => {
        const item = document.createElement("span");
        const dot = document.createElement("i");
        dot.style.setProperty("background", COLORS[i % COLORS.length]);
        item.append(dot, title);
        return item;
      }),
    );
    if (!lines.length) this.caption.textContent = "no numbers on this entity";
    const points = lines.reduce((sum, line) => sum + line.x.length, 0);
    this.canvas.setAttribute("aria-label", `Plot of ${lines.length} lines, ${points} points`);
    this.draw();
  }

  move(cursor) {
    this.cursor = cursor;
    this.draw();
  }

  #range() {
    let low = Infinity;
    let high = -Infinity;
    for (const { least, greatest } of this.lines) {
      for (const value of least) if (value < low) low = value;
      for (const value of greatest) if (value > high) high = value;
    }
    if (low > high) return [0, 1];
    const margin = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
    return [low - margin, high + margin];
  }

  #isDue = false;

  /** Draw soon, once for all changes until then. */
  draw() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#drawNow();
    });
  }

  #drawNow() {
    const { width, height } = this;
    if (!width) return;
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    const pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    const hairline = 1 / scale;
    const style = getComputedStyle(this.canvas);
    const [low, high] = this.#range();
    const toX = (x) => LEFT + x * (width - LEFT - RIGHT);
    const toY = (y) => TOP + (1 - (y - low) / (high - low)) * (height - TOP - BOTTOM);
    if (!this.lines.length) return;
    this.#grid(pen, style, low, high, toX, toY);
    this.lines.forEach((line, i) => {
      pen.strokeStyle = pen.fillStyle = COLORS[i % COLORS.length];
      drawLine(pen, line, hairline, toX, toY);
    });
    pen.strokeStyle = style.getPropertyValue("--accent");
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.moveTo(toX(this.cursor), TOP);
    pen.lineTo(toX(this.cursor), height - BOTTOM);
    pen.stroke();
  }

  #grid(pen, style, low, high, toX, toY) {
    const { width, height } = this;
    pen.font = `11px ${style.fontFamily}`;
    pen.fillStyle = style.getPropertyValue("--faint");
    pen.strokeStyle = style.getPropertyValue("--line");
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (const y of ticks(low, high, 5)) {
      pen.beginPath();
      pen.moveTo(LEFT, Math.round(toY(y)) + 0.5);
      pen.lineTo(width - RIGHT, Math.round(toY(y)) + 0.5);
      pen.stroke();
      pen.fillText(Number(y.toPrecision(6)).toString(), LEFT - 6, toY(y));
    }
    pen.textBaseline = "top";
    const count = Math.max(2, Math.floor((width - LEFT) / 190));
    let last = null;
    for (let i = 0; i <= count; i++) {
      const text = this.format(i / count);
      if (text === last) continue; // one tick for a range of a single time
      last = text;
      pen.textAlign = i === 0 ? "left" : i === count ? "right" : "center";
      pen.fillText(text, toX(i / count), height - BOTTOM + 7);
    }
  }
}

/** A stroke wider than a pixel costs fifteen times a hairline, all on the page's thread. */
function drawLine(pen, { x, least, greatest }, hairline, toX, toY) {
  const count = x.length;
  pen.beginPath();
  if (count === 1) {
    pen.arc(toX(x[0]), toY(least[0]), 2.5, 0, 7);
    pen.fill();
    return;
  }
  if (count <= STROKED_POINTS_MAX) {
    pen.lineWidth = 1.4;
    pen.lineJoin = "round";
    for (let i = 0; i < count; i++) {
      pen.lineTo(toX(x[i]), toY(least[i]));
      if (greatest[i] !== least[i]) pen.lineTo(toX(x[i]), toY(greatest[i]));
    }
    pen.stroke();
    return;
  }
  // A band from minimum to maximum; the outline keeps it visible where it is steep.
  for (let i = 0; i < count; i++) pen.lineTo(toX(x[i]), toY(greatest[i]) - BAND_MARGIN);
  for (let i = count - 1; i >= 0; i--) pen.lineTo(toX(x[i]), toY(least[i]) + BAND_MARGIN);
  pen.closePath();
  pen.fill();
  pen.lineWidth = hairline;
  pen.stroke();
}

function* ticks(low, high, count) {
  const rough = (high - low) / count;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * ([1, 2, 5, 10].find((factor) => factor * unit >= rough) ?? 10);
  for (let y = Math.ceil(low / step) * step; y <= high; y += step) yield y;
}
