// All worker processes: state, current task, counters.

import { h, put } from "./dom.js";
import { bytes, count, percent, seconds, short, visible } from "./format.js";
import { watchSystem } from "./live.js";
import { bar, taskLink } from "./overview.js";
import { quietPart } from "./quiet.js";

export function workersPage(main) {
  const quiet = h("div"),
    body = h("div");
  main.append(h("h1", {}, "Workers"), quiet, body);
  return watchSystem((system) => {
    const { reading } = system,
      isOld = system.isStale || !reading;
    put(quiet, isOld && !system.trouble ? quietPart(system) : null);
    body.classList.toggle("stale", isOld);
    if (isOld) return;
    if (!reading.workers)
      return put(body, h("p", { class: "banner bad" }, `PostgreSQL is away: ${reading.database.words}`));
    put(body, ...parts(reading));
  });
}

function parts({ workers, processes, more_workers: more }) {
  const nodes = new Map();
  for (const worker of workers) {
    if (!nodes.has(worker.node_name)) nodes.set(worker.node_name, []);
    nodes.get(worker.node_name).push(worker);
  }
  const made = [...nodes].map(([node, all]) =>
    h(
      "section",
      { class: "card wide", "data-key": node },
      h(
        "h2",
        {},
        node,
        h("span", { class: "hint" }, ` ${all.filter((one) => one.task_id).length} of ${all.length} busy`),
      ),
      h(
        "div",
        { class: "scroll" },
        h(
          "table",
          { class: "stack" },
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              ["Worker", "State", "Task", "Progress", "Running for", "Memory", "Completed", "Failed", "Heartbeat"].map(
                (title) => h("th", { scope: "col" }, title),
              ),
            ),
          ),
          h("tbody", {}, all.sort((a, b) => a.pool.localeCompare(b.pool) || a.slot - b.slot).map(row)),
        ),
      ),
    ),
  );
  if (more) made.push(h("p", { class: "hint" }, `and ${count(more)} more workers`));
  if (!workers.length) made.push(h("p", { class: "banner bad" }, "No worker is running."));
  made.push(
    h(
      "section",
      { class: "card" },
      h("h2", {}, "Keepers and API processes"),
      h(
        "ul",
        { class: "list" },
        (processes || []).map((one) =>
          h(
            "li",
            {},
            h(
              "div",
              { class: "line" },
              h("b", {}, one.role),
              h("span", {}, one.node_name),
              h("span", { class: "hint push" }, `last counters ${seconds(one.age_seconds)} ago`),
            ),
          ),
        ),
      ),
    ),
  );
  return made;
}

function row(worker) {
  const cell = (title, ...children) => h("td", { "data-title": title }, ...children);
  return h(
    "tr",
    { "data-key": worker.worker_id },
    h(
      "th",
      { scope: "row", title: worker.worker_id },
      `${worker.pool} ${worker.slot}`,
      h("span", { class: "hint" }, ` pid ${worker.pid}`),
    ),
    cell(
      "State",
      h(
        "span",
        { class: `badge ${{ busy: "in_progress", ready: "completed" }[worker.state] || "pending"}` },
        worker.state,
      ),
    ),
    cell("Task", worker.task_id ? [h("b", {}, worker.task_type || ""), " ", taskLink(worker.task_id)] : "–"),
    cell(
      "Progress",
      worker.fraction === null
        ? "–"
        : [
            bar(worker.fraction, `Progress of ${worker.task_type} ${short(worker.task_id)}`),
            h("span", { class: "hint" }, ` ${percent(worker.fraction)} ${visible(worker.message || "")}`),
          ],
    ),
    cell("Running for", worker.task_id ? seconds(worker.busy_seconds) : "–"),
    cell("Memory", bytes(worker.memory_bytes)),
    cell("Completed", count(worker.completed)),
    cell("Failed", count(worker.failed)),
    cell("Heartbeat", h("span", { class: worker.late ? "why" : null }, `${seconds(worker.age_seconds)} ago`)),
  );
}
