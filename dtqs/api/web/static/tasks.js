// Tasks by page, newest first: filtered by the server, searched here, and cancelled or retried together.

import { get, post, query, taskTypes } from "./api.js";
import { badge, confirm, h, note, put } from "./dom.js";
import { masked, seconds, since, time, visible } from "./format.js";
import { taskLink } from "./overview.js";

const STATUSES = ["pending", "in_progress", "completed", "failed", "cancelled"];
const PAGE = 50, LOOK_PAGES = 5, LOOK_LIMIT = 200, AT_ONCE = 4;
const ID = /^[0-9a-f]{1,8}(-[0-9a-f]{0,4}){0,3}(-[0-9a-f]{0,12})?$/;
const EMPTY_ID = "00000000-0000-0000-0000-000000000000";

/** All that a listing's address says. */
const wantedOf = (parameters) => Object.fromEntries(["status", "task_type", "tag", "id", "text"].map((name) => [name, parameters.get(name) || ""]));

/** Ids sort by time, so those with a beginning are next to each other: where they end, and where they begin. */
function idRange(text) {
  const fill = (digit) => text + EMPTY_ID.slice(text.length).replaceAll("0", digit);
  return { after: fill("f"), first: fill("0") };
}

function matches(task, wanted) {
  if (wanted.id && !task.task_id.startsWith(wanted.id)) return false;
  if (!wanted.text) return true;
  const words = JSON.stringify([task.task_id, task.task_type, task.tags, task.error, masked(task.payload), masked(task.result)]).toLowerCase();
  return wanted.text.toLowerCase().split(/\s+/).every((word) => words.includes(word));
}

