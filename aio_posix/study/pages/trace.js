// The page of a trace: a time line that zooms in time only, and a scrubber through the moments.
// #m=N in the address shows moment N.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const { moments, rows, requests, words } = DATA;
for (const row of rows) for (const box of row.boxes)
  for (const n of [0, 3, 5, 6]) box[n] = words[box[n]]; // each text is in the file once
for (const moment of moments) {
  moment[1] = words[moment[1]];
  moment[4] = words[moment[4]];
  for (const one of moment[3]) { one[0] = words[one[0]]; one[4] = words[one[4]]; }
}
const contradictions = moments.filter(moment => moment[4]);
const by = id => document.getElementById(id);
const canvas = by("lanes");
const pen = canvas.getContext("2d");
const EVERY = 256; // moments between two that are kept whole
const AXIS = 24, BAND = 10, GAP = 10, MIN_SPAN = 2000; // pixels; nanoseconds
const HEIGHT = { queued: 20, awaited: 20 }, ROW = 30, INNER = 6, LEAST = 14;
const DARK = new Set(["submission", "awaited"]); // white letters

let width = 0, lanesAre = "", panelsAre = ""; // what was drawn last
let left = 0, right = DATA.end, at = 0, pinned = 0, playing = false, gutter = 150, colours = {};
const FONT = "12px system-ui, 'DejaVu Sans', sans-serif", NARROW = 600; // pixels
let wanted = null, searched = ""; // boxes that a search found, and its words

// --- moments

const whole = [];
{
  const now = nothing();
  moments.forEach((moment, n) => {
    if (n % EVERY === 0) whole.push(copied(now));
    for (const one of moment[3]) change(now, one);
  });
}

function stateAt(n) {
  if (n < 0) return nothing();
  const now = copied(whole[Math.floor(n / EVERY)]);
  for (let i = n - n % EVERY; i <= n; i++) for (const one of moments[i][3]) change(now, one);
  return now;
}

function momentAt(time) { // the last that is not later
  let low = 0, high = moments.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (moments[middle][0] <= time) low = middle + 1; else high = middle;
  }
  return low - 1;
}

const helperNames = new Map();
for (const row of rows) if (row.group === "helpers")
  for (const box of row.boxes) if (!helperNames.has(box[8]))
    helperNames.set(box[8], `helper ${helperNames.size + 1}`);
for (const moment of moments) for (const [what, key] of moment[3])
  if (what === "helper" && !helperNames.has(key))
    helperNames.set(key, `helper ${helperNames.size + 1}`);
const files = {};
for (const [fd, , file] of Object.values(requests)) files[fd] = file;
const nameOf = of => requests[of] ? requests[of][1] : `request ${of}`;

function duration(ns) {
  const units = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
  const [size, unit] = units.find(([size]) => Math.abs(ns) >= size) || units[3];
  const n = ns / size;
  return `${n >= 10 || Number.isInteger(n) ? n.toFixed(0) : n.toFixed(1)} ${unit}`;
}

// --- the time line

const x = time => gutter + (time - left) / (right - left) * (width - gutter - 8);
const timeAt = px => left + (px - gutter) / (width - gutter - 8) * (right - left);

function tall() {
  let y = AXIS + BAND, group = null;
  for (const row of rows) {
    if (row.group !== group) { y += GAP; group = row.group; }
    row.y = y;
    row.high = HEIGHT[row.group] || ROW;
    y += row.high;
  }
  return y + 8;
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = name => style.getPropertyValue(`--${name}`).trim();
  colours = { ink: read("ink"), dim: read("dim"), line: read("line"), inner: read("inner"),
    mark: read("mark"), starved: read("starved"), wrong: read("wrong"),
    box: read("on-box"), dark: read("on-dark-box") };
  for (const kind of Object.keys(DATA.legend)) colours[kind] = read(kind.replace(/[ /]/g, "-"));
}

function resize() {
  width = canvas.clientWidth;
  const scale = window.devicePixelRatio || 1, height = tall();
  pen.font = FONT;
  const names = rows.map(row => pen.measureText(laneName(row)).width);
  gutter = Math.ceil(Math.max(60, ...names)) + 14;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  by("scrubber").style.height = `${height}px`;
  lanesAre = "";
  draw();
}

function laneName(row) {
  return width < NARROW ? row.name.replace("notification thread", "thread") : row.name;
}

function ticks() {
  const least = (right - left) * 80 / Math.max(200, width - gutter);
  let step = 1;
  while (step < least) step *= step / 10 ** Math.floor(Math.log10(step)) === 2 ? 2.5 : 2;
  return step;
}

