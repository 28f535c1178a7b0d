#!/usr/bin/env python3
# ruff: noqa
# mypy: ignore-errors
"""An executable model of claim, lease, finish, give back, reclaim and cancel.

It walks through every interleaving of a small system and checks the laws.

    python3 protocol.py                  all rules in force: no violation
    python3 protocol.py --without RULE   drop one rule; prints the shortest story that breaks a law
    python3 protocol.py --all            both, for each rule in turn: every rule must prove that it is needed

A task without an outcome is a token that lies in exactly one place: a backlog row, or a lease.
One step is one transaction or one event in a process. One statement at a time may be in flight, as under PostgreSQL's
READ COMMITTED: it takes its snapshot, others commit, then it goes on. It finds rows by its snapshot, reads the rows
that it locks in their newest version, and never sees a row that was inserted in between.
Hints are not modelled. A hint may be duplicated, late, reordered or lost, so a worker here may try to claim any task
at any time. Faults: a process killed at any point, a reply lost after its commit, a worker marked dead while it still
runs, a node that is lost with its workers, work given back unspent (drain, deploy), cancels, and a poison task that
kills every worker that runs it. A death is the task's doing; the loss of a worker with its node or heartbeat is not.
Standard library only.
"""

import argparse, collections, dataclasses, itertools, sys

COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"
RETRY, DIED, LOST, UNSPENT = "to be retried", "died", "lost", "unspent"
RULES = {
    "fence": "finish and give back act only through the lease: no lease row, no effect",
    "fence-is-the-lease": "the fence is the lease's id, which is never used twice"
    " (not the number of attempts, which a give back does not change)",
    "live-row": "a claim takes nothing for a worker whose row says dead, and locks that row",
    "every-insert-locks": "every other insert of a lease (part of a batch goes on under a new one)"
    " locks its worker's row too",
    "reclaim": "a dead worker's leases are taken back",
    "mark-first": "reclaim marks the worker dead first and finds its leases with a snapshot taken after that",
    "cancel-locks-first": "cancel locks the task first and looks where it is with a snapshot taken after that",
    "backlog": "a task that leaves a lease without an outcome returns to the backlog in the same commit",
    "readback": "at each heartbeat a worker gives back its leases that it does not know (their claim's reply was lost)",
    "asked-is-known": "a worker knows a lease from the moment that it asks for it, not only from the reply on",
    "cancel-request": "a retry, give back or reclaim of a task with a cancel request ends as cancelled",
    "deaths-count": "a death spends an attempt",
    "deaths-end": "a task fails after max_deaths workers have died running it alone, whatever attempts are left",
    "losses-apart": "a worker lost with its node or heartbeat spends no attempt: losses have a count of their own",
    "losses-end": "a task fails after it has lost max_losses workers",
}


@dataclasses.dataclass(frozen=True)
class Task:
    outcome: str | None = None
    attempts: int = 0  # spent
    deaths: int = 0  # attempts whose worker died running it alone
    losses: int = 0  # workers lost with their node or heartbeat
    own: int = 0  # attempts that the task or its death ended; only the checker reads it
    cancel: bool = False
    moves: int = 0  # number of claims: tells one backlog row of the task from the next
    outcomes: int = 0  # number of outcomes; only the checker reads it


@dataclasses.dataclass(frozen=True)
class State:
    tasks: tuple
    backlog: frozenset  # rows: (task, moves when it was inserted)
    leases: frozenset  # rows: (lease, worker, tasks)
    live: frozenset  # workers whose row does not say dead
    # per slot (worker, its lease or None, ((task, attempts when claimed), ...), phase); None without a process
    slots: tuple
    faults: int  # number of faults that may still happen
    # the statement in flight: (kind, worker or None, slot or None, tasks, rows of its snapshot)
    flight: tuple | None = None


# ASKED: the claim is committed, its reply on the way; SAID: the finish is committed, its reply lost
IDLE, ASKING, ASKED, RUNS, SAID = "idle", "asking", "asked", "runs", "said"


