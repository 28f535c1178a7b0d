// The parts of a task's page: elements from a task and the rows of its log; without state.

import { badge, h } from "./dom.js";
import { brief, clipped, percent, seconds, since, time, visible } from "./format.js";
import { bar, taskLink } from "./overview.js";
import { FILES, fileCard, fileId, files, json } from "./values.js";

const STEPS = 15,
  DATA_CHARACTERS = 2000;

/** Tell whether a task has its outcome, which never changes. */
export const hasEnded = (task) => ["completed", "failed", "cancelled"].includes(task.status);

export function headParts(task, context, act) {
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
      fact("Duration", duration(task)),
      fact("Priority", task.priority),
      fact("Tags", task.tags.length ? visible(task.tags.join(", ")) : null),
      fact("Retry of", task.retry_of ? taskLink(task.retry_of) : null),
      fact("Request", task.request_id ? visible(task.request_id) : null),
    ),
  ];
}

/** Return the length of the last attempt, so far if it runs; null before the first one. */
export function duration(task) {
  if (!task.started_at) return null;
  if (task.finished_at) return seconds(since(task.started_at, new Date(task.finished_at).getTime()));
  return task.status === "in_progress" ? seconds(since(task.started_at)) : null;
}

export function progressPart(task) {
  if (task.status !== "in_progress" || !task.progress) return null;
  return h(
    "div",
    { class: "card wide", id: "progress" },
    bar(task.progress.fraction, "Progress of this task"),
    h("p", {}, h("b", {}, percent(task.progress.fraction)), " ", visible(task.progress.message || "")),
  );
}

export function errorPart(task) {
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
      clipped(task.error.message || ""),
      h("p", { class: "hint" }, `${visible(task.error.type || "")}${kind}`),
      Object.keys(details).length ? json(details) : null,
    ),
  );
}

export function resultPart(task) {
  if (task.status !== "completed") return null;
  const found = files(task.result),
    value = json(task.result, `tasks/${task.task_id}`);
  return h(
    "section",
    { class: "card wide", id: "result" },
    h("h2", {}, "Result"),
    found.length ? h("div", { class: "files" }, found.map(fileCard)) : null,
    found.length < FILES ? null : h("p", { class: "hint" }, `Only the first ${FILES} files are shown.`),
    found.length ? h("details", { id: "whole-result" }, h("summary", {}, "Full result"), value) : value,
  );
}

export function payloadPart(task) {
  const source = fileId(task.payload?.source);
  return [
    json(task.payload, `tasks/${task.task_id}`),
    source ? h("p", {}, h("a", { href: `files/${source}` }, "Source file")) : null,
  ];
}

export function logPart(rows, left) {
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
            { class: row.level, "data-key": row.id },
            h("td", {}, h("time", { datetime: row.at }, time(row.at))),
            h("td", {}, row.attempt ?? ""),
            h("td", {}, row.event.replace("_", " ")),
            h(
              "td",
              { class: "message" },
              clipped(row.message || ""),
              row.event === "log" && row.data ? h("code", {}, " ", brief(row.data, DATA_CHARACTERS)) : null,
            ),
          ),
        ),
      ),
    ),
  );
}
