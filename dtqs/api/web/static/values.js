// Values of a task: JSON with secrets masked, and files. Types that a browser could run are not shown.

import { h } from "./dom.js";
import { bytes, masked, visible } from "./format.js";

const IMAGES = /^image\/(jpeg|png|gif|webp|avif)$/,
  VIDEOS = /^video\/(mp4|webm|quicktime|x-matroska)$/,
  AUDIO = /^audio\/(mpeg|mp4|aac|ogg|opus|wav|x-wav|flac|webm)$/;
const UPLOAD = /^upload:([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
const LONG = 300;

export const fileId = (uri) => (typeof uri === "string" ? UPLOAD.exec(uri)?.[1] : undefined);

/** Make an element with the value as indented JSON. */
export function json(value) {
  const box = h("pre", { class: "json", tabindex: 0 });
  write(box, masked(value), "");
  return box;
}

function write(box, value, indent) {
  const isList = Array.isArray(value);
  if (value === null || typeof value !== "object") return scalar(box, value);
  const entries = Object.entries(value);
  if (!entries.length) return box.append(isList ? "[]" : "{}");
  box.append(isList ? "[\n" : "{\n");
  entries.slice(0, LONG).forEach(([key, one], index) => {
    box.append(`${indent}  `);
    if (!isList) box.append(h("span", { class: "name" }, visible(JSON.stringify(key))), ": ");
    write(box, one, `${indent}  `);
    box.append(index < entries.length - 1 ? ",\n" : "\n");
  });
  if (entries.length > LONG) box.append(`${indent}  … and ${entries.length - LONG} more\n`);
  box.append(indent, isList ? "]" : "}");
}

function scalar(box, value) {
  const id = fileId(value);
  if (id) return box.append(h("a", { href: `files/${id}` }, JSON.stringify(value)));
  const kind = value === null ? "null" : typeof value;
  box.append(h("span", { class: kind }, visible(JSON.stringify(value))));
}

/** Return all files in a value, at any depth, with their media types. */
export function files(value, found = [], name = "") {
  if (Array.isArray(value)) value.forEach((one) => files(one, found, name));
  else if (value && typeof value === "object") {
    const id = fileId(value.uri);
    if (id)
      found.push({
        id,
        name: String(value.name ?? name ?? "file"),
        media_type: String(value.media_type ?? ""),
        size_bytes: value.size_bytes,
        width: value.width,
        height: value.height,
        seconds: value.duration_seconds,
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
