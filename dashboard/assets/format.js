// Numbers as people read them; the same rules as the server's format.go.

const steps = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"];

function scaled(v) {
  if (!(v > 0) || !isFinite(v)) return ["0", ""];
  let i = 0;
  while (v >= 999.95 && i < steps.length - 1) {
    v /= 1000;
    i++;
  }
  if (i === 0 && v < 0.001) return [v.toExponential(2).replace(/e-(\d)$/, "e-0$1"), ""];
  if (i === 0 && v < 1) return [String(Number(v.toPrecision(3))), ""];
  return [v.toFixed(v < 10 ? 2 : 1), steps[i]];
}

export function hashrate(v) {
  const [n, step] = scaled(v);
  return `${n} ${step}H/s`;
}

export function difficulty(v) {
  return scaled(v).join(" ").trim();
}

export function count(v) {
  return String(Math.trunc(v)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

// span takes seconds.
export function span(s) {
  s = Math.floor(s);
  if (s < 1) return "under 1 s";
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  const two = (a, b) => (b === "0 min" || b === "0 h" ? a : `${a} ${b}`);
  if (s < 86400) return two(`${Math.floor(s / 3600)} h`, `${Math.floor((s % 3600) / 60)} min`);
  if (s < 100 * 365 * 86400) return two(`${count(s / 86400)} d`, `${Math.floor((s % 86400) / 3600)} h`);
  return "over 100 years";
}

export function ago(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 1) return "just now";
  if (s < 60) return `${s} s ago`;
  if (s < 100 * 60) return `${Math.floor(s / 60)} min ago`;
  if (s < 2 * 86400) return `${Math.floor(s / 3600)} h ago`;
  return `${count(s / 86400)} d ago`;
}

export function percent(v) {
  const p = v * 100;
  if (!(p > 0) || !isFinite(p)) return "0 %";
  if (p < 0.01) return "under 0.01 %";
  return `${p.toFixed(p < 10 ? 2 : 1)} %`;
}

// amount takes base units as a decimal string: it never becomes a number.
export function amount(s, decimals) {
  const sign = s.startsWith("-") ? "-" : "";
  const digits = s.slice(sign.length).padStart(decimals + 1, "0");
  if (decimals === 0) return sign + digits;
  return `${sign}${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}

const sum = (o) => Object.values(o).reduce((a, b) => a + b, 0);

// as holds how a field is written: from its value, the whole object and the section it stands in.
export const as = {
  hashrate: (v) => hashrate(v),
  difficulty: (v) => difficulty(v),
  count: (v) => count(v),
  percent: (v) => (v === null ? "–" : percent(v)),
  amount: (v, o, section) => amount(v, Number(section.dataset.decimals)),
  blocktime: (v, o) => {
    const s = Number(o.network_work) / o.hashrate;
    return isFinite(s) && s > 0 ? span(s) : "–";
  },
  rejected: (v, o) => percent(sum(o.rejected) / (sum(o.rejected) + o.accepted)),
  share: (v, o) => percent(Math.min(Number(o.window_score) / Number(o.window_total), 1)),
};
