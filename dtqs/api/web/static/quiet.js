// The banner for a system that cannot be read.

import { h, icon } from "./dom.js";
import { time } from "./format.js";

/** Make the banner for a missing or old reading. */
export function quietPart({ reading, trouble }, id = null) {
  if (!trouble) return h("p", { class: "banner" }, "Reading…");
  return h(
    "p",
    { class: "banner bad", id },
    icon("alarm"),
    `${trouble}; retrying.${reading ? ` The data below is from ${time(1000 * reading.at)}.` : ""}`,
  );
}
