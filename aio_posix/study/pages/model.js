// A moment of glibc's AIO, drawn: the pool, the runlist, the queues, and what is owed to whom.
// A moment is {queues: Map(fd -> [serial]), runlist: [serial], helpers: Map(tid -> {of, state}),
// owed: Map(serial -> words)}. It is changed by [what, key, of, at, state], as replay.py has them.
"use strict";

const MOST_QUEUES = 24, MOST_IN_QUEUE = 12, MOST_LISTED = 24, MOST_HELPERS = 64, FEW_IDLE = 4;

const escaped = text => String(text).replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`);

function nothing() {
  return { queues: new Map(), runlist: [], helpers: new Map(), owed: new Map() };
}

function copied(now) {
  return {
    queues: new Map([...now.queues].map(([fd, queue]) => [fd, queue.slice()])),
    runlist: now.runlist.slice(), helpers: new Map(now.helpers), owed: new Map(now.owed),
  };
}

function change(now, [what, key, of, at, state]) {
  const queue = now.queues.get(key);
  switch (what) {
    case "queue": queue ? queue.splice(at, 0, of) : now.queues.set(key, [of]); break;
    case "no queue":
      queue.splice(queue.indexOf(of), 1);
      if (!queue.length) now.queues.delete(key);
      break;
    case "runlist": now.runlist.splice(at, 0, of); break;
    case "no runlist": now.runlist.splice(now.runlist.indexOf(of), 1); break;
    case "helper": now.helpers.set(key, { of, state }); break;
    case "no helper": now.helpers.delete(key); break;
    case "owed": now.owed.set(of, state); break;
    case "no owed": now.owed.delete(of); break;
  }
}

// names: serial -> what is written on its box.
// about: {threads, traced, files, helperNames, pinned}.
function panels(now, changed, names, about) {
  const taken = new Set([...now.helpers.values()].map(one => one.of).filter(Boolean));
  const ready = new Set(now.runlist);
  const box = (of, kind, words) => {
    const marks = (changed.has(of) ? " changed" : "") + (about.pinned === of ? " pinned" : "");
    return `<span class="box ${kind}${marks}" data-of="${of}">${escaped(words)}</span>`;
  };
  const rest = (all, most) =>
    all > most ? `<div class="dim">and ${all - most} more</div>` : "";

  const idle = [...now.helpers].filter(([, one]) => !one.of);
  const together = idle.length > FEW_IDLE; // many that are idle share a line
  const named = tid => about.helperNames.get(tid) || `helper ${tid}`;
  const helpers = [...now.helpers].filter(([, one]) => one.of || !together)
    .slice(0, MOST_HELPERS).map(([tid, one]) => {
      const words = one.of ? `: ${names(one.of)}` : ` is ${one.state || "idle"}`;
      const kind = one.of ? "run" : "tail";
      return `<div>${box(one.of || `h${tid}`, kind, named(tid) + words)}</div>`;
    });
  if (together)
    helpers.push(`<div class="idle"><span class="dim">${idle.length} idle</span>` +
      idle.map(([tid]) => box(`h${tid}`, "tail", named(tid).replace("helper ", ""))).join("") +
      "</div>");
  const absent = about.threads === null ? NaN : about.threads - now.helpers.size;
  const full = absent <= 0 && [...now.helpers.values()].every(one => one.of);
  const limit = absent > 0 ? `${absent} more may be started` : full ? "the pool is full" : "";
  const pool = about.traced === false
    ? `<p class="dim">unknown: strace did not watch</p>`
    : helpers.join("") + rest(now.helpers.size, MOST_HELPERS) + `<div class="dim">${limit}</div>`;

  const runlist = about.traced === false ? `<p class="dim">unknown</p>` :
    now.runlist.slice(0, MOST_LISTED)
      .map((of, n) => `<div><span class="dim">${n + 1} </span>${box(of, "head", names(of))}</div>`)
      .join("") + rest(now.runlist.length, MOST_LISTED) ||
    `<p class="dim">empty</p>`;

  const fds = [...now.queues.keys()].sort((a, b) => a - b);
  const queues = fds.slice(0, MOST_QUEUES).map(fd => {
    const queue = now.queues.get(fd);
    const boxes = queue.slice(0, MOST_IN_QUEUE).map((of, n) => {
      let kind = "tail";
      if (about.traced !== false && n === 0)
        kind = taken.has(of) ? "run" : ready.has(of) ? "head" : "tail orphan";
      return box(of, kind, names(of));
    });
    const more = queue.length - MOST_IN_QUEUE;
    const file = about.files[fd] ? ` title="${escaped(about.files[fd])}"` : "";
    return `<div class="queue"><b${file}>fd ${fd}</b>${boxes.join("")}` +
      (more > 0 ? `<span class="dim">&nbsp;and ${more} more</span>` : "") + `</div>`;
  });
  const owed = [...now.owed].slice(0, MOST_LISTED).map(([of, words]) =>
    `<div>${box(of, "owed", `${names(of)}: ${words}`)}</div>`);

  return `<div><h2>pool</h2>${pool}</div>
    <div><h2>runlist</h2>${runlist}<h2>owed to the program</h2>` +
    `${owed.join("") || '<p class="dim">nothing</p>'}${rest(now.owed.size, MOST_LISTED)}</div>
    <div><h2>requests <span class="dim">one queue for each descriptor</span></h2>` +
    `${queues.join("") || '<p class="dim">none</p>'}${rest(fds.length, MOST_QUEUES)}</div>`;
}
