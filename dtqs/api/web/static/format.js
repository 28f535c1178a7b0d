// Values in a form for people.

import { now } from "./clock.js";
import { plain, write } from "./exact.js";
import secrets from "./secrets.js";

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0) value = 0;
  if (value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 1) return `${value < 0.01 ? (value * 1000).toFixed(1) : Math.round(value * 1000)} ms`;
  if (value < 60) return `${value < 10 ? value.toFixed(1) : Math.round(value)} s`;
  const whole = Math.round(value);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (value < 1024 || unit === "GiB")
      return `${unit === "B" || value >= 100 ? Math.round(value) : value.toFixed(1)} ${unit}`;
    value /= 1024;
  }
}

export const count = (value) => (value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en"));

export function rate(value) {
  if (value === null || value === undefined) return "–";
  return value >= 100
    ? Math.round(value).toLocaleString("en")
    : value >= 10
      ? value.toFixed(0)
      : value.toFixed(value && value < 0.1 ? 2 : 1);
}

const two = (number) => String(number).padStart(2, "0");

/** Return the local time of day, with the date unless it is today. */
export function time(text) {
  if (!text) return "–";
  const at = new Date(text);
  const day =
    at.toDateString() === new Date().toDateString()
      ? ""
      : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} `;
  return `${day}${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** Return the seconds since a time until `end`, in milliseconds: the server's present time if it is not given. */
export const since = (text, end = now()) => (end - new Date(text).getTime()) / 1000;
export const ago = (text, end = now()) => `${seconds(since(text, end))} ago`;
/** The end of a UUIDv7 distinguishes tasks; its beginning is the time. */
export const short = (id) => `…${id.slice(-8)}`;
export const percent = (fraction) => `${Math.round(100 * (fraction || 0))} %`;

// The rules come from dtqs/masking.json, which console and command line use, too.
export const MASK = secrets.mask;
const NAMES = new RegExp(secrets.names),
  SECRET = 4096, // longer than any secret in a text
  TEXTS = secrets.texts.map((text) => new RegExp(text, "gi"));

export const isSecretName = (name) => NAMES.test(name.replace(/([a-z0-9])(?=[A-Z])/g, "$1_").toLowerCase());
const maskedText = (text) => TEXTS.reduce((shown, one) => shown.replace(one, `$1${MASK}`), text);

/** Return the value with secrets masked, recognized by name or form. `left` bounds the parts of a large value, and the
 * characters of its texts. Both count down; below zero, something is left out. */
export function masked(value, name = "", left = { values: Infinity, characters: Infinity }) {
  if (name && value !== null && value !== "" && typeof value !== "boolean" && isSecretName(name)) return MASK;
  const given = plain(value);
  if (typeof given === "string") return bounded(given, left);
  if (given === null || typeof given !== "object") return value;
  if (Array.isArray(given)) {
    const made = [];
    for (const one of given) {
      if (isFull(left)) break;
      made.push(masked(one, "", left));
    }
    return made;
  }
  const made = [];
  for (const [key, one] of Object.entries(given)) {
    if (isFull(left, key.length)) break;
    made.push([key, masked(one, key, left)]);
  }
  return Object.fromEntries(made);
}

/** Count one value more and return whether it is too much. */
function isFull(left, characters = 0) {
  if (left.characters < characters || left.values < 1) left.values = -1;
  else left.values -= 1;
  left.characters -= characters;
  return left.values < 0;
}

/** Mask a text, then cut it: a secret that is cut in two is not recognized. */
function bounded(text, left) {
  const room = Math.max(0, left.characters);
  left.characters -= text.length;
  return text.length <= room ? maskedText(text) : maskedText(text.slice(0, room + SECRET)).slice(0, room);
}

/** Return the beginning of a value as masked JSON on one line. The cost has a bound, whatever the size of the value. */
export function brief(value, characters = 120) {
  const text = visible(write(masked(value, "", { values: characters, characters })));
  return text.length > characters ? `${text.slice(0, characters)}…` : text;
}

/** Return a text with secrets masked, and with control and direction characters made visible. */
export const visible = (text) =>
  maskedText(String(text)).replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (c) =>
    c === "\n" || c === "\t" ? c : named(c),
  );

/** Return the beginning of a text as `visible` does. */
export const clipped = (text, most = 10_000) =>
  text.length > most ? `${visible(text.slice(0, most + SECRET)).slice(0, most)}…` : visible(text);

function named(character) {
  const code = character.codePointAt(0),
    digits = code.toString(16).padStart(4, "0");
  return code < 0x20 ? String.fromCharCode(0x2400 + code) : digits.length > 4 ? `\\u{${digits}}` : `\\u${digits}`;
}