def canonical(s):
    """Rename workers and leases by their place, so that states that differ only in labels are equal.

    Drop the fields that an ended task no longer needs.
    """
    ended = {t for t, task in enumerate(s.tasks) if task.outcome}
    tasks = tuple(Task(outcome=t.outcome, outcomes=t.outcomes) if t.outcome else t for t in s.tasks)
    names = {slot[0]: k for k, slot in enumerate(s.slots) if slot}
    others = s.live | {owner for _, owner, _ in s.leases} | ({s.flight[1]} - {None} if s.flight else set())
    strangers = sorted(
        others - names.keys(),
        key=lambda w: (
            w not in s.live,
            sorted(held for _, owner, held in s.leases if owner == w),
            bool(s.flight and s.flight[1] == w),
        ),
    )
    names.update((w, len(s.slots) + i) for i, w in enumerate(strangers))
    ids = {x[0]: 100 + i for i, x in enumerate(sorted(s.leases, key=lambda x: (names[x[1]], x[2])))}
    slots = tuple(
        slot and (names[slot[0]], slot[1] and ids.get(slot[1], 99), *slot[2:]) for slot in s.slots
    )  # 99: its row is gone
    if flight := s.flight:
        kind, worker, k, wanted, seen = flight
        seen = (
            frozenset(ids[i] for i in seen if i in ids)
            if kind == "reclaim"
            else frozenset(row for row in seen if row[0] not in ended)
        )
        flight = (kind, names.get(worker), k, wanted, seen)
    return State(
        tasks,
        s.backlog,
        frozenset((ids[i], names[w], held) for i, w, held in s.leases),
        frozenset(names[w] for w in s.live),
        slots,
        s.faults,
        flight,
    )


