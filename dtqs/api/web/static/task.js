// One task, live: status, attempts, payload, result, files and log.

import { get, post } from "./api.js";
import { badge, confirm, h, note, put } from "./dom.js";
import { masked, percent, seconds, time, visible } from "./format.js";
import { followTask } from "./live.js";
import { bar, taskLink } from "./overview.js";
import { timeline } from "./timeline.js";
import { fileCard, fileId, files, json } from "./values.js";

const LOGS = 1000,
  PAGES_MOST = 100,
  KEPT = 1000,
  STEPS = 15;
const isDetail = (row) => row.event === "progress" || row.event === "log";
const hasEnded = (task) => ["completed", "failed", "cancelled"].includes(task.status);

export function taskPage(main, taskId, context) {
  const head = h("div"),
    progress = h("div"),
    error = h("div"),
    result = h("div"),
    line = h("div"),
    payload = h("div"),
    log = h("div"),
    live = h("span", { class: "hint", id: "live" });
  let task = null,
    rows = [],
    position = 0,
    left = 0,
    over = false,
    isReading = false,
    again = false,
    endStream = () => {},
    timer = 0;

  async function read() {
    if (isReading) {
      again = true;
      return;
    }
    isReading = true;
    try {
      task = await get(`tasks/${taskId}`);
      await readLog();
      if (!over) draw();
    } catch (problem) {
      if (!over) {
        if (!task)
          put(
            main,
            h("h1", {}, "Task"),
            h("p", { class: "banner bad" }, problem.message),
            h("p", {}, h("a", { href: "#/tasks" }, "Go to the tasks")),
          );
        else note(problem.message, true);
      }
    }
    isReading = false;
    if (again && !over) {
      again = false;
      read();
    }
  }

  async function readLog() {
    for (let page = 0; page < PAGES_MOST && !over; page++) {
      const { logs, next } = await get(`tasks/${taskId}/logs?limit=${LOGS}&after=${position}`);
      rows.push(...logs);
      if (logs.length) position = logs[logs.length - 1].id;
      trim();
      if (!next) return;
      if (page === 0 && !over) draw(); // show the task before the rest of a long log
    }
  }

  /** Keep the first and last row of every attempt, and only the newest rows in between. */
  function trim() {
    let surplus = rows.filter(isDetail).length - KEPT;
    if (surplus <= 0) return;
    left += surplus;
    rows = rows.filter((row) => !isDetail(row) || surplus-- <= 0);
  }

  function draw() {
    document.title = `${task.task_type} ${task.status.replace("_", " ")} – DTQS`;
    put(head, ...headParts(task, context, act));
    put(progress, progressPart(task));
    put(error, errorPart(task));
    put(result, resultPart(task));
    put(line, timeline(task, rows));
    put(payload, ...payloadPart(task));
    put(log, logPart(rows, left));
  }

  async function act(verb) {
    const effect = {
      cancel: `The ${task.status === "pending" ? "pending task is cancelled at once" : "running task is interrupted"}.`,
      retry: "This submits a new task with the same payload. The old task does not change.",
    }[verb];
    if (
      !(await confirm(
        `${verb === "cancel" ? "Cancel" : "Retry"} this task?`,
        verb === "cancel" ? `${effect} This cannot be undone.` : effect,
        verb === "cancel" ? "Cancel task" : "Retry task",
      ))
    )
      return;
    try {
      const answer = await post(`tasks/${taskId}/${verb}`);
      if (verb === "retry") location.hash = `#/tasks/${answer.task_id}`;
      else {
        note(answer.status === "cancelled" ? "Task cancelled." : "The worker is interrupting the task.");
        read();
      }
    } catch (problem) {
      note(problem.message, true);
      read();
    }
  }

  function onEvent(name, data) {
    if (over || !task) return;
    if (name === "progress") {
      task.progress = { fraction: data.fraction, message: data.message };
      put(progress, progressPart({ ...task, status: "in_progress" }));
      timer ||= setTimeout(() => {
        timer = 0;
        read();
      }, 1000); // read the log row of this progress, at most once a second
    } else if (name === "status") {
      if (data.status !== task.status || data.attempt !== task.attempt) read();
    } else {
      clearTimeout(timer);
      read();
    }
  }

  main.append(
    head,
    progress,
    error,
    result,
    h("section", { class: "card wide" }, h("h2", {}, "Attempts ", live), line),
    h("section", { class: "card wide" }, h("h2", {}, "Payload"), payload),
    h("section", { class: "card wide" }, h("h2", {}, "Log"), log),
  );
  read().then(() => {
    if (over || !task || hasEnded(task)) return;
    endStream = followTask(taskId, onEvent, (state) => {
      live.textContent = { live: "live", waiting: "connection lost; reconnecting", ended: "" }[state];
    });
  });
  return () => {
    over = true;
    clearTimeout(timer);
    endStream();
  };
}

