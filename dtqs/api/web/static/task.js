// One task, live: status, attempts, payload, result, files and log.

import { get, post } from "./api.js";
import { confirm, h, note, put } from "./dom.js";
import { followTask, persist, watchPage, withoutStream } from "./live.js";
import { errorPart, hasEnded, headParts, logPart, payloadPart, progressPart, resultPart } from "./taskview.js";
import { timeline } from "./timeline.js";

const LOGS = 1000,
  PAGES_MOST = 100,
  KEPT = 1000;
const isDetail = (row) => row.event === "progress" || row.event === "log";

export function taskPage(main, taskId, context) {
  const names = ["trouble", "head", "progress", "error", "result", "line", "payload", "log", "logTrouble"];
  const places = Object.fromEntries(names.map((name) => [name, h("div")])),
    live = h("span", { class: "hint", id: "live" }),
    card = (title, ...content) => h("section", { class: "card wide" }, h("h2", {}, ...title), content);
  const cards = h(
    "div",
    { hidden: true },
    card(["Attempts ", live], places.line),
    card(["Payload"], places.payload),
    card(["Log"], places.logTrouble, places.log),
  );
  const log = new Log(taskId);
  let task = null,
    over = false,
    endStream = null,
    timer = 0;

  async function read() {
    const found = await get(`tasks/${taskId}`);
    if (over) return;
    put(places.trouble);
    take(found);
    endStream ??= hasEnded(task) ? () => {} : stream();
  }

  /** Show a new record of the task, then read its log. The log may fail alone. */
  function take(found) {
    // an answer that was asked for before the outcome may come after it
    if (!task || !hasEnded(task)) task = found;
    draw();
    reading.log.again();
  }

  async function readLog() {
    await log.read(() => over || drawLog());
    put(places.logTrouble);
  }

  function stream() {
    const endSaving = withoutStream();
    const end = followTask(taskId, onEvent, (state) => {
      live.textContent = { live: "live", waiting: "connection lost; reconnecting", ended: "" }[state];
      if (state === "ended") endSaving();
    });
    return () => {
      end();
      endSaving();
    };
  }

  function onTrouble(problem) {
    put(places.trouble, troublePart(problem));
    if (!task) put(places.head, h("h1", {}, "Task"), h("p", {}, h("a", { href: "#/tasks" }, "Go to the tasks")));
  }

  function draw() {
    document.title = `${task.task_type} ${task.status.replace("_", " ")} – DTQS`;
    cards.hidden = false;
    drawTimes();
    put(places.progress, progressPart(task));
    put(places.error, errorPart(task));
    // neither value changes: a large one is not built again each second
    if (!places.result.hasChildNodes()) put(places.result, resultPart(task));
    if (!places.payload.hasChildNodes()) put(places.payload, ...payloadPart(task));
  }

  function drawTimes() {
    put(places.head, ...headParts(task, context, act));
    put(places.line, timeline(task, log.rows));
  }

  function drawLog() {
    put(places.line, timeline(task, log.rows));
    put(places.log, logPart(log.rows, log.left));
  }

  async function act(verb) {
    const effect = {
      cancel: `The ${task.status === "pending" ? "pending task is cancelled at once" : "running task is interrupted"}.`,
      retry: "This submits a new task with the same payload. The old task does not change.",
    }[verb];
    const isAgreed = await confirm(
      `${verb === "cancel" ? "Cancel" : "Retry"} this task?`,
      verb === "cancel" ? `${effect} This cannot be undone.` : effect,
      verb === "cancel" ? "Cancel task" : "Retry task",
    );
    if (!isAgreed) return;
    try {
      const answer = await post(`tasks/${taskId}/${verb}`);
      if (verb === "retry") location.hash = `#/tasks/${answer.task_id}`;
      else note(answer.status === "cancelled" ? "Task cancelled." : "The worker is interrupting the task.");
    } catch (problem) {
      note(problem.message, true);
    }
    reading.task.again();
  }

  function onEvent(name, data) {
    if (over) return;
    if (name === "progress") {
      task.progress = { fraction: data.fraction, message: data.message };
      put(places.progress, progressPart({ ...task, status: "in_progress" }));
      timer ||= setTimeout(() => {
        timer = 0;
        if (!document.hidden) reading.log.again();
      }, 1000); // read the log row of this progress, at most once a second
    } else if (name !== "status") take(data);
    else if (data.status !== task.status || data.attempt !== task.attempt) reading.task.again();
  }

  main.append(places.trouble, places.head, places.progress, places.error, places.result, cards);
  const reading = { log: { again() {}, end() {} } };
  reading.log = persist(
    async () => task && readLog(),
    (problem) => put(places.logTrouble, troublePart(problem)),
  );
  reading.task = persist(read, onTrouble);
  const isOpen = () => task && !hasEnded(task),
    clock = setInterval(() => isOpen() && !document.hidden && drawTimes(), 1000),
    endWatch = watchPage((isVisible) => isVisible && isOpen() && reading.task.again());
  return () => {
    over = true;
    clearTimeout(timer);
    clearInterval(clock);
    endWatch();
    for (const one of Object.values(reading)) one.end();
    endStream?.();
  };
}

const troublePart = (problem) =>
  h("p", { class: "banner bad", role: "alert" }, `${problem.message}${problem.mayPass ? "; retrying." : ""}`);

/** The rows of a task's log as far as they are read. */
class Log {
  constructor(taskId) {
    Object.assign(this, { taskId, rows: [], left: 0, position: 0 });
  }

  /** Read the new rows. `onPage` is called after each page and may return true to end. */
  async read(onPage) {
    for (let page = 0; page < PAGES_MOST; page++) {
      const { logs, next } = await get(`tasks/${this.taskId}/logs?limit=${LOGS}&after=${this.position}`);
      this.rows.push(...logs);
      if (logs.length) this.position = logs[logs.length - 1].id;
      this.trim();
      if (onPage() || !next) return;
    }
  }

  /** Keep the first and last row of every attempt, and only the newest rows in between. */
  trim() {
    let surplus = this.rows.filter(isDetail).length - KEPT;
    if (surplus <= 0) return;
    this.left += surplus;
    this.rows = this.rows.filter((row) => !isDetail(row) || surplus-- <= 0);
  }
}
