// The overview: health, rates, running tasks, recent failures and backlog.

import { alarmsPart } from "./alarms.js";
import { get } from "./api.js";
import { chart } from "./charts.js";
import { badge, h, icon, put } from "./dom.js";
import { ago, clipped, count, percent, rate, seconds, short, since, visible } from "./format.js";
import { repeat, watchSystem } from "./live.js";
import { quietPart } from "./quiet.js";

export const taskLink = (id, text = short(id)) => h("a", { href: `#/tasks/${id}`, title: id, class: "id" }, text);
export const bar = (fraction, label) =>
  h(
    "span",
    {
      class: "progress",
      role: "progressbar",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-valuenow": Math.round(100 * (fraction || 0)),
      "aria-label": label,
    },
    h("i", { style: { width: percent(fraction).replace(" ", "") } }),
  );

/** Characters of an error in a list. */
const WHY = 2000;
const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

/** Return the time of a reading by the clock of PostgreSQL, which writes the times of tasks; in milliseconds. */
const databaseTime = (reading) => 1000 * (reading.at + (reading.clock_ahead_seconds ?? 0));

export function overviewPage(main, context) {
  return context.may("admin") ? systemPage(main) : ownPage(main);
}

function systemPage(main) {
  const verdict = h("div"),
    facts = h("div");
  const tiles = h("section", { class: "tiles", "aria-label": "Now" });
  const charts = [
    chart(
      "Throughput, tasks per second",
      [
        { name: "submitted", kind: "a", read: (p) => p.submitted },
        { name: "completed", kind: "good", read: (p) => p.completed },
        { name: "failed", kind: "bad", read: (p) => p.failed },
      ],
      rate,
      1,
    ),
    chart(
      "Pending and running tasks",
      [
        { name: "pending", kind: "a", read: (p) => p.pending },
        { name: "later", kind: "dim", read: (p) => p.later },
        { name: "running", kind: "good", read: (p) => p.in_progress },
      ],
      count,
      4,
    ),
    chart(
      "Latency of completed tasks",
      [
        { name: "wait p50", kind: "a", read: (p) => p.wait_p50 },
        { name: "wait p95", kind: "dim", read: (p) => p.wait_p95 },
        { name: "run p50", kind: "good", read: (p) => p.run_p50 },
      ],
      seconds,
      0.001,
    ),
    chart(
      "Workers",
      [
        { name: "busy", kind: "good", read: (p) => p.busy },
        { name: "all", kind: "dim", read: (p) => p.workers },
      ],
      count,
      2,
    ),
  ];
  const running = h("div"),
    failed = h("div"),
    next = h("div"),
    depth = h("div"),
    seen = h("div");
  main.append(
    h("h1", { class: "visually-hidden" }, "Overview"),
    h("section", { "aria-label": "Health" }, verdict, facts),
    seen,
  );
  seen.append(
    tiles,
    h(
      "div",
      { class: "columns" },
      h("section", { class: "card", id: "running" }, h("h2", {}, "Running tasks"), running),
      h("section", { class: "card", id: "failures" }, h("h2", {}, "Recent failures"), failed),
    ),
    h("section", { class: "charts", "aria-label": "The last five minutes" }, charts),
    h(
      "div",
      { class: "columns" },
      h("section", { class: "card" }, h("h2", {}, "Next tasks"), next),
      h("section", { class: "card" }, h("h2", {}, "Backlog by priority and type"), depth),
    ),
  );
  return watchSystem((system) => {
    put(verdict, verdictPart(system));
    if (!system.reading) return;
    seen.classList.toggle("stale", system.isStale || !system.reading.workers);
    facts.classList.toggle("stale", system.isStale);
    if (system.isStale) return; // the last known data stays, in grey
    put(facts, factsPart(system));
    for (const one of charts) one.draw(system.points);
    if (!system.reading.workers) return;
    const now = databaseTime(system.reading);
    put(tiles, ...tileParts(system));
    put(running, runningPart(system.reading.workers));
    put(failed, failuresPart(system.reading, now));
    put(next, queuePart(system.reading, now));
    put(depth, depthPart(system.reading.depth));
  });
}

function verdictPart(system) {
  const { reading } = system;
  if (system.isStale || !reading) return quietPart(system, "verdict");
  if (!reading.alarms.length)
    return h(
      "p",
      { class: "banner good", id: "verdict" },
      icon("ok"),
      h("strong", {}, "Healthy"),
      h("span", {}, "no alarms"),
    );
  return alarmsPart(reading.alarms, "verdict");
}

