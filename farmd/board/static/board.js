// The task board: shows what the server tells, and keeps no truth of its own.
//
//   hello -> snapshot -> delta, delta, ...     a gap, or another server, asks for a snapshot
//
// Text reaches the page through textContent alone. Only cards that can be seen are in the document.

const SCHEMA = "farm.board.v1";
const STATES = ["pending", "running", "completed", "failed"];
const GLYPHS = { all: "▦", pending: "○", running: "◐", completed: "●", failed: "✖" };
const WORDS = { all: "All", pending: "Pending", running: "Running", completed: "Completed", failed: "Failed" };
const MEANINGS = {
  pending: "has not begun", running: "is being worked on", completed: "ended well", failed: "ended badly, or was given up",
};
const ALIVE_MS = 15_000;     // Connected is only what was heard from within this time
const RETRY_MS = [250, 10_000];
const CARD = { height: 143, low: 116, least: 330 };   // low: groups of which nothing more is known than counts

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat();
const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dateAndClock = new Intl.DateTimeFormat([], { dateStyle: "medium", timeStyle: "medium" });
const shortDate = new Intl.DateTimeFormat([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

function el(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function glyph(state) {
  const made = el("span", "glyph", GLYPHS[state]);
  made.setAttribute("aria-hidden", "true");
  return made;
}

// -- what is known ---------------------------------------------------------------------------------------------------

const known = { seq: -1, grouped: false, hint: "", counts: null, groups: new Map(), tasks: new Map(), loaded: new Set(), filled: new Set() };
// wanted: a group that the address names and the board does not know yet, which it will after its start
const view = { state: "all", query: "", group: null, wanted: null, sort: "added" };
let shown = [];              // keys of what the list shows, in order
let isDirty = true;          // the list has to be worked out anew

function countsNow() {
  const group = view.group && known.groups.get(view.group);
  return group ? group.counts : known.counts ?? { pending: 0, running: 0, completed: 0, failed: 0 };
}

const counted = (count, what) => `${number.format(count)} ${what}${count === 1 ? "" : "s"}`;
const totalOf = (counts) => STATES.reduce((sum, state) => sum + (counts[state] ?? 0), 0);

function percent(done, total) {
  if (total <= 0) return "–";
  const tenths = Math.max(0, Math.min(1000, Math.floor((done * 1000) / total)));
  return `${Math.floor(tenths / 10)}.${tenths % 10}%`;
}

function progressText(task) {
  const done = task.done ?? 0;
  if (task.total > 0) return `${plain(done)} / ${plain(task.total)} (${percent(done, task.total)})`;
  return done ? `${plain(done)} so far` : task.state === "completed" ? "done" : task.state === "running" ? "running" : "–";
}

const plain = (value) => (Number.isInteger(value) ? String(value) : String(Math.round(value * 100) / 100));

function timeText(atMs) {
  const at = new Date(atMs);
  return at.toDateString() === new Date().toDateString() ? clock.format(at) : shortDate.format(at);
}

function durationText(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${s % 60}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}h ${Math.floor((s % 3600) / 60)}m`;
  return `${Math.floor(s / 86_400)}d ${Math.floor((s % 86_400) / 3600)}h`;
}

function tookText(task) {
  if (!task.started_at_ms) return "";
  // nobody knows whether it still runs once the board is silent: its time stands still, too
  const now = link.state === "connected" ? Date.now() : link.heardMs;
  return durationText((task.ended_at_ms ?? now) - task.started_at_ms);
}

// -- the feed --------------------------------------------------------------------------------------------------------

const link = { socket: null, heardAt: 0, heardMs: Date.now(), server: null, wait: RETRY_MS[0], timer: 0, tryAt: 0, state: "connecting", asked: false };

function connect() {
  clearTimeout(link.timer);
  link.tryAt = 0;
  const address = new URL("feed", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  address.search = address.hash = "";
  const socket = new WebSocket(address);
  link.socket = socket;
  link.heardAt = performance.now();
  socket.onmessage = (event) => {
    if (socket !== link.socket) return;
    link.heardAt = performance.now();
    link.heardMs = Date.now();
    take(JSON.parse(event.data));
  };
  socket.onclose = () => { if (socket === link.socket) lost(); };
}

function lost() {
  const socket = link.socket;
  link.socket = null;
  if (socket) socket.close();
  const wait = link.wait * (0.5 + Math.random() / 2);
  link.wait = Math.min(link.wait * 2, RETRY_MS[1]);
  link.tryAt = performance.now() + wait;
  link.timer = setTimeout(connect, wait);
  stand("disconnected");
}

function retryNow() {
  if (link.state === "connected") return;
  const socket = link.socket;
  link.socket = null;
  if (socket) socket.close();
  link.wait = RETRY_MS[0];
  connect();
  showNotice();
}

function ask(message) {
  if (link.socket?.readyState === WebSocket.OPEN) link.socket.send(JSON.stringify(message));
}

function resync() {
  if (link.asked) return;
  link.asked = true;
  ask({ kind: "resync" });
}

function stand(state) {
  if (link.state !== state) {
    link.state = state;
    $("light").dataset.state = state;
    setText($("light-text"), { connected: "Connected", disconnected: "Disconnected", connecting: "Connecting…" }[state]);
  }
  document.body.classList.toggle("stale", state === "disconnected");
  showNotice();
}

function showNotice() {
  const isOff = link.state === "disconnected";
  $("notice").hidden = !isOff;
  if (!isOff) return;
  const wait = Math.ceil((link.tryAt - performance.now()) / 1000);
  const next = link.tryAt && wait > 0 ? `next try in ${wait} s` : "trying now";
  setText($("notice-text"), `No answer from the board. What you see may be out of date; ${next}.`);
}

function take(message) {
  switch (message.kind) {
    case "hello":
      if (message.schema !== SCHEMA) return void setText($("found"), "The board was updated: load this page again.");
      if (link.server !== message.server_id) known.seq = -1;
      link.server = message.server_id;
      return;
    case "snapshot":
      takeSnapshot(message);
      break;
    case "delta":
      if (message.after !== known.seq) return resync();
      takeDelta(message);
      break;
    case "page":
      takeTasks(message.tasks);
      if (message.last) known.loaded.add(message.group);
      break;
  }
  if (known.seq < 0) return;
  link.wait = RETRY_MS[0];
  stand("connected");
  refresh();
}

function takeHead({ title, note }) {
  setText($("title"), title);
  if (document.title !== title) document.title = title;
  setText($("note"), note);
  $("note").hidden = !note;
}

function takeSnapshot(message) {
  takeHead(message);
  link.asked = false;
  known.seq = message.seq;
  known.grouped = message.grouped;
  known.hint = message.hint ?? "";
  known.counts = message.counts;
  known.groups = new Map(message.groups.map((group) => [group.key, group]));
  known.tasks = new Map(message.tasks.map((task) => [task.key, task]));
  known.loaded.clear();
  known.filled.clear();
  view.wanted = view.group ?? view.wanted;
  view.group = null;
  openWanted();
}

function openWanted() {
  if (view.wanted && known.groups.has(view.wanted)) openOnly(view.wanted);
}

function takeTasks(tasks) {
  for (const task of tasks) {
    known.tasks.set(task.key, task);
    known.filled.add(task.group);
  }
}

function takeDelta(message) {
  takeHead(message);
  known.seq = message.seq;
  known.counts = message.counts;
  for (const key of message.removed) {
    known.tasks.delete(key);
    known.groups.delete(key);
  }
  for (const group of message.groups) known.groups.set(group.key, group);
  takeTasks(message.changed);
  if (view.group && !known.groups.has(view.group)) leaveGroup();
  openWanted();
}

setInterval(() => {
  if (link.socket && performance.now() - link.heardAt > ALIVE_MS) lost();
  showNotice();
  draw();
}, 1000);
addEventListener("online", retryNow);
addEventListener("visibilitychange", () => { if (!document.hidden) retryNow(); });

// -- what is looked at, and the address of it ------------------------------------------------------------------------

function readAddress() {
  const given = new URLSearchParams(location.search);
  const state = given.get("state");
  view.state = STATES.includes(state) ? state : "all";
  view.query = given.get("q") ?? "";
  view.sort = ORDERS[given.get("sort")] ? given.get("sort") : "added";
  $("sort").value = view.sort;
  openOnly(given.get("group"));
  if ($("search").value !== view.query) $("search").value = view.query;
  refresh();
}

function writeAddress(isStep = false) {
  const said = new URLSearchParams();
  if (view.state !== "all") said.set("state", view.state);
  if (view.query) said.set("q", view.query);
  if (view.sort !== "added") said.set("sort", view.sort);
  if (view.group ?? view.wanted) said.set("group", view.group ?? view.wanted);
  const address = location.pathname + (said.size ? `?${said}` : "");
  if (isStep) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}

function openOnly(group) {
  const isHere = group === null || known.groups.has(group);
  view.wanted = isHere ? null : group;
  if (!isHere) group = null;
  if (group === view.group) return;
  if (view.group && known.grouped) {
    ask({ kind: "close", group: view.group });
    for (const [key, task] of known.tasks) if (task.group === view.group) known.tasks.delete(key);
    known.loaded.delete(view.group);
    known.filled.delete(view.group);
  }
  view.group = group;
  if (group && known.grouped) ask({ kind: "open", group });
}

function openGroup(key) {
  openOnly(key);
  view.query = $("search").value = "";
  writeAddress(true);
  scrollTo(0, 0);
  refresh();
}

function leaveGroup() {
  const left = view.group;
  openOnly(null);
  writeAddress(true);
  refresh();
  if (left) focusKey(left);
}

function setState(state) {
  view.state = view.state === state && state !== "all" ? "all" : state;
  writeAddress();
  refresh();
}

const hasWords = (words, text) => words.every((word) => text.includes(word));
const texts = new WeakMap();   // of 100,000 tasks, what is searched is put together once

function textOf(task) {
  let text = texts.get(task);
  if (text === undefined) {
    const title = known.groups.get(task.group)?.title ?? "";
    text = [task.name, task.id, task.error ?? "", task.about ?? "", title].join("\n").toLowerCase();
    texts.set(task, text);
  }
  return text;
}

const FIRST = { running: 0, failed: 1, pending: 2, completed: 3 };
const changedAt = (task) => task.ended_at_ms ?? task.started_at_ms ?? 0;
const ORDERS = {
  added: () => 0,
  running: (a, b) => FIRST[a.state] - FIRST[b.state],
  latest: (a, b) => changedAt(b) - changedAt(a),
};

function isListOfGroups() {
  return known.grouped && !view.group;
}

function workOut() {
  const words = view.query.toLowerCase().split(/\s+/).filter(Boolean);
  const state = view.state === "all" ? null : view.state;
  shown = [];
  if (isListOfGroups()) {
    const groups = [...known.groups.values()].sort((a, b) => a.order - b.order);
    for (const group of groups) {
      if (state && !group.counts[state]) continue;
      const text = [group.title, ...Object.values(group.facts ?? {})].join("\n").toLowerCase();
      if (hasWords(words, text)) shown.push(group.key);
    }
    return;
  }
  for (const task of known.tasks.values()) {
    if (view.group && task.group !== view.group) continue;
    if (state && task.state !== state) continue;
    if (words.length && !hasWords(words, textOf(task))) continue;
    shown.push(task);
  }
  if (view.sort !== "added") shown.sort(ORDERS[view.sort]);
  shown = shown.map((task) => task.key);
}

// -- drawing ---------------------------------------------------------------------------------------------------------

let isAsked = false;

function refresh() {
  isDirty = true;
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => { isAsked = false; draw(); });
}

function draw() {
  if (isDirty) {
    isDirty = false;
    workOut();
    drawCounts();
    drawWords();
  }
  drawList();
}

const counters = new Map();

function buildCounts() {
  for (const state of ["all", ...STATES]) {
    const share = el("span", "count-share");
    const figure = el("span", "count-number", "0");
    const head = el("span", "count-head", glyph(state), el("span", "", state === "all" ? "Total" : WORDS[state]));
    const card = el("button", "count", head, figure, share);
    const tally = el("span", "filter-count", "0");
    const filter = el("button", "filter", glyph(state), el("span", "filter-word", WORDS[state]), tally);
    for (const button of [card, filter]) {
      button.type = "button";
      button.dataset.state = state;
      button.onclick = () => setState(state);
    }
    $("cards").append(card);
    $("filters").append(filter);
    const part = state === "all" ? null : el("div", "part");
    counters.set(state, { card, figure, share, filter, tally, part });
  }
  for (const state of ["completed", "failed", "running", "pending"]) {
    const { part } = counters.get(state);
    part.dataset.state = state;
    $("overall").append(part);
    const mark = el("dt", "tally", glyph(state), el("span", "", WORDS[state]));
    mark.dataset.state = state;
    $("legend").append(mark, el("dd", "", MEANINGS[state]));
  }
}

function drawCounts() {
  const counts = countsNow();
  const total = totalOf(counts);
  for (const [state, { card, figure, share, filter, tally, part }] of counters) {
    const count = state === "all" ? total : counts[state];
    const ended = counts.completed + counts.failed;
    setText(figure, number.format(count));
    setText(tally, number.format(count));
    setText(share, state === "all" ? (total ? `${percent(ended, total)} finished` : "no tasks yet") : percent(count, total));
    const isOn = String(view.state === state);
    card.setAttribute("aria-pressed", isOn);
    filter.setAttribute("aria-pressed", isOn);
    if (part) drawPart(part, count, total);
  }
  const said = STATES.map((state) => `${counts[state]} ${state}`).join(", ");
  $("overall").setAttribute("aria-label", `Of ${total} tasks: ${said}`);
}

function drawPart(part, count, total) {
  part.hidden = !count;
  part.style.flexBasis = total ? `${(count / total) * 100}%` : "0";
}

function drawWords() {
  const group = view.group && known.groups.get(view.group);
  $("crumbs").hidden = !group;
  if (group) {
    setText($("crumb-title"), group.title);
    setText($("crumb-facts"), factsText(group));
    setText($("back"), known.grouped ? `← All ${groupWord()}s` : "← All tasks");
  }
  const what = isListOfGroups() ? groupWord() : "task";
  const all = isListOfGroups() ? known.groups.size : totalOf(countsNow());
  const isLoading = group && known.grouped && isAwaited(group);
  const some = shown.length === all ? number.format(all) : `${number.format(shown.length)} of ${number.format(all)}`;
  const tail = isListOfGroups() ? ` · ${counted(totalOf(countsNow()), "task")}` : "";
  setText($("found"), known.seq < 0 ? "" : isLoading ? group.facts?.tasks ?? "Loading the tasks…" : `${some} ${what}${all === 1 ? "" : "s"}${tail}`);
  $("order").hidden = isListOfGroups();
  $("list").setAttribute("aria-label", `${what[0].toUpperCase()}${what.slice(1)}s`);
  $("empty").hidden = shown.length > 0 || known.seq < 0 || isLoading;
  const isFiltered = view.query || view.state !== "all";
  setText($("empty-what"), isFiltered ? `No ${what} is like that` : `No ${known.hint ? groupWord() : what}s yet`);
  setText($("empty-hint"), isFiltered
    ? "Search for something else, or press 1 to see all."
    : known.hint || "They appear here as soon as a program adds one: get_task_board().add_task(…)");
}

// What is fetched when it is opened are the jobs of a farm; programs have groups.
function groupWord() {
  for (const group of known.groups.values()) if (!group.on_demand) return "group";
  return known.groups.size || known.hint ? "job" : "group";
}

function isAwaited(group) {
  if (!known.loaded.has(group.key)) return true;
  // its tasks come from elsewhere, a moment after it was opened
  return group.on_demand && totalOf(group.counts) > 0 && !known.filled.has(group.key);
}

function factsText(group) {
  const { group: _, ...facts } = group.facts ?? {};
  return Object.values(facts).filter(Boolean).join(" · ");
}

// Cards of the list: made once, given back when they leave the window, found again by their key.
const cards = new Map();
const spare = { task: [], group: [] };
let columns = 1;
let lastIndex = -1;   // which card had the focus last
let tabStop = -1;

function cardHeight() {
  if (!isListOfGroups()) return CARD.height;
  for (const group of known.groups.values()) if (group.facts) return CARD.height;
  return CARD.low;
}

const gapNow = () => parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--gap")) || 14;

function drawList() {
  const list = $("list");
  const width = list.clientWidth;
  const gap = gapNow();
  columns = Math.max(1, Math.floor((width + gap) / (CARD.least + gap)));
  const height = cardHeight();
  const step = height + gap;
  const cardWidth = (width - gap * (columns - 1)) / columns;
  const rows = Math.ceil(shown.length / columns);
  list.style.height = `${rows ? rows * step - gap : 0}px`;
  const top = -list.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(top / step) - 1) * columns;
  const last = Math.min(shown.length, (Math.ceil((top + innerHeight) / step) + 1) * columns);
  const kind = isListOfGroups() ? "group" : "task";
  const wanted = new Set(shown.slice(first, last));
  const focused = document.activeElement?.dataset?.key;
  for (const [key, card] of cards) {
    if (wanted.has(key) && card.kind === kind) continue;
    cards.delete(key);
    card.root.remove();
    if (spare[card.kind].length < 60) spare[card.kind].push(card);
  }
  tabStop = lastIndex >= first && lastIndex < last ? lastIndex : Math.min(last - 1, Math.max(0, first));
  for (let index = first; index < last; index += 1) {
    const key = shown[index];
    const card = cards.get(key) ?? newCard(kind, key);
    place(card, index, { step, gap, height, width: cardWidth });
    if (kind === "group") fillGroup(card, known.groups.get(key));
    else fillTask(card, known.tasks.get(key));
  }
  if (focused && !cards.has(focused) && !wanted.has(focused)) keepFocusNear(focused);
}

function place(card, index, { step, gap, height, width }) {
  const { root } = card;
  const x = (index % columns) * (width + gap);
  const moved = `translate(${x}px, ${Math.floor(index / columns) * step}px)`;
  if (root.style.transform !== moved) root.style.transform = moved;
  root.style.width = `${width}px`;
  root.style.height = `${height}px`;
  // one stop for the tab key: where the list was left, or its first card in sight
  root.tabIndex = index === tabStop ? 0 : -1;
  if (card.index === index && card.of === shown.length) return;
  card.index = index;
  card.of = shown.length;
  root.setAttribute("aria-posinset", index + 1);
  root.setAttribute("aria-setsize", shown.length);
  // readers and the tab key follow the document: keep it in the order of the list
  const next = cards.get(shown[index + 1]);
  if (next && next.root.previousSibling !== root) $("list").insertBefore(root, next.root);
}

function newCard(kind, key) {
  const card = spare[kind].pop() ?? (kind === "group" ? buildGroup() : buildTask());
  card.root.dataset.key = key;
  card.index = -1;
  cards.set(key, card);
  $("list").append(card.root);
  return card;
}

function buildBase(kind) {
  const root = el("article", `task is-${kind}`);
  root.setAttribute("role", "listitem");
  root.tabIndex = -1;
  root.onclick = () => openKey(root.dataset.key);
  const card = { kind, root, name: el("span", "task-name"), badge: el("span", "badge"), progress: el("span", "task-progress"),
    took: el("span", "task-took"), note: el("div", "task-note"), index: -1 };
  card.top = el("div", "task-top", card.name, card.badge);
  card.mid = el("div", "task-mid", card.progress, card.took);
  return card;
}

function buildTask() {
  const card = buildBase("task");
  card.fill = el("div", "bar-fill");
  card.bar = el("div", "bar", card.fill);
  card.bar.setAttribute("role", "progressbar");
  card.bar.setAttribute("aria-valuemin", "0");
  card.bar.setAttribute("aria-valuemax", "100");
  card.id = el("span", "task-id");
  card.times = el("span", "task-times");
  card.root.append(card.top, card.bar, card.mid, el("div", "task-meta", card.id, card.times), card.note);
  return card;
}

function fillBadge(badge, state, word) {
  if (badge.dataset.state === state && badge.dataset.word === word) return;
  badge.dataset.state = state;
  badge.dataset.word = word;
  badge.replaceChildren(glyph(state), el("span", "", word));
}

function fillTask(card, task) {
  const { root } = card;
  setText(card.took, task.state === "pending" ? "" : tookText(task));
  if (card.drawn === task) return;
  card.drawn = task;
  root.dataset.state = task.state;
  setText(card.name, task.name);
  card.name.title = task.name;
  fillBadge(card.badge, task.state, WORDS[task.state]);
  const share = task.total > 0 ? Math.max(0, Math.min(1, (task.done ?? 0) / task.total)) : task.state === "completed" ? 1 : 0;
  card.fill.style.width = task.total > 0 || task.state !== "running" ? `${share * 100}%` : "";
  card.bar.classList.toggle("unknown", !(task.total > 0) && task.state === "running");
  card.bar.setAttribute("aria-label", task.name);
  card.bar.setAttribute("aria-valuenow", Math.floor(share * 100));
  card.bar.setAttribute("aria-valuetext", progressText(task));
  setText(card.progress, progressText(task));
  setText(card.id, task.id);
  card.id.title = task.id;
  setText(card.times, timesText(task));
  const note = task.error || (task.state === "failed" ? "failed without a reason" : task.about || "");
  setText(card.note, note);
  card.note.title = note;
  card.note.classList.toggle("error", task.state === "failed");
}

function timesText(task) {
  if (!task.started_at_ms && !task.ended_at_ms) return task.state === "pending" ? "not started" : "";
  const from = task.started_at_ms ? timeText(task.started_at_ms) : "–";
  return task.ended_at_ms ? `${from} → ${timeText(task.ended_at_ms)}` : `since ${from}`;
}

function buildGroup() {
  const card = buildBase("group");
  card.stack = el("div", "stack");
  card.stack.setAttribute("aria-hidden", "true");
  card.parts = new Map();
  card.tallies = new Map();
  const tallies = el("div", "tallies");
  for (const state of ["completed", "failed", "running", "pending"]) {
    const part = el("div", "part");
    part.dataset.state = state;
    card.stack.append(part);
    card.parts.set(state, part);
  }
  for (const state of STATES) {
    const figure = el("span");
    const tally = el("span", "tally", glyph(state), figure, el("span", "unseen", ` ${state}`));
    tally.dataset.state = state;
    tallies.append(tally);
    card.tallies.set(state, { tally, figure });
  }
  card.root.append(card.top, card.stack, card.mid, tallies, card.note);
  return card;
}

function stateOfGroup({ counts }) {
  if (counts.running) return "running";
  if (counts.pending) return counts.completed + counts.failed ? "running" : "pending";
  return counts.failed ? "failed" : "completed";
}

function fillGroup(card, group) {
  if (card.drawn === group) return;
  card.drawn = group;
  const total = totalOf(group.counts);
  const state = group.facts?.group ?? stateOfGroup(group);
  card.root.dataset.state = state;
  setText(card.name, group.title);
  card.name.title = group.title;
  fillBadge(card.badge, state, group.facts?.state ?? WORDS[state]);
  setText(card.progress, `${number.format(group.counts.completed)} / ${number.format(total)} (${percent(group.counts.completed, total)})`);
  for (const [name, part] of card.parts) drawPart(part, group.counts[name], total);
  for (const [name, { tally, figure }] of card.tallies) {
    setText(figure, number.format(group.counts[name]));
    tally.classList.toggle("none", !group.counts[name]);
  }
  const { state: _, group: __, ...facts } = group.facts ?? {};
  setText(card.note, Object.values(facts).filter(Boolean).join(" · "));
  card.note.title = card.note.textContent;
}

// -- opening, and the keyboard ---------------------------------------------------------------------------------------

function openKey(key) {
  if (isListOfGroups()) return openGroup(key);
  const task = known.tasks.get(key);
  if (!task) return;
  setText($("detail-name"), task.name);
  fillBadge($("detail-badge"), task.state, WORDS[task.state]);
  const facts = [
    ["id", task.id, "mono"],
    ["group", known.groups.get(task.group)?.title],
    ["progress", progressText(task)],
    ["started", task.started_at_ms && dateAndClock.format(task.started_at_ms)],
    ["ended", task.ended_at_ms && dateAndClock.format(task.ended_at_ms)],
    ["took", tookText(task)],
    ["error", task.error, "error"],
    ["metadata", task.about, "mono"],
  ];
  $("detail-facts").replaceChildren(...facts.filter(([, value]) => value).flatMap(([name, value, kind]) =>
    [el("dt", "", name), el("dd", kind ?? "", String(value))]));
  $("detail").dataset.key = key;
  $("detail").showModal();
}

function focusKey(key) {
  const index = shown.indexOf(key);
  if (index >= 0) focusIndex(index);
}

function focusIndex(index) {
  const at = Math.max(0, Math.min(shown.length - 1, index));
  if (!shown.length) return;
  lastIndex = at;
  const height = cardHeight();
  const y = $("list").getBoundingClientRect().top + scrollY + Math.floor(at / columns) * (height + gapNow());
  const head = 61 + (getComputedStyle(document.querySelector(".tools")).position === "sticky" ? 70 : 0) + 10;
  if (y < scrollY + head) scrollTo(0, y - head);
  else if (y + height > scrollY + innerHeight) scrollTo(0, y + height + 16 - innerHeight);
  drawList();
  cards.get(shown[at])?.root.focus({ preventScroll: true });
}

function keepFocusNear(key) {
  // what had the focus has left the list (or only the window): its place is kept
  if (!shown.includes(key) && shown.length && lastIndex >= 0) focusIndex(Math.min(lastIndex, shown.length - 1));
}

function focusedIndex() {
  const key = document.activeElement?.dataset?.key;
  const index = key ? shown.indexOf(key) : -1;
  return index >= 0 ? index : lastIndex;
}

const KEYS = {
  "/": () => $("search").focus(),
  j: () => focusIndex(focusedIndex() + 1),
  k: () => focusIndex(Math.max(0, focusedIndex() - 1)),
  1: () => setState("all"),
  2: () => view.state === "pending" || setState("pending"),
  3: () => view.state === "running" || setState("running"),
  4: () => view.state === "completed" || setState("completed"),
  5: () => view.state === "failed" || setState("failed"),
  "?": () => $("help").showModal(),
  Escape: () => {
    if (view.query) search("");
    else if (view.group) leaveGroup();
    else if (view.state !== "all") setState("all");
  },
};

const MOVES = { ArrowDown: () => columns, ArrowUp: () => -columns, ArrowRight: () => 1, ArrowLeft: () => -1 };

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const target = event.target;
  if (target === $("search")) {
    if (event.key === "Escape") { search(""); target.blur(); } else if (event.key === "Enter" && shown.length) focusIndex(0);
    else return;
    event.preventDefault();
    return;
  }
  const key = target.dataset?.key;
  if (key && MOVES[event.key]) focusIndex(focusedIndex() + MOVES[event.key]());
  else if (key && (event.key === "Enter" || event.key === " ")) openKey(key);
  else if (KEYS[event.key]) KEYS[event.key]();
  else return;
  event.preventDefault();
});

addEventListener("focusin", (event) => {
  const key = event.target.dataset?.key;
  if (key && cards.has(key)) lastIndex = cards.get(key).index;
});

function search(text) {
  view.query = text;
  if ($("search").value !== text) $("search").value = text;
  writeAddress();
  refresh();
}

$("sort").onchange = () => {
  view.sort = $("sort").value;
  writeAddress();
  refresh();
};
$("search").addEventListener("input", () => search($("search").value));
$("retry").onclick = retryNow;
$("back").onclick = leaveGroup;
$("help-open").onclick = () => $("help").showModal();
for (const dialog of [$("detail"), $("help")]) {
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}
addEventListener("popstate", readAddress);
addEventListener("scroll", () => drawList(), { passive: true });
addEventListener("resize", refresh);

buildCounts();
readAddress();
connect();
