// One live stream for all pages of this browser: a shared worker holds it and tells every page. A page
// asks it for accounts by {watch: [addresses]}, and says so again every few seconds; without any page that
// is looked at the stream is closed.

const silence = 15_000; // ms; something comes every two seconds
const ports = new Map(); // port → {watch, seen: time of its last sign of life}
let source = null;
let heard = 0; // time of the newest event
let asked = ""; // the address of source, empty without one
let last = null; // newest pools event, for pages that come later

function follow() {
  for (const [port, p] of ports) if (Date.now() - p.seen > 60_000) ports.delete(port);
  const watch = [...new Set([...ports.values()].flatMap((p) => p.watch))].slice(0, 4);
  const want = ports.size === 0 ? "" : `/api/v1/events?${watch.map((a) => `miner=${encodeURIComponent(a)}`).join("&")}`;
  const broken = source !== null && (source.readyState === EventSource.CLOSED || Date.now() - heard > silence);
  if (want === asked && !broken) return;
  source?.close();
  source = null;
  asked = want;
  if (want === "") return;
  source = new EventSource(want);
  heard = Date.now();
  const pass = (event) => {
    heard = Date.now();
    const text = { event: event.type, data: event.data ?? "" };
    if (event.type === "pools") last = text;
    for (const port of ports.keys()) port.postMessage(text);
  };
  for (const kind of ["pools", "miner", "block", "payout", "error"]) source.addEventListener(kind, pass);
}

self.onconnect = (e) => {
  const port = e.ports[0];
  port.onmessage = ({ data }) => {
    if (data.watch) {
      if (!ports.has(port) && last) port.postMessage(last);
      ports.set(port, { watch: data.watch, seen: Date.now() });
    } else ports.delete(port); // {leave: true}
    follow();
  };
};
setInterval(follow, 20_000);
