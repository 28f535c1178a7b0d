// The submit page: a form from the task type's schema, or the payload as JSON.

import { get, openapi, post, taskTypes } from "./api.js";
import { h, put } from "./dom.js";
import { indented, parse, plain, write } from "./exact.js";
import { FieldError, Form } from "./form.js";
import { visible } from "./format.js";
import { persist } from "./live.js";

export function submitPage(main, context, likeId) {
  const body = h("div", {}, h("p", { class: "hint" }, "Reading…"));
  main.append(h("h1", {}, "Submit"), body);
  let over = false;
  const reading = persist(begin, (problem) =>
    put(body, h("p", { class: "banner bad", role: "alert" }, problem.message, problem.mayPass ? "; retrying." : "")),
  );

  async function begin() {
    const task = likeId ? get(`tasks/${likeId}`, parse) : null;
    const [document, names, like] = await Promise.all([openapi(), taskTypes(), task]);
    if (over) return;
    const wanted =
      like?.task_type || context.parameters.get("task_type") || (names.includes("image") ? "image" : names[0]);
    if (!names.includes(wanted))
      return put(body, h("p", { class: "banner bad" }, `The task type ${visible(wanted)} is not installed here.`));
    const form = h("div");
    let current = taskForm(document, wanted, like);
    const change = () => {
      const given = current.given();
      current = taskForm(document, type.value, null);
      current.keep(given);
      form.replaceChildren(current.element);
    };
    const type = h(
      "select",
      { id: "task-type", onchange: change },
      names.map((name) => h("option", { value: name, selected: name === wanted }, name)),
    );
    form.append(current.element);
    body.replaceChildren(h("div", { class: "field" }, h("label", { for: "task-type" }, "Task type"), type), form);
  }
  return () => {
    over = true;
    reading.end();
  };
}

/** Return an example whose placeholder uploads are replaced by the files given so far. */
export function withUploads(example, before) {
  const given = plain(before);
  if (typeof example === "string") return example.startsWith("upload:") && typeof given === "string" ? given : example;
  if (Array.isArray(example)) return example.map((one, i) => withUploads(one, given?.[i]));
  if (example && typeof example === "object")
    return Object.fromEntries(Object.entries(example).map(([key, one]) => [key, withUploads(one, given?.[key])]));
  return example;
}

