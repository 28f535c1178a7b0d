// The alarms of a reading: a list for the eye, and a text for screen readers that changes only with the set of alarms.

import { h, icon } from "./dom.js";
import { visible } from "./format.js";

const SHOWN = 8;
/** Ages and counts, which change with every reading. Numbers in names, such as node-7, stay. */
const AMOUNTS = /(?<![\w/.:-])\d[\d.,]*( (µs|ms|s|min|h|d)\b)?(?![\w/.:-])/g;
const NOUNS = /# (\w+?)s?\b/g;

/** A live region outside of all pages. Nobody sees it. */
export const speech = h("p", { id: "speech", class: "visually-hidden", role: "alert" });
let spoken = "";

/** Make the banner with a list of alarms, of which the first are shown. */
export function alarmsPart(alarms, id = null) {
  const lines = alarms.slice(0, SHOWN).map(visible);
  if (alarms.length > SHOWN) lines.push(`and ${alarms.length - SHOWN} more`);
  return h(
    "div",
    { class: "banner bad", id },
    icon("alarm"),
    h(
      "ul",
      {},
      lines.map((line) => h("li", {}, line)),
    ),
  );
}

/** Return the alarms in one line, for a title. */
export const alarmsLine = (alarms) =>
  alarms.slice(0, SHOWN).map(visible).join("; ") +
  (alarms.length > SHOWN ? `; and ${alarms.length - SHOWN} more` : "");

/** Speak these alarms, or their end, unless they are the ones that were spoken last. */
export function speak(alarms) {
  const set = alarms.map((one) => one.replaceAll(AMOUNTS, "#").replaceAll(NOUNS, "# $1")).sort();
  const now = [...new Set(set)].join("\n");
  if (now === spoken) return;
  spoken = now;
  speech.textContent = alarms.length ? `Alarm: ${alarmsLine(alarms)}` : "No more alarms";
}
