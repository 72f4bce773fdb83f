// One live stream for all pages of this browser: a shared worker holds it and tells every page. A page
// asks it for accounts by {watch: [addresses]}; without any page that is looked at the stream is closed.

const ports = new Map(); // port → {watch, seen: time of its last sign of life}
let source = null;
let asked = "";
let last = null; // newest pools event, for pages that come later

function follow() {
  for (const [port, p] of ports) if (Date.now() - p.seen > 60_000) ports.delete(port);
  const watch = [...new Set([...ports.values()].flatMap((p) => p.watch))].slice(0, 4);
  const want = ports.size === 0 ? "" : `/api/v1/events?${watch.map((a) => `miner=${encodeURIComponent(a)}`).join("&")}`;
  if (want === asked && (source === null) === (want === "") && source?.readyState !== EventSource.CLOSED) return;
  source?.close();
  source = null;
  asked = want;
  if (want === "") return;
  source = new EventSource(want);
  const pass = (event) => {
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
    } else if (data.leave) ports.delete(port);
    else if (ports.has(port)) ports.get(port).seen = Date.now();
    follow();
  };
};
setInterval(follow, 20_000);
