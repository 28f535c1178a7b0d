// Server-Sent Events that go on whatever happens: the browser comes back after a lost connection by itself, and we after an answer that is no stream.

import { mayBeLoggedOut, trouble } from "./api.js";

const RETRY_SECONDS = [1, 2, 4, 8];

/** Follow a stream. `handlers` by event name get the data; `onState` is told live, waiting or ended. Returns a function that ends it. */
export function follow(url, handlers, onState = () => {}) {
  let source = null, timer = 0, tries = 0, lastId = "", over = false;
  const open = () => {
    const position = lastId ? `${url.includes("?") ? "&" : "?"}last_event_id=${encodeURIComponent(lastId)}` : "";
    source = new EventSource(url + position);
    source.addEventListener("open", () => { tries = 0; onState("live"); });
    source.addEventListener("error", () => {
      if (over) return;
      onState("waiting");
      if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself
      mayBeLoggedOut();
      timer = setTimeout(open, 1000 * RETRY_SECONDS[Math.min(tries++, RETRY_SECONDS.length - 1)]);
    });
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => { lastId = event.lastEventId || lastId; handle(JSON.parse(event.data)); });
    }
  };
  const end = () => { over = true; clearTimeout(timer); source?.close(); };
  open();
  return end;
}

/** Follow one task to its end; `on` gets the event's name and data. */
export function followTask(taskId, on, onState = () => {}) {
  const names = ["status", "progress", "completed", "failed", "cancelled"];
  const end = follow(`sse?task_id=${taskId}`, Object.fromEntries(names.map((name) => [name, (data) => {
    if (name !== "status" && name !== "progress") { end(); onState("ended"); }
    on(name, data);
  }])), onState);
  return end;
}

/** Do something now, and again so long after it has ended; not while the page is not in front. `work` is told whether somebody asked for it. Returns { again, end }. */
export function repeat(work, everySeconds) {
  let timer = 0, over = false;
  const wait = () => { clearTimeout(timer); if (!over && !document.hidden) timer = setTimeout(turn, 1000 * everySeconds, false); };
  const turn = async (isAsked) => { clearTimeout(timer); await work(isAsked); wait(); };
  const turned = () => (document.hidden ? clearTimeout(timer) : turn(false));
  document.addEventListener("visibilitychange", turned);
  turn(true);
  return { again: () => turn(true), end: () => { over = true; clearTimeout(timer); document.removeEventListener("visibilitychange", turned); } };
}

// --- the system's readings: one stream for all pages, only while one of them looks

const POINTS = 300, QUIET_SECONDS = 6, HANGS_SECONDS = 20;
const lookers = new Set();
let ending = 0, endStream = null, clock = 0, openedAt = 0, readAt = 0, isAsking = false;
/** `isStale`: the reading is not of now; `trouble`: why, once it has been so for some seconds. A stream that ends and goes on at once is nothing to tell. */
export const system = { reading: null, rates: null, points: [], awaySince: {}, isStale: false, trouble: null };

function tell() {
  for (const look of [...lookers]) look(system);
}

function addPoints(points) {
  const known = new Set(system.points.map((point) => point.at));
  system.points.push(...points.filter((point) => !known.has(point.at)));
  system.points.sort((a, b) => a.at - b.at);
  system.points.splice(0, Math.max(0, system.points.length - POINTS));
}

function onReading({ reading, rates, point }) {
  readAt = performance.now();
  Object.assign(system, { reading, rates, isStale: false, trouble: null });
  for (const { name, state } of [reading.database, reading.broker]) system.awaySince[name] = state === "ok" ? undefined : system.awaySince[name] ?? reading.at;
  addPoints([point]);
  tell();
}

/** A connection alone tells nothing: a process that stands still keeps it, and so does a network that is gone. */
async function judge() {
  const now = performance.now(), quietSeconds = (now - readAt) / 1000;
  if (quietSeconds < QUIET_SECONDS || isAsking) return;
  if (now - openedAt > 1000 * HANGS_SECONDS) open();
  isAsking = true;
  const words = await trouble();
  isAsking = false;
  if (!endStream || performance.now() - readAt < 1000 * QUIET_SECONDS) return; // meanwhile nobody looks, or a reading came
  Object.assign(system, { isStale: true, trouble: words });
  tell();
}

function open() {
  endStream?.();
  openedAt = performance.now();
  endStream = follow("overview/stream", { history: addPoints, reading: onReading });
}

function start() {
  if (endStream || document.hidden || !lookers.size) return;
  readAt = performance.now();
  Object.assign(system, { isStale: true, trouble: null });
  open();
  clock = setInterval(judge, 1000);
  tell();
}

function stop() {
  clearInterval(clock);
  endStream?.();
  endStream = null;
}

document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));

/** Look at the readings; returns a function that looks away. */
export function watchSystem(look) {
  clearTimeout(ending);
  lookers.add(look);
  start();
  look(system);
  return () => {
    lookers.delete(look);
    if (!lookers.size) ending = setTimeout(() => !lookers.size && stop(), 5000);
  };
}
