"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const { compared, summary } = data;
const byId = id => document.getElementById(id);
const PER_PAGE = 100;

// The data are columns; a row reads its values when it is asked for them, because most never are.
class Row {
  constructor(at) { this.at = at; }
}
for (const [name, column] of Object.entries(data.rows)) {
  const get = column.of
    ? function () { return column.of[column.at[this.at]] ?? undefined; }
    : function () { return column[this.at] ?? undefined; };
  Object.defineProperty(Row.prototype, name, { get });
}
const rows = Array.from({ length: data.count }, (_, at) => new Row(at));

// An element with text and attributes; whatever comes from the data is text.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

// A name that may go on in the next line behind its punctuation.
const breakable = text =>
  text.split(/(?<=[_/.:-])(?=.)/u).flatMap((part, i) => (i ? [make("wbr"), part] : [part]));

// ---- what a row says

const TONE = {
  regressed: "bad", suspected: "warn", gone: "warn", invalid: "bad", ambiguous: "warn",
  "not-compared": "warn", improved: "good", failed: "bad",
};
const digits = { maximumSignificantDigits: 6, useGrouping: false };
const short = new Intl.NumberFormat("en", digits);
const long = new Intl.NumberFormat("en", { ...digits, notation: "scientific" });
const number = v =>
  v === undefined ? "" : v !== 0 && (Math.abs(v) < 1e-4 || Math.abs(v) >= 1e9) ? long.format(v) : short.format(v);
const percent = v => {
  if (v === undefined) return "";
  const p = v * 100;
  return (p < 0 ? "\u2212" : "+") + (Math.abs(p) < 1e6 ? Math.abs(p).toFixed(2) : Math.abs(p).toExponential(1)) + " %";
};
const verdict = row =>
  row.conclusion ?? (row.status === "FAILURE" ? "failed" : row.status === "SKIPPED" ? "skipped" : "");
const shown = row => row.text ?? number(row.value);
const setting = row => {
  const s = row.setting ?? {};
  return [
    s.n_gpus && s.n_gpus + (s.n_gpus === "1" ? " GPU" : " GPUs"),
    s.nnodes && s.nnodes !== "1" && s.nnodes + " nodes",
    s.precision, s.machine_class || s.gpu_architecture || s.host, s.args,
  ].filter(Boolean).join(", ");
};
const BETTER = { higher: "higher", lower: "lower", unknown: "?" };

const seen = new Map();
for (const row of rows) {
  const name = row.model + "\0" + row.metric;
  seen.set(name, (seen.get(name) ?? 0) + 1);
}
// Rows that share a name are told apart by their setting.
const several = row => seen.get(row.model + "\0" + row.metric) > 1;

// So that m10 comes behind m9; comparing these is much faster than a collator for so many.
const sortable = text => text.toLowerCase().replace(/\d+/g, digits => digits.padStart(12, "0"));
const columns = [
  { id: "model", title: "Model", text: row => row.model },
  { id: "metric", title: "Metric", text: row => row.metric },
  { id: "status", title: "Status", text: row => row.status },
  compared && { id: "before", title: "Before", value: row => row.baseline, cell: row => number(row.baseline) },
  { id: "value", title: compared ? "Now" : "Value", value: row => row.value, cell: shown },
  !compared && data.rows.baseline.length &&
    { id: "baseline", title: "Baseline", value: row => row.baseline, cell: row => number(row.baseline) },
  (compared || data.rows.change.length) &&
    { id: "change", title: "Change", value: row => row.change, cell: row => percent(row.change) },
  { id: "better", title: "Better", text: row => (row.metric ? BETTER[row.better] : "") },
  { id: "verdict", title: "Verdict", text: verdict },
].filter(Boolean);

// ---- what is looked at; the part of the address behind # keeps it

const state = { find: "", status: "", verdict: "", sort: "", page: 0 };
const open = new Set();
let haystacks;
let found = [];

function restore() {
  const address = new URLSearchParams(location.hash.slice(1));
  for (const key of ["find", "status", "verdict", "sort"]) state[key] = address.get(key) ?? "";
  state.page = Math.max(0, (parseInt(address.get("page"), 10) || 1) - 1);
  open.clear();
  for (const name of address.getAll("open")) {
    const at = rows.findIndex(row => row.model + " " + row.metric === name);
    if (at >= 0) open.add(at);
  }
}