function draw() { // the scrubber is an element of its own, so scrubbing draws no lane again
  const what = `${left} ${right} ${pinned} ${searched}`;
  if (lanesAre !== what) { drawLanes(); lanesAre = what; }
  const here = moments.length ? moments[Math.max(at, 0)][0] : 0, scrubber = by("scrubber");
  scrubber.hidden = here < left || here > right;
  scrubber.style.transform = `translateX(${x(here)}px)`;
}

function drawLanes() {
  const scale = window.devicePixelRatio || 1, height = canvas.height / scale;
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = FONT;
  pen.textBaseline = "middle";
  pen.fillStyle = colours.starved;
  for (const [from, to] of DATA.starved)
    if (to > left && from < right) {
      const begin = Math.max(gutter, x(from));
      pen.fillRect(begin, AXIS, Math.max(1.5, x(to) - begin), height - AXIS);
    }
  const step = ticks();
  pen.strokeStyle = colours.line;
  pen.fillStyle = colours.dim;
  pen.textAlign = "center";
  for (let time = Math.ceil(left / step) * step; time <= right; time += step) {
    pen.beginPath(); pen.moveTo(x(time), AXIS - 4); pen.lineTo(x(time), height); pen.stroke();
    pen.fillText(time === 0 ? "0" : duration(time), x(time), AXIS / 2);
  }
  const paper = getComputedStyle(canvas.closest("section")).backgroundColor;
  for (const row of rows) drawRow(row, paper);
  pen.fillStyle = colours.wrong;
  for (const moment of contradictions) if (moment[0] >= left && moment[0] <= right)
    pen.fillRect(x(moment[0]) - 1.5, AXIS, 3, BAND);
}

function drawRow(row, paper) {
  const middle = row.y + row.high / 2;
  pen.strokeStyle = colours.line;
  let lived = -1;
  pen.beginPath();
  for (const [begin, end] of row.lives) {
    if (end < left || begin > right) continue;
    const from = Math.max(gutter, x(begin)), to = Math.min(width, x(end));
    if (to < lived + 1) continue;
    pen.moveTo(from, middle);
    pen.lineTo(to, middle);
    lived = to;
  }
  pen.stroke();
  const boxes = row.boxes;
  let reached = -1, inside = -1; // what is not a pixel beyond would not be seen
  for (const box of boxes) {
    if (box[1] > right) break;
    if (box[2] < left) continue;
    const inner = box[0] === "system call" ||
      (box[0] === "submission" && row.group === "notification threads");
    const begin = Math.max(gutter, x(box[1]));
    const end = Math.min(width, Math.max(begin + 1, x(box[2])));
    const mine = pinned ? box[4].includes(pinned) : wanted ? wanted.has(box) : true;
    if (end < (inner ? inside : reached) + 1 && !(mine && (pinned || wanted))) continue;
    if (inner) inside = Math.floor(end); else reached = Math.floor(end);
    const full = row.high - 8, high = inner ? INNER : full;
    const top = row.y + 4 + full - high;
    pen.globalAlpha = mine ? 1 : 0.15;
    pen.fillStyle = colours[box[0]];
    pen.fillRect(begin, top, end - begin, high);
    if (box[6]) {
      pen.fillStyle = colours.wrong;
      pen.fillRect(begin, top - 2, Math.min(8, end - begin), 2);
    }
    if (inner || end - begin < LEAST) continue;
    pen.fillStyle = DARK.has(box[0]) ? colours.dark : colours.box;
    pen.textAlign = "left";
    const up = box[0] === "callback" ? INNER / 2 : 0; // above the strips of what happens inside
    const fits = shorter(box[3]).find(words => pen.measureText(words).width <= end - begin - 6);
    if (fits) pen.fillText(fits, begin + 3, top + high / 2 + 1 - up);
  }
  pen.globalAlpha = 1;
  pen.fillStyle = paper;
  pen.fillRect(0, row.y, gutter - 2, row.high);
  pen.fillStyle = colours.ink;
  pen.textAlign = "right";
  pen.fillText(laneName(row), gutter - 8, middle);
}

function shorter(words) { // read fd 5, fd 5, 5
  const parts = words.split(" ");
  return parts.map((_, n) => parts.slice(n).join(" "));
}

let due = false;
function soon() { // at most one picture for each frame
  if (!due) { due = true; requestAnimationFrame(() => { due = false; draw(); show(); }); }
}

// --- one moment

