#!/usr/bin/env python3
# ruff: noqa
# mypy: ignore-errors
"""An executable model of how workers are judged dead.

It has one worker, the keeper of the worker's node, a keeper of another node, and a database whose clock may be stepped.

    python3 judging.py                  all rules in force: no violation
    python3 judging.py --without RULE   drop one rule; prints the shortest story that breaks a law
    python3 judging.py --all            both, for each rule in turn: every rule must prove that it is needed

Time goes in ticks. In each tick one thing may happen from outside, and worker and keepers act once, in any order;
the worker may leave out every second heartbeat. A lease is three ticks. A keeper looks, decides, and marks dead
in its next act, so that a heartbeat may come in between. Faults: a step of the clock, a database that is away,
a frozen keeper, C code that holds the interpreter lock, a death.
"""

import argparse, collections, dataclasses, itertools, sys

RULES = {
    "own-clock": "a keeper measures silence by its own clock (not by the database's, against the time in the row)",
    "still-seen": "it marks a worker dead only while the heartbeat is still the one that it saw",
    "no-gap": "observations from before the keeper or the database stood still count for nothing",
    "vouch": "the keeper of the same node writes the heartbeat of a silent worker whose process lives",
    "vouch-ends": "it stops this once the process is gone, or its supervisor should have killed it",
}
BEATS, HELD, DEAD = "beats", "is held", "is dead"
LEASE, HOLD, PATIENCE = 3, 5, 10


@dataclasses.dataclass(frozen=True)
class Keeper:
    awake: bool = True
    watched: int = 0  # ticks since the keeper saw the heartbeat change
    decided: bool = False  # marks the worker dead in its next act
    changed: bool = False  # the heartbeat has changed since its last look


@dataclasses.dataclass(frozen=True)
class State:
    mode: str = BEATS
    held: int = 0
    age: int = 0  # of the heartbeat, by the database's clock
    marked: bool = False
    away: bool = False
    keepers: tuple = (Keeper(), Keeper())  # the keeper of its own node, and of another
    undisturbed: int = 0  # ticks in which both keepers were awake and the database answered
    gone: int = 0  # undisturbed ticks since the worker died
    skipped: bool = False  # the worker skipped the last tick's heartbeat and must write in this one
    faults: int = 3


class Model:
    def __init__(self, without=(), faults=3):
        self.off, self.first = frozenset(without), State(faults=faults)

    def on(self, rule):
        return rule not in self.off

    def outside(self, s):
        yield "nothing happens", s
        if s.away:
            yield "the database is back", dataclasses.replace(s, away=False, skipped=True)
        for k, keeper in enumerate(s.keepers):
            if not keeper.awake:
                yield f"keeper {k} wakes", self.keeper(s, k, awake=True)
        if s.mode == HELD:
            yield "the worker's call returns", dataclasses.replace(s, mode=BEATS, held=0, skipped=True)
        if not s.faults:
            return
        less = dataclasses.replace(s, faults=s.faults - 1)
        yield "the clock is stepped ahead", dataclasses.replace(less, age=s.age + LEASE + 1)
        if not s.away:
            yield "the database is away", dataclasses.replace(less, away=True)
        for k, keeper in enumerate(s.keepers):
            if keeper.awake:
                yield f"keeper {k} is frozen", self.keeper(less, k, awake=False)
        if s.mode == BEATS:
            yield "C code holds the worker", dataclasses.replace(less, mode=HELD)
        if s.mode != DEAD:
            yield "the worker dies", dataclasses.replace(less, mode=DEAD, held=0)

    def keeper(self, s, k, **changes):
        return dataclasses.replace(
            s, keepers=s.keepers[:k] + (dataclasses.replace(s.keepers[k], **changes),) + s.keepers[k + 1 :]
        )

    def written(self, s):
        return dataclasses.replace(s, age=0, keepers=tuple(dataclasses.replace(k, changed=True) for k in s.keepers))

    def worker(self, s):
        return (
            dataclasses.replace(self.written(s), skipped=False)
            if s.mode == BEATS and not s.away and not s.marked
            else s
        )

    def act(self, s, k):
        me = s.keepers[k]
        if not me.awake or s.away:
            if self.on("no-gap"):
                return self.keeper(s, k, watched=0, decided=False)
            return self.keeper(s, k, watched=min(me.watched + 1, LEASE))
        if me.decided and (not me.changed or not self.on("still-seen")):
            s = dataclasses.replace(s, marked=True)
        watched = 0 if me.changed else min(me.watched + 1, LEASE)
        if (
            k == 0
            and self.on("vouch")
            and not s.marked
            and (s.mode == HELD or (s.mode == DEAD and not self.on("vouch-ends")))
        ):
            s, watched = self.written(s), 0
        dead = watched >= LEASE if self.on("own-clock") else s.age >= LEASE
        return self.keeper(s, k, watched=watched, decided=dead, changed=False)

    def steps(self, s):
        """Yield (words, state) for each way in which a tick may go."""
        for words, begun in self.outside(s):
            begun = dataclasses.replace(begun, age=min(begun.age + 1, 2 * LEASE))
            calm = not begun.away and all(k.awake for k in begun.keepers)
            begun = dataclasses.replace(
                begun,
                undisturbed=min(begun.undisturbed + 1, LEASE) if calm else 0,
                gone=begun.gone + calm if begun.mode == DEAD else 0,
            )
            if begun.mode == HELD and begun.held + 1 > HOLD:
                begun = dataclasses.replace(begun, mode=DEAD, held=0)  # its supervisor kills it
            elif begun.mode == HELD:
                begun = dataclasses.replace(begun, held=begun.held + 1)
            for order in itertools.permutations(("the worker", 0, 1)):
                after = begun
                for who in order:
                    after = self.worker(after) if who == "the worker" else self.act(after, who)
                yield (
                    f"{words}; then " + ", ".join(who if isinstance(who, str) else f"keeper {who}" for who in order),
                    after,
                )
            if begun.mode == BEATS and not begun.skipped:
                yield (
                    f"{words}; then keeper 0, keeper 1",
                    self.act(self.act(dataclasses.replace(begun, skipped=True), 0), 1),
                )

    def broken(self, s):
        if s.marked and s.mode == BEATS and s.undisturbed:
            return "a worker that beats is marked dead"
        if s.marked and s.mode == HELD and s.undisturbed >= LEASE:
            return "a living worker on a living node is marked dead"
        if s.mode == DEAD and not s.marked and s.gone > PATIENCE:
            return "a dead worker is never marked"


def explore(model):
    """Search breadth first over all states. Return (states, None or (law, story))."""
    parent, queue = {model.first: None}, collections.deque([model.first])
    while queue:
        s = queue.popleft()
        for words, after in model.steps(s):
            if after in parent:
                continue
            parent[after] = (s, words)
            if law := model.broken(after):
                story = []
                while parent[after]:
                    after, words = parent[after]
                    story.insert(0, words)
                return len(parent), (law, story)
            if not after.marked:
                queue.append(after)  # the lease is gone; protocol.py models the rest
    return len(parent), None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--without", choices=RULES)
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    wrong = False
    for dropped in [args.without] + (list(RULES) if args.all else []):
        states, found = explore(Model((dropped,) if dropped else ()))
        print(
            f"\nwithout '{dropped}' ({RULES[dropped]}):" if dropped else "all rules:",
            found[0] if found else f"no violation in {states} states",
            flush=True,
        )
        for i, line in enumerate(found[1] if found else (), 1):
            print(f"  {i:2}. {line}")
        wrong |= bool(found) != bool(dropped)
    sys.exit(wrong)
