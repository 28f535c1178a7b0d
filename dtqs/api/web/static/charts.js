// Small charts of the last minutes, drawn as SVG so that the page's colours apply.

import { h, svg } from "./dom.js";

const WIDTH = 320, HEIGHT = 96, LEFT = 0, TOP = 6, BOTTOM = 2;
const SPAN_SECONDS = 300;

function nice(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999) || value;
}

function path(points, read, x, y) {
  let text = "", open = false, before = 0;
  for (const point of points) {
    const value = read(point);
    if (value === null || value === undefined) { open = false; continue; }
    if (open && point.at - before > 30) open = false; // nobody looked meanwhile
    text += `${open ? "L" : "M"}${x(point.at).toFixed(1)} ${y(value).toFixed(1)}`;
    open = true;
    before = point.at;
  }
  return text;
}

/** A chart whose lines are `{name, read, kind}`; `unit` words a value. Returns the element, with `draw(points)`. */
export function chart(title, lines, unit, least = 0) {
  const plot = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "plot", role: "img" });
  const top = h("span", { class: "top" }), values = h("ul", { class: "legend" }), hover = h("div", { class: "hover", hidden: true });
  const frame = h("div", { class: "frame" }, plot, top, hover);
  const element = h("figure", { class: "chart" }, h("figcaption", {}, title), frame, h("div", { class: "axis" }, h("span", {}, "5 min ago"), h("span", {}, "now")), values);
  let shown = [], end = 0;

  element.draw = (points) => {
    end = points.length ? points[points.length - 1].at : Date.now() / 1000;
    shown = points.filter((point) => point.at >= end - SPAN_SECONDS);
    const most = nice(Math.max(least, ...shown.flatMap((point) => lines.map((line) => line.read(point) ?? 0))));
    const x = (at) => LEFT + ((at - end + SPAN_SECONDS) / SPAN_SECONDS) * (WIDTH - LEFT);
    const y = (value) => HEIGHT - BOTTOM - (value / most) * (HEIGHT - TOP - BOTTOM);
    const grid = [0, 0.5, 1].map((part) => svg("line", { x1: 0, x2: WIDTH, y1: y(part * most), y2: y(part * most), class: "grid" }));
    const drawn = lines.map((line) => svg("path", { d: path(shown, line.read, x, y), class: `curve ${line.kind}` }));
    plot.replaceChildren(...grid, ...drawn);
    top.textContent = unit(most);
    const last = shown[shown.length - 1];
    values.replaceChildren(...lines.map((line) => h("li", { class: line.kind }, h("i", { class: `key ${line.kind}` }), `${line.name} `, h("b", {}, last ? unit(line.read(last)) : "–"))));
    plot.setAttribute("aria-label", `${title}, last five minutes: ${lines.map((line) => `${line.name} ${last ? unit(line.read(last)) : "unknown"}`).join(", ")}`);
  };
  frame.addEventListener("pointermove", (event) => {
    if (!shown.length) return;
    const box = frame.getBoundingClientRect(), at = end - SPAN_SECONDS * (1 - (event.clientX - box.left) / box.width);
    const near = shown.reduce((best, point) => (Math.abs(point.at - at) < Math.abs(best.at - at) ? point : best));
    hover.hidden = false;
    hover.classList.toggle("left", event.clientX - box.left > box.width / 2);
    hover.replaceChildren(h("time", {}, new Date(near.at * 1000).toLocaleTimeString()), ...lines.map((line) => h("span", {}, `${line.name} ${unit(line.read(near))}`)));
  });
  frame.addEventListener("pointerleave", () => { hover.hidden = true; });
  element.draw([]);
  return element;
}
