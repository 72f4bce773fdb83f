// Numbers as people read them in the page's language; the same rules as the server's locale package.

const root = document.documentElement;
const words = JSON.parse(root.dataset.words);
const steps = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"];

// t is a text in the page's language; %s and %d are replaced in order.
export function t(text, ...values) {
  return (words[text] ?? text).replace(/%[sd]/g, () => values.shift());
}

const point = (s) => s.replace(".", root.dataset.decimal);
const group = (s) => s.replace(/\B(?=(\d{3})+$)/g, root.dataset.group);

function scaled(v) {
  if (!(v > 0) || !isFinite(v)) return ["0", ""];
  let i = 0;
  while (v >= 999.95 && i < steps.length - 1) {
    v /= 1000;
    i++;
  }
  let n = v.toFixed(v < 10 ? 2 : 1);
  if (i === 0 && v < 0.001) n = v.toExponential(2).replace(/e-(\d)$/, "e-0$1");
  else if (i === 0 && v < 1) n = String(Number(v.toPrecision(3)));
  return [point(n), steps[i]];
}

export function hashrate(v) {
  const [n, step] = scaled(v);
  return `${n} ${step}H/s`;
}

export function difficulty(v) {
  return scaled(v).join(" ").trim();
}

export function count(v) {
  return group(String(Math.trunc(v)));
}

// span takes seconds.
export function span(s) {
  s = Math.floor(s);
  const two = (a, b, whole, both) => (b === 0 ? t(whole, count(a)) : t(both, count(a), b));
  if (s < 1) return t("under %s", t("%s s", 1));
  if (s < 60) return t("%s s", s);
  if (s < 3600) return t("%s min", Math.floor(s / 60));
  if (s < 86400) return two(Math.floor(s / 3600), Math.floor((s % 3600) / 60), "%s h", "%s h %d min");
  if (s < 100 * 365 * 86400) return two(Math.floor(s / 86400), Math.floor((s % 86400) / 3600), "%s d", "%s d %d h");
  return t("over 100 years");
}

export function ago(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 1) return t("just now");
  if (s < 60) return t("%s s ago", s);
  if (s < 100 * 60) return t("%s min ago", Math.floor(s / 60));
  if (s < 2 * 86400) return t("%s h ago", Math.floor(s / 3600));
  return t("%s d ago", count(s / 86400));
}

export function percent(v) {
  const p = v * 100;
  if (!(p > 0) || !isFinite(p)) return "0 %";
  if (p < 0.01) return t("under %s", `${point("0.01")} %`);
  return `${point(p.toFixed(p < 10 ? 2 : 1))} %`;
}

// amount takes base units as a decimal string: it never becomes a number.
export function amount(s, decimals) {
  const sign = s.startsWith("-") ? "-" : "";
  const digits = s.slice(sign.length).padStart(decimals + 1, "0");
  if (decimals === 0) return sign + group(digits);
  return sign + group(digits.slice(0, -decimals)) + root.dataset.decimal + digits.slice(-decimals);
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
};
