// Small charts of the last minutes, as SVG in the page's colours. Curves also differ by their dashes.
// Pointer and keyboard show the values of a moment.

import { h, svg } from "./dom.js";

const WIDTH = 320,
  HEIGHT = 96,
  LEFT = 0,
  TOP = 6,
  BOTTOM = 2;
const SPAN_SECONDS = 300;

function nice(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999) || value;
}

function path(points, read, x, y) {
  let text = "",
    open = false,
    before = 0;
  for (const point of points) {
    const value = read(point);
    if (value === null || value === undefined) {
      open = false;
      continue;
    }
    if (open && point.at - before > 30) open = false; // no page was open in between
    text += `${open ? "L" : "M"}${x(point.at).toFixed(1)} ${y(value).toFixed(1)}`;
    open = true;
    before = point.at;
  }
  return text;
}

/** Make a chart of lines `{name, read, kind}`; `unit` formats a value. The element has a method `draw(points)`. */
export function chart(title, lines, unit, least = 0) {
  const plot = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    class: "plot",
    "aria-hidden": "true",
  });
  const top = h("span", { class: "top" }),
    values = h("ul", { class: "legend" }),
    hover = h("div", { class: "hover", hidden: true });
  const frame = h(
    "div",
    {
      class: "frame",
      tabindex: 0,
      role: "slider",
      "aria-label": `${title}, last five minutes`,
      "aria-readonly": "true",
      "aria-valuemin": 0,
    },
    plot,
    top,
    hover,
  );
  const element = h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, title),
    frame,
    h("div", { class: "axis" }, h("span", {}, "5 min ago"), h("span", {}, "now")),
    values,
  );
  let shown = [],
    end = 0,
    lookedAt = null; // a Unix time; null: the newest point

  /** Show the values of the point nearest to the pointer or to the keyboard position. */
  function showValues() {
    if (!shown.length) return;
    const near =
      lookedAt === null
        ? shown[shown.length - 1]
        : shown.reduce((best, point) => (Math.abs(point.at - lookedAt) < Math.abs(best.at - lookedAt) ? point : best));
    const moment = new Date(near.at * 1000).toLocaleTimeString(),
      texts = lines.map((line) => `${line.name} ${unit(line.read(near))}`);
    frame.setAttribute("aria-valuemax", shown.length - 1);
    frame.setAttribute("aria-valuenow", shown.indexOf(near));
    frame.setAttribute("aria-valuetext", `${moment}: ${texts.join(", ")}`);
    hover.classList.toggle("left", near.at > end - SPAN_SECONDS / 2);
    hover.replaceChildren(h("time", {}, moment), ...texts.map((one) => h("span", {}, one)));
  }

  element.draw = (points) => {
    end = points.length ? points[points.length - 1].at : Date.now() / 1000;
    shown = points.filter((point) => point.at >= end - SPAN_SECONDS);
    const most = nice(Math.max(least, ...shown.flatMap((point) => lines.map((line) => line.read(point) ?? 0))));
    const x = (at) => LEFT + ((at - end + SPAN_SECONDS) / SPAN_SECONDS) * (WIDTH - LEFT);
    const y = (value) => HEIGHT - BOTTOM - (value / most) * (HEIGHT - TOP - BOTTOM);
    const grid = [0, 0.5, 1].map((part) =>
      svg("line", { x1: 0, x2: WIDTH, y1: y(part * most), y2: y(part * most), class: "grid" }),
    );
    const drawn = lines.map((line) => svg("path", { d: path(shown, line.read, x, y), class: `curve ${line.kind}` }));
    plot.replaceChildren(...grid, ...drawn);
    top.textContent = unit(most);
    const last = shown[shown.length - 1];
    values.replaceChildren(
      ...lines.map((line) =>
        h(
          "li",
          { class: line.kind },
          svg(
            "svg",
            { class: "key", viewBox: "0 0 22 8", "aria-hidden": "true" },
            svg("path", { d: "M0 4H22", class: `curve ${line.kind}` }),
          ),
          `${line.name} `,
          h("b", {}, last ? unit(line.read(last)) : "–"),
        ),
      ),
    );
    showValues();
  };
  const look = (at) => {
    lookedAt = at;
    hover.hidden = !shown.length;
    showValues();
  };
  const lookAway = () => {
    lookedAt = null;
    hover.hidden = true;
    showValues();
  };
  frame.addEventListener("pointermove", (event) => {
    const box = frame.getBoundingClientRect();
    look(end - SPAN_SECONDS * (1 - (event.clientX - box.left) / box.width));
  });
  frame.addEventListener("pointerleave", lookAway);
  frame.addEventListener("focus", () => look(lookedAt));
  frame.addEventListener("blur", lookAway);
  frame.addEventListener("keydown", (event) => {
    const now = Number(frame.getAttribute("aria-valuenow")),
      last = shown.length - 1;
    const next = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, Home: 0, End: last }[
      event.key
    ];
    if (next === undefined || last < 0) return;
    event.preventDefault();
    look(shown[Math.max(0, Math.min(last, next))].at);
  });
  element.draw([]);
  return element;
}
