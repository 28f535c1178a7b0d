// The list of tasks, newest first: filtered by the server, searched in the browser, cancelled or retried together.

import { get, post, query, taskTypes } from "./api.js";
import { badge, confirm, h, note, put } from "./dom.js";
import { masked, seconds, since, time, visible } from "./format.js";
import { repeat } from "./live.js";
import { taskLink } from "./overview.js";

const STATUSES = ["pending", "in_progress", "completed", "failed", "cancelled"];
const PAGE = 50,
  LOOK_PAGES = 5,
  LOOK_LIMIT = 200,
  AT_ONCE = 4,
  EVERY_SECONDS = 3;
const ID = /^[0-9a-f]{1,8}(-[0-9a-f]{0,4}){0,3}(-[0-9a-f]{0,12})?$/;
const EMPTY_ID = "00000000-0000-0000-0000-000000000000";

/** Return the filters in the address. */
const wantedOf = (parameters) =>
  Object.fromEntries(["status", "task_type", "tag", "id", "text"].map((name) => [name, parameters.get(name) || ""]));

/** Return the last and first possible id with this beginning: ids sort by time, so such ids form one range. */
function idRange(text) {
  const fill = (digit) => text + EMPTY_ID.slice(text.length).replaceAll("0", digit);
  return { after: fill("f"), first: fill("0") };
}

