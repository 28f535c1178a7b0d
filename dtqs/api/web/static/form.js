// A form built from a JSON schema. Each editor has an element, get() (undefined: not set) and set(value).
// A value that was set stays as it is until a person edits its field. Errors find their field by its path.

import { upload } from "./api.js";
import { h, note } from "./dom.js";
import { indented, numberOf, parse, plain, write } from "./exact.js";
import { bytes, isSecretName, percent } from "./format.js";

const FIRST = 6; // optional fields shown at first; a fold has the rest

export class Form {
  /** `onUploads` is called when an upload begins or ends; `uploads` counts the running ones. */
  constructor(document, onUploads) {
    this.schemas = document.components.schemas;
    this.errors = new Map();
    this.uploads = 0;
    this.onUploads = onUploads;
  }

  /** Make the editor of a whole payload, or of the options of a submit. */
  top(schema, path, name) {
    return keeping(this.object(this.resolve(schema).inner, path, name, false, true));
  }

  /** Make the editor of a schema. `path` is the name of the field in the API's errors. */
  editor(schema, path, name, isRequired) {
    const { inner, isNullable } = this.resolve(schema);
    return keeping(this.own(inner, path, name, !isRequired || isNullable));
  }

  own(inner, path, name, optional) {
    if (inner.const !== undefined) return { element: h("span"), get: () => inner.const, set() {} };
    if (inner.enum) return this.choice(inner, path, name, optional);
    if (inner.type === "boolean") return this.flag(inner, path, name);
    if (inner.type === "integer" || inner.type === "number") return this.number(inner, path, name, optional);
    if (inner.type === "string")
      return inner["x-dtqs-source"] ? this.file(inner, path, name, optional) : this.text(inner, path, name, optional);
    if (inner.type === "array" && inner.items) return this.list(inner, path, name, optional);
    if (inner.type === "object" && inner.properties) return this.object(inner, path, name, optional);
    return this.json(inner, path, name, optional);
  }

  /** Follow references. Remove null from a choice: it means "not set". */
  resolve(schema) {
    let isNullable = false,
      inner = schema,
      outer = {};
    for (let i = 0; i < 10; i++) {
      const { description, default: standard } = inner;
      outer = {
        ...(description ? { description } : {}),
        ...(standard !== undefined ? { default: standard } : {}),
        ...outer,
      };
      const choices = inner.anyOf || inner.oneOf || inner.allOf;
      if (inner.$ref) inner = this.schemas[inner.$ref.split("/").pop()];
      else if (choices) {
        const real = choices.filter((one) => one.type !== "null");
        isNullable ||= real.length < choices.length;
        if (real.length !== 1) break;
        inner = real[0];
      } else break;
    }
    return { inner: { ...inner, ...outer }, isNullable };
  }

  /** Wrap a control with its name, description and error. */
  field(path, name, schema, control, optional) {
    const error = h("p", { class: "error", id: `e-${path}`, role: "alert" });
    this.errors.set(path, error);
    control.id ||= `f-${path}`;
    const hint = schema.description ? h("p", { class: "hint", id: `h-${path}` }, schema.description) : null;
    control.setAttribute("aria-describedby", `${hint ? `h-${path} ` : ""}e-${path}`);
    const isWide = control.type === "text" || control.type === "password" || control.tagName === "TEXTAREA";
    return h(
      "div",
      { class: isWide ? "field wide" : "field" },
      h(
        "label",
        { for: control.id, title: path },
        name.replaceAll("_", " "),
        optional ? null : h("span", { class: "needed" }, " required"),
      ),
      control,
      hint,
      error,
    );
  }

