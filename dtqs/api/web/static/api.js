// Calls to the public HTTP API. The browser adds the session cookie.

export class Problem extends Error {
  constructor(status, document) {
    super(document?.detail || `the server answered ${status}`);
    this.status = status;
    this.errors = document?.errors || [];
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

export async function call(method, path, body, headers = {}, waitSeconds = WAIT_SECONDS) {
  let response, text;
  try {
    response = await fetch(path, {
      method,
      cache: "no-store",
      headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(1000 * waitSeconds),
    });
    text = await response.text(); // an answer may break off
  } catch {
    throw new Problem(0, { detail: "the API cannot be reached; try again" });
  }
  let document = null;
  try {
    document = text ? JSON.parse(text) : null;
  } catch {
    /* a proxy's error page */
  }
  if (response.ok) return document;
  if (response.status === 401 && path !== "session") onLoggedOut();
  throw new Problem(response.status, document);
}

export const get = (path) => call("GET", path);
/** Return the session. A short timeout keeps the page from waiting for a hanging API. */
export const getSession = () => call("GET", "session", undefined, {}, SHORT_SECONDS);
export const post = (path, body, headers) => call("POST", path, body, headers);

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
  return (description ??= get("openapi.json").catch((error) => {
    description = null;
    throw error;
  }));
}
export async function taskTypes() {
  const names = Object.keys((await openapi()).components.schemas).filter((name) => name.startsWith("submit."));
  return names.map((name) => name.slice("submit.".length)).sort();
}
