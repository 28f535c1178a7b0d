// The time by PostgreSQL's clock, which writes the times of tasks. Lengths of time are right also on a machine with a
// wrong clock.

let least = -Infinity,
  most = Infinity, // bounds of the difference between the API's clock and this one, in milliseconds
  ahead = 0; // PostgreSQL's clock minus the API's, in milliseconds
const NOISE = 500;

/** Learn from the `Date` header of an answer, which has whole seconds, and from the local times of the request. */
export function learn(header, sentAt, gotAt) {
  const at = Date.parse(header ?? "");
  if (Number.isNaN(at)) return;
  const low = at - gotAt,
    high = at + 1000 - sentAt;
  if (low > most || high < least) [least, most] = [low, high]; // one of the clocks was set
  else [least, most] = [Math.max(least, low), Math.min(most, high)];
}

/** Learn from a reading how far PostgreSQL's clock is ahead of the API's. */
export function learnAhead(seconds) {
  ahead = Math.abs(1000 * (seconds ?? 0)) < NOISE ? 0 : 1000 * seconds;
}

/** Return the time in milliseconds: this machine's, unless an answer has contradicted it. */
export const now = () => Date.now() + Math.max(least, Math.min(most, 0)) + ahead;