export function tasksPage(main, context) {
  const wanted = wantedOf(context.parameters), chosen = new Map(), shown = new Map();
  const body = h("tbody", {}), said = h("p", { class: "hint", "aria-live": "polite" }), more = h("button", { class: "plain", hidden: true, id: "more" }, "More");
  const all = h("input", { type: "checkbox", "aria-label": "Select all of these", id: "all" }), actions = h("div", { class: "actions" });
  let cursor = null, over = false, turn = 0;

  async function read(isMore) {
    const mine = ++turn;
    more.disabled = true;
    if (!isMore) { cursor = null; said.textContent = "Reading…"; }
    try {
      let found = 0;
      for (let page = 0; page < LOOK_PAGES; page++) {
        const isSearch = wanted.text || wanted.id, range = wanted.id ? idRange(wanted.id) : null;
        const { tasks, next } = await get(`tasks?${query({ status: wanted.status, task_type: wanted.task_type, tag: wanted.tag, limit: isSearch ? LOOK_LIMIT : PAGE, after: cursor || range?.after })}`);
        if (over || mine !== turn) return;
        if (!isMore && page === 0) { shown.clear(); body.replaceChildren(); }
        const isPast = range && tasks.some((task) => task.task_id < range.first);
        cursor = isPast ? null : next;
        for (const task of tasks.filter((one) => matches(one, wanted))) { add(task); found += 1; }
        if (!cursor || found >= PAGE) break;
      }
      said.textContent = shown.size ? `${shown.size} task${shown.size === 1 ? "" : "s"}, newest first${cursor ? "; there are more" : ""}` : cursor ? "None among those that were looked at so far." : "There are no such tasks.";
    } catch (error) {
      said.textContent = error.errors?.length ? error.errors.map((one) => `${one.field}: ${one.message}`).join("; ") : error.message;
    }
    more.hidden = !cursor;
    more.disabled = false;
    more.textContent = wanted.text ? "Search further" : "More";
    choose();
  }

  function add(task) {
    const box = h("input", { type: "checkbox", "aria-label": `Select ${task.task_id}`, checked: chosen.has(task.task_id), onchange: () => { if (box.checked) chosen.set(task.task_id, task); else chosen.delete(task.task_id); choose(); } });
    const row = h("tr", {}, h("td", { class: "box" }, box), ...cells(task));
    const before = shown.get(task.task_id);
    if (before) before.row.replaceWith(row); else body.append(row);
    shown.set(task.task_id, { task, row, box });
  }

  function choose() {
    const tasks = [...chosen.values()];
    const open = tasks.filter((task) => task.status === "pending" || task.status === "in_progress"), ended = tasks.filter((task) => task.status === "failed" || task.status === "cancelled");
    all.checked = shown.size > 0 && tasks.length >= shown.size;
    all.indeterminate = tasks.length > 0 && !all.checked;
    put(actions);
    if (!tasks.length || !context.may("submit")) return;
    actions.append(h("span", {}, `${tasks.length} selected`),
      h("button", { id: "bulk-cancel", class: "plain", disabled: !open.length, onclick: () => each(open, "cancel", "Cancel") }, `Cancel ${open.length}`),
      h("button", { id: "bulk-retry", class: "plain", disabled: !ended.length, onclick: () => each(ended, "retry", "Retry") }, `Retry ${ended.length}`),
      h("button", { class: "plain", onclick: () => { chosen.clear(); for (const one of shown.values()) one.box.checked = false; choose(); } }, "None"));
  }

  async function each(tasks, verb, title) {
    const words = verb === "cancel" ? "Those that wait end at once, those that run are interrupted. An outcome is for ever." : "A new task is submitted for each of them, with the same payload.";
    if (!(await confirm(`${title} ${tasks.length} task${tasks.length === 1 ? "" : "s"}?`, words, title))) return;
    const waiting = [...tasks], refused = [];
    let done = 0;
    const work = async () => {
      for (let task; (task = waiting.shift());) {
        try { await post(`tasks/${task.task_id}/${verb}`); } catch (error) { refused.push(error.message); }
        put(actions, h("progress", { max: tasks.length, value: ++done, "aria-label": title }), ` ${done} of ${tasks.length}`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    if (over) return;
    note(`${verb === "cancel" ? "Cancelled" : "Retried"}: ${tasks.length - refused.length}${refused.length ? `; refused: ${refused.length} (${refused[0]})` : ""}`, refused.length > 0);
    chosen.clear();
    read(false);
  }

  all.addEventListener("change", () => {
    for (const { task, box } of shown.values()) { box.checked = all.checked; if (all.checked) chosen.set(task.task_id, task); else chosen.delete(task.task_id); }
    choose();
  });
  more.addEventListener("click", () => read(true));
  const go = (changes) => { location.hash = `#/tasks?${query({ ...wanted, ...changes })}`; };
  main.append(h("h1", {}, "Tasks"), filters(wanted, go), h("div", { class: "line" }, said, actions),
    h("div", { class: "scroll" }, h("table", { class: "stack tasks" }, h("thead", {}, h("tr", {}, h("th", { class: "box" }, all), ["Status", "Type", "Task", "Submitted", "Took", "Attempt", "Priority", "What"].map((title) => h("th", { scope: "col" }, title)))), body)), more);
  read(false);
  return () => { over = true; };
}

function filters(wanted, go) {
  const type = h("select", { id: "type", onchange: () => go({ task_type: type.value }) }, h("option", { value: "" }, "all"), wanted.task_type ? h("option", { value: wanted.task_type, selected: true }, wanted.task_type) : null);
  taskTypes().then((names) => type.append(...names.filter((name) => name !== wanted.task_type).map((name) => h("option", { value: name }, name))), () => {});
  const status = h("select", { id: "status", onchange: () => go({ status: status.value }) }, h("option", { value: "" }, "all"), STATUSES.map((name) => h("option", { value: name, selected: name === wanted.status }, name.replace("_", " "))));
  const tag = h("input", { id: "tag", type: "search", value: wanted.tag, maxlength: 100 });
  const id = h("input", { id: "id", type: "search", value: wanted.id, spellcheck: "false", placeholder: "or its beginning" });
  const text = h("input", { id: "text", type: "search", value: wanted.text, "data-search": true, placeholder: "payload, result, error" });
  return h("form", {
    class: "filters",
    onsubmit: (event) => {
      event.preventDefault();
      const wantedId = id.value.trim().toLowerCase();
      if (wantedId.length === 36) { location.hash = `#/tasks/${encodeURIComponent(wantedId)}`; return; }
      if (wantedId && !ID.test(wantedId)) return void note("An id is made of the digits 0 to 9 and a to f, and of hyphens.", true);
      go({ tag: tag.value.trim(), id: wantedId, text: text.value.trim() });
    },
  },
  h("label", {}, "Status", status), h("label", {}, "Type", type), h("label", {}, "Tag", tag), h("label", {}, "Id", id), h("label", {}, "Search", text),
  h("button", { class: "plain", id: "find" }, "Find"), Object.values(wanted).some(Boolean) ? h("a", { href: "#/tasks" }, "Clear") : null);
}

function cells(task) {
  const cell = (title, ...children) => h("td", { "data-title": title }, ...children);
  const took = task.finished_at && task.started_at ? seconds((new Date(task.finished_at) - new Date(task.started_at)) / 1000) : task.status === "in_progress" ? seconds(since(task.started_at)) : "–";
  const what = task.error && task.status !== "completed" ? h("span", { class: "why" }, visible(task.error.message || "")) : h("code", {}, visible(JSON.stringify(masked(task.payload))).slice(0, 120));
  return [
    cell("Status", badge(task.status)), cell("Type", task.task_type),
    cell("Task", h("a", { class: "id rowlink", href: `#/tasks/${task.task_id}`, title: task.task_id }, `…${task.task_id.slice(-8)}`), task.retry_of ? [" ", h("span", { class: "hint" }, "retry of ", taskLink(task.retry_of))] : null),
    cell("Submitted", h("time", { datetime: task.created_at }, time(task.created_at))), cell("Took", took),
    cell("Attempt", task.attempt || "–"), cell("Priority", task.priority), cell("What", h("div", { class: "cut" }, what), task.tags.length ? h("div", { class: "tags" }, task.tags.map((tag) => h("a", { href: `#/tasks?${query({ tag })}` }, visible(tag)))) : null),
  ];
}
