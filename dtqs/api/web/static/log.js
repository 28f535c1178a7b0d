// The newest log rows of all tasks, refreshed while followed.

import { get, query } from "./api.js";
import { h, put } from "./dom.js";
import { brief, clipped, time } from "./format.js";
import { repeat } from "./live.js";
import { taskLink } from "./overview.js";

const CHARACTERS = 10_000; // of a row's data
const LEVELS = ["debug", "info", "warning", "error"];

export function logPage(main, context) {
  const level = h(
    "select",
    { id: "level", onchange: () => reading.again() },
    LEVELS.map((one) => h("option", { value: one, selected: one === "info" }, one)),
  );
  const search = h("input", {
    id: "search",
    type: "search",
    placeholder: "text",
    "data-search": true,
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(reading.again, 300);
    },
  });
  const task = h("input", {
    id: "task",
    type: "search",
    placeholder: "whole id",
    value: context.parameters.get("task_id") || "",
    onchange: () => reading.again(),
  });
  const isFollowing = h("input", { id: "follow", type: "checkbox", checked: true, onchange: () => reading.again() });
  const summary = h("p", { class: "hint" }),
    body = h("div", { class: "scroll" });
  let timer = 0,
    over = false,
    turn = 0;

  async function read(isAsked) {
    if (!isAsked && !isFollowing.checked) return;
    const mine = ++turn;
    try {
      const task_id = task.value.trim().toLowerCase();
      const { logs } = await get(
        `logs?${query({ limit: 300, level: level.value, task_id, search: search.value.trim() })}`,
      );
      if (over || mine !== turn) return;
      put(summary, logs.length ? `${logs.length} rows, newest first` : "No recent rows match.");
      put(body, table(logs.reverse()));
    } catch (error) {
      if (over || mine !== turn) return;
      put(
        summary,
        h(
          "span",
          { class: "error" },
          error.errors?.length ? error.errors.map((one) => `${one.field}: ${one.message}`).join("; ") : error.message,
        ),
      );
    }
  }

  main.append(
    h("h1", {}, "Log"),
    h(
      "form",
      {
        class: "filters",
        onsubmit: (event) => {
          event.preventDefault();
          reading.again();
        },
      },
      h("label", {}, "Minimum level", level),
      h("label", {}, "Search", search),
      h("label", {}, "Task", task),
      h("label", { class: "check" }, isFollowing, "Follow"),
    ),
    summary,
    body,
  );
  const reading = repeat(read, 2);
  return () => {
    over = true;
    clearTimeout(timer);
    reading.end();
  };
}

function table(logs) {
  return h(
    "table",
    { class: "log" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ["Time", "Level", "Task", "Event", "Message"].map((title) => h("th", { scope: "col" }, title)),
      ),
    ),
    h(
      "tbody",
      {},
      logs.map((row) =>
        h(
          "tr",
          { class: row.level, "data-key": row.log_id },
          h("td", {}, h("time", { datetime: row.at }, time(row.at))),
          h("td", {}, row.level),
          h("td", {}, row.task_type ? `${row.task_type} ` : "", taskLink(row.task_id)),
          h("td", {}, `${row.event.replace("_", " ")}${row.attempt ? ` (attempt ${row.attempt})` : ""}`),
          h(
            "td",
            { class: "message" },
            clipped(row.message || ""),
            row.data && row.event !== "progress" ? h("code", {}, " ", brief(row.data, CHARACTERS)) : null,
          ),
        ),
      ),
    ),
  );
}
