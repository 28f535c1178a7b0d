// The server's time. Lengths of time on the pages are right also on a machine with a wrong clock.

let least = -Infinity,
  most = Infinity; // bounds of the difference between the server's clock and this one, in milliseconds

/** Learn from the `Date` header of an answer, which has whole seconds, and from the local times of the request. */
export function learn(header, sentAt, gotAt) {
  const at = Date.parse(header ?? "");
  if (Number.isNaN(at)) return;
  const low = at - gotAt,
    high = at + 1000 - sentAt;
  if (low > most || high < least) [least, most] = [low, high]; // one of the clocks was set
  else [least, most] = [Math.max(least, low), Math.min(most, high)];
}

/** Return the server's time in milliseconds: this machine's, unless an answer has contradicted it. */
export const now = () => Date.now() + Math.max(least, Math.min(most, 0));
