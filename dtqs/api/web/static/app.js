// The frame of all pages: login, address, colours and keys.

import { speech } from "./alarms.js";
import { call, getSession, isId, trouble, whenLoggedOut } from "./api.js";
import { h, icon, note, put } from "./dom.js";
import { visible } from "./format.js";
import { banner, dot, showHealth } from "./health.js";
import { loginPage } from "./login.js";
import { logPage } from "./log.js";
import { overviewPage } from "./overview.js";
import { submitPage } from "./submit.js";
import { taskPage } from "./task.js";
import { tasksPage } from "./tasks.js";
import { workersPage } from "./workers.js";

const PAGES = [
  { path: "overview", title: "Overview", key: "o", show: overviewPage },
  { path: "tasks", title: "Tasks", key: "t", show: tasksPage, detail: taskPage },
  { path: "workers", title: "Workers", key: "w", show: workersPage, isAdmins: true },
  {
    path: "submit",
    title: "Submit",
    key: "s",
    show: submitPage,
    detail: (main, like, context) => submitPage(main, context, like),
    scope: "submit",
  },
  { path: "log", title: "Log", key: "l", show: logPage, isAdmins: true },
];
const THEMES = ["auto", "light", "dark"];
const main = document.getElementById("main"),
  header = document.getElementById("header");
let session = null,
  leave = null;

const may = (scope) => session.scopes.includes("admin") || session.scopes.includes(scope);

