// The list of tasks, newest first: filtered by the server, searched in the browser, cancelled or retried together.

import { get, isId, post, query } from "./api.js";
import { confirm, h, note, put } from "./dom.js";
import { time } from "./format.js";
import { repeat } from "./live.js";
import { cells, filters, idRange, matches, wantedOf } from "./taskrows.js";
import { duration } from "./taskview.js";

const PAGE = 50,
  LOOK_PAGES = 5,
  LOOK_LIMIT = 200,
  AT_ONCE = 4,
  EVERY_SECONDS = 3;
const ABOVE_ALL = "g"; // greater than every id
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
    room = PAGE,
    older = null; // the next page below the newest to read again: { after, upper }

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
          for (const id of [...shown.keys()]) leave(id);
          older = null;
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

  /** Read the newest page again, and one page below it in turns. A search is not repeated. */
  async function refresh() {
    if (wanted.text || isReading || over) return;
    if (hasFailed) return read(false);
    const mine = turn,
      isOutdated = () => over || isReading || mine !== turn;
    try {
      const newest = await page(PAGE, wanted.id ? idRange(wanted.id).after : undefined);
      if (isOutdated()) return;
      const { tasks, next } = newest;
      if (next && tasks.length && !tasks.some((task) => shown.has(task.task_id))) {
        for (const id of [...shown.keys()]) leave(id);
        cursor = next;
      } // the tasks in between are unknown
      const lower = apply(newest, ABOVE_ALL);
      trim();
      update();
      await refreshOlder(next, lower, isOutdated);
    } catch (error) {
      summary.textContent = error.message;
    }
  }

  /** Read the next page between the newest one and the last row. `lower` is where the newest one ends. */
  async function refreshOlder(next, lower, isOutdated) {
    const last = lastRow((row) => !row.classList.contains("old"))?.dataset.id;
    if (!next || !last || last >= lower) {
      older = null;
      return;
    }
    if (!older || older.upper <= last) older = { after: next, upper: lower };
    const found = await page(PAGE, older.after);
    if (isOutdated()) return;
    const end = apply(found, older.upper, cursor ? last : "");
    older = found.next && end > last ? { after: found.next, upper: end } : null;
    update();
  }

  /** Show a page of tasks with ids below `upper`: add and change rows, and remove those that no longer match.
   * New rows need an id of at least `floor`. Returns the id at which the page ends. */
  function apply({ tasks, next }, upper, floor = "") {
    const lower = !next ? "" : isId(next) ? next : (tasks[tasks.length - 1]?.task_id ?? upper),
      there = new Set(tasks.map((task) => task.task_id));
    for (const id of [...shown.keys()]) if (id < upper && id >= lower && !there.has(id)) leave(id);
    for (const task of tasks)
      if (matches(task, wanted) && (task.task_id >= floor || isLive(task.task_id))) add(task);
    return lower;
  }

  /** Remove the oldest rows beyond the room of the list. Chosen ones stay, and take no room. */
  function trim() {
    const isFree = (row) => !chosen.has(row.dataset.id);
    for (let row; shown.size - chosen.size > room && (row = lastRow(isFree));) {
      for (let below = row; (below = below.nextElementSibling);) leave(below.dataset.id);
      const above = row.previousElementSibling;
      remove(row.dataset.id);
      if (above) cursor = above.dataset.id;
    }
  }

  function lastRow(fits) {
    let row = body.lastElementChild;
    while (row && !fits(row)) row = row.previousElementSibling;
    return row;
  }

  const isLive = (id) => shown.has(id) && !shown.get(id).row.classList.contains("old");

  function update() {
    for (const { task, row } of shown.values())
      if (task.status === "in_progress") put(row.querySelector("[data-title=Duration]"), duration(task) ?? "–");
    count();
    more.hidden = !cursor;
    choose();
  }

  /** Remove a row that the list has left. A chosen one stays, marked: nobody acts on tasks that are not shown. */
  function leave(id) {
    if (!chosen.has(id)) return remove(id);
    const { row } = shown.get(id);
    row.classList.add("old");
    row.title = "This task has left the list. Its status may have changed.";
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
      else release(id);
      choose();
    };
    shown.set(id, { task, row });
    row.classList.remove("old");
    row.removeAttribute("title");
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

  /** End the choice of a row. One that has left the list goes. */
  function release(id) {
    const { row } = shown.get(id);
    chosen.delete(id);
    row.querySelector("input").checked = false;
    if (row.classList.contains("old")) remove(id);
  }

  const openOnes = () =>
    [...chosen.values()].filter((task) => task.status === "pending" || task.status === "in_progress");
  const endedOnes = () =>
    [...chosen.values()].filter((task) => task.status === "failed" || task.status === "cancelled");

  function choose() {
    const tasks = [...chosen.values()],
      open = openOnes(),
      ended = endedOnes();
    const left = body.querySelectorAll("tr.old").length;
    all.checked = shown.size > 0 && tasks.length >= shown.size;
    all.indeterminate = tasks.length > 0 && !all.checked;
    if (!tasks.length || !context.may("submit")) return put(actions);
    put(
      actions,
      h("span", {}, `${tasks.length} selected${left ? `, ${left} no longer in the list` : ""}`),
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
            for (const id of [...chosen.keys()]) release(id);
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
    const names = tasks.map((task) => h("li", {}, `${task.task_type} `, h("code", { class: "id" }, task.task_id)));
    const question = `${title} ${tasks.length} task${tasks.length === 1 ? "" : "s"}?`;
    if (!(await confirm(question, effect, title, h("ul", { class: "names", tabindex: 0 }, names)))) return;
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
    for (const [id, { task, row }] of [...shown]) {
      if (!all.checked) release(id);
      else {
        chosen.set(id, task);
        row.querySelector("input").checked = true;
      }
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