function keep() {
  const address = new URLSearchParams();
  for (const key of ["find", "status", "verdict", "sort"]) if (state[key]) address.set(key, state[key]);
  if (state.page) address.set("page", state.page + 1);
  for (const at of open) address.append("open", rows[at].model + " " + rows[at].metric);
  try {
    history.replaceState(null, "", "#" + address);
  } catch {
    // A browser that limits how often this is done; the page works without.
  }
}

function search() {
  const words = state.find.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length) {
    haystacks ??= rows.map(row =>
      [row.model, row.metric, row.status, verdict(row), setting(row), row.explanation ?? ""].join("\n").toLowerCase());
  }
  found = [];
  for (let i = 0; i < rows.length; i++) {
    if (state.status && rows[i].status !== state.status) continue;
    if (state.verdict && verdict(rows[i]) !== state.verdict) continue;
    if (words.every(word => haystacks[i].includes(word))) found.push(i);
  }
  const [id, down] = state.sort.startsWith("-") ? [state.sort.slice(1), true] : [state.sort, false];
  const column = columns.find(c => c.id === id);
  if (!column) return;
  const sign = down ? -1 : 1;
  column.keys ??= rows.map(column.value ?? (row => sortable(column.text(row))));
  const { keys } = column;
  const missing = v => v === undefined || v === "";
  found.sort((i, j) => {
    const a = keys[i], b = keys[j];
    // What has no value is at the end, whichever way it is sorted.
    if (missing(a) || missing(b)) return missing(a) - missing(b) || i - j;
    return a < b ? -sign : a > b ? sign : i - j;
  });
}

// ---- the page

function cards() {
  const of = (status, verdict) => ({ status, verdict });
  const count = name => summary.conclusions[name] ?? 0;
  const ran = summary.passed + summary.failed;
  const rate = ran === 0 ? "–" : summary.failed ? Math.floor(1000 * summary.passed / ran) / 10 + " %" : "100 %";
  const list = [
    [rate, `${summary.passed} of ${ran} passed`, summary.failed ? "" : ran ? "good" : "", of("", "")],
    [summary.failed, "failed", "bad", of("FAILURE", "")],
    ...["regressed", "suspected", "gone", "invalid", "ambiguous", "not-compared", "improved", "new", "same",
      "no-baseline", "not-measured"].map(name => [count(name), name, TONE[name] ?? "", of("", name)]),
    [summary.skipped, "skipped", "", of("SKIPPED", "")],
  ];
  list.forEach(([value, label, tone, filter], i) => {
    if (i > 0 && !value) return;
    const card = make("button", { type: "button", class: "card " + tone },
      make("b", {}, typeof value === "number" ? value.toLocaleString("en") : value), make("span", {}, label));
    card.addEventListener("click", () => {
      const on = card.getAttribute("aria-pressed") === "true";
      Object.assign(state, on ? of("", "") : filter, { page: 0 });
      show();
    });
    card.filter = filter;
    byId("cards").append(card);
  });
}

function head() {
  for (const column of columns) {
    const button = make("button", { type: "button" }, column.title);
    button.addEventListener("click", () => {
      state.sort = state.sort === column.id ? "-" + column.id : state.sort === "-" + column.id ? "" : column.id;
      state.page = 0;
      show();
    });
    column.head = make("th", { scope: "col", class: column.value ? "number" : undefined }, button);
    byId("head").append(column.head);
  }
  const order = byId("order");
  order.append(make("option", { value: "" }, "what needs attention"));
  for (const column of columns) {
    order.append(make("option", { value: column.id }, column.title + " \u2191"));
    order.append(make("option", { value: "-" + column.id }, column.title + " \u2193"));
  }
  for (const [id, of] of [["status", row => row.status], ["verdict", verdict]]) {
    const values = new Set();
    for (const row of rows) values.add(of(row));
    for (const value of [...values].filter(Boolean).sort()) byId(id).append(make("option", { value }, value));
  }
}

function line(at) {
  const row = rows[at];
  const tr = make("tr", { class: "row" });
  for (const column of columns) {
    const td = make("td", { "data-title": column.title, class: column.value ? "number" : undefined });
    if (column.id === "model") {
      const name = make("span", {}, ...breakable(row.model));
      if (several(row)) name.append(make("small", {}, setting(row)));
      const button = make("button", { type: "button", class: "open", "aria-expanded": open.has(at) }, name);
      button.addEventListener("click", () => toggle(at, tr, button));
      td.append(button);
    } else if (column.id === "verdict") {
      const word = verdict(row);
      if (word) td.append(make("span", { class: "badge " + (TONE[word] ?? "") }, word));
    } else {
      const text = (column.cell ?? column.text)(row);
      td.append(...(column.id === "metric" ? breakable(text) : text ? [text] : []));
      if (column.id === "change" && row.conclusion !== "same" && row.worse_by) {
        td.classList.add(row.worse_by > 0 ? "worse" : "better");
      }
    }
    tr.append(td);
  }
  return tr;
}

