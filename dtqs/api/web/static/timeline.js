// A task's attempts on one line of time, told from its log: a heavy attempt has a row when it begins, every one a row when it ends.

import { h, icon } from "./dom.js";
import { percent, seconds, short, visible } from "./format.js";

const at = (text) => new Date(text).getTime();

/** Attempts in their order: {number, from, to, outcome, message, worker}. */
export function attempts(task, rows) {
  const found = new Map();
  const get = (number) => found.get(number) || found.set(number, { number, from: null, to: null, outcome: null, message: null, worker: null }).get(number);
  for (const row of rows) {
    if (row.attempt === null || row.attempt === undefined || row.event === "log" || row.event === "progress") continue;
    if (row.event === "in_progress") Object.assign(get(row.attempt), { from: at(row.at), worker: row.worker_id, to: null, outcome: null });
    else if (row.attempt > 0) Object.assign(get(row.attempt), { to: at(row.at), outcome: row.event === "pending" ? (row.data ? "failed" : "given back") : row.event, message: row.message, worker: row.worker_id || get(row.attempt).worker });
  }
  if (task.started_at && task.attempt) get(task.attempt).from ??= at(task.started_at);
  const last = found.get(task.attempt);
  if (last && task.finished_at) { // however much of its log was read
    last.to ??= at(task.finished_at);
    last.outcome ??= task.status;
  }
  return [...found.values()].sort((a, b) => a.number - b.number);
}

export function timeline(task, rows) {
  const list = attempts(task, rows);
  if (!list.length) return h("p", { class: "empty" }, task.status === "pending" ? `It waits${task.due_at && at(task.due_at) > Date.now() ? ` for ${seconds((at(task.due_at) - Date.now()) / 1000)} more` : ""}.` : "No attempt was made.");
  const begin = at(task.created_at), end = Math.max(begin + 1, ...list.map((one) => one.to || one.from || 0), task.finished_at ? at(task.finished_at) : Date.now());
  const place = (moment) => (100 * (moment - begin)) / (end - begin);
  return h("div", {},
    h("div", { class: "timeline", "aria-hidden": "true" }, list.filter((one) => one.from !== null).map((one) => {
      const width = Math.max(0.6, place(one.to || end) - place(one.from));
      return h("i", { class: one.outcome === "completed" ? "good" : one.outcome === null ? "now" : one.outcome === "failed" ? "bad" : "dim", title: `attempt ${one.number}`, style: { left: `${Math.min(99.4, place(one.from))}%`, width: `${width}%` } });
    })),
    h("div", { class: "axis" }, h("span", {}, "submitted"), h("span", {}, `${task.finished_at ? "ended" : "now"}, after ${seconds((end - begin) / 1000)}`)),
    h("ol", { class: "list attempts" }, list.map((one) => h("li", {},
      h("div", { class: "line" }, h("b", {}, `Attempt ${one.number}`),
        h("span", { class: `badge ${{ completed: "completed", failed: "failed", cancelled: "cancelled" }[one.outcome] || (one.outcome ? "pending" : "in_progress")}` }, icon({ completed: "completed", failed: "failed", cancelled: "cancelled" }[one.outcome] || (one.outcome ? "pending" : "in_progress")), one.outcome || "running"),
        h("span", { class: "hint" }, one.from !== null ? `began after ${seconds((one.from - begin) / 1000)}${one.to ? `, took ${seconds((one.to - one.from) / 1000)}` : task.progress ? `, ${percent(task.progress.fraction)} done` : ""}` : ""),
        one.worker ? h("span", { class: "hint push", title: one.worker }, `worker ${short(one.worker)}`) : null),
      one.message ? h("div", { class: "why" }, visible(one.message)) : null))));
}
