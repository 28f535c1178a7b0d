// The HTTP API, as everybody uses it; the session's cookie goes along by itself.

export class Problem extends Error {
  constructor(status, document) {
    super(document?.detail || `the server answered ${status}`);
    this.status = status;
    this.errors = document?.errors || [];
  }
}

let onLoggedOut = () => {};
export const whenLoggedOut = (call) => { onLoggedOut = call; };
/** A stream was refused, and a browser does not say why: look whether the login is over. */
export const mayBeLoggedOut = () => onLoggedOut();

export async function call(method, path, body, headers = {}) {
  let response;
  try {
    response = await fetch(path, {
      method, cache: "no-store", headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers }, body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Problem(0, { detail: "the API cannot be reached; nothing was lost, try again" });
  }
  const text = await response.text();
  let document = null;
  try { document = text ? JSON.parse(text) : null; } catch { /* a proxy's own page */ }
  if (response.ok) return document;
  if (response.status === 401 && path !== "session") onLoggedOut();
  throw new Problem(response.status, document);
}

export const get = (path) => call("GET", path);
export const post = (path, body, headers) => call("POST", path, body, headers);

export const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined)).toString();

/** Upload with progress, which fetch does not tell. */
export function upload(file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `files?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", (event) => event.lengthComputable && onProgress(event.loaded / event.total));
    request.addEventListener("load", () => {
      let document = null;
      try { document = JSON.parse(request.responseText); } catch { /* a proxy's own page */ }
      if (request.status === 201) resolve(document);
      else reject(new Problem(request.status, document));
    });
    request.addEventListener("error", () => reject(new Problem(0, { detail: "the upload was cut off" })));
    request.send(file);
  });
}

let description = null;
/** The OpenAPI document, read once: task types and the schemas of their payloads. */
export async function openapi() {
  return (description ??= get("openapi.json").catch((error) => { description = null; throw error; }));
}
export async function taskTypes() {
  const names = Object.keys((await openapi()).components.schemas).filter((name) => name.startsWith("submit."));
  return names.map((name) => name.slice("submit.".length)).sort();
}