function toggle(at, tr, button) {
  if (open.delete(at)) {
    tr.nextElementSibling.remove();
  } else {
    open.add(at);
    tr.after(detail(at));
  }
  button.setAttribute("aria-expanded", open.has(at));
  keep();
}

function show() {
  search();
  const last = Math.max(0, Math.ceil(found.length / PER_PAGE) - 1);
  state.page = Math.min(state.page, last);
  const from = state.page * PER_PAGE;
  const part = document.createDocumentFragment();
  for (const at of found.slice(from, from + PER_PAGE)) {
    part.append(line(at));
    if (open.has(at)) part.append(detail(at));
  }
  if (found.length === 0) {
    const text = rows.length ? "No row is like that." : "There are no results.";
    part.append(make("tr", { class: "none" }, make("td", { colspan: columns.length }, text)));
  }
  byId("rows").replaceChildren(part);
  const n = v => v.toLocaleString("en");
  byId("count").textContent =
    found.length === rows.length ? `${n(rows.length)} rows` : `${n(found.length)} of ${n(rows.length)} rows`;
  byId("pages").hidden = last === 0;
  byId("page").textContent = `${n(from + 1)} – ${n(Math.min(from + PER_PAGE, found.length))} of ${n(found.length)}`;
  byId("back").disabled = state.page === 0;
  byId("on").disabled = state.page === last;
  for (const [id, key] of [["find", "find"], ["status", "status"], ["verdict", "verdict"], ["order", "sort"]]) {
    if (byId(id).value !== state[key]) byId(id).value = state[key];
  }
  for (const column of columns) {
    const sort = { [column.id]: "ascending", ["-" + column.id]: "descending" }[state.sort];
    column.head.setAttribute("aria-sort", sort ?? "none");
  }
  for (const card of byId("cards").children) {
    const on = card.filter.status === state.status && card.filter.verdict === state.verdict;
    card.setAttribute("aria-pressed", on && Boolean(state.status || state.verdict));
  }
  keep();
}

function detail(at) {
  const row = rows[at];
  const list = make("dl");
  const say = (what, ...how) => how.some(Boolean) && list.append(make("dt", {}, what), make("dd", {}, ...how));
  if (verdict(row)) say("Verdict", verdict(row));
  say("Why", row.explanation ?? "");
  say("To settle it", row.settle ?? "");
  const known = { catalog: "says the catalog", name: "told from the metric's name", nothing: "" }[row.better_from];
  if (row.metric) {
    const way = row.better === "unknown" ? "nobody says which way is better" : `${row.better} is better`;
    say("Direction", known ? `${way}, ${known}` : way);
  }
  say("Setting", setting(row));
  say("Host", row.setting?.host ?? "");
  if (row.values) say(compared ? "Numbers" : "Executions", row.values.map(number).join(", "));
  for (const note of row.notes ?? []) say("Note", note);
  const logs = (row.logs ?? []).map(([log, href]) =>
    make("a", { href, title: log }, log.split("/").slice(-3).join("/")));
  say("Logs", ...logs.flatMap((link, i) => (i ? ["\n", link] : [link])));
  const both = make("div", { class: "both" });
  if (row.value !== undefined || row.history) both.append(figure(row));
  both.append(list);
  return make("tr", { class: "detail" }, make("td", { colspan: columns.length }, both));
}

// ---- the plot

