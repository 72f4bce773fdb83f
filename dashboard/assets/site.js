// Keeps a page's values fresh. Figures come from the JSON API; when the API says that something happened
// (a share, a block, a payout, a node), the tables are taken from a new copy of the page itself, so that
// only the server knows how rows are written. Nothing is asked for while the page is hidden.

import { Chart } from "./chart.js";
import { ago, as } from "./format.js";

const every = 2500; // ms
const sections = [...document.querySelectorAll("[data-source]")].map((root) => {
  const box = root.querySelector("[data-chart]");
  return { root, chart: box && new Chart(box), seen: null };
});
const tags = new Map(); // source → entity tag and value of its last answer
let answered = Date.now();

// ask reads a source, or says that it has not changed.
async function ask(source) {
  const known = tags.get(source);
  const answer = await fetch(source, {
    cache: "no-store",
    headers: known ? { "If-None-Match": known.tag } : {},
    signal: AbortSignal.timeout(8000),
  });
  if (answer.status === 304) return known.value;
  if (!answer.ok) throw new Error(answer.statusText);
  const value = await answer.json();
  tags.set(source, { tag: answer.headers.get("ETag"), value });
  return value;
}

// happened is a text that changes when rows of the page may have changed.
function happened(section, o) {
  const total = (m) => Object.values(m).reduce((a, b) => a + b, 0);
  if ("miner" in section.root.dataset) {
    return JSON.stringify([o.immature, o.available, o.in_payout, o.paid, o.store_error, o.workers.map((w) => [w.accepted, total(w.rejected)])]);
  }
  return JSON.stringify([o.ledger.head, o.height, o.nodes, o.failed, o.store_error, o.job_time]);
}

function fill(section, o) {
  const known = !o.store_error || o.as_of !== null;
  for (const e of section.root.querySelectorAll("[data-field]")) {
    const value = e.dataset.field === "*" ? o : o[e.dataset.field];
    if (value === undefined) continue;
    const text = known ? as[e.dataset.as](value, o, section.root) : "–";
    if (e.textContent !== text) e.textContent = text;
  }
  if (known) section.chart?.update(o.hashrate);
}

async function poll() {
  const values = await Promise.all([...new Set(sections.map((s) => s.root.dataset.source))].map(async (u) => [u, await ask(u)]));
  const bySource = new Map(values);
  let stale = false;
  for (const section of sections) {
    const answer = bySource.get(section.root.dataset.source);
    const o = answer.pools ? answer.pools.find((p) => p.id === section.root.dataset.pool) : answer;
    if (!o) continue;
    fill(section, o);
    const now = happened(section, o);
    stale ||= section.seen !== null && section.seen !== now;
    section.seen = now;
  }
  if (stale) await swap();
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

function times() {
  for (const e of document.querySelectorAll("time")) {
    const text = ago(Date.now() - Date.parse(e.dateTime));
    if (e.textContent !== text) e.textContent = text;
  }
}

async function live() {
  if (!document.hidden) {
    const lost = document.getElementById("lost");
    try {
      await poll();
      answered = Date.now();
      lost.hidden = true;
    } catch {
      if (Date.now() - answered > 3 * every) {
        document.getElementById("lost-since").textContent = `${new Date(answered).toISOString().slice(11, 19)} UTC`;
        lost.hidden = false;
      }
    }
    times();
  }
  setTimeout(live, every);
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

function showCopy(root) {
  for (const b of root.querySelectorAll(".copy[hidden]")) b.hidden = false;
}

document.addEventListener("click", async (e) => {
  const button = e.target.closest?.(".copy");
  if (!button) return;
  const label = button.dataset.label ?? (button.dataset.label = button.textContent);
  try {
    await copy(button.dataset.copy);
    button.textContent = "Copied";
    button.classList.add("done");
  } catch {
    button.textContent = "Select it by hand";
  }
  setTimeout(() => {
    button.textContent = label;
    button.classList.remove("done");
  }, 1600);
});

showCopy(document);
if (sections.length > 0) live();
else setInterval(times, every);
