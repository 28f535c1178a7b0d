// Server-Sent Events that go on whatever happens: the browser comes back after a lost connection by itself, and we after an answer that is no stream.

import { mayBeLoggedOut } from "./api.js";

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

// --- the system's readings: one stream for all pages, only while one of them looks

const POINTS = 300;
const lookers = new Set();
let ending = 0, endStream = null;
export const system = { reading: null, rates: null, points: [], state: "waiting", awaySince: {} };

function tell() {
  for (const look of [...lookers]) look(system);
}

function addPoints(points) {
  const known = new Set(system.points.map((point) => point.at));
  system.points.push(...points.filter((point) => !known.has(point.at)));
  system.points.sort((a, b) => a.at - b.at);
  system.points.splice(0, Math.max(0, system.points.length - POINTS));
}

function start() {
  if (endStream || document.hidden || !lookers.size) return;
  endStream = follow("overview/stream", {
    history: (points) => { addPoints(points); },
    reading: (data) => {
      Object.assign(system, { reading: data.reading, rates: data.rates });
      for (const { name, state } of [data.reading.database, data.reading.broker]) system.awaySince[name] = state === "ok" ? undefined : system.awaySince[name] ?? data.reading.at;
      addPoints([data.point]);
      tell();
    },
  }, (state) => { system.state = state; tell(); });
}

function stop() {
  endStream?.();
  endStream = null;
}

document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));

/** Look at the readings; returns a function that looks away. */
export function watchSystem(look) {
  clearTimeout(ending);
  lookers.add(look);
  start();
  if (system.reading) look(system);
  return () => {
    lookers.delete(look);
    if (!lookers.size) ending = setTimeout(() => !lookers.size && stop(), 5000);
  };
}
