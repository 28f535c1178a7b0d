// Server-Sent Events that survive failures. The browser reconnects after a lost connection;
// this module reconnects after an error response.

import { mayBeLoggedOut, trouble } from "./api.js";

const RETRY_SECONDS = [1, 2, 4, 8];

/** Follow a stream. `handlers` get the data by event name; `onState` gets live, waiting or ended.
 * Returns a function that ends it. */
export function follow(url, handlers, onState = () => {}) {
  let source = null,
    timer = 0,
    tries = 0,
    lastId = "",
    over = false;
  const open = () => {
    const position = lastId ? `${url.includes("?") ? "&" : "?"}last_event_id=${encodeURIComponent(lastId)}` : "";
    source = new EventSource(url + position);
    source.addEventListener("open", () => {
      tries = 0;
      onState("live");
    });
    source.addEventListener("error", () => {
      if (over) return;
      onState("waiting");
      if (source.readyState !== EventSource.CLOSED) return; // the browser reconnects
      mayBeLoggedOut();
      timer = setTimeout(open, 1000 * RETRY_SECONDS[Math.min(tries++, RETRY_SECONDS.length - 1)]);
    });
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        lastId = event.lastEventId || lastId;
        handle(JSON.parse(event.data));
      });
    }
  };
  const end = () => {
    over = true;
    clearTimeout(timer);
    source?.close();
  };
  open();
  return end;
}

/** Follow one task to its outcome; `on` gets the name and data of each event. */
export function followTask(taskId, on, onState = () => {}) {
  const names = ["status", "progress", "completed", "failed", "cancelled"];
  const end = follow(
    `sse?task_id=${taskId}`,
    Object.fromEntries(
      names.map((name) => [
        name,
        (data) => {
          if (name !== "status" && name !== "progress") {
            end();
            onState("ended");
          }
          on(name, data);
        },
      ]),
    ),
    onState,
  );
  return end;
}

/** Do `work` now, and again `everySeconds` after its end; pause while the page is hidden. Returns { again, end }.
 * `work` gets true if a person asked for it. */
export function repeat(work, everySeconds) {
  let timer = 0,
    over = false;
  const wait = () => {
    clearTimeout(timer);
    if (!over && !document.hidden) timer = setTimeout(turn, 1000 * everySeconds, false);
  };
  const turn = async (isAsked) => {
    clearTimeout(timer);
    await work(isAsked);
    wait();
  };
  const turned = () => (document.hidden ? clearTimeout(timer) : turn(false));
  document.addEventListener("visibilitychange", turned);
  turn(true);
  return {
    again: () => turn(true),
    end: () => {
      over = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", turned);
    },
  };
}

// --- readings of the system: one stream for all pages, open only while a page needs it

const POINTS = 300,
  QUIET_SECONDS = 6,
  HANGS_SECONDS = 20;
const watchers = new Set();
let ending = 0,
  endStream = null,
  clock = 0,
  openedAt = 0,
  readAt = 0,
  isAsking = false;
/** `isStale`: the reading is old; `trouble`: the reason, set after some seconds: a short reconnect is not reported. */
export const system = { reading: null, rates: null, points: [], awaySince: {}, isStale: false, trouble: null };

function notifyWatchers() {
  for (const watch of [...watchers]) watch(system);
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
  for (const { name, state } of [reading.database, reading.broker])
    system.awaySince[name] = state === "ok" ? undefined : (system.awaySince[name] ?? reading.at);
  // points of a clock that was set back since would push out the new ones
  system.points = system.points.filter((each) => each.at <= point.at);
  addPoints([point]);
  notifyWatchers();
}

/** Judge by the age of the last reading: a frozen process or a dead network keeps the connection open. */
async function judge() {
  const now = performance.now(),
    quietSeconds = (now - readAt) / 1000;
  if (quietSeconds < QUIET_SECONDS || isAsking) return;
  if (now - openedAt > 1000 * HANGS_SECONDS) open();
  isAsking = true;
  const reason = await trouble();
  isAsking = false;
  // no page watches any more, or a reading has arrived
  if (!endStream || performance.now() - readAt < 1000 * QUIET_SECONDS) return;
  Object.assign(system, { isStale: true, trouble: reason });
  notifyWatchers();
}

function open() {
  endStream?.();
  openedAt = performance.now();
  endStream = follow("overview/stream", { history: addPoints, reading: onReading });
}

function start() {
  if (endStream || document.hidden || !watchers.size) return;
  readAt = performance.now();
  Object.assign(system, { isStale: true, trouble: null });
  open();
  clock = setInterval(judge, 1000);
  notifyWatchers();
}

function stop() {
  clearInterval(clock);
  endStream?.();
  endStream = null;
}

document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));

/** Watch the readings; returns a function that ends it. */
export function watchSystem(watch) {
  clearTimeout(ending);
  watchers.add(watch);
  start();
  watch(system);
  return () => {
    watchers.delete(watch);
    if (!watchers.size) ending = setTimeout(() => !watchers.size && stop(), 5000);
  };
}