  text(schema, path, name, optional) {
    const isLong = (schema.maxLength ?? 0) > 1000 || /^(text|html|body)$/.test(name);
    let control = isLong
      ? h("textarea", { rows: 4, required: !optional })
      : h("input", {
          type: isSecretName(name) ? "password" : "text",
          autocomplete: "off",
          spellcheck: "false",
          required: !optional,
          placeholder:
            typeof schema.default === "string"
              ? schema.default
              : schema.format === "date-time"
                ? "2030-01-31T12:00:00Z"
                : "",
        });
    return {
      element: this.field(path, name, schema, control, optional),
      get: (given) => {
        if (control.value === "") return undefined;
        return /\r/.test(given ?? "") ? control.value.replaceAll("\n", "\r\n") : control.value;
      },
      set: (value) => {
        const text = String(value ?? ""),
          breaks = new Set(text.match(/\r\n|\r|\n/g));
        // an <input> drops line breaks, and a <textarea> changes all to \n
        if (breaks.size && control.tagName === "INPUT") control = asTextarea(control);
        control.readOnly = breaks.size > 1 || breaks.has("\r");
        control.title = control.readOnly ? "This text has several kinds of line breaks: edit it as JSON" : "";
        control.value = text;
      },
    };
  }

  number(schema, path, name, optional) {
    const control = h("input", {
      type: "number",
      step: schema.type === "integer" ? 1 : "any",
      min: schema.minimum,
      max: schema.maximum,
      required: !optional,
      placeholder: schema.default ?? "",
    });
    return {
      element: this.field(path, name, schema, control, optional),
      get: () => {
        const text = control.value.trim();
        if (text === "" && !control.validity.badInput) return undefined;
        const isLoose = control.type === "number" && text; // .5 is a number of HTML, not of JSON
        const number = numberOf(text) ?? numberOf(String(isLoose ? Number(text) : NaN));
        if (number === undefined) throw new FieldError(path, "not a number");
        return number;
      },
      set: (value) => {
        control.type = "number";
        control.value = value ?? "";
        if (control.value !== String(value ?? "")) control.type = "text"; // 1e400 is no number of HTML
        control.value = value ?? "";
      },
    };
  }

  flag(schema, path, name) {
    const standard = schema.default ?? false;
    const control = h("input", { type: "checkbox", checked: standard });
    const element = this.field(path, name, schema, control, true);
    element.classList.add("check");
    return {
      element,
      get: (given) => (given === undefined && control.checked === standard ? undefined : control.checked),
      set: (value) => {
        control.checked = value ?? standard;
      },
    };
  }

  choice(schema, path, name, optional) {
    const control = h(
      "select",
      { required: !optional },
      optional ? h("option", { value: "" }, schema.default ? `${schema.default} (default)` : "not set") : null,
      schema.enum.map((one) => h("option", { value: String(one) }, String(one))),
    );
    return {
      element: this.field(path, name, schema, control, optional),
      get: () => (control.value === "" ? undefined : schema.enum.find((one) => String(one) === control.value)),
      set: (value) => {
        control.value = value === null || value === undefined ? "" : String(value);
      },
    };
  }

  /** Make the editor of a source: a typed URI, or a local file that is uploaded at once. */
  file(schema, path, name, optional) {
    const control = h("input", {
      type: "text",
      autocomplete: "off",
      spellcheck: "false",
      required: !optional,
      placeholder: "upload:…, https://…, s3://…",
    });
    const state = h("span", { class: "hint", "aria-live": "polite" });
    const chooser = h("input", {
      type: "file",
      class: "visually-hidden",
      id: `u-${path}`,
      onchange: () => chooser.files[0] && take(chooser.files[0]),
    });
    const take = async (file) => {
      state.textContent = `${file.name}: uploading…`;
      this.uploads += 1;
      this.onUploads();
      try {
        const stored = await upload(file, (part) => {
          state.textContent = `${file.name}: ${percent(part)}`;
        });
        control.value = stored.uri;
        control.dispatchEvent(new Event("input", { bubbles: true }));
        state.textContent = `${file.name}, ${bytes(stored.size_bytes)}, ${stored.media_type}`;
      } catch (problem) {
        state.textContent = "";
        note(`${file.name}: ${problem.message}`, true);
      }
      this.uploads -= 1;
      this.onUploads();
      chooser.value = "";
    };
    const element = this.field(path, name, schema, control, optional);
    const drop = h(
      "div",
      {
        class: "drop",
        ondragover: (event) => {
          event.preventDefault();
          drop.classList.add("over");
        },
        ondragleave: () => drop.classList.remove("over"),
        ondrop: (event) => {
          event.preventDefault();
          drop.classList.remove("over");
          if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
        },
      },
      chooser,
      h("label", { for: `u-${path}`, class: "button plain" }, "Upload a file"),
      h("span", { class: "hint" }, "or drop it here "),
      state,
    );
    control.after(drop);
    return {
      element,
      get: () => (control.value.trim() === "" ? undefined : control.value.trim()),
      set: (value) => {
        if ((value ?? "") !== control.value) state.textContent = "";
        control.value = value ?? "";
      },
    };
  }