function taskForm(document, taskType, like) {
  const form = new Form(document, lock),
    schemas = document.components.schemas,
    schema = schemas[`payload.${taskType}`],
    envelope = schemas[`submit.${taskType}`];
  const payload = form.top(schema, "payload", "payload");
  const { task_type: _type, payload: _payload, ...options } = envelope.properties;
  const rest = form.top({ properties: options, type: "object" }, "", "options");
  const text = h("textarea", {
    rows: 16,
    spellcheck: "false",
    class: "code",
    id: "payload-json",
    "aria-label": "Payload as JSON",
  });
  const error = h("div", { class: "error", role: "alert", id: "submit-error" });
  const asForm = h("div", {}, payload.element),
    asText = h("div", { hidden: true }, text);
  const turn = h("button", { type: "button", class: "plain small", id: "as-json", onclick: swap }, "Edit as JSON");
  const button = h("button", { class: "main", id: "submit" }, "Submit");
  const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
  let isText = false,
    isSending = false,
    tries = 0,
    sentBefore = "";

  /** Block submitting during an upload: the payload lacks its URI. */
  function lock() {
    button.disabled = isSending || form.uploads > 0;
    button.textContent = form.uploads ? "Uploading…" : "Submit";
  }

  /** Return the payload as JSON. A text that was typed stays as it is: the API judges it, not this page. */
  function payloadText() {
    if (!isText) return write(payload.get() ?? {});
    const typed = text.value.trim() || "{}";
    try {
      JSON.parse(typed);
    } catch (problem) {
      throw new FieldError("payload", `not JSON: ${problem.message}`);
    }
    return typed;
  }

  /** Return the payload for the form. Raises FieldError for a text that no form can show. */
  function typedObject() {
    const typed = payloadText();
    let value;
    try {
      value = parse(typed);
    } catch (problem) {
      throw new FieldError("payload", problem.message);
    }
    const fields = plain(value);
    if (fields === null || typeof fields !== "object" || Array.isArray(fields))
      throw new FieldError("payload", "a form needs a JSON object, for example {}");
    return value;
  }

  function swap() {
    try {
      if (isText) payload.set(typedObject());
      else text.value = indented(payloadText());
    } catch (problem) {
      return void put(error, problem.message);
    }
    isText = !isText;
    asForm.hidden = isText;
    asText.hidden = !isText;
    turn.textContent = isText ? "Edit as a form" : "Edit as JSON";
    put(error);
  }

  function use(example) {
    const begun = withUploads(example, given());
    payload.set(begun);
    text.value = indented(write(begun));
  }

  /** Return the payload, empty if it cannot be parsed. */
  function given() {
    try {
      return plain(parse(payloadText()));
    } catch {
      return {};
    }
  }

  async function send(event) {
    event.preventDefault();
    form.clearErrors();
    put(error, form.uploads ? "Wait for the upload to finish." : null);
    if (form.uploads || isSending) return;
    isSending = true;
    lock();
    try {
      const options = Object.entries(rest.get() ?? {}).map(([name, one]) => `,${write(name)}:${write(one)}`);
      const sent = `{"task_type":${write(taskType)},"payload":${payloadText()}${options.join("")}}`;
      if (sent !== sentBefore) tries += 1; // a repetition after a lost answer keeps its idempotency key
      sentBefore = sent;
      const accepted = await post("submit", sent, { "Idempotency-Key": `dashboard-${key}-${tries}` });
      location.hash = `#/tasks/${accepted.task_id}`;
    } catch (problem) {
      isSending = false;
      lock();
      if (!(problem instanceof FieldError)) showProblem(problem);
      else if (isText) put(error, problem.message);
      else put(error, form.showErrors([{ field: problem.path, message: problem.message }]).join("; "));
    }
  }

  function showProblem(problem) {
    const unplaced = form
      .showErrors(isText ? [] : problem.errors)
      .concat(isText ? problem.errors.map((one) => `${one.field}: ${one.message}`) : []);
    put(
      error,
      h("p", {}, problem.message),
      unplaced.length
        ? h(
            "ul",
            {},
            unplaced.map((text) => h("li", {}, visible(text))),
          )
        : null,
    );
  }

  const examples = schema.examples || [];
  const element = h(
    "form",
    { class: "card submit", onsubmit: send, novalidate: true },
    h("div", { class: "line" }, h("h2", {}, "Payload"), h("div", { class: "push row" }, turn)),
    examples.length
      ? h(
          "p",
          { class: "line" },
          h("span", { class: "hint" }, "Start from an example:"),
          examples.map((example, index) =>
            h(
              "button",
              { type: "button", class: "plain small", onclick: () => use(example) },
              `${index + 1}: ${Object.keys(example).join(", ").slice(0, 40)}`,
            ),
          ),
        )
      : null,
    schema.description ? h("p", { class: "hint" }, schema.description) : null,
    asForm,
    asText,
    h("details", { class: "part" }, h("summary", {}, "Options: schedule, retries, priority"), rest.element),
    error,
    h("div", { class: "row" }, button),
  );
  if (like) {
    payload.set(like.payload);
    text.value = indented(write(like.payload));
    const { priority, max_retries, tags } = like;
    rest.set(tags.length ? { priority, max_retries, tags } : { priority, max_retries });
  }
  /** Keep an upload when the task type changes. */
  const keep = ({ source }) =>
    typeof source === "string" && source.startsWith("upload:") && payload.editors.source?.set(source);
  return { element, given, keep };
}