function figure(row) {
  const points = [...(row.history?.points ?? [])];
  const had = points.length;
  if (row.value !== undefined) {
    points.push({ value: row.value, run: data.results.name, at: data.results.started, now: true });
  }
  // As wide as it will be shown, so that its words stay readable on a phone.
  const w = Math.max(300, Math.min(640, document.documentElement.clientWidth - 50));
  const [h, left, right, top, bottom] = [240, 70, 20, 14, 30];
  const levels = points.map(p => p.value).concat(row.values ?? [], row.interval ?? []);
  if (row.baseline !== undefined) levels.push(row.baseline);
  let low = levels.reduce((a, b) => Math.min(a, b), Infinity);
  let high = levels.reduce((a, b) => Math.max(a, b), -Infinity);
  const room = (high - low) * 0.08 || Math.abs(high) * 0.05 || 1;
  [low, high] = [low - room, high + room];
  const x = i => points.length < 2 ? (left + w - right) / 2 : left + (i + 0.5) * (w - left - right) / points.length;
  const y = v => top + (high - v) / (high - low) * (h - top - bottom);
  const label = `${row.model} ${row.metric}: ${shown(row) || "no number"}` +
    (had ? `, after ${had} earlier ${had === 1 ? "number" : "numbers"}` : "") +
    (row.baseline === undefined ? "" : `, ${compared ? "before" : "baseline"} ${number(row.baseline)}`);
  const svg = draw("svg", { viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": label });
  for (const v of ticks(low, high)) {
    svg.append(draw("line", { class: "axis", x1: left, x2: w - right, y1: y(v), y2: y(v) }),
      draw("text", { x: left - 8, y: y(v) + 4, "text-anchor": "end" }, number(v)));
  }
  if (row.interval) {
    const [a, b] = row.interval;
    svg.append(draw("rect", { class: "band", x: left, width: w - left - right, y: y(b), height: Math.max(1, y(a) - y(b)) }));
  }
  if (row.baseline !== undefined) {
    svg.append(draw("line", { class: "base", x1: left, x2: w - right, y1: y(row.baseline), y2: y(row.baseline) }));
  }
  for (const at of row.history?.change_points ?? []) {
    const here = (x(at) + x(at - 1)) / 2;
    svg.append(draw("line", { class: "change", x1: here, x2: here, y1: top, y2: h - bottom }, title("the level changes here")));
  }
  if (points.length > 1) {
    svg.append(draw("polyline", { class: "line", points: points.map((p, i) => `${x(i)},${y(p.value)}`).join(" ") }));
  }
  points.forEach((p, i) => {
    const about = [number(p.value) + " " + row.metric, p.at, p.run].filter(Boolean).join("\n");
    const tone = p.now ? "now " + (TONE[verdict(row)] ?? "") : "point";
    svg.append(draw("circle", { class: tone, cx: x(i), cy: y(p.value), r: p.now ? 6 : 2.5 }, title(about)));
  });
  if (row.value !== undefined) {
    for (const v of row.values ?? []) {
      svg.append(draw("circle", { class: "each", cx: x(points.length - 1) + 11, cy: y(v), r: 2.5 }, title(number(v))));
    }
  }
  const days = new Set(points.map(p => p.at?.slice(0, 10)));
  const day = p => (p.at ? p.at.slice(...(days.size > 1 ? [0, 10] : [11, 16])) : "");
  if (had) svg.append(draw("text", { x: left, y: h - 8 }, day(points[0]) || "earlier"));
  const end = points[points.length - 1];
  if (end) {
    const text = end.now ? day(end) || "now" : day(end) || "last";
    svg.append(draw("text", { x: w - right, y: h - 8, "text-anchor": "end" }, text));
  }
  const parts = [];
  if (had) parts.push(`${had} earlier ${had === 1 ? "number" : "numbers"}${row.history.left_out ? `, ${row.history.left_out} more are not shown` : ""}`);
  if (row.baseline !== undefined) parts.push(`dashed: ${compared ? "before" : "baseline"} ${number(row.baseline)}`);
  if (row.interval) parts.push("band: where unchanged code falls");
  if (row.history?.change_points) parts.push("dotted: the level changes");
  if (row.values) parts.push("rings: single numbers");
  return make("figure", {}, svg, make("figcaption", {}, parts.join(" · ")));
}

function draw(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const title = text => draw("title", {}, text);

// About four round numbers between low and high.
function ticks(low, high) {
  const rough = (high - low) / 4;
  if (!Number.isFinite(rough) || rough <= 0) return [];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(n => n * power).find(n => n >= rough) ?? rough;
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high && found.length < 12; i++) found.push(i * step);
  return found;
}

// ---- begin

cards();
head();
restore();
let typing;
byId("find").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    Object.assign(state, { find: byId("find").value, page: 0 });
    show();
  }, 80);
});
for (const [id, key] of [["status", "status"], ["verdict", "verdict"], ["order", "sort"]]) {
  byId(id).addEventListener("change", () => {
    Object.assign(state, { [key]: byId(id).value, page: 0 });
    show();
  });
}
byId("tools").addEventListener("submit", event => event.preventDefault());
for (const [id, by] of [["back", -1], ["on", 1]]) {
  byId(id).addEventListener("click", () => {
    state.page += by;
    show();
    byId("table").scrollIntoView();
  });
}
addEventListener("hashchange", () => {
  restore();
  show();
});
show();
})();
