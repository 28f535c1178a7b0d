// The login page: turns an API key into a session cookie that scripts cannot read.

import { call } from "./api.js";
import { h } from "./dom.js";

export function loginPage(main, onDone) {
  const error = h("p", { class: "error", role: "alert", id: "login-error" });
  const field = h("input", {
    id: "api-key",
    type: "password",
    autocomplete: "current-password",
    required: true,
    spellcheck: "false",
    "aria-describedby": "login-help login-error",
  });
  const button = h("button", { class: "main", id: "login" }, "Log in");
  main.append(
    h(
      "form",
      {
        class: "card login",
        onsubmit: async (event) => {
          event.preventDefault();
          button.disabled = true;
          error.textContent = "";
          try {
            await call("POST", "session", { text: JSON.stringify({ api_key: field.value.trim() }) });
            await onDone();
          } catch (problem) {
            error.textContent = problem.message;
            button.disabled = false;
            field.select();
          }
        },
      },
      h("h1", {}, "DTQS"),
      h("label", { for: "api-key" }, "API key"),
      field,
      error,
      button,
      h(
        "p",
        { class: "hint", id: "login-help" },
        "Create one with ",
        h("code", {}, "dtqs key create NAME"),
        ". The quickstart writes its key to ",
        h("code", {}, "var/client.env"),
        ".",
      ),
    ),
  );
  field.focus();
  return () => {};
}
