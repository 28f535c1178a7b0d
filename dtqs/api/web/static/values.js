// Values of a task: JSON with secrets masked, and files. Types that a browser could run are not shown.

import { h } from "./dom.js";
import { Exact, plain } from "./exact.js";
import { bytes, masked, visible } from "./format.js";

const IMAGES = /^image\/(jpeg|png|gif|webp|avif)$/,
  VIDEOS = /^video\/(mp4|webm|quicktime|x-matroska)$/,
  AUDIO = /^audio\/(mpeg|mp4|aac|ogg|opus|wav|x-wav|flac|webm)$/;
const UPLOAD = /^upload:([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
/** Bounds of a shown value. Each part becomes an element, which takes the browser 10 µs and more. */
const VALUES = 5000,
  CHARACTERS = 200_000;
export const FILES = 100;

export const fileId = (uri) => (typeof uri === "string" ? UPLOAD.exec(uri)?.[1] : undefined);

/** Make an element with the value as indented JSON: the beginning of a large one, with a link to the rest. */
export function json(value, whole = null) {
  const left = { values: VALUES, characters: CHARACTERS },
    box = h("pre", { class: "json", tabindex: 0 });
  write(box, masked(value, "", left), "");
  if (left.values >= 0 && left.characters >= 0) return box;
  return h(
    "div",
    {},
    box,
    h(
      "p",
      { class: "hint rest" },
      "The value is large; the rest is not shown. ",
      whole ? h("a", { href: whole, target: "_blank", rel: "noopener" }, "The whole task as JSON") : null,
    ),
  );
}

function write(box, value, indent) {
  const isList = Array.isArray(value);
  if (value === null || typeof value !== "object" || value instanceof Exact) return scalar(box, value);
  const entries = Object.entries(value);
  if (!entries.length) return box.append(isList ? "[]" : "{}");
  box.append(isList ? "[\n" : "{\n");
  entries.forEach(([key, one], index) => {
    box.append(`${indent}  `);
    if (!isList) box.append(h("span", { class: "name" }, visible(JSON.stringify(key))), ": ");
    write(box, one, `${indent}  `);
    box.append(index < entries.length - 1 ? ",\n" : "\n");
  });
  box.append(indent, isList ? "]" : "}");
}

function scalar(box, value) {
  const id = fileId(value);
  if (id) return box.append(h("a", { href: `files/${id}` }, JSON.stringify(value)));
  if (value instanceof Exact) return box.append(h("span", { class: "number" }, value.source));
  const kind = value === null ? "null" : typeof value;
  box.append(h("span", { class: kind }, visible(JSON.stringify(value))));
}

/** Return the files in a value, at any depth, with their media types; the first hundred. */
export function files(value, found = [], name = "") {
  if (found.length >= FILES) return found;
  if (Array.isArray(value)) value.forEach((one) => files(one, found, name));
  else if (value && typeof value === "object") {
    const id = fileId(value.uri);
    if (id)
      found.push({
        id,
        name: String(value.name ?? name ?? "file"),
        media_type: String(value.media_type ?? ""),
        size_bytes: plain(value.size_bytes),
        width: plain(value.width),
        height: plain(value.height),
      });
    for (const [key, one] of Object.entries(value)) if (one && typeof one === "object") files(one, found, key);
  }
  return found;
}

/** Make a card for a file: images are shown, video and audio played, other files saved. */
export function fileCard(file) {
  const url = `files/${file.id}`,
    facts = [
      file.width && file.height ? `${file.width} × ${file.height}` : null,
      bytes(file.size_bytes),
      file.media_type,
    ]
      .filter(Boolean)
      .join(", ");
  const shown = IMAGES.test(file.media_type)
    ? h("a", { href: url, target: "_blank", rel: "noopener" }, h("img", { src: url, alt: file.name, loading: "lazy" }))
    : VIDEOS.test(file.media_type)
      ? h("video", { src: url, controls: true, preload: "metadata" })
      : AUDIO.test(file.media_type)
        ? h("audio", { src: url, controls: true, preload: "none" })
        : null;
  return h(
    "figure",
    { class: "file" },
    shown,
    h(
      "figcaption",
      {},
      h("b", {}, visible(file.name)),
      h("span", { class: "hint" }, facts),
      h("a", { href: url, download: file.name }, "Save"),
    ),
  );
}