function factsPart({ reading, awaySince }) {
  const servers = [reading.database, reading.broker].map((server) =>
    h(
      "li",
      { class: server.state === "ok" ? "ok" : "away", title: server.words },
      icon(server.state === "ok" ? "ok" : "failed"),
      `${server.name} `,
      server.state === "ok"
        ? h("span", { class: "hint" }, seconds(server.latency_seconds))
        : h("b", {}, `away for ${seconds(reading.at - awaySince[server.name])} or longer: ${visible(server.words)}`),
    ),
  );
  const roles = {};
  for (const one of reading.processes || []) (roles[one.role] ??= []).push(one);
  const others = Object.entries(roles).map(([role, all]) =>
    h(
      "li",
      {},
      `${all.length} ${role === "api" ? "API process" : role}${all.length === 1 ? "" : role === "api" ? "es" : "s"}`,
    ),
  );
  const workers = reading.worker_counts; // all of them, also those beyond the list in the reading
  return h(
    "ul",
    { class: "facts" },
    servers,
    others,
    workers ? h("li", {}, `${plural(workers.workers, "worker")} on ${plural(workers.nodes, "node")}`) : null,
  );
}

function tileParts({ reading, rates }) {
  const { depth, worker_counts: workers } = reading;
  const tile = (title, value, detail, kind = "") =>
    h(
      "div",
      { class: `tile ${kind}` },
      h("span", { class: "label" }, title),
      h("b", {}, value),
      h("span", { class: "hint" }, detail),
    );
  const many = depth?.more ? " or more" : "";
  return [
    tile("submitted", `${rate(rates?.submitted)}/s`, `${count(reading.totals?.submitted)} total`),
    tile("completed", `${rate(rates?.completed)}/s`, `${count(reading.totals?.completed)} total`),
    tile(
      "failed",
      `${rate(rates?.failed)}/s`,
      `${count(reading.totals?.failed)} total`,
      rates?.failed > 0 ? "bad" : "",
    ),
    tile(
      "pending",
      `${count(depth?.pending)}${depth?.more ? "+" : ""}`,
      depth?.oldest_seconds ? `oldest due for ${seconds(depth.oldest_seconds)}` : `${count(depth?.later)}${many} later`,
    ),
    tile("running", count(depth?.in_progress), `${count(workers?.busy)} of ${count(workers?.workers)} workers busy`),
    tile(
      "wait p50",
      seconds(reading.latency?.wait_p50),
      reading.latency ? `p95 ${seconds(reading.latency.wait_p95)}` : "no recent tasks",
    ),
  ];
}

function runningPart(workers) {
  const busy = workers.filter((worker) => worker.task_id).sort((a, b) => (b.busy_seconds || 0) - (a.busy_seconds || 0));
  if (!busy.length) return h("p", { class: "empty" }, "No running tasks.");
  return h(
    "ul",
    { class: "list" },
    busy
      .slice(0, 12)
      .map((worker) =>
        h(
          "li",
          { "data-key": worker.task_id },
          h(
            "div",
            { class: "line" },
            h("b", {}, worker.task_type),
            taskLink(worker.task_id),
            h("span", { class: "hint push" }, seconds(worker.busy_seconds)),
          ),
          worker.fraction === null
            ? null
            : bar(worker.fraction, `Progress of ${worker.task_type} ${short(worker.task_id)}`),
          worker.message
            ? h(
                "div",
                { class: "hint cut" },
                `${worker.fraction === null ? "" : `${percent(worker.fraction)}, `}${visible(worker.message)}`,
              )
            : null,
        ),
      ),
    busy.length > 12
      ? h("li", { class: "hint" }, `and ${busy.length - 12} more: `, h("a", { href: "#/workers" }, "all workers"))
      : null,
  );
}

function failuresPart({ failures }, now) {
  if (!failures.length) return h("p", { class: "empty" }, "No recent failures.");
  return [
    h(
      "ul",
      { class: "list" },
      failures
        .slice(0, 8)
        .map((failure) =>
          h(
            "li",
            { "data-key": `${failure.task_id} ${failure.at}` },
            h(
              "div",
              { class: "line" },
              failure.status === "failed"
                ? badge("failed")
                : h("span", { class: "badge pending" }, icon("pending"), "retrying"),
              h("b", {}, failure.task_type),
              taskLink(failure.task_id),
              h("time", { class: "hint push", datetime: failure.at }, ago(failure.at, now)),
            ),
            h("div", { class: "why" }, clipped(failure.message || "no error message", WHY)),
          ),
        ),
    ),
    h("p", {}, h("a", { href: "#/tasks?status=failed" }, "All failed tasks")),
  ];
}