class Model:
    def __init__(self, without=(), tasks=2, slots=2, max_attempts=2, faults=2, poison=(), max_deaths=2, max_losses=2):
        self.off, self.n, self.max_attempts, self.poison = frozenset(without), tasks, max_attempts, poison
        self.max_deaths, self.max_losses = max_deaths, max_losses
        self.first = State(
            (Task(),) * tasks,
            frozenset((t, 0) for t in range(tasks)),
            frozenset(),
            frozenset(range(slots)),
            tuple((w, None, (), IDLE) for w in range(slots)),
            faults,
        )

    def on(self, rule):
        return rule not in self.off

    # --- the statements; seen: the rows of the searched table in the statement's snapshot
    def claim(self, s, worker, wanted, seen):
        """Run one statement: share-lock the own worker row, delete the backlog rows, insert the lease.

        Return the state, the lease, and the tasks with their attempts.
        """
        if self.on("live-row") and worker not in s.live:
            return s, None, ()
        rows = frozenset(row for row in seen & s.backlog if row[0] in wanted)
        if not rows:
            return s, None, ()
        took = tuple(sorted(t for t, _ in rows))
        tasks = tuple(
            dataclasses.replace(task, moves=task.moves + 1) if t in took else task for t, task in enumerate(s.tasks)
        )
        return (
            dataclasses.replace(s, tasks=tasks, backlog=s.backlog - rows, leases=s.leases | {(1000, worker, took)}),
            1000,
            tuple((t, tasks[t].attempts) for t in took),
        )

    def settle(self, s, lease, moves, keep=()):
        """Run one statement: delete the lease row, and give each task its outcome or a new backlog row.

        Without a lease row, do nothing. Tasks in `keep` go on under a new lease.
        `moves` has (task, attempts when claimed, to).
        """
        row = next((x for x in s.leases if x[0] == lease), None)
        if row is None and self.on("fence") and self.on("fence-is-the-lease"):
            return s
        if row and keep and self.on("every-insert-locks") and row[1] not in s.live:
            return s
        tasks, backlog = list(s.tasks), set(s.backlog)
        for t, attempts, to in moves:
            old = tasks[t]
            if old.outcome or (row is None and not self.on("fence-is-the-lease") and old.attempts != attempts):
                continue
            free = (UNSPENT, LOST) if self.on("losses-apart") else (UNSPENT,)
            spent, own = old.attempts + (to not in free), old.own + (to not in (UNSPENT, LOST))
            deaths, losses = old.deaths + (to == DIED), old.losses + (to == LOST)
            if to in (RETRY, DIED, LOST, UNSPENT) and old.cancel and self.on("cancel-request"):
                to = CANCELLED
            if to in (RETRY, DIED, LOST) and to not in free and spent >= self.max_attempts:
                to = FAILED
            if to == DIED and deaths >= self.max_deaths and self.on("deaths-end"):
                to = FAILED
            if to == LOST and losses >= self.max_losses and self.on("losses-end"):
                to = FAILED
            outcome = to if to in (COMPLETED, FAILED, CANCELLED) else None
            tasks[t] = dataclasses.replace(
                old,
                outcome=outcome,
                attempts=spent,
                deaths=deaths,
                losses=losses,
                own=own,
                outcomes=old.outcomes + bool(outcome),
            )
            if not outcome and self.on("backlog"):
                backlog.add((t, old.moves))
        more = {(1001, row[1], tuple(keep))} if row and keep else set()
        return dataclasses.replace(
            s,
            tasks=tuple(tasks),
            backlog=frozenset(backlog),
            leases=frozenset(x for x in s.leases if x[0] != lease) | more,
        )

    def take_back(self, s, worker, seen, to):
        if to == DIED and not self.on("deaths-count"):
            to = UNSPENT
        for lease, owner, held in sorted(s.leases):
            if owner == worker and lease in seen:
                s = self.settle(s, lease, [(t, 0, to) for t in held])
        return s

    def cancel(self, s, t, seen):
        """Run two statements: lock the task; then, with a new snapshot, delete its backlog row and end it.

        Without a backlog row, leave a cancel request.
        """
        task = s.tasks[t]
        rows = frozenset(row for row in seen & s.backlog if row[0] == t)
        if task.outcome:
            return s
        new = (
            dataclasses.replace(task, outcome=CANCELLED, outcomes=task.outcomes + 1)
            if rows
            else dataclasses.replace(task, cancel=True)
        )
        return dataclasses.replace(s, tasks=s.tasks[:t] + (new,) + s.tasks[t + 1 :], backlog=s.backlog - rows)

    # --- the possible next steps: (words, state)
    def steps(self, s):
        less = dataclasses.replace(s, faults=s.faults - 1) if s.faults else None
        for k, slot in enumerate(s.slots):
            put = lambda state, value: dataclasses.replace(
                state, slots=state.slots[:k] + (value,) + state.slots[k + 1 :]
            )
            if slot is None:
                yield (
                    f"slot {k}: a new process registers",
                    put(dataclasses.replace(s, live=s.live | {500}), (500, None, (), IDLE)),
                )
                continue
            worker, lease, took, phase = slot
            if phase == IDLE:
                yield from self.idle_steps(s, k, worker, put)
            elif phase == ASKED:
                yield f"worker {worker} reads the reply to its claim", put(s, (worker, lease, took, RUNS))
            elif phase in (RUNS, SAID) and any(t in self.poison for t, _ in took):
                yield f"a poison task kills worker {worker}", put(s, None)
            elif phase in (RUNS, SAID) and not self.locked(s, took):
                yield from self.busy_steps(s, less, worker, lease, took, phase, put)
            known = {lease} if phase in (RUNS, SAID) or self.on("asked-is-known") else set()
            for other, owner, held in s.leases:
                if (
                    owner == worker
                    and other not in known
                    and phase != ASKING
                    and self.on("readback")
                    and not self.locked(s, [(t, 0) for t in held])
                ):
                    yield (
                        f"worker {worker}'s heartbeat finds a lease it does not know and gives {list(held)} back",
                        self.settle(s, other, [(t, s.tasks[t].attempts, UNSPENT) for t in held]),
                    )
            if less:
                yield f"worker {worker} is killed", put(less, None)
        yield from self.keeper_steps(s, less)
        if less and not (s.flight and s.flight[0] == "cancel"):
            yield from self.cancel_steps(s, less)
        if s.flight:
            yield from self.flight_steps(s, less)

    def locked(self, s, took):
        """Return whether a cancel in flight has locked one of these tasks: a write of that task waits."""
        return (
            bool(s.flight)
            and s.flight[0] == "cancel"
            and self.on("cancel-locks-first")
            and s.flight[3][0] in [t for t, _ in took]
        )

    def flight_steps(self, s, less):
        kind, worker, k, wanted, seen = s.flight
        landed = dataclasses.replace(s, flight=None)
        if kind == "cancel":
            yield f"the cancel of task {wanted[0]} goes on", self.cancel(landed, wanted[0], seen)
        elif kind == "reclaim":
            (to,) = wanted
            dead = dataclasses.replace(landed, live=landed.live - {worker})
            yield f"the reclaim of worker {worker} goes on", self.take_back(dead, worker, seen, to)
        else:
            after, lease, took = self.claim(landed, worker, wanted, seen)
            words, mine = (
                f"worker {worker}'s claim goes on and takes {[t for t, _ in took]}",
                after.slots[k] is not None and after.slots[k][0] == worker,
            )
            put = lambda state, value: dataclasses.replace(
                state, slots=state.slots[:k] + (value,) + state.slots[k + 1 :]
            )
            if not mine:
                yield words + " though its process is gone", after
            elif lease is None:
                yield words, put(after, (worker, None, (), IDLE))
            else:
                yield words, put(after, (worker, lease, took, ASKED))
                if less:
                    yield (
                        words + ", the reply is lost",
                        put(dataclasses.replace(after, faults=less.faults), (worker, None, (), IDLE)),
                    )

    def idle_steps(self, s, k, worker, put):
        for wanted in (c for n in range(1, self.n + 1) for c in itertools.combinations(range(self.n), n)):
            if not any(t in wanted for t, _ in s.backlog):
                continue
            if s.flight is None:
                yield (
                    f"worker {worker} claims {list(wanted)}: snapshot",
                    put(
                        dataclasses.replace(s, flight=("claim", worker, k, wanted, s.backlog)),
                        (worker, None, (), ASKING),
                    ),
                )
            else:
                after, lease, took = self.claim(s, worker, wanted, s.backlog)
                if lease is not None:
                    yield f"worker {worker} claims {[t for t, _ in took]}", put(after, (worker, lease, took, ASKED))
        if worker not in s.live:
            yield f"worker {worker} sees that it was marked dead and stops", put(s, None)

    def busy_steps(self, s, less, worker, lease, took, phase, put):
        for to in itertools.product((COMPLETED, RETRY), repeat=len(took)):
            after = self.settle(s, lease, [(*x, o) for x, o in zip(took, to)])
            words = f"worker {worker} finishes " + ", ".join(f"{t} as {o}" for (t, _), o in zip(took, to))
            yield words, put(after, (worker, None, (), IDLE))
            if less:
                yield (
                    words + ", the reply is lost",
                    put(dataclasses.replace(after, faults=less.faults), (worker, lease, took, SAID)),
                )  # it will repeat the finish
        if phase == SAID:
            return
        if len(took) > 1 and lease in {x[0] for x in s.leases}:
            after = self.settle(s, lease, [(*took[0], COMPLETED)], keep=[t for t, _ in took[1:]])
            yield (
                f"worker {worker} finishes {took[0][0]} as completed and goes on with the rest",
                put(after, (worker, 1001, took[1:], RUNS)) if after != s else put(s, None),
            )
        if less:
            after = self.settle(less, lease, [(*x, UNSPENT) for x in took])
            words = f"worker {worker} gives {[t for t, _ in took]} back unspent"
            yield words, put(after, (worker, None, (), IDLE))
            if after.faults:
                yield (
                    words + ", the reply is lost",
                    put(dataclasses.replace(after, faults=after.faults - 1), (worker, lease, took, SAID)),
                )

    def keeper_steps(self, s, less):
        if not self.on("reclaim") or s.flight:
            return
        running, seen = {slot[0] for slot in s.slots if slot}, frozenset(x[0] for x in s.leases)
        for worker in sorted(s.live):
            ways = [(less, f"the leases of worker {worker}, marked dead though it runs", LOST)]
            if worker not in running:
                ways = [
                    (s, f"the leases of dead worker {worker}", DIED),
                    (less, f"the leases of worker {worker}, which died with its node", LOST),
                ]
            for state, words, to in ways:
                if state is None:
                    continue
                if self.on("mark-first"):
                    state = dataclasses.replace(state, live=state.live - {worker})
                yield (
                    f"a keeper takes back {words}: "
                    + ("marked dead, snapshot" if self.on("mark-first") else "snapshot"),
                    dataclasses.replace(state, flight=("reclaim", worker, None, (to,), seen)),
                )

    def cancel_steps(self, s, less):
        for t, task in enumerate(s.tasks):
            if task.outcome or task.cancel:
                continue
            if s.flight is None:
                yield (
                    f"a cancel of task {t}: " + ("locked, snapshot" if self.on("cancel-locks-first") else "snapshot"),
                    dataclasses.replace(less, flight=("cancel", None, None, (t,), s.backlog)),
                )
            else:
                yield f"a cancel of task {t}", self.cancel(less, t, s.backlog)

    # --- the laws
    def broken(self, s):
        rows, held = (
            collections.Counter(t for t, _ in s.backlog),
            collections.Counter(t for _, _, took in s.leases for t in took),
        )
        for t, task in enumerate(s.tasks):
            if task.outcomes > 1:
                return f"task {t} has {task.outcomes} outcomes"
            if task.outcome and rows[t] + held[t]:
                return f"task {t} is {task.outcome} and in {rows[t]} backlog rows and {held[t]} leases"
            if not task.outcome and rows[t] + held[t] != 1:
                return f"task {t} has no outcome and is in {rows[t]} backlog rows and {held[t]} leases"
            if rows[t] and task.cancel:
                return f"task {t} has a cancel request and is in the backlog"
            if task.attempts > self.max_attempts:
                return f"task {t} has spent {task.attempts} attempts of {self.max_attempts}"
            if task.attempts != task.own:
                return f"task {t} has spent {task.attempts} attempts, and {task.own} ended by its own doing"
            if task.losses >= self.max_losses and not task.outcome:
                return f"task {t} has lost {task.losses} workers, and goes on"
            if task.deaths > self.max_deaths:
                return f"task {t} has killed {task.deaths} workers, and {self.max_deaths} are allowed"
            if task.moves > self.max_attempts + 6:
                return f"task {t} is claimed without end"
        for slot in s.slots:
            if slot and slot[3] == RUNS and slot[0] in s.live and slot[1] not in {x[0] for x in s.leases}:
                return f"worker {slot[0]} runs tasks that it has given back itself"

    def foreign(self, s, after, words):
        """Check that an outcome or give back changes only tasks that the worker holds at that moment."""
        if not words.startswith("worker") or not ("finishes" in words or "gives" in words):
            return None
        worker = int(words.split()[1].removesuffix("'s"))
        mine = {t for _, owner, took in s.leases if owner == worker for t in took}
        for t, (a, b) in enumerate(zip(s.tasks, after.tasks)):
            if a != b and t not in mine:
                return f"worker {worker} wrote task {t}, which it does not hold"