  json(schema, path, name, optional) {
    const control = h("textarea", {
      rows: 3,
      spellcheck: "false",
      class: "code",
      placeholder: "JSON",
      required: !optional,
    });
    const get = () => {
      if (control.value.trim() === "") return undefined;
      try {
        return parse(control.value);
      } catch (error) {
        throw new FieldError(path, `not JSON: ${error.message}`);
      }
    };
    return {
      element: this.field(path, name, schema, control, optional),
      get,
      set: (value) => {
        control.value = value === undefined || value === null ? "" : indented(write(value));
      },
    };
  }

  list(schema, path, name, optional) {
    const box = h("div", { class: "items" }),
      error = h("p", { class: "error", role: "alert" }),
      items = [];
    this.errors.set(path, error);
    const most = schema.maxItems ?? Infinity;
    const add = (value) => {
      const editor = this.editor(schema.items, `${path}[${items.length}]`, `${name} ${items.length + 1}`, true);
      const item = {
        editor,
        row: h(
          "div",
          { class: "item" },
          editor.element,
          h(
            "button",
            {
              type: "button",
              class: "plain small",
              "aria-label": `Remove ${name} ${items.length + 1}`,
              onclick: () => remove(item),
            },
            "Remove",
          ),
        ),
      };
      items.push(item);
      box.append(item.row);
      if (value !== undefined) editor.set(value);
    };
    const remove = (item) => {
      // rebuild the list, so that every path has its new index
      const values = items
        .filter((one) => one !== item)
        .map((one) => {
          try {
            return one.editor.get();
          } catch {
            return undefined;
          }
        });
      set(values);
      box.dispatchEvent(new Event("input", { bubbles: true }));
    };
    const set = (values) => {
      items.splice(0);
      box.replaceChildren();
      for (const value of Array.isArray(values) ? values : []) add(value);
      if (!optional && !items.length) add();
    };
    const element = h(
      "fieldset",
      {},
      h("legend", {}, name.replaceAll("_", " ")),
      schema.description ? h("p", { class: "hint" }, schema.description) : null,
      error,
      box,
      h(
        "button",
        { type: "button", class: "plain small", id: `add-${path}`, onclick: () => items.length < most && add() },
        "Add",
      ),
    );
    set();
    const get = (given) => {
      // leave out empty items
      const values = items.map((one) => one.editor.get()).filter((value) => value !== undefined);
      return values.length || Array.isArray(given) ? values : undefined;
    };
    return { element, get, set };
  }