function show() {
  const what = `${at} ${pinned}`;
  if (panelsAre === what) return;
  panelsAre = what;
  const now = stateAt(at), moment = moments[at];
  const changed = new Set(moment ? moment[3].map(one => one[2] || `h${one[1]}`) : []);
  by("panels").innerHTML = panels(now, changed, nameOf, { threads: DATA.threads,
    traced: DATA.traced, files, helperNames, pinned });
  by("moment").textContent = moment
    ? `${duration(moment[0])}: ${moment[1]}   (moment ${at + 1} of ${moments.length})` : "";
  by("wrong").textContent = moment && moment[4] ? `contradicts the model: ${moment[4]}` : "";
}

function go(n, follow = true) {
  at = Math.min(moments.length - 1, Math.max(0, n)); // -1 if there is none
  const time = moments.length ? moments[at][0] : 0;
  if (follow && (time < left || time > right)) {
    const span = right - left;
    left = Math.max(0, Math.min(DATA.end - span, time - span / 4));
    right = left + span;
  }
  soon();
}

function view(from, span) {
  span = Math.min(DATA.end, Math.max(MIN_SPAN, span));
  left = Math.max(0, Math.min(DATA.end - span, from));
  right = left + span;
  soon();
}

function zoom(factor, time) {
  const span = Math.min(DATA.end, Math.max(MIN_SPAN, (right - left) * factor));
  view(time - (time - left) * span / (right - left), span);
}

// --- playing

const SPEEDS = [["1 moment a second", 1], ["5 moments a second", 5], ["25 moments a second", 25],
  ["1/1000 of real time", -0.001], ["1/100 of real time", -0.01], ["real time", -1]];
by("speed").innerHTML =
  SPEEDS.map(([name], n) => `<option value="${n}">${name}</option>`).join("");
by("speed").value = "1";

function play() {
  playing = !playing && moments.length > 0;
  by("play").textContent = playing ? "❚❚" : "▶";
  if (!playing) return;
  if (at >= moments.length - 1) at = 0;
  let before = performance.now(), due = 0, clock = moments[at][0];
  const tick = now => {
    if (!playing) return;
    const speed = SPEEDS[by("speed").value][1], passed = now - before;
    before = now;
    if (speed > 0) {
      due += passed / 1000 * speed;
      if (due >= 1) { go(at + Math.floor(due)); due %= 1; }
      clock = moments[at][0];
    } else {
      clock += passed * 1e6 * -speed;
      const n = momentAt(clock);
      if (n > at) go(n);
    }
    if (at >= moments.length - 1) play(); else requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}

// --- pinning and searching

function boxAt(px, py) {
  const time = timeAt(px), slack = (right - left) / width * 2;
  const row = rows.find(row => py >= row.y && py < row.y + row.high);
  const here = row ? row.boxes.filter(box => box[1] - slack <= time && time <= box[2] + slack) : [];
  return here[here.length - 1];
}

function told(box) {
  return `${box[3]}, ${duration(box[2] - box[1])}${box[7] ? " and more" : ""}` +
    (box[6] ? ` ${box[6]}` : "") + (box[5] ? `\n${box[5]}` : "");
}

function pin(of) {
  pinned = of;
  if (!of) { by("pinned").innerHTML = ""; soon(); return; }
  const lines = [];
  for (const row of rows) for (const box of row.boxes) if (box[4].includes(of))
    lines.push([box[1], `<tr><th>${escaped(box[0])}</th><td>${duration(box[1])}</td>` +
      `<td>${duration(box[2] - box[1])}${box[7] ? " ..." : ""}</td>` +
      `<td>${escaped(row.name || row.group)}</td><td>${escaped(box[6])}</td></tr>`]);
  lines.sort((a, b) => a[0] - b[0]);
  const file = requests[of] ? `: ${requests[of][2]}` : "";
  by("pinned").innerHTML = `<h2>${escaped(nameOf(of) + file)} <button id="unpin">unpin</button></h2>
    <table><tr><th></th><td>begins</td><td>takes</td><td>where</td><td></td></tr>` +
    lines.map(line => line[1]).join("") + "</table>";
  by("unpin").onclick = () => pin(0);
  soon();
}

function search(words) {
  words = searched = words.trim().toLowerCase();
  wanted = null;
  by("found").textContent = "";
  if (words) {
    wanted = new Set();
    const whole = // "fd 1" is not in "fd 12"
      /\d$/.test(words) && new RegExp(`(^|\\W)${words.replace(/\W/g, "\\$&")}(?!\\d)`);
    const fits = text =>
      whole ? whole.test(text.toLowerCase()) : text.toLowerCase().includes(words);
    const serials = new Set();
    for (const row of rows) for (const box of row.boxes) {
      const thread = helperNames.get(box[8]) || row.name;
      if (fits(box[3]) || fits(box[5]) || fits(thread)) {
        wanted.add(box);
        box[4].forEach(of => serials.add(of));
      }
    }
    by("found").textContent = `${serials.size} request${serials.size === 1 ? "" : "s"}`;
  }
  soon();
}

// --- hands

by("first").onclick = () => go(0);
by("back").onclick = () => go(at - 1);
by("on").onclick = () => go(at + 1);
by("play").onclick = play;
by("closer").onclick = () => zoom(0.5, (left + right) / 2);
by("wider").onclick = () => zoom(2, (left + right) / 2);
by("all").onclick = () => view(0, DATA.end);
by("search").oninput = event => search(event.target.value);
for (const button of document.querySelectorAll("[data-at]")) button.onclick = () => {
  go(momentAt(Number(button.dataset.at)));
  canvas.scrollIntoView({ block: "nearest" });
};
by("panels").onclick = event => {
  const box = event.target.closest("[data-of]");
  if (box) pin(Number(box.dataset.of) || 0);
};

document.addEventListener("keydown", event => {
  if (/INPUT|SELECT|TEXTAREA|BUTTON/.test(event.target.tagName) && event.key === " ") return;
  if (/INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) return;
  const many = event.shiftKey ? 10 : 1;
  const keys = { ArrowRight: () => go(at + many), ArrowLeft: () => go(at - many),
    Home: () => go(0), End: () => go(moments.length - 1), " ": play, Escape: () => pin(0),
    "+": () => zoom(0.5, (left + right) / 2), "=": () => zoom(0.5, (left + right) / 2),
    "-": () => zoom(2, (left + right) / 2), 0: () => view(0, DATA.end) };
  const does = keys[event.key];
  if (does && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); does(); }
});

