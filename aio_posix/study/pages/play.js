// The model alone: the script goes to the server, which answers with every moment of it.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const by = id => document.getElementById(id);
let moments = [], moves = [], at = 0, asked = 0;

function state(one) {
  return { queues: new Map(one.queues), runlist: one.runlist,
    helpers: new Map(one.helpers.map(([n, of, doing]) => [n, { of, state: doing }])),
    owed: new Map(one.done.map(([name, error, value]) =>
      [name, error ? `error ${error}` : `aio_return ${value}`])) };
}

function changed(before, now) { // what is not where it was
  const where = one => {
    const found = new Map();
    for (const [fd, queue] of one.queues) queue.forEach(of => found.set(of, `queue ${fd}`));
    for (const of of one.runlist) found.set(of, found.get(of) + " runlist");
    for (const [n, of] of one.helpers)
      found.set(of || `h${n}`, `${found.get(of) || ""} helper ${n}`);
    for (const [name] of one.done) found.set(name, "done");
    return found;
  };
  const was = where(before);
  return new Set([...where(now)].filter(([of, place]) => was.get(of) !== place).map(([of]) => of));
}

function show() {
  const one = moments[at];
  if (!one) return;
  const files = Object.fromEntries(one.files.map(fd => [fd, "a file"]));
  const helperNames = new Map(one.helpers.map(([n]) => [n, `helper ${n}`]));
  by("panels").innerHTML = panels(state(one), changed(moments[Math.max(0, at - 1)], one),
    name => name, { threads: one.threads, traced: true, files, helperNames, pinned: null });
  by("event").textContent = one.event;
  by("moment").textContent = `moment ${at + 1} of ${moments.length}` +
    (one.line ? `, line ${one.line}` : "");
  by("at").max = moments.length - 1;
  by("at").value = at;
  by("done").textContent = one.answers.length
    ? `the calls returned ${one.answers.join(", ")}` : "";
  const last = at === moments.length - 1;
  beside(one.line);
  by("moves").innerHTML = !last ? `<p class="dim">go to the last moment to choose</p>`
    : moves.map((words, n) => `<button data-step="${n + 1}">${escaped(words)}</button>`).join("") +
      (moves.length > 1 ? `<button data-step="0">all of them, until nothing moves</button>` : "") ||
      `<p class="dim">none can move: they wait for their peers, or for work</p>`;
}

function beside(line) { // what the real glibc did, if --check asked it, and with this script
  by("checked").hidden = !DATA.checked;
  if (!DATA.checked) return;
  const { bursts, agrees } = DATA.checked;
  const same = by("script").value.trim() === DATA.text.trim();
  by("verdict").textContent = !same
    ? "The script has changed: start `study play FILE --check` again to run it on the real glibc."
    : agrees ? "The model allows all that glibc did." : "glibc did what the model does not allow.";
  by("verdict").className = same && !agrees ? "wrong" : "";
  by("both").hidden = !same;
  const here = line ? bursts.findIndex(burst => line <= burst.line) : -1;
  const side = (one, other) => "<td><dl>" + Object.entries(one).map(([name, what]) =>
    `<dt class="dim">${name}</dt><dd${other[name] !== what ? ' class="differs"' : ""}>` +
    `${escaped(what)}</dd>`).join("") + "</dl></td>";
  by("both").innerHTML = "<thead><tr><th>calls, then until nothing moves</th><th>glibc</th>" +
    "<th>model</th></tr></thead><tbody>" + bursts.map((burst, n) =>
      `<tr data-line="${burst.line}"${n === here ? ' class="here"' : ""}>` +
      `<td>${burst.calls.map(escaped).join("<br>")}` +
      (burst.ways > 1 ? `<br><span class="dim">one of ${burst.ways} outcomes</span>` : "") +
      `</td>${side(burst.glibc, burst.model)}${side(burst.model, burst.glibc)}</tr>`).join("") +
    "</tbody>";
}

async function ask(follow) {
  const number = ++asked;
  let reply;
  try {
    reply = await fetch("moments", { method: "POST", body: by("script").value });
  } catch {
    by("error").textContent = "`study play` has ended: start it again";
    return;
  }
  if (!reply.ok || number !== asked) return;
  const found = await reply.json();
  ({ moments, moves } = found);
  by("error").textContent = found.error;
  at = follow ? moments.length - 1 : Math.min(at, moments.length - 1);
  show();
}

function add(line) {
  const text = by("script").value.trimEnd();
  by("script").value = `${text}${text ? "\n" : ""}${line}\n`;
  by("script").scrollTop = by("script").scrollHeight;
  ask(true);
}

function fresh() { // a name that no request has
  const used = new Set(by("script").value.split(/[\s,]+/));
  for (let n = 0; ; n++) {
    const name = String.fromCharCode(65 + n % 26) + (n < 26 ? "" : Math.floor(n / 26));
    if (!used.has(name)) return name;
  }
}

by("plays").innerHTML = Object.keys(DATA.plays).map(n => `<option>${n}</option>`).join("");
by("plays").value = Object.keys(DATA.plays)
  .find(n => DATA.plays[n].trim() === DATA.text.trim()) || ""; // a file of the reader's: none
by("plays").onchange = () => {
  by("script").value = DATA.plays[by("plays").value].trim() + "\n";
  at = 0;
  ask(false);
};
let due = 0;
by("script").oninput = () => { clearTimeout(due); due = setTimeout(() => ask(true), 150); };
by("submit").onclick = () => {
  const prio = Number(by("prio").value);
  add(`${by("op").value} ${fresh()} ${by("fd").value}${prio ? ` prio ${prio}` : ""}`);
};
for (const verb of ["feed", "cancel", "shut"])
  by(verb).onclick = () => add(`${verb} ${by("fd").value}`);
by("undo").onclick = () => {
  by("script").value = by("script").value.trimEnd().split("\n").slice(0, -1).join("\n") + "\n";
  ask(true);
};
by("moves").onclick = event => {
  const step = event.target.dataset.step;
  if (step) add(step === "0" ? "settle" : `step ${step}`);
};
by("both").onclick = event => {
  const row = event.target.closest("[data-line]");
  if (row) go(moments.findLastIndex(one => one.line <= Number(row.dataset.line)));
};
const go = n => { at = Math.max(0, Math.min(moments.length - 1, n)); show(); };
by("at").oninput = () => go(Number(by("at").value));
by("first").onclick = () => go(0);
by("back").onclick = () => go(at - 1);
by("on").onclick = () => go(at + 1);
document.addEventListener("keydown", event => {
  if (/TEXTAREA|INPUT|SELECT/.test(event.target.tagName)) return;
  const keys = { ArrowRight: () => go(at + 1), ArrowLeft: () => go(at - 1), Home: () => go(0),
    End: () => go(moments.length - 1) };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
});
by("script").value = DATA.text;
ask(false);
