// Builds elements from data. Text becomes a text node, so nothing from a task can be markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled" || name === "indeterminate")
      element[name] = value;
    else if (name === "style") for (const [rule, text] of Object.entries(value)) element.style.setProperty(rule, text);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

export const h = (tag, properties = {}, ...children) => fill(document.createElement(tag), properties, children);
export const svg = (tag, properties = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), properties, children);

/** Give an element the content `children`. Nodes that fit stay and are changed in place: selected text, scroll
 * positions, focus and open details stay, too. They fit by `data-key`, id or address, otherwise by their order. */
export function put(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  merge(element, h(element.tagName, {}, ...children));
  // a node that changes its place loses the focus
  if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

/** Return the children by key. Nodes without a key of their own are numbered. */
function byKey(element) {
  const found = new Map(),
    numbers = {};
  for (const node of element.childNodes) {
    const own = node.dataset?.key || node.id || node.getAttribute?.("href") || "";
    const name = `${node.nodeName} ${own}`,
      number = (numbers[name] = (numbers[name] ?? 0) + 1);
    found.set(`${name} ${number}`, node);
  }
  return found;
}

function merge(element, wanted) {
  const old = byKey(element),
    fresh = byKey(wanted);
  // first the nodes that go: those that stay then keep their place
  for (const [key, node] of old) if (!fresh.has(key)) node.remove();
  let place = element.firstChild;
  for (const [key, node] of fresh) {
    const kept = old.get(key);
    if (!kept) element.insertBefore(node, place);
    else {
      if (kept === place) place = place.nextSibling;
      else element.insertBefore(kept, place);
      change(kept, node);
    }
  }
}

function change(kept, node) {
  if (kept.nodeType !== Node.ELEMENT_NODE) {
    if (kept.data !== node.data) kept.data = node.data;
    return;
  }
  for (const { name, value } of [...node.attributes])
    if (name !== "style" && kept.getAttribute(name) !== value) kept.setAttribute(name, value);
  for (const { name } of [...kept.attributes])
    if (!node.hasAttribute(name) && !(name === "open" && kept.tagName === "DETAILS")) kept.removeAttribute(name);
  // the content policy forbids the attribute
  if (node.hasAttribute("style") && kept.style.cssText !== node.style.cssText) kept.style.cssText = node.style.cssText;
  if (kept.tagName === "INPUT") kept.checked = node.checked;
  merge(kept, node);
}

const ICONS = {
  completed: "M4 10l4 4 8-9",
  failed: "M5 5l10 10M15 5L5 15",
  cancelled: "M10 3a7 7 0 100 14 7 7 0 000-14M5 15L15 5",
  pending: "M10 3a7 7 0 100 14 7 7 0 000-14M10 6v4l3 2",
  in_progress: "M6 4l10 6-10 6z",
  ok: "M4 10l4 4 8-9",
  alarm: "M10 3L2 17h16zM10 8v4M10 14v1",
  sun: "M10 6a4 4 0 100 8 4 4 0 000-8M10 1v2M10 17v2M1 10h2M17 10h2M4 4l1 1M15 15l1 1M16 4l-1 1M5 15l-1 1",
  moon: "M15 12A7 7 0 018 3a7 7 0 107 9z",
  auto: "M10 3a7 7 0 100 14 7 7 0 000-14M10 3v14",
};

export const icon = (name) =>
  svg("svg", { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));

export const WORDS = {
  pending: "pending",
  in_progress: "in progress",
  completed: "completed",
  failed: "failed",
  cancelled: "cancelled",
};
export const badge = (status) =>
  h("span", { class: `badge ${status}` }, ICONS[status] ? icon(status) : null, WORDS[status] || status);

/** Show a short message at the bottom of the page. */
export function note(text, isBad = false) {
  const one = h("p", { class: isBad ? "note bad" : "note" }, text);
  document.getElementById("notes").append(one);
  setTimeout(() => one.remove(), isBad ? 10000 : 5000);
}

/** Ask before an action that cannot be undone; resolves to true for yes. `details` stand between text and buttons. */
export function confirm(title, text, verb, details = null) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { "aria-labelledby": "dialog-title" },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "dialog-title" }, title),
        h("p", {}, text),
        details,
        h(
          "div",
          { class: "row end" },
          h("button", { value: "no", class: "plain", autofocus: true }, "No"),
          h("button", { value: "yes", class: "danger", id: "confirm-yes" }, verb),
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
