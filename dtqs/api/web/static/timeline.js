// A timeline of the attempts, computed from the log. Every attempt has a last row; only a heavy one has a first row.

import { now } from "./clock.js";
import { h, icon } from "./dom.js";
import { clipped, percent, seconds, short } from "./format.js";

const at = (text) => new Date(text).getTime();

/** Return the attempts in order: {number, from, to, outcome, message, worker}. */
export function attempts(task, rows) {
  const found = new Map();
  const get = (number) =>
    found.get(number) ||
    found.set(number, { number, from: null, to: null, outcome: null, message: null, worker: null }).get(number);
  for (const row of rows) {
    if (row.attempt === null || row.attempt === undefined || row.event === "log" || row.event === "progress") continue;
    if (row.event === "in_progress")
      Object.assign(get(row.attempt), { from: at(row.at), worker: row.worker_id, to: null, outcome: null });
    else if (row.attempt > 0)
      Object.assign(get(row.attempt), {
        to: at(row.at),
        outcome: row.event === "pending" ? (row.data ? "failed" : "given back") : row.event,
        message: row.message,
        worker: row.worker_id || get(row.attempt).worker,
      });
  }
  if (task.started_at && task.attempt) get(task.attempt).from ??= at(task.started_at);
  const last = found.get(task.attempt);
  if (last && task.finished_at) {
    // also if the log is incomplete
    last.to ??= at(task.finished_at);
    last.outcome ??= task.status;
  }
  return [...found.values()].sort((a, b) => a.number - b.number);
}

/** Return the status whose badge fits the end of an attempt. A given-back attempt counts as pending. */
function statusOf(attempt) {
  if (["completed", "failed", "cancelled"].includes(attempt.outcome)) return attempt.outcome;
  return attempt.outcome ? "pending" : "in_progress";
}

function timesOf(attempt, begin, task) {
  if (attempt.from === null) return "";
  const start = `started after ${seconds((attempt.from - begin) / 1000)}`;
  if (attempt.to) return `${start}, took ${seconds((attempt.to - attempt.from) / 1000)}`;
  const running = `${start}, running for ${seconds((now() - attempt.from) / 1000)}`;
  return task.progress ? `${running}, ${percent(task.progress.fraction)} done` : running;
}

export function timeline(task, rows) {
  const list = attempts(task, rows);
  const dueIn = task.due_at ? Math.max(0, at(task.due_at) - now()) / 1000 : 0;
  if (!list.length)
    return h(
      "p",
      { class: "empty" },
      task.status === "pending" ? `No attempts yet${dueIn ? `; due in ${seconds(dueIn)}` : ""}.` : "No attempts.",
    );
  const begin = at(task.created_at),
    end = Math.max(
      begin + 1,
      ...list.map((one) => one.to || one.from || 0),
      task.finished_at ? at(task.finished_at) : now(),
    );
  const place = (moment) => (100 * (moment - begin)) / (end - begin);
  return h(
    "div",
    {},
    h(
      "div",
      { class: "timeline", "aria-hidden": "true" },
      list
        .filter((one) => one.from !== null)
        .map((one) => {
          const width = Math.max(0.6, place(one.to || end) - place(one.from));
          return h("i", {
            class: one.outcome === null ? "now" : { completed: "good", failed: "bad" }[one.outcome] || "dim",
            title: `attempt ${one.number}`,
            style: { left: `${Math.min(99.4, place(one.from))}%`, width: `${width}%` },
          });
        }),
    ),
    h(
      "div",
      { class: "axis" },
      h("span", {}, "submitted"),
      h("span", {}, `${task.finished_at ? "ended" : "now"}, after ${seconds((end - begin) / 1000)}`),
    ),
    h(
      "ol",
      { class: "list attempts" },
      list.map((one) =>
        h(
          "li",
          { "data-key": one.number },
          h(
            "div",
            { class: "line" },
            h("b", {}, `Attempt ${one.number}`),
            h("span", { class: `badge ${statusOf(one)}` }, icon(statusOf(one)), one.outcome || "running"),
            h("span", { class: "hint" }, timesOf(one, begin, task)),
            one.worker ? h("span", { class: "hint push", title: one.worker }, `worker ${short(one.worker)}`) : null,
          ),
          one.message ? h("div", { class: "why" }, clipped(one.message)) : null,
        ),
      ),
    ),
  );
}