/** Split the address after # into page name, rest of the path, and parameters. */
function address() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/").map(decoded);
  return { name: name || "overview", rest, parameters: new URLSearchParams(search) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function show() {
  leave?.();
  leave = null;
  main.replaceChildren();
  const { name, rest, parameters } = address();
  if (session.auth && !session.key_name) {
    document.title = "Log in – DTQS";
    showHealth(false, false);
    header.replaceChildren(bar());
    leave = loginPage(main, async () => {
      await readSession();
      show();
    });
    return;
  }
  const page = PAGES.find((one) => one.path === name);
  header.replaceChildren(bar(page));
  showHealth(may("admin"), page?.path === "overview");
  document.title = `${page ? page.title : "Not found"} – DTQS`;
  if (!page)
    return main.append(h("h1", {}, "Page not found"), h("p", {}, h("a", { href: "#/overview" }, "Go to the overview")));
  if (page.isAdmins && !may("admin"))
    return main.append(
      h("h1", {}, page.title),
      h("p", {}, "This page shows the tasks of all keys. It needs a key with the scope admin."),
    );
  if (page.scope && !may(page.scope))
    return main.append(h("h1", {}, page.title), h("p", {}, `This needs a key with the scope ${page.scope}.`));
  const hasDetail = rest[0] && page.detail;
  if (hasDetail && !isId(rest[0]))
    return main.append(
      h("h1", {}, "Task"),
      h("p", { class: "banner bad" }, `${visible(rest[0]).slice(0, 100)} is not a task id`),
      h("p", {}, h("a", { href: "#/tasks" }, "Go to the tasks")),
    );
  const context = { may, session, parameters };
  leave = hasDetail ? page.detail(main, rest[0], context) : page.show(main, context);
}

function bar(page) {
  const links = PAGES.filter((one) => (!one.isAdmins || may("admin")) && (!one.scope || may(one.scope)));
  const isIn = !session.auth || session.key_name;
  return h(
    "div",
    { class: "bar" },
    h("a", { class: "brand", href: "#/overview" }, "DTQS"),
    isIn
      ? h(
          "nav",
          { "aria-label": "Pages" },
          links.map((one) =>
            h(
              "a",
              {
                href: `#/${one.path}`,
                "aria-current": one === page ? "page" : null,
                title: `${one.title} (g ${one.key})`,
              },
              one.title,
            ),
          ),
        )
      : null,
    h(
      "div",
      { class: "tools" },
      dot,
      h(
        "button",
        {
          class: "plain round",
          id: "theme",
          onclick: nextTheme,
          "aria-label": `Colours: ${theme()}`,
          title: `Colours: ${theme()}`,
        },
        icon({ auto: "auto", light: "sun", dark: "moon" }[theme()]),
      ),
      h(
        "button",
        { class: "plain round", id: "keys", onclick: showKeys, "aria-label": "Keys", title: "Keys (?)" },
        "?",
      ),
      session.key_name
        ? h(
            "button",
            { class: "plain", id: "logout", onclick: logOut, title: `Logged in with the key ${session.key_name}` },
            "Log out",
          )
        : null,
    ),
  );
}

async function readSession() {
  session = await getSession();
}

async function logOut() {
  try {
    await call("DELETE", "session");
  } catch (error) {
    return note(`Logging out failed: ${error.message}.`, true);
  }
  location.reload(); // drops everything in memory
}

const theme = () => (THEMES.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "auto");

function applyTheme() {
  if (theme() === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme();
}

function nextTheme() {
  localStorage.setItem("theme", THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
  applyTheme();
  const button = document.getElementById("theme");
  button.setAttribute("aria-label", `Colours: ${theme()}`);
  button.title = `Colours: ${theme()}`;
  button.replaceChildren(icon({ auto: "auto", light: "sun", dark: "moon" }[theme()]));
}

function showKeys() {
  const rows = [
    ...PAGES.map((page) => [`g ${page.key}`, page.title]),
    ["/", "Focus the filter or search"],
    ["j, k", "Next or previous row"],
    ["x", "Select the row"],
    ["Enter", "Open the row"],
    ["?", "This help"],
    ["Esc", "Close"],
  ];
  const areOn = h("input", {
    type: "checkbox",
    id: "single-keys",
    checked: keysAreOn(),
    onchange: () => localStorage.setItem("keys", areOn.checked ? "on" : "off"),
  });
  const dialog = h(
    "dialog",
    { "aria-labelledby": "keys-title" },
    h("h2", { id: "keys-title" }, "Keys"),
    h("p", {}, h("label", { class: "check" }, areOn, "Single-key shortcuts")),
    h(
      "dl",
      { class: "keys" },
      rows.map(([keys, action]) => [h("dt", {}, h("kbd", {}, keys)), h("dd", {}, action)]),
    ),
    h("form", { method: "dialog", class: "row end" }, h("button", {}, "Close")),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** Speech input can trigger single keys, so they can be switched off (WCAG 2.1.4). */
const keysAreOn = () => localStorage.getItem("keys") !== "off";

let isGoing = false;
function onKey(event) {
  if (
    !keysAreOn() ||
    event.ctrlKey ||
    event.altKey ||
    event.metaKey ||
    event.target.closest("input, textarea, select, dialog")
  )
    return;
  const page = isGoing && PAGES.find((one) => one.key === event.key);
  isGoing = event.key === "g" && !isGoing;
  if (page) location.hash = `#/${page.path}`;
  else if (event.key === "?") showKeys();
  else if (event.key === "/" && main.querySelector("[data-search]")) {
    event.preventDefault();
    main.querySelector("[data-search]").focus();
  } else if (event.key === "j" || event.key === "k") moveRow(event.key === "j" ? 1 : -1);
  else if (event.key === "x") document.activeElement.closest("tr")?.querySelector("input[type=checkbox]")?.click();
}

function moveRow(step) {
  const links = [...main.querySelectorAll("tbody a.rowlink")];
  const at = links.indexOf(document.activeElement.closest("tr")?.querySelector("a.rowlink"));
  links[Math.max(0, Math.min(links.length - 1, at + step))]?.focus();
}

header.after(banner, speech);
applyTheme();
whenLoggedOut(async () => {
  if (!session?.key_name) return;
  await readSession().catch(() => {}); // the API is away: the page already reports it
  if (!session.key_name) {
    note("Your session has ended. Log in again.", true);
    show();
  }
});
addEventListener("hashchange", () => {
  show();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
addEventListener("keydown", onKey);

async function begin() {
  if (!main.querySelector(".banner")) put(main, h("p", { class: "hint" }, "Reading…"));
  try {
    await readSession();
  } catch {
    put(main, h("p", { class: "banner bad", role: "alert" }, `${await trouble()}; retrying.`));
    return void setTimeout(begin, 2000);
  }
  show();
}
begin();