function headParts(task, context, act) {
  const isOpen = !hasEnded(task),
    fact = (title, value) =>
      value === null || value === undefined || value === ""
        ? null
        : h("div", {}, h("dt", {}, title), h("dd", {}, value));
  const wait = task.started_at ? (new Date(task.started_at) - new Date(task.due_at || task.created_at)) / 1000 : null;
  return [
    h("p", { class: "crumbs" }, h("a", { href: "#/tasks" }, "Tasks"), " / ", task.task_type),
    h(
      "div",
      { class: "line title" },
      h("h1", {}, task.task_type),
      h("span", { id: "task-status" }, badge(task.status)),
      h(
        "div",
        { class: "push row" },
        context.may("submit") && isOpen
          ? h("button", { class: "plain", id: "cancel", onclick: () => act("cancel") }, "Cancel")
          : null,
        context.may("submit") && (task.status === "failed" || task.status === "cancelled")
          ? h("button", { class: "main", id: "retry", onclick: () => act("retry") }, "Retry")
          : null,
        context.may("submit")
          ? h("a", { class: "button plain", href: `#/submit/${task.task_id}` }, "Submit a copy")
          : null,
      ),
    ),
    h(
      "dl",
      { class: "facts-list" },
      fact("Id", h("code", { class: "id" }, task.task_id)),
      fact("Submitted", time(task.created_at)),
      fact("Due", task.due_at ? time(task.due_at) : null),
      fact(
        "Started",
        task.started_at ? `${time(task.started_at)}${task.attempt <= 1 ? `, after ${seconds(wait)}` : ""}` : null,
      ),
      fact(
        isOpen ? "Attempt" : "Ended",
        isOpen
          ? `${task.attempt} of ${task.max_retries + 1}`
          : `${time(task.finished_at)}, attempt ${task.attempt} of ${task.max_retries + 1}`,
      ),
      fact(
        "Duration",
        task.finished_at && task.started_at
          ? seconds((new Date(task.finished_at) - new Date(task.started_at)) / 1000)
          : null,
      ),
      fact("Priority", task.priority),
      fact("Tags", task.tags.length ? visible(task.tags.join(", ")) : null),
      fact("Retry of", task.retry_of ? taskLink(task.retry_of) : null),
      fact("Request", task.request_id ? visible(task.request_id) : null),
    ),
  ];
}

function progressPart(task) {
  if (task.status !== "in_progress" || !task.progress) return null;
  return h(
    "div",
    { class: "card wide", id: "progress" },
    bar(task.progress.fraction, "Progress of this task"),
    h("p", {}, h("b", {}, percent(task.progress.fraction)), " ", visible(task.progress.message || "")),
  );
}

function errorPart(task) {
  if (!task.error || task.status === "completed") return null;
  const { transient } = task.error;
  const kind = { true: ", transient: a retry may help", false: ", permanent: a retry cannot help" }[transient] || "";
  const details = Object.fromEntries(
    Object.entries(task.error).filter(([name]) => !["message", "type", "transient"].includes(name)),
  );
  return h(
    "section",
    { class: "banner bad", id: "error" },
    h(
      "div",
      {},
      h("strong", {}, task.status === "failed" ? "Failed: " : "The last attempt failed: "),
      visible(task.error.message || ""),
      h("p", { class: "hint" }, `${visible(task.error.type || "")}${kind}`),
      Object.keys(details).length ? json(details) : null,
    ),
  );
}

function resultPart(task) {
  if (task.status !== "completed") return null;
  const found = files(task.result);
  return h(
    "section",
    { class: "card wide", id: "result" },
    h("h2", {}, "Result"),
    found.length ? h("div", { class: "files" }, found.map(fileCard)) : null,
    found.length
      ? h("details", { id: "whole-result" }, h("summary", {}, "Full result"), json(task.result))
      : json(task.result),
  );
}

function payloadPart(task) {
  const source = fileId(task.payload?.source);
  return [json(task.payload), source ? h("p", {}, h("a", { href: `files/${source}` }, "Source file")) : null];
}

function logPart(rows, left) {
  if (!rows.length) return h("p", { class: "empty" }, "The log is empty. A light task gets its only row when it ends.");
  const steps = rows.filter((row) => row.event === "progress"),
    isLong = steps.length > STEPS;
  return [
    left ? h("p", { class: "hint" }, `${left} older rows of progress and processor logs are left out.`) : null,
    logTable(isLong ? rows.filter((row) => row.event !== "progress") : rows),
    isLong ? h("details", { id: "steps" }, h("summary", {}, `${steps.length} progress rows`), logTable(steps)) : null,
  ];
}

function logTable(rows) {
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { class: "log" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ["Time", "Attempt", "Event", "Message"].map((title) => h("th", { scope: "col" }, title)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            { class: row.level },
            h("td", {}, h("time", { datetime: row.at }, time(row.at))),
            h("td", {}, row.attempt ?? ""),
            h("td", {}, row.event.replace("_", " ")),
            h(
              "td",
              { class: "message" },
              visible(row.message || ""),
              row.event === "log" && row.data ? h("code", {}, " ", visible(JSON.stringify(masked(row.data)))) : null,
            ),
          ),
        ),
      ),
    ),
  );
}
