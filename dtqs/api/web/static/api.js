// Calls to the public HTTP API. The browser adds the session cookie.

import { learn } from "./clock.js";
import { read } from "./exact.js";

export class Problem extends Error {
  constructor(status, document) {
    super(document?.detail || `the server answered ${status}`);
    this.status = status;
    this.errors = document?.errors || [];
  }
  /** Whether the same request may succeed later. */
  get mayPass() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

let onLoggedOut = () => {};
export const whenLoggedOut = (call) => {
  onLoggedOut = call;
};
/** A browser hides the reason of a refused stream, so check whether the session has ended. */
export const mayBeLoggedOut = () => onLoggedOut();

const WAIT_SECONDS = 30,
  SHORT_SECONDS = 4;
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Return whether a text is the id of a task or file. */
export const isId = (text) => ID.test(text);

/** Call the API. `text` is the JSON of the body; `parse` reads the answer. */
export async function call(method, path, { text, headers = {}, waitSeconds = WAIT_SECONDS, parse = read } = {}) {
  let response, answer;
  const sentAt = Date.now();
  try {
    response = await fetch(path, {
      method,
      cache: "no-store",
      headers: text === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: text,
      signal: AbortSignal.timeout(1000 * waitSeconds),
    });
    learn(response.headers.get("Date"), sentAt, Date.now());
    answer = await response.text(); // an answer may break off
  } catch {
    throw new Problem(0, { detail: "the API cannot be reached; try again" });
  }
  let document = null;
  try {
    document = answer ? parse(answer) : null;
  } catch {
    if (response.ok) throw new Problem(0, { detail: "the answer is not JSON, so it is not from the API; try again" });
  }
  if (response.ok) return document;
  if (response.status === 401 && path !== "session") onLoggedOut();
  throw new Problem(response.status, document);
}

export const get = (path, parse = read) => call("GET", path, { parse });
/** Return the session. A short timeout keeps the page from waiting for a hanging API. */
export const getSession = () => call("GET", "session", { waitSeconds: SHORT_SECONDS });
export const post = (path, text, headers) => call("POST", path, { text, headers });

export const query = (values) =>
  new URLSearchParams(
    Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined),
  ).toString();

/** Say which server is away. /readyz needs no login, which could not be checked now. */
export async function trouble() {
  let document = null;
  try {
    const response = await fetch("readyz", { cache: "no-store", signal: AbortSignal.timeout(1000 * SHORT_SECONDS) });
    document = await response.json();
  } catch {
    /* no answer, or a proxy's error page */
  }
  if (!document?.postgresql) return "The API cannot be reached";
  if (document.reason) return document.reason;
  return document.postgresql.state === "away"
    ? "PostgreSQL is away: logins cannot be checked"
    : "The API answers but sends no readings";
}

/** Upload a file and report its progress, which fetch cannot do. */
export function upload(file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `files?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener(
      "progress",
      (event) => event.lengthComputable && onProgress(event.loaded / event.total),
    );
    request.addEventListener("load", () => {
      let document = null;
      try {
        document = JSON.parse(request.responseText);
      } catch {
        /* a proxy's error page */
      }
      if (request.status === 201) resolve(document);
      else reject(new Problem(request.status, document));
    });
    request.addEventListener("error", () => reject(new Problem(0, { detail: "the upload was interrupted" })));
    request.send(file);
  });
}

let description = null;
/** The OpenAPI document, read once: task types and the schemas of their payloads. */
export async function openapi() {
  return (description ??= get("openapi.json", JSON.parse).catch((error) => {
    description = null;
    throw error;
  }));
}
export async function taskTypes() {
  const names = Object.keys((await openapi()).components.schemas).filter((name) => name.startsWith("submit."));
  return names.map((name) => name.slice("submit.".length)).sort();
}
