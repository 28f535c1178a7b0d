// Server-Sent Events that survive failures, and repeated requests. The browser reconnects after a lost connection;
// this module reconnects after an error response. A hidden page has no stream: a browser has only six connections.

import { get, mayBeLoggedOut, Problem, trouble } from "./api.js";
import { learnAhead } from "./clock.js";
import { read } from "./exact.js";

const RETRY_SECONDS = [1, 2, 4, 8];
const pauseOf = (tries) => 1000 * RETRY_SECONDS[Math.min(tries, RETRY_SECONDS.length - 1)];

/** Call `onTurn` with true when the page becomes visible, false when it is hidden. Returns a function that ends it. */
export function watchPage(onTurn) {
  const turned = () => onTurn(!document.hidden);
  document.addEventListener("visibilitychange", turned);
  return () => document.removeEventListener("visibilitychange", turned);
}

/** Follow a stream while the page is visible. `handlers` get the data by event name; `onState` gets live, waiting or
 * ended. Returns a function that ends it. */
export function follow(url, handlers, onState = () => {}) {
  let source = null,
    timer = 0,
    tries = 0,
    lastId = "";
  const open = () => {
    const position = lastId ? `${url.includes("?") ? "&" : "?"}last_event_id=${encodeURIComponent(lastId)}` : "";
    const mine = (source = new EventSource(url + position));
    mine.addEventListener("open", () => {
      tries = 0;
      onState("live");
    });
    mine.addEventListener("error", () => {
      if (mine !== source) return;
      onState("waiting");
      if (source.readyState !== EventSource.CLOSED) return; // the browser reconnects
      mayBeLoggedOut();
      timer = setTimeout(open, pauseOf(tries++));
    });
    for (const [name, handle] of Object.entries(handlers)) {
      mine.addEventListener(name, (event) => {
        if (mine !== source) return;
        lastId = event.lastEventId || lastId;
        handle(read(event.data));
      });
    }
  };
  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const endWatch = watchPage((isVisible) => {
    close();
    if (isVisible) open();
  });
  if (!document.hidden) open();
  return () => {
    endWatch();
    close();
  };
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

/** Do `work` until it succeeds, with growing pauses, in which the page must be visible. `onTrouble` gets each Problem.
 * Returns { again, end }: `again` does it once more, after the present turn. */
export function persist(work, onTrouble) {
  let isBusy = false,
    isWanted = false,
    over = false,
    tries = 0,
    timer = 0;
  const turn = async () => {
    clearTimeout(timer);
    isWanted = isBusy;
    if (isBusy || over) return;
    isBusy = true;
    try {
      await work();
      tries = 0;
    } catch (problem) {
      if (!(problem instanceof Problem)) reportError(problem);
      else if (!over) later(problem);
    }
    isBusy = false;
    if (isWanted) turn();
  };
  const later = (problem) => {
    onTrouble(problem);
    tries = problem.mayPass ? tries + 1 : 0;
    if (tries && !document.hidden) timer = setTimeout(turn, pauseOf(tries - 1));
  };
  const endWatch = watchPage((isVisible) => {
    clearTimeout(timer);
    if (isVisible && tries) turn();
  });
  turn();
  return {
    again: turn,
    end: () => {
      over = true;
      clearTimeout(timer);
      endWatch();
    },
  };
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
  const endWatch = watchPage((isVisible) => (isVisible ? turn(false) : clearTimeout(timer)));
  turn(true);
  return {
    again: () => turn(true),
    end: () => {
      over = true;
      clearTimeout(timer);
      endWatch();
    },
  };
}

// --- readings of the system: one stream for all pages, open only while a page needs it

const POINTS = 300,
  QUIET_SECONDS = 6,
  HANGS_SECONDS = 20,
  FRUGAL_SECONDS = 1.5;
const watchers = new Set();
let ending = 0,
  endStream = null,
  clock = 0,
  openedAt = 0,
  readAt = 0,
  isAsking = false,
  frugal = 0;
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
  learnAhead(reading.clock_ahead_seconds);
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
  endStream = frugal
    ? repeat(() => get("overview").then(onReading, () => {}), FRUGAL_SECONDS).end
    : follow("overview/stream", { history: addPoints, reading: onReading });
}

/** Ask for readings one by one while a page has a stream of its own. Returns a function that ends it. */
export function withoutStream() {
  let isOver = false;
  frugal += 1;
  if (endStream) open();
  return () => {
    if (isOver) return;
    isOver = true;
    frugal -= 1;
    if (endStream && !frugal) open();
  };
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

watchPage((isVisible) => (isVisible ? start() : stop()));

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
