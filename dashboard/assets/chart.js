// A hashrate chart: the bare buckets, the running mean over ten minutes, and what came in since the page
// was opened. It replaces the still drawing of the server. Arrow keys move the cursor.

import { hashrate } from "./format.js";

const reload = 60_000; // between two readings of the whole history, ms
const clock = (s) => new Date(s * 1000).toISOString().slice(11, 16);

export class Chart {
  constructor(box) {
    this.box = box;
    this.bucket = Number(box.dataset.bucket);
    this.readout = box.parentElement.querySelector(".readout");
    this.history = [];
    this.live = [];
    this.plot = null;
    this.read = 0;
    box.tabIndex = 0;
    box.setAttribute("role", "application");
    box.setAttribute("aria-roledescription", "chart");
    box.setAttribute("aria-label", `${box.dataset.label}. Left and right arrow keys read the values.`);
    box.addEventListener("keydown", (e) => this.key(e));
    box.addEventListener("blur", () => this.plot?.setCursor({ left: -10, top: -10 }));
    new ResizeObserver(() => this.resize()).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
  }

  // update takes the present hashrate, and reads the history again when it is old.
  async update(rate) {
    this.live.push({ time: Date.now() / 1000, hashrate: rate });
    if (this.live.length > 2000) this.live.shift();
    if (Date.now() - this.read > reload) {
      this.read = Date.now();
      try {
        const answer = await fetch(this.box.dataset.chart, { cache: "no-cache" });
        if (answer.ok) {
          const { history } = await answer.json();
          this.history = history.map((h) => ({ ...h, time: Date.parse(h.time) / 1000 }));
        }
      } catch {
        this.read -= reload - 5000; // soon again
      }
    }
    this.draw();
  }

  // columns are uPlot's: times, running mean, bare buckets.
  columns() {
    const n = Math.max(Math.round(600 / this.bucket), 1);
    const t = [], mean = [], bare = [];
    let sum = 0;
    this.history.forEach((h, i) => {
      sum += h.hashrate - (i >= n ? this.history[i - n].hashrate : 0);
      t.push(h.time + this.bucket);
      mean.push(Math.max(sum, 0) / Math.min(i + 1, n));
      bare.push(h.hashrate);
    });
    const last = t.at(-1) ?? 0;
    for (const p of this.live) {
      if (p.time > last) {
        t.push(p.time);
        mean.push(p.hashrate);
        bare.push(null);
      }
    }
    return this.bucket === 60 ? [t, mean, bare] : [t, mean];
  }

  draw() {
    const data = this.columns();
    if (data[0].length < 2 || !window.uPlot) return;
    if (this.plot) this.plot.setData(data);
    else this.build(data);
  }

  build(data) {
    const css = getComputedStyle(document.documentElement);
    const colour = (name) => css.getPropertyValue(name).trim();
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: colour("--soft"), font, grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const series = [
      {},
      { stroke: colour("--accent"), fill: colour("--area"), width: 2, points: { show: false } },
      { stroke: colour("--raw"), width: 1, points: { show: false }, spanGaps: false },
    ];
    this.box.replaceChildren();
    this.plot = new window.uPlot(
      {
        width: this.box.clientWidth,
        height: this.box.clientHeight,
        legend: { show: false },
        padding: [8, 0, 0, 0],
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 } },
        scales: {
          x: { time: true, range: (u, min, max) => [Math.min(min, max - 600), max] },
          y: { range: (u, min, max) => [0, max > 0 ? max * 1.12 : 1] },
        },
        axes: [
          { ...axis, grid: { show: false }, space: 70, size: 30, values: (u, v) => v.map(clock) },
          { ...axis, side: 1, size: 74, gap: 8, space: 44, values: (u, v) => v.map((x) => (x > 0 ? hashrate(x) : "")) },
        ],
        series: series.slice(0, data.length),
        hooks: { setCursor: [(u) => this.say(u.cursor.idx)] },
      },
      data,
      this.box,
    );
    this.plot.root.setAttribute("aria-hidden", "true");
  }

  rebuild() {
    this.plot?.destroy();
    this.plot = null;
    this.draw();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.box;
    if (this.plot && (width !== this.plot.width || height !== this.plot.height)) this.plot.setSize({ width, height });
  }

  say(i) {
    if (i === null || i === undefined) {
      this.readout.textContent = "";
      return;
    }
    const [t, mean, bare] = this.plot.data;
    const workers = this.history[i]?.workers;
    let text = `${clock(t[i])} UTC · ${hashrate(mean[i])}`;
    if (bare && bare[i] !== null) text += ` · in that minute ${hashrate(bare[i])}`;
    if (workers && bare) text += ` · ${workers} ${workers === 1 ? "worker" : "workers"}`;
    this.readout.textContent = text;
  }

  key(e) {
    const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -Infinity, End: Infinity }[e.key];
    if (move === undefined || !this.plot) return;
    e.preventDefault();
    const t = this.plot.data[0];
    const from = this.plot.cursor.idx ?? t.length - 1;
    const to = Math.min(Math.max(from + move, 0), t.length - 1);
    this.plot.setCursor({ left: this.plot.valToPos(t[to], "x"), top: 0 });
  }
}