function queuesPart(queues) {
  // one queue is the usual case, and says nothing beyond the backlog
  if (!queues || queues.length < 2) return null;
  const one = ({ name, ready, consumers }) =>
    `${name}: ${count(ready)} messages, ${consumers} ${consumers === 1 ? "consumer" : "consumers"}`;
  return h("p", { class: "hint" }, queues.map(one).join("; "));
}

function queuePart({ next_tasks: due, later_tasks: later, depth, queues }, now) {
  if (!due.length && !later.length) return [queuesPart(queues), h("p", { class: "empty" }, "No pending tasks.")];
  const until = (task) => -since(task.due_at, now); // in seconds
  const line = (task, when) =>
    h(
      "li",
      { "data-key": task.task_id },
      h(
        "div",
        { class: "line" },
        h("b", {}, task.task_type),
        taskLink(task.task_id),
        h("span", { class: "hint" }, `priority ${task.priority}`),
        h("span", { class: "hint push" }, when),
      ),
    );
  return [
    queuesPart(queues),
    depth.more ? h("p", { class: "hint" }, "The backlog is long: this list comes from a part of it.") : null,
    h(
      "ul",
      { class: "list" },
      due.slice(0, 6).map((task) => line(task, `due for ${seconds(-until(task))}`)),
      later
        .slice(0, 4)
        .map((task) =>
          line(task, `${task.attempts ? `retry ${task.attempts}` : "scheduled"}, in ${seconds(until(task))}`),
        ),
    ),
  ];
}

function depthPart(depth) {
  const rows = [
    ...depth.by_priority
      .map((number, priority) => [`priority ${priority}`, number])
      .reverse()
      .filter(([, number]) => number),
    ...depth.by_type.slice(0, 8),
  ];
  if (!rows.length)
    return h(
      "p",
      { class: "empty" },
      depth.later ? `No pending tasks; ${count(depth.later)} later.` : "No pending tasks.",
    );
  const most = Math.max(...rows.map(([, number]) => number));
  return h(
    "table",
    { class: "bars" },
    h(
      "tbody",
      {},
      rows.map(([name, number]) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, name),
          h("td", {}, h("i", { style: { width: `${Math.max(1, (100 * number) / most)}%` } })),
          h("td", { class: "number" }, count(number)),
        ),
      ),
    ),
  );
}

/** Show the tasks of a key without the scope admin. */
function ownPage(main) {
  const lists = { in_progress: h("div"), failed: h("div"), pending: h("div"), completed: h("div") };
  const titles = {
    in_progress: "Running tasks",
    failed: "Recent failures",
    pending: "Pending tasks",
    completed: "Recently completed",
  };
  main.append(
    h("h1", {}, "Your tasks"),
    h(
      "p",
      { class: "hint" },
      "This page shows the tasks that were submitted with this key. Keys with the scope admin see the whole system.",
    ),
    h(
      "div",
      { class: "columns" },
      Object.entries(lists).map(([status, list]) => h("section", { class: "card" }, h("h2", {}, titles[status]), list)),
    ),
  );
  let over = false;
  const read = () =>
    Promise.all(
      Object.entries(lists).map(async ([status, list]) => {
        try {
          const { tasks } = await get(`tasks?status=${status}&limit=8`);
          if (!over) put(list, ownList(tasks));
        } catch (error) {
          if (!over) put(list, h("p", { class: "error" }, error.message));
        }
      }),
    );
  const reading = repeat(read, 5);
  return () => {
    over = true;
    reading.end();
  };
}

function ownList(tasks) {
  if (!tasks.length) return h("p", { class: "empty" }, "No tasks.");
  return h(
    "ul",
    { class: "list" },
    tasks.map((task) =>
      h(
        "li",
        { "data-key": task.task_id },
        h(
          "div",
          { class: "line" },
          badge(task.status),
          h("b", {}, task.task_type),
          taskLink(task.task_id),
          h("time", { class: "hint push", datetime: task.created_at }, ago(task.finished_at || task.created_at)),
        ),
        task.status === "in_progress" && task.progress
          ? bar(task.progress.fraction, `Progress of ${task.task_type} ${short(task.task_id)}`)
          : null,
        task.status === "failed" && task.error
          ? h("div", { class: "why" }, clipped(task.error.message || "", WHY))
          : null,
      ),
    ),
  );
}