canvas.addEventListener("wheel", event => { // without a modifier it scrolls the page
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    zoom(Math.exp(event.deltaY / 300), timeAt(event.offsetX));
  } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    event.preventDefault();
    const by = event.deltaX || event.deltaY;
    view(left + by / width * (right - left), right - left);
  }
}, { passive: false });

const fingers = new Map();
let drag = null;
canvas.addEventListener("pointerdown", event => {
  canvas.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, event.offsetX);
  const scrubs = event.offsetY < AXIS + BAND;
  drag = { x: event.offsetX, from: left, span: right - left, moved: false, scrubs };
  if (fingers.size === 2) {
    const [a, b] = [...fingers.values()];
    drag.apart = Math.abs(a - b) || 1;
  }
  if (scrubs) go(momentAt(timeAt(event.offsetX)), false);
});
canvas.addEventListener("pointermove", event => {
  if (!fingers.has(event.pointerId)) {
    const box = boxAt(event.offsetX, event.offsetY);
    canvas.title = box ? told(box) : "";
    return;
  }
  fingers.set(event.pointerId, event.offsetX);
  if (fingers.size === 2 && drag.apart) {
    const [a, b] = [...fingers.values()], apart = Math.abs(a - b) || 1;
    zoom(drag.apart / apart, timeAt((a + b) / 2));
    drag.apart = apart;
  } else if (drag.scrubs) {
    go(momentAt(timeAt(event.offsetX)), false);
  } else {
    const moved = event.offsetX - drag.x;
    drag.moved = drag.moved || Math.abs(moved) > 4;
    if (drag.moved) view(drag.from - moved / (width - gutter) * drag.span, drag.span);
  }
});
const lift = event => {
  fingers.delete(event.pointerId);
  if (event.type === "pointerup" && drag && !drag.moved && !drag.scrubs && !drag.apart) {
    const box = boxAt(event.offsetX, event.offsetY);
    pin(box && box[4].length ? box[4][0] : 0);
    if (!box) go(momentAt(timeAt(event.offsetX)), false);
  }
};
canvas.addEventListener("pointerup", lift);
canvas.addEventListener("pointercancel", lift);

// --- begin

const kinds = new Set(rows.flatMap(row => row.boxes.map(box => box[0])));
by("legend").innerHTML = Object.entries(DATA.legend).filter(([kind]) => kinds.has(kind))
  .map(([kind, words]) => {
    const colour = `var(--${kind.replace(/[ /]/g, "-")})`;
    return `<span class="dim"><i style="background:${colour}"></i> ${escaped(words)}</span>`;
  })
  .join("");
window.addEventListener("resize", resize);
matchMedia("(prefers-color-scheme: dark)")
  .addEventListener("change", () => { readColours(); resize(); });
readColours();
resize();
const asked = /^#m=(\d+)$/.exec(location.hash);
const first = DATA.starved.length ? momentAt(DATA.starved[0][0]) : 0;
go(asked ? Number(asked[1]) : Math.max(0, first));
draw();
show();
