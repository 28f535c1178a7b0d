// The health of the system on every page: a dot in the bar and a banner of alarms. The overview has its own banner.

import { alarmsLine, alarmsPart, speak } from "./alarms.js";
import { h, icon, put } from "./dom.js";
import { watchSystem } from "./live.js";
import { quietPart } from "./quiet.js";

export const dot = h("a", { id: "health", class: "dot", href: "#/overview", hidden: true });
export const banner = h("section", { id: "alarms", "aria-label": "Alarms", hidden: true });
let endWatch = null,
  isOwnVerdict = false;

/** Start or stop watching. A page with its own verdict needs no banner. */
export function showHealth(isWanted, hasOwnVerdict) {
  isOwnVerdict = hasOwnVerdict;
  if (isWanted && !endWatch) endWatch = watchSystem(draw);
  else if (!isWanted) {
    endWatch?.();
    endWatch = null;
  }
  dot.hidden = !isWanted;
  banner.hidden = !isWanted || isOwnVerdict || !banner.hasChildNodes();
}

function draw(system) {
  const { reading, trouble, isStale } = system,
    alarms = isStale || !reading ? [] : reading.alarms;
  const [kind, text] = trouble
    ? ["bad", trouble]
    : isStale || !reading
      ? ["", "Reading…"]
      : alarms.length
        ? ["bad", alarmsLine(alarms)]
        : ["good", "Healthy"];
  dot.className = `dot ${kind}`;
  dot.title = text;
  dot.setAttribute("aria-label", `Health: ${text}`);
  put(dot, icon(kind === "bad" ? "alarm" : kind === "good" ? "ok" : "pending"));
  put(banner, trouble ? quietPart(system) : alarms.length ? alarmsPart(alarms) : null);
  // before the first reading nothing is known
  if (kind) speak(trouble ? [trouble] : alarms);
  banner.hidden = !endWatch || isOwnVerdict || !banner.hasChildNodes();
}
