// The status page: asks the API every two seconds, or less often when it is slow, and shows what it
// says as text. Nothing is ever made of an answer but text.
const $ = (id) => document.getElementById(id);
const rowsMax = 200, columnsMax = 150, pollMs = 2000;

const si = (n) => n < 1000 ? String(Math.round(n * 10) / 10)
  : n < 1e6 ? (n / 1e3).toFixed(1) + "k" : (n / 1e6).toFixed(1) + "M";
const bytes = (n) => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; ++i) n /= 1024;
  return (i === 0 ? Math.round(n) : n.toFixed(1)) + " " + units[i];
};
const time = (s) => s === undefined || isNaN(s) ? "–"
  : s < 1e-3 ? (s * 1e6).toFixed(0) + " µs" : s < 1 ? (s * 1e3).toPrecision(3) + " ms"
  : s < 120 ? s.toPrecision(3) + " s" : s < 7200 ? Math.round(s / 60) + " min"
  : s < 172800 ? Math.round(s / 3600) + " h" : Math.round(s / 86400) + " days";
const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });
const sum = (object) => Object.values(object || {}).reduce((a, b) => a + b, 0);

function put(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

// Makes `body` hold these rows, [key, cells], keeping the elements of keys that stay, and the focus.
function fill(body, rows, make) {
  const old = new Map([...body.children].map((row) => [row.dataset.key, row]));
  const focus = document.activeElement;
  let at = body.firstChild;
  for (const [key, cells] of rows) {
    let row = old.get(key);
    old.delete(key);
    if (!row) {
      row = document.createElement("tr");
      row.dataset.key = key;
      cells.forEach((cell, i) => row.appendChild(make(cell, i)));
    }
    cells.forEach((cell, i) => put(row.children[i].firstElementChild || row.children[i],
      cell.text === undefined ? cell : cell.text));
    cells.forEach((cell, i) => { if (cell.state) row.children[i].className = cell.state; });
    if (row === at) at = at.nextSibling; else body.insertBefore(row, at);
  }
  for (const row of old.values()) row.remove();
  if (focus !== document.activeElement && body.contains(focus)) focus.focus();
}

function plain(numbers) {
  return (cell, i) => {
    const td = document.createElement("td");
    if (numbers.includes(i)) td.className = "n";
    return td;
  };
}

// --- what was heard before, for rates -------------------------------------------------------------

let before = null, discsBefore = new Map(), columns = [], sortKey = "name", sortUp = true;

function counts(operations) {
  const all = { requests: 0, bytes: 0, seconds: 0 };
  for (const one of Object.values(operations || {})) {
    all.requests += one.requests;
    all.bytes += one.bytes;
    all.seconds += one.seconds || 0;
  }
  return all;
}

function rates(disc, now) {
  const is = counts(disc.operations), was = discsBefore.get(disc.name);
  const passed = was ? (now - was.at) / 1000 : 0;
  const restarted = !was || is.requests < was.requests;
  const asked = restarted ? 0 : is.requests - was.requests;
  return {
    is: { ...is, at: now },
    rate: passed > 0 ? asked / passed : 0,
    bytes: passed > 0 && !restarted ? (is.bytes - was.bytes) / passed : 0,
    mean: asked > 0 ? (is.seconds - was.seconds) / asked : NaN,
  };
}

// --- latency --------------------------------------------------------------------------------------

function histogram(latency) {
  const wanted = $("operation").value, all = new Map();
  for (const [name, operation] of Object.entries(latency.operations))
    if (!wanted || name === wanted)
      for (const [from, count] of operation.buckets || [])
        all.set(from, (all.get(from) || 0) + count);
  return all;
}

function difference(is, was) {
  const delta = [];
  for (const [from, count] of is) {
    const more = count - (was.get(from) || 0);
    if (more < 0) return [];  // Another headd, or a disc attached anew.
    if (more > 0) delta.push([from, more]);
  }
  return delta.sort((a, b) => a[0] - b[0]);
}

function quantile(delta, q) {
  const all = delta.reduce((n, [, count]) => n + count, 0);
  let seen = 0;
  for (const [from, count] of delta)
    if ((seen += count) >= Math.max(1, Math.ceil(q * all))) return from * (1 + 1 / 64);
  return NaN;
}

function showLatency(latency, now) {
  const is = histogram(latency), wanted = $("subject").value + "/" + $("operation").value;
  if (!before || before.wanted !== wanted) {
    columns = [];
    before = { is, wanted, at: now };
    return draw();
  }
  const delta = difference(is, before.is), passed = (now - before.at) / 1000;
  before = { is, wanted, at: now };
  const requests = delta.reduce((n, [, count]) => n + count, 0);
  const column = { at: now, delta, requests, p50: quantile(delta, .5), p99: quantile(delta, .99),
    max: quantile(delta, 1) };
  columns.push(column);
  if (columns.length > columnsMax) columns.shift();
  put($("t-rate"), si(requests / passed));
  put($("t-p50"), time(column.p50));
  put($("t-p99"), time(column.p99));
  put($("t-max"), requests ? "longest " + time(column.max) : "nothing was asked");
  fill($("columns"), columns.slice(-20).reverse().map((c) => [String(c.at), [clock(c.at),
    si(c.requests), time(c.p50), time(c.p99), time(c.max)]]), plain([1, 2, 3, 4]));
  draw();
}

const lowest = 14, highest = 33, perOctave = 2;  // Powers of two of a nanosecond: 16 µs to 8.6 s.

function draw() {
  const canvas = $("heat"), wide = canvas.clientWidth, high = canvas.clientHeight;
  const scale = window.devicePixelRatio || 1;
  canvas.width = wide * scale;
  canvas.height = high * scale;
  const g = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  const soft = style.getPropertyValue("--soft"), line = style.getPropertyValue("--line");
  g.scale(scale, scale);
  const left = 58, bottom = 20, rows = (highest - lowest) * perOctave;
  const cell = (high - bottom - 6) / rows, step = (wide - left) / columnsMax;
  const y = (row) => high - bottom - (row + 1) * cell;
  g.font = "12px system-ui, sans-serif";
  g.textBaseline = "middle";
  for (const [label, s] of [["16 µs", 16e-6], ["100 µs", 1e-4], ["1 ms", 1e-3], ["10 ms", 1e-2],
    ["100 ms", .1], ["1 s", 1]]) {
    const at = y((Math.log2(s * 1e9) - lowest) * perOctave - 1);
    g.fillStyle = soft;
    g.textAlign = "right";
    g.fillText(label, left - 8, Math.min(at, high - bottom - 4));
    g.fillStyle = line;
    g.fillRect(left, at, wide - left, 1);
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const most = Math.max(1, ...columns.map((c) => c.requests));
  columns.forEach((column, i) => {
    const cells = new Array(rows).fill(0);
    for (const [from, count] of column.delta) {
      const row = Math.floor((Math.log2(from * 1e9) - lowest) * perOctave + 1e-6);
      cells[Math.min(rows - 1, Math.max(0, row))] += count;
    }
    const x = left + (columnsMax - columns.length + i) * step;
    cells.forEach((count, row) => {
      if (count === 0) return;
      const part = Math.log1p(count) / Math.log1p(most);
      g.fillStyle = dark ? `hsl(${220 - 175 * part} 85% ${28 + 38 * part}%)`
        : `hsl(${205 + 30 * part} 80% ${80 - 55 * part}%)`;
      g.fillRect(x, y(row), Math.ceil(step), Math.ceil(cell));
    });
  });
  g.fillStyle = soft;
  g.textAlign = "right";
  g.fillText("now", wide - 2, high - 8);
  g.textAlign = "left";
  if (columns.length) g.fillText(clock(columns[0].at), Math.min(wide - 90,
    left + (columnsMax - columns.length) * step), high - 8);
  const last = columns[columns.length - 1];
  canvas.setAttribute("aria-label", "Heat map of latency. " + (!last ? "Nothing yet."
    : last.requests === 0 ? "In the last interval nothing was asked."
    : `In the last interval: ${last.requests} requests, median ${time(last.p50)}, ` +
      `99 % below ${time(last.p99)}, longest ${time(last.max)}.`));
}

// --- the rest -------------------------------------------------------------------------------------

function showStatus(status) {
  put($("about"), `headd ${status.version}, up ${time(status.uptime_s)}`);
  const states = status.by_state;
  put($("t-ready"), `${states.ready} of ${status.discs}`);
  put($("t-states"), Object.entries(states).filter(([s, n]) => n && s !== "ready")
    .map(([s, n]) => `${n} ${s}`).join(", "));
  put($("t-guests"), status.guests);
  put($("t-reconnects"), `${status.reconnects} reconnects`);
  put($("t-stalls"), si(sum(status.stalls)));
  put($("t-stalled"), Object.entries(status.stalls).filter(([, n]) => n)
    .map(([cause, n]) => `${cause} ${si(n)}`).join(", ") || "none");
  const problems = (status.problems || []).concat(status.neighbours.problems);
  $("problems").hidden = problems.length === 0;
  const list = $("problem-list");
  while (list.children.length > problems.length) list.lastChild.remove();
  problems.forEach((text, i) => put(list.children[i] ||
    list.appendChild(document.createElement("li")), text));
  showTable(status.neighbours);
}

function showTable(neighbours) {
  const table = neighbours.table, most = table.limits.gc_thresh3;
  const used = most ? Math.min(1, table.entries / most) : 1;
  $("room-bar").setAttribute("width", 100 * used);
  $("room").setAttribute("aria-valuenow", Math.round(100 * used));
  $("room").setAttribute("aria-valuetext", `${table.entries} of ${most} entries`);
  const limits = (of) => `${of.gc_thresh1} / ${of.gc_thresh2} / ${of.gc_thresh3}`;
  const facts = [["Entries", `${table.entries} of ${most}, ${Math.round(100 * (1 - used))} % free`],
    ["Limits", limits(table.limits)], ["Wanted", table.wanted.gc_thresh3 ? limits(table.wanted)
      : "nothing"],
    ["Discs", `${neighbours.discs.held} held, ${neighbours.discs.unready} not ready, ` +
      `${neighbours.discs.others} without need`],
    ["Overflows", table.overflows], ["Forced collections", table.forced_collections],
    ["Repairs", neighbours.counters.repaired], ["Conflicts", neighbours.counters.conflicts],
    ["Keeper", neighbours.enabled ? "keeps it" : "off: left to the kernel"]];
  const list = $("table");
  facts.forEach(([name, value], i) => {
    if (!list.children[2 * i]) {
      list.appendChild(document.createElement("dt"));
      list.appendChild(document.createElement("dd"));
    }
    put(list.children[2 * i], name);
    put(list.children[2 * i + 1], value);
  });
}

function showStalls(answer) {
  const some = answer.stalls.length > 0, waiting = answer.waiting.length > 0;
  $("stalls-box").hidden = !some;
  $("stalls-none").hidden = some;
  const seen = new Map();
  fill($("stalls"), answer.stalls.map((s) => {
    const key = `${s.ended} ${s.disc} ${s.offset} ${s.operation}`;
    seen.set(key, (seen.get(key) || 0) + 1);
    return [key + " " + seen.get(key), [clock(s.ended * 1000), s.disc, s.operation,
      s.cause + (s.errno ? `, error ${s.errno}` : ""), time(s.seconds), time(s.head_s),
      time(s.wire_s), time(s.tail_s)]];
  }), plain([4, 5, 6, 7]));
  $("waiting-box").hidden = !waiting;
  $("waiting-none").hidden = waiting;
  fill($("waiting"), answer.waiting.map((w) => [w.disc,
    [w.disc, { text: w.state, state: w.state }, w.in_flight, time(w.seconds)]]), plain([2, 3]));
}

let discs = [];

function takeDiscs(answer, now) {
  const fresh = new Map();
  discs = answer.discs.map((disc) => {
    const of = rates(disc, now);
    fresh.set(disc.name, of.is);
    return { ...disc, rate: of.rate, bytes: of.bytes, mean: of.mean, stalled: sum(disc.stalls),
      problem: disc.problem || "", via: disc.via || "" };
  });
  discsBefore = fresh;
  showDiscs();
}

function discCell(cell, i) {
  const td = plain([3, 4, 5, 6, 7])(cell, i);
  if (i === 9) td.className = "wide";
  if (i !== 0) return td;
  const button = td.appendChild(document.createElement("button"));
  button.title = "Show its latency";
  button.addEventListener("click", () => choose(button.textContent));
  return td;
}

function showDiscs() {
  const wanted = $("filter").value.trim().toLowerCase();
  const found = discs.filter((d) => !wanted || [d.name, d.state, d.grade, d.uri, d.via, d.problem]
    .some((text) => String(text || "").toLowerCase().includes(wanted)));
  const value = (d) => typeof d[sortKey] === "number" && isNaN(d[sortKey]) ? -1 : d[sortKey];
  found.sort((a, b) => {
    const x = value(a), y = value(b);
    const order = typeof x === "number" ? x - y : String(x).localeCompare(String(y), "en",
      { numeric: true });
    return (sortUp ? order : -order) || (a.name < b.name ? -1 : 1);
  });
  put($("shown"), found.length > rowsMax ? `the first ${rowsMax} of ${found.length}`
    : `${found.length} of ${discs.length}`);
  fill($("disc-rows"), found.slice(0, rowsMax).map((d) => [d.name, [d.name,
    { text: d.state, state: d.state }, d.grade, si(d.rate), bytes(d.bytes), time(d.mean),
    d.in_flight, d.stalled, d.via, d.problem]]), discCell);
}

function showEntries(answer) {
  const all = answer.entries, shown = all.slice(0, rowsMax);
  $("entries-box").hidden = all.length === 0;
  $("entries-none").hidden = all.length !== 0;
  put($("entries-more"), all.length > shown.length
    ? `The first ${shown.length} of ${all.length}; headctl neigh lists them all.` : "");
  fill($("entries"), shown.map((e) => [`${e.address} ${e.dev}`, [e.address, e.dev, e.lladdr || "–",
    e.state, e.owner, e.discs.slice(0, 4).join(", ") + (e.discs.length > 4
      ? ` and ${e.discs.length - 4} more` : "")]]), plain([]));
}

function choose(name) {
  const subject = $("subject");
  if (![...subject.options].some((option) => option.value === name)) {
    while (subject.options.length > 1) subject.lastChild.remove();
    subject.add(new Option(name, name));
  }
  subject.value = name;
  before = null;
  $("heat-h").scrollIntoView({ block: "nearest" });
}

// --- asking ---------------------------------------------------------------------------------------

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", credentials: "omit" });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail || answer.statusText);
  return body;
}

let failed = false;

async function round() {
  const began = performance.now();
  try {
    const subject = $("subject").value;
    showStatus(await ask("v1/status"));
    const latency = await ask((subject ? "v1/latency/" + encodeURIComponent(subject)
      : "v1/latency") + "?histogram=true").catch((error) => {
      if (!subject) throw error;
      choose("");  // The disc is gone.
      return null;
    });
    if (latency && subject === $("subject").value) showLatency(latency, Date.now());
    showStalls(await ask("v1/stalls?limit=50"));
    takeDiscs(await ask("v1/discs"), Date.now());
    put($("t-bytes"), bytes(discs.reduce((n, d) => n + d.bytes, 0)) + "/s");
    showEntries(await ask("v1/neighbours"));
    put($("live"), failed ? "Answers again" : "Live");
    failed = false;
  } catch (error) {
    failed = true;
    put($("live"), `No answer from the head: ${error.message}. Asking again.`);
  }
  // A head with very many discs is not to be kept busy by its page.
  const took = performance.now() - began;
  setTimeout(next, Math.max(pollMs - took, 9 * took, 100));
}

function next() {
  if (!document.hidden) return void round();
  document.addEventListener("visibilitychange", next, { once: true });
}

$("filter").addEventListener("input", showDiscs);
for (const id of ["subject", "operation"]) $(id).addEventListener("change", () => { before = null; });
$("heads").addEventListener("click", (event) => {
  const key = event.target.dataset.key;
  if (!key) return;
  sortUp = key === sortKey ? !sortUp : ["name", "state", "grade", "via", "problem"].includes(key);
  sortKey = key;
  for (const th of $("heads").children) th.removeAttribute("aria-sort");
  event.target.parentNode.setAttribute("aria-sort", sortUp ? "ascending" : "descending");
  showDiscs();
});
addEventListener("resize", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
round();