def explore(model, limit=3_000_000):
    """Search breadth first over all states, then backwards from the ends: every state must let all tasks end.

    Return (states, None or (law, story)).
    """
    parent, queue, before = {model.first: None}, collections.deque([model.first]), collections.defaultdict(list)

    def story(s, *last):
        lines = list(last)
        while parent[s]:
            s, words = parent[s]
            lines.insert(0, words)
        return lines

    while queue:
        s = queue.popleft()
        if law := model.broken(s):
            return len(parent), (law, story(s))
        for words, after in model.steps(s):
            if law := model.foreign(s, after, words):
                return len(parent), (law, story(s, words))
            after = canonical(after)
            before[after].append(s)
            if after not in parent:
                parent[after] = (s, words)
                queue.append(after)
        if len(parent) > limit:
            raise SystemExit(f"more than {limit} states")
    good = collections.deque(s for s in parent if all(t.outcome for t in s.tasks))
    seen = set(good)
    while good:
        for s in before[good.popleft()]:
            if s not in seen:
                seen.add(s)
                good.append(s)
    for s in parent:
        if s not in seen:
            return len(parent), ("from here a task can never end", story(s))
    return len(parent), None


SYSTEMS = {
    "a poison task with attempts left, two workers": dict(tasks=1, slots=2, faults=1, max_attempts=4, poison=(0,)),
    "a poison task, one worker, two faults": dict(tasks=2, slots=1, faults=2, poison=(0,), max_losses=1),
    "one task, two workers, three faults": dict(tasks=1, slots=2, faults=3),
    "two tasks, two workers, two faults": dict(tasks=2, slots=2, faults=2),
}


def check(without):
    for name, size in SYSTEMS.items():
        states, found = explore(Model(without, **size))
        if not without:
            print(
                f"all rules, {name}: {states} states, {'VIOLATION: ' + found[0] if found else 'no violation'}",
                flush=True,
            )
        if found:
            return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--without", choices=RULES)
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    wrong = False
    for dropped in [args.without] + (list(RULES) if args.all else []):
        found = check((dropped,) if dropped else ())
        if dropped:
            law = found[0] if found else "no violation in these small systems"
            print(f"\nwithout '{dropped}' ({RULES[dropped]}):\n  {law}", flush=True)
        for i, line in enumerate(found[1] if found else (), 1):
            print(f"  {i:2}. {line}")
        wrong |= bool(found) != bool(dropped)
    sys.exit(wrong)