  object(schema, path, name, optional, isTop = false) {
    const required = new Set(schema.required || []),
      editors = Object.create(null), // a payload may have keys such as constructor
      shown = [],
      hidden = [];
    const isPart = (one) => ["object", "array"].includes(this.resolve(one).inner.type);
    // required fields come first, fields with parts last
    for (const [key, one] of Object.entries(schema.properties).sort(
      ([a, x], [b, y]) => required.has(b) - required.has(a) || isPart(x) - isPart(y),
    )) {
      const editor = (editors[key] = this.editor(
        one,
        path ? `${path}.${key}` : key,
        key,
        required.has(key) && !optional,
      ));
      (required.has(key) || shown.length < FIRST ? shown : hidden).push(editor.element);
    }
    const isOpen = schema.additionalProperties === true;
    const other = isOpen
      ? keeping(this.json({ description: "further fields, as a JSON object" }, `${path}.*`, "more", true))
      : null;
    if (other) shown.push(other.element);
    const fold = hidden.length
      ? h("details", {}, h("summary", {}, `${hidden.length} more fields`), h("div", { class: "fields" }, hidden))
      : null;
    const error = h("p", { class: "error", role: "alert" });
    this.errors.set(path, error);
    const body = [
      isTop ? null : schema.description ? h("p", { class: "hint" }, schema.description) : null,
      error,
      h("div", { class: "fields" }, shown),
      fold,
    ];
    const element = isTop
      ? h("div", {}, body)
      : optional
        ? h("details", { class: "part" }, h("summary", {}, name.replaceAll("_", " ")), body)
        : h("fieldset", {}, h("legend", {}, name.replaceAll("_", " ")), body);
    const get = (given) => {
      const rest = other ? further(`${path}.*`, other.get()) : {},
        before = plain(given),
        made = [];
      // keys keep their order
      for (const key of new Set([...Object.keys(before ?? {}), ...Object.keys(rest), ...Object.keys(editors)])) {
        const value = editors[key]?.get(),
          typed = ownField(rest, key),
          isTwice = value !== undefined && typed !== undefined;
        if (isTwice) throw new FieldError(`${path}.*`, `${key} has a field of its own: leave it out here`);
        const chosen = value === undefined ? typed : value;
        if (chosen !== undefined) made.push([key, chosen]);
      }
      if (!optional || made.length) return Object.fromEntries(made);
      return before && Object.keys(before).length ? undefined : given;
    };
    const set = (given) => {
      const value = plain(given);
      for (const [key, editor] of Object.entries(editors)) editor.set(ownField(value, key));
      if (other) {
        const rest = Object.fromEntries(Object.entries(value ?? {}).filter(([key]) => !(key in editors)));
        other.set(Object.keys(rest).length ? rest : undefined);
      }
      if (element.tagName === "DETAILS") element.open = Boolean(value);
    };
    return { element, get, set, editors };
  }

  clearErrors() {
    for (const error of this.errors.values()) error.textContent = "";
  }

  /** Show the API's errors at their fields; return those without a field. */
  showErrors(problems) {
    const unplaced = [];
    let first = null;
    for (const { field, message } of problems) {
      const error = this.errors.get(field);
      if (!error) {
        unplaced.push(`${field}: ${message}`);
        continue;
      }
      error.textContent = message;
      for (let fold = error.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
      first ??= error;
    }
    first?.parentElement.querySelector("input, select, textarea")?.focus();
    return unplaced;
  }
}

/** Make an editor keep a value that was set until a person edits it: a form cannot show every value unchanged. */
function keeping(editor) {
  const { element, get, set } = editor;
  let given,
    isEdited = true;
  element.addEventListener("input", () => (isEdited = true));
  return {
    ...editor,
    get: () => (isEdited ? get(given) : given),
    set: (value) => {
      set(value);
      given = value;
      isEdited = value === undefined;
    },
  };
}

/** Return a field of its own that an object has: every object also has the fields of its prototype. */
const ownField = (object, key) => (Object.hasOwn(object ?? {}, key) ? object[key] : undefined);

/** Return the further fields of an object. Raises FieldError unless they are an object, too. */
function further(path, value) {
  const fields = plain(value) ?? {};
  if (typeof fields !== "object" || Array.isArray(fields)) throw new FieldError(path, "a JSON object is needed");
  return fields;
}

/** Put a textarea in the place of an input. */
function asTextarea(input) {
  const area = h("textarea", {
    rows: 4,
    id: input.id,
    required: input.required,
    spellcheck: "false",
    class: input.type === "password" ? "secret" : null,
    "aria-describedby": input.getAttribute("aria-describedby"),
  });
  input.replaceWith(area);
  return area;
}

/** The text of a field cannot be parsed. */
export class FieldError extends Error {
  constructor(path, message) {
    super(message);
    this.path = path;
  }
}