function matches(task, wanted) {
  if (wanted.id && !task.task_id.startsWith(wanted.id)) return false;
  if (!wanted.text) return true;
  const content = JSON.stringify([
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

export function tasksPage(main, context) {
  const wanted = wantedOf(context.parameters),
    chosen = new Map(),
    shown = new Map();
  const body = h("tbody", {}),
    summary = h("p", { class: "hint", "aria-live": "polite" }),
    more = h("button", { class: "plain", hidden: true, id: "more" }, "More");
  const all = h("input", { type: "checkbox", "aria-label": "Select all shown tasks", id: "all" }),
    actions = h("div", { class: "actions" });
  let cursor = null,
    searchedTo = null,
    over = false,
    turn = 0,
    isReading = false,
    hasFailed = false,
    room = PAGE;

  const page = (limit, after) =>
    get(`tasks?${query({ status: wanted.status, task_type: wanted.task_type, tag: wanted.tag, limit, after })}`);

  async function read(isMore) {
    const mine = ++turn;
    more.disabled = isReading = true;
    if (!isMore) {
      cursor = null;
      summary.textContent = "Reading…";
    }
    try {
      let found = 0;
      for (let look = 0; look < LOOK_PAGES; look++) {
        const isSearch = wanted.text || wanted.id,
          range = wanted.id ? idRange(wanted.id) : null;
        const { tasks, next, searched_to } = await page(isSearch ? LOOK_LIMIT : PAGE, cursor || range?.after);
        if (over || mine !== turn) return;
        if (!isMore && look === 0) {
          shown.clear();
          body.replaceChildren();
        }
        const isPast = range && tasks.some((task) => task.task_id < range.first);
        cursor = isPast ? null : next;
        searchedTo = searched_to;
        for (const task of tasks.filter((one) => matches(one, wanted))) {
          add(task);
          found += 1;
        }
        if (!cursor || found >= PAGE) break;
      }
      hasFailed = false;
      room = Math.max(PAGE, shown.size);
      count();
    } catch (error) {
      if (over || mine !== turn) return;
      hasFailed = true;
      summary.textContent = error.errors?.length
        ? error.errors.map((one) => `${one.field}: ${one.message}`).join("; ")
        : error.message;
    }
    more.hidden = !cursor;
    more.disabled = isReading = false;
    more.textContent = wanted.text ? "Search further" : "More";
    choose();
  }

  /** Read the newest page again: add new tasks, update changed ones, remove those that no longer match.
   * A search is not repeated. */
  async function refresh() {
    if (wanted.text || isReading || over) return;
    if (hasFailed) return read(false);
    const mine = turn;
    try {
      const { tasks, next } = await page(PAGE, wanted.id ? idRange(wanted.id).after : undefined);
      if (over || isReading || mine !== turn) return;
      if (next && tasks.length && !tasks.some((task) => shown.has(task.task_id))) {
        shown.clear();
        body.replaceChildren();
        cursor = next;
      } // the tasks in between are unknown
      const last = next ? tasks[tasks.length - 1]?.task_id : "",
        there = new Set(tasks.map((task) => task.task_id));
      for (const id of [...shown.keys()])
        if (last !== undefined && id >= last && !there.has(id) && !chosen.has(id)) remove(id);
      for (const task of tasks.filter((one) => matches(one, wanted))) add(task);
      for (let id; shown.size > room && !chosen.has((id = body.rows[body.rows.length - 1].dataset.id));) {
        remove(id);
        cursor = body.rows[body.rows.length - 1].dataset.id;
      }
      count();
      more.hidden = !cursor;
      choose();
    } catch (error) {
      summary.textContent = error.message;
    }
  }

  function remove(id) {
    shown.get(id).row.remove();
    shown.delete(id);
  }

  function count() {
    const text = shown.size
      ? `${shown.size} task${shown.size === 1 ? "" : "s"}, newest first${cursor ? "; there are more" : ""}`
      : cursor
        ? `No match so far${searchedTo ? `, back to ${time(searchedTo)}` : ""}.`
        : "No tasks match.";
    if (summary.textContent !== text) summary.textContent = text;
  }

  function add(task) {
    const id = task.task_id,
      row = shown.get(id)?.row ?? h("tr", { "data-id": id });
    const onchange = (event) => {
      if (event.target.checked) chosen.set(id, shown.get(id).task);
      else chosen.delete(id);
      choose();
    };
    shown.set(id, { task, row });
    if (chosen.has(id)) chosen.set(id, task);
    put(
      row,
      h(
        "td",
        { class: "box" },
        h("input", {
          type: "checkbox",
          id: `select-${id}`,
          "aria-label": `Select ${id}`,
          checked: chosen.has(id),
          onchange,
        }),
      ),
      ...cells(task),
    );
    if (row.isConnected) return;
    const older = [...body.rows].find((one) => one.dataset.id < id);
    if (older) older.before(row);
    else body.append(row);
  }

  const tick = (row, isChosen) => {
    row.querySelector("input").checked = isChosen;
  };

  const openOnes = () =>
    [...chosen.values()].filter((task) => task.status === "pending" || task.status === "in_progress");
  const endedOnes = () =>
    [...chosen.values()].filter((task) => task.status === "failed" || task.status === "cancelled");

  function choose() {
    const tasks = [...chosen.values()],
      open = openOnes(),
      ended = endedOnes();
    all.checked = shown.size > 0 && tasks.length >= shown.size;
    all.indeterminate = tasks.length > 0 && !all.checked;
    if (!tasks.length || !context.may("submit")) return put(actions);
    put(
      actions,
      h("span", {}, `${tasks.length} selected`),
      h(
        "button",
        {
          id: "bulk-cancel",
          class: "plain",
          disabled: !open.length,
          onclick: () => each(openOnes(), "cancel", "Cancel"),
        },
        `Cancel ${open.length}`,
      ),
      h(
        "button",
        {
          id: "bulk-retry",
          class: "plain",
          disabled: !ended.length,
          onclick: () => each(endedOnes(), "retry", "Retry"),
        },
        `Retry ${ended.length}`,
      ),
      h(
        "button",
        {
          class: "plain",
          onclick: () => {
            chosen.clear();
            for (const { row } of shown.values()) tick(row, false);
            choose();
          },
        },
        "Clear selection",
      ),
    );
  }

  async function each(tasks, verb, title) {
    const effect =
      verb === "cancel"
        ? "Pending tasks are cancelled at once; running tasks are interrupted. This cannot be undone."
        : "Each task is submitted again as a new task with the same payload.";
    if (!(await confirm(`${title} ${tasks.length} task${tasks.length === 1 ? "" : "s"}?`, effect, title))) return;
    const waiting = [...tasks],
      refused = [];
    let done = 0;
    const work = async () => {
      for (let task; (task = waiting.shift());) {
        try {
          await post(`tasks/${task.task_id}/${verb}`);
        } catch (error) {
          refused.push(error.message);
        }
        put(
          actions,
          h("progress", { max: tasks.length, value: ++done, "aria-label": title }),
          ` ${done} of ${tasks.length}`,
        );
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    if (over) return;
    const refusals = refused.length ? `; refused: ${refused.length} (${refused[0]})` : "";
    note(
      `${verb === "cancel" ? "Cancelled" : "Retried"}: ${tasks.length - refused.length}${refusals}`,
      refused.length > 0,
    );
    chosen.clear();
    read(false);
  }

  all.addEventListener("change", () => {
    for (const { task, row } of shown.values()) {
      tick(row, all.checked);
      if (all.checked) chosen.set(task.task_id, task);
      else chosen.delete(task.task_id);
    }
    choose();
  });
  more.addEventListener("click", () => read(true));
  const go = (changes) => {
    const before = location.href;
    location.hash = `#/tasks?${query({ ...wanted, ...changes })}`;
    if (location.href === before) read(false); // the same filter again
  };
  main.append(
    h("h1", {}, "Tasks"),
    filters(wanted, go),
    h("div", { class: "line" }, summary, actions),
    h(
      "div",
      { class: "scroll" },
      h(
        "table",
        { class: "stack tasks" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { class: "box" }, all),
            ["Status", "Type", "Task", "Submitted", "Duration", "Attempt", "Priority", "Error or payload"].map(
              (title) => h("th", { scope: "col" }, title),
            ),
          ),
        ),
        body,
      ),
    ),
    more,
  );
  const reading = repeat((isAsked) => (isAsked ? read(false) : refresh()), EVERY_SECONDS);
  return () => {
    over = true;
    reading.end();
  };
}

function filters(wanted, go) {
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

function cells(task) {
  const cell = (title, ...children) => h("td", { "data-title": title }, ...children);
  const took =
    task.finished_at && task.started_at
      ? seconds((new Date(task.finished_at) - new Date(task.started_at)) / 1000)
      : task.status === "in_progress"
        ? seconds(since(task.started_at))
        : "–";
  const summary =
    task.error && task.status !== "completed"
      ? h("span", { class: "why" }, visible(task.error.message || ""))
      : h("code", {}, visible(JSON.stringify(masked(task.payload))).slice(0, 120));
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
    cell("Duration", took),
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
