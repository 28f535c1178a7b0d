// The words for a system that cannot be read at the moment.

import { h, icon } from "./dom.js";
import { time } from "./format.js";

/** The banner while no reading is there, or only an old one. A screen reader reads it aloud, so it changes only with its words. */
export function quietPart({ reading, trouble }, id = null) {
  if (!trouble) return h("p", { class: "banner" }, "Reading…");
  return h("p", { class: "banner bad", id, role: "alert" }, icon("alarm"), `${trouble}; trying again.${reading ? ` This is what was seen at ${time(1000 * reading.at)}.` : ""}`);
}
