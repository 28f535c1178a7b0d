// The parts of the list of tasks: its filters, and the cells of a row; without state.

import { query, taskTypes } from "./api.js";
import { badge, h, note } from "./dom.js";
import { write } from "./exact.js";
import { brief, clipped, masked, time, visible } from "./format.js";
import { taskLink } from "./overview.js";
import { duration } from "./taskview.js";

const STATUSES = ["pending", "in_progress", "completed", "failed", "cancelled"];
/** Characters of an error in the list. */
const WHY = 2000;
const ID = /^[0-9a-f]{1,8}(-[0-9a-f]{0,4}){0,3}(-[0-9a-f]{0,12})?$/;
const EMPTY_ID = "00000000-0000-0000-0000-000000000000";

/** Return the filters in the address. */
export const wantedOf = (parameters) =>
  Object.fromEntries(["status", "task_type", "tag", "id", "text"].map((name) => [name, parameters.get(name) || ""]));

/** Return the last and first possible id with this beginning: ids sort by time, so such ids form one range. */
export function idRange(text) {
  const fill = (digit) => text + EMPTY_ID.slice(text.length).replaceAll("0", digit);
  return { after: fill("f"), first: fill("0") };
}

export function matches(task, wanted) {
  if (wanted.id && !task.task_id.startsWith(wanted.id)) return false;
  if (!wanted.text) return true;
  const content = write([
    task.task_id,
    task.task_type,
    task.tags,
    task.error,
    masked(task.payload),
    masked(task.result),
  ]).toLowerCase();
  return wanted.text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => content.includes(word));
}

export function filters(wanted, go) {
  const type = h(
    "select",
    { id: "type", onchange: () => go({ task_type: type.value }) },
    h("option", { value: "" }, "all"),
    wanted.task_type ? h("option", { value: wanted.task_type, selected: true }, wanted.task_type) : null,
  );
  taskTypes().then(
    (names) =>
      type.append(
        ...names.filter((name) => name !== wanted.task_type).map((name) => h("option", { value: name }, name)),
      ),
    () => {},
  );
  const status = h(
    "select",
    { id: "status", onchange: () => go({ status: status.value }) },
    h("option", { value: "" }, "all"),
    STATUSES.map((name) => h("option", { value: name, selected: name === wanted.status }, name.replace("_", " "))),
  );
  const tag = h("input", { id: "tag", type: "search", value: wanted.tag, maxlength: 100 });
  const id = h("input", {
    id: "id",
    type: "search",
    value: wanted.id,
    spellcheck: "false",
    placeholder: "id or its beginning",
  });
  const text = h("input", {
    id: "text",
    type: "search",
    value: wanted.text,
    "data-search": true,
    placeholder: "payload, result, error",
  });
  return h(
    "form",
    {
      class: "filters",
      onsubmit: (event) => {
        event.preventDefault();
        const wantedId = id.value.trim().toLowerCase();
        if (wantedId.length === 36) {
          location.hash = `#/tasks/${encodeURIComponent(wantedId)}`;
          return;
        }
        if (wantedId && !ID.test(wantedId))
          return void note("An id contains only the digits 0 to 9, the letters a to f, and hyphens.", true);
        go({ tag: tag.value.trim(), id: wantedId, text: text.value.trim() });
      },
    },
    h("label", {}, "Status", status),
    h("label", {}, "Type", type),
    h("label", {}, "Tag", tag),
    h("label", {}, "Id", id),
    h("label", {}, "Search", text),
    h("button", { class: "plain", id: "find" }, "Find"),
    Object.values(wanted).some(Boolean) ? h("a", { href: "#/tasks" }, "Clear") : null,
  );
}

export function cells(task) {
  const cell = (title, ...children) => h("td", { "data-title": title }, ...children);
  const summary =
    task.error && task.status !== "completed"
      ? h("span", { class: "why" }, clipped(task.error.message || "", WHY))
      : h("code", {}, brief(task.payload));
  return [
    cell("Status", badge(task.status)),
    cell("Type", task.task_type),
    cell(
      "Task",
      h(
        "a",
        { class: "id rowlink", href: `#/tasks/${task.task_id}`, title: task.task_id },
        `…${task.task_id.slice(-8)}`,
      ),
      task.retry_of ? [" ", h("span", { class: "hint" }, "retry of ", taskLink(task.retry_of))] : null,
    ),
    cell("Submitted", h("time", { datetime: task.created_at }, time(task.created_at))),
    cell("Duration", duration(task) ?? "–"),
    cell("Attempt", task.attempt || "–"),
    cell("Priority", task.priority),
    cell(
      "Error or payload",
      h("div", { class: "cut" }, summary),
      task.tags.length
        ? h(
            "div",
            { class: "tags" },
            task.tags.map((tag) => h("a", { href: `#/tasks?${query({ tag })}` }, visible(tag))),
          )
        : null,
    ),
  ];
}
