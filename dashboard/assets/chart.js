// A hashrate chart: a kept history in the step that was chosen, and what came in since the page was
// opened. It replaces the still drawing of the server. Arrow keys move the cursor.

import { count, hashrate, t } from "./format.js";

const reload = 60_000; // between two readings of the history, ms
const names = { "1m": "Day", "10m": "Week", "1h": "Two years", "1d": "Two years" };
const pad = (n) => String(n).padStart(2, "0");

export class Chart {
  constructor(box) {
    this.box = box;
    this.source = box.dataset.chart;
    this.bucket = Number(box.dataset.bucket);
    this.readout = box.parentElement.querySelector(".readout");
    this.history = [];
    this.live = [];
    this.plot = null;
    this.read = 0;
    this.step = "";
    box.tabIndex = 0;
    box.setAttribute("role", "application");
    box.setAttribute("aria-roledescription", t("chart"));
    box.setAttribute("aria-label", `${box.dataset.label}. ${t("Left and right arrow keys read the values.")}`);
    box.addEventListener("keydown", (e) => this.key(e));
    box.addEventListener("blur", () => this.plot?.setCursor({ left: -10, top: -10 }));
    new ResizeObserver(() => this.resize()).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
    this.ranges(box.parentElement.querySelector(".ranges"));
    this.update(null);
  }

  // ranges makes a button for each step there is.
  ranges(group) {
    const steps = group.dataset.steps.split(" ").filter(Boolean);
    this.step = steps[0] ?? "";
    if (steps.length < 2) return;
    for (const step of steps) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = t(step === "10m" && steps[0] === "1m" ? "Month" : names[step]);
      button.setAttribute("aria-pressed", String(step === this.step));
      button.addEventListener("click", () => {
        this.step = step;
        for (const b of group.children) b.setAttribute("aria-pressed", String(b === button));
        this.read = 0;
        this.history = [];
        this.update(null);
      });
      group.append(button);
    }
  }

  // update takes the present hashrate, and reads the history again when it is old.
  async update(rate) {
    if (rate !== null) {
      this.live.push({ time: Date.now() / 1000, hashrate: rate });
      if (this.live.length > 2000) this.live.shift();
    }
    if (Date.now() - this.read > reload) {
      this.read = Date.now();
      const { step } = this;
      try {
        const answer = await fetch(step ? `${this.source}?step=${step}` : this.source, { cache: "no-cache" });
        if (answer.ok && step === this.step) {
          const h = await answer.json();
          this.bucket = h.step;
          this.history = h.points.map((p) => ({ ...p, time: Date.parse(p.time) / 1000 }));
          this.rebuild();
          return;
        }
      } catch {
        this.read -= reload - 5000; // soon again
      }
    }
    this.draw();
  }

  // columns are uPlot's: times, running mean, bare buckets, workers.
  columns() {
    const n = Math.max(Math.round(600 / this.bucket), 1);
    const t = [], mean = [], bare = [], workers = [];
    let sum = 0;
    const put = (time, rate, present) => {
      sum += rate - (t.length >= n ? bare[t.length - n] : 0);
      t.push(time);
      bare.push(rate);
      mean.push(Math.max(sum, 0) / Math.min(t.length, n));
      workers.push(present);
    };
    for (const h of this.history) {
      const time = h.time + this.bucket;
      if (t.length > 0 && time - t.at(-1) > 1.5 * this.bucket) {
        for (let gap = 0; gap < n && t.at(-1) + this.bucket < time; gap++) put(t.at(-1) + this.bucket, 0, 0);
        if (t.at(-1) + this.bucket < time) put(time - this.bucket, 0, 0);
      }
      put(time, h.hashrate, h.workers);
    }
    if (this.bucket <= 600) {
      const last = t.at(-1) ?? 0;
      for (const p of this.live) {
        if (p.time > last) {
          t.push(p.time);
          mean.push(p.hashrate);
          bare.push(null);
          workers.push(null);
        }
      }
    }
    return this.bucket === 60 ? [t, mean, bare, workers] : [t, mean, mean.map(() => null), workers];
  }

  draw() {
    const data = this.columns();
    if (data[0].length < 2 || !window.uPlot) return;
    if (this.plot) this.plot.setData(data);
    else this.build(data);
  }

  clock(s) {
    const d = new Date(s * 1000);
    const day = d.toLocaleDateString(document.documentElement.lang, { month: "short", day: "numeric", timeZone: "UTC" });
    const time = `${pad(d.getUTCHours())}:${pad(d.getUTCMinutes())}`;
    return { day, time };
  }

  build(data) {
    const css = getComputedStyle(document.documentElement);
    const colour = (name) => css.getPropertyValue(name).trim();
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: colour("--soft"), font, grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
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
          w: { range: (u, min, max) => [0, max > 0 ? max * 4 : 1] },
        },
        axes: [
          {
            ...axis, grid: { show: false }, space: 70, size: 30,
            values: (u, v, i, space, step) => v.map((s) => (step >= 86400 || s % 86400 === 0 ? this.clock(s).day : this.clock(s).time)),
          },
          { ...axis, side: 1, size: 74, gap: 8, space: 44, values: (u, v) => v.map((x) => (x > 0 ? hashrate(x) : "")) },
        ],
        series: [
          {},
          { stroke: colour("--accent"), fill: colour("--area"), width: 2, points: { show: false } },
          { stroke: colour("--raw"), width: 1, points: { show: false }, spanGaps: false },
          { scale: "w", stroke: colour("--soft"), dash: [4, 4], width: 1, points: { show: false } },
        ],
        hooks: { setCursor: [(u) => this.say(u.cursor.idx)] },
        tzDate: (s) => window.uPlot.tzDate(new Date(s * 1000), "UTC"),
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
    const [times, mean, , workers] = this.plot.data;
    const { day, time } = this.clock(times[i]);
    const text = [`${day} ${time} UTC`, hashrate(mean[i])];
    if (workers[i] !== null) text.push(t("%s workers", count(workers[i])));
    const rejected = Object.entries(this.history.find((h) => h.time + this.bucket === times[i])?.rejected ?? {});
    if (rejected.length > 0) text.push(t("rejected %s", rejected.map(([reason, n]) => `${reason} ${n}`).join(", ")));
    this.readout.textContent = text.join(" · ");
  }

  key(e) {
    const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -Infinity, End: Infinity }[e.key];
    if (move === undefined || !this.plot) return;
    e.preventDefault();
    const times = this.plot.data[0];
    const from = this.plot.cursor.idx ?? times.length - 1;
    const to = Math.min(Math.max(from + move, 0), times.length - 1);
    this.plot.setCursor({ left: this.plot.valToPos(times[to], "x"), top: 0 });
  }
}
