// Keeps a page's values fresh by the browser's one live stream. Figures come with it; when something
// happened (a share, a block, a payout, a node), the tables are taken from a new copy of the page itself,
// so that only the server knows how rows are written. Nothing comes while the page is hidden.

import { Chart } from "./chart.js";
import { ago, as, t } from "./format.js";

const root = document.documentElement;
const live = "live" in root.dataset;
const sections = [...document.querySelectorAll("[data-pool]")].map((section) => {
  const box = section.querySelector("[data-chart]");
  return { root: section, chart: box && new Chart(box), seen: null, at: 0 };
});
const addresses = [...new Set(sections.map((s) => s.root.dataset.miner ?? s.root.dataset.worker).filter(Boolean))];
const swapEvery = 4000; // ms between two new copies of the page
let swapped = Date.now();
let waiting = null;

function fill(section, o) {
  for (const e of section.root.querySelectorAll("[data-field]")) {
    const value = e.dataset.field === "*" ? o : o[e.dataset.field];
    if (value === undefined) continue;
    const text = as[e.dataset.as](value, o, section.root);
    if (e.textContent !== text) e.textContent = text;
  }
  section.chart?.update(o.hashrate);
}

// happened is a text that changes when rows of the page may have changed.
function happened(o) {
  return "pool" in o
    ? JSON.stringify([o.immature, o.available, o.in_payout, o.paid, o.accepted, o.rejected])
    : JSON.stringify([o.ledger_seq, o.height, o.failed]);
}

function take(o, mine) {
  for (const section of sections) {
    const d = section.root.dataset;
    if (d.pool !== (o.pool ?? o.id)) continue;
    const own = d.miner ?? d.worker;
    if (mine ? own !== o.address : own !== undefined) continue;
    if (!d.worker) fill(section, o);
    const now = happened(o);
    if (section.seen !== null && section.seen !== now) later();
    section.seen = now;
  }
}

function later() {
  waiting ??= setTimeout(async () => {
    waiting = null;
    swapped = Date.now();
    try {
      await swap();
    } catch {
      // the next event tries again
    }
  }, Math.max(swapped + swapEvery - Date.now(), 50));
}

// swap takes the marked parts from a new copy of this page.
async function swap() {
  const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(8000) });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of document.querySelectorAll("[data-swap]")) {
    const next = fresh.getElementById(old.id);
    if (!next || next.innerHTML === old.dataset.was) continue;
    const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    old.dataset.was = next.innerHTML;
    old.replaceChildren(...document.adoptNode(next).childNodes);
    if (focused) old.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    showCopy(old);
  }
}

function hear(event, data) {
  const lost = document.getElementById("lost");
  if (event === "error") {
    lost.hidden = false;
    return;
  }
  lost.hidden = true;
  const o = JSON.parse(data);
  if (event === "pools") o.pools.forEach((p) => take(p, false));
  else if (event === "miner") o.miners.forEach((m) => take(m, true));
  else later();
  times();
}

function times() {
  for (const e of document.querySelectorAll("time")) {
    const text = ago(Date.now() - Date.parse(e.dateTime));
    if (e.textContent !== text) e.textContent = text;
  }
}

// listen shares one stream with the browser's other pages; a browser without shared workers has a stream
// for the page that is looked at. Something comes every two seconds: after a long silence it is begun anew,
// as a worker may end with the page that left, or sleep break a connection unnoticed.
function listen() {
  const silence = 20_000; // ms
  let port = null, source = null, heard = 0;
  const told = (event, data) => {
    heard = Date.now();
    hear(event, data);
  };
  const close = () => {
    port?.postMessage({ leave: true });
    port?.close();
    source?.close();
    port = source = null;
  };
  const here = () => port?.postMessage({ watch: addresses });
  const open = () => {
    close();
    heard = Date.now();
    if (window.SharedWorker) {
      ({ port } = new SharedWorker(new URL("./stream.js", import.meta.url), { type: "module", name: "adit" }));
      port.onmessage = ({ data }) => told(data.event, data.data);
      here();
    } else {
      source = new EventSource(`/api/v1/events?${addresses.map((a) => `miner=${encodeURIComponent(a)}`).join("&")}`);
      for (const kind of ["pools", "miner", "block", "payout", "error"]) source.addEventListener(kind, (e) => told(kind, e.data));
    }
  };
  const look = () => {
    if (document.hidden) return close();
    if (Date.now() - swapped > swapEvery) later();
    open();
  };
  setInterval(() => {
    if (document.hidden) return;
    if (Date.now() - heard > silence) look();
    else here();
  }, 5000);
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", close);
  addEventListener("pageshow", (e) => e.persisted && look());
  if (!document.hidden) open();
}

// copy works on pages served by plain HTTP too, where there is no navigator.clipboard.
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "hidden";
  document.body.append(field);
  field.select();
  const ok = document.execCommand("copy");
  field.remove();
  if (!ok) throw new Error("not copied");
}

function showCopy(part) {
  for (const b of part.querySelectorAll(".copy[hidden]")) b.hidden = false;
}

document.addEventListener("click", async (e) => {
  const button = e.target.closest?.(".copy");
  if (!button) return;
  const label = button.dataset.label ?? (button.dataset.label = button.textContent);
  try {
    await copy(button.dataset.copy);
    button.textContent = t("Copied");
    button.classList.add("done");
  } catch {
    button.textContent = t("Select it by hand");
  }
  setTimeout(() => {
    button.textContent = label;
    button.classList.remove("done");
  }, 1600);
});

// The theme: the system's, or the one that was chosen here.
const toggle = document.getElementById("theme");
toggle.hidden = false;
toggle.addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch {
    // it holds for this page only
  }
  for (const s of sections) s.chart?.rebuild();
});

// /start: the reader's own address in every setting.
const form = document.getElementById("fillin");
if (form) {
  form.hidden = false;
  form.addEventListener("submit", (e) => e.preventDefault());
  const parts = [...document.querySelectorAll("[data-fill]")].map((code) => ({ code, text: code.textContent, button: code.parentElement.querySelector(".copy") }));
  document.getElementById("mine").addEventListener("input", (e) => {
    const address = e.target.value.trim() || "YOUR_ADDRESS";
    for (const p of parts) {
      p.code.textContent = p.text.replaceAll("YOUR_ADDRESS", address);
      p.button.dataset.copy = p.code.textContent;
    }
  });
}

// "/#/app/ADDRESS" is how rigs link to a miner's page of some pools.
const old = /^#\/app\/([^/]+)$/.exec(location.hash);
if (old && location.pathname === "/") location.replace(`/user/${encodeURIComponent(decodeURIComponent(old[1]))}`);

showCopy(document);
if (live) {
  listen();
  setInterval(times, 2500);
}
