"""Check the sessions that the DSN gives: their settings, a pooler in between, and standbys."""

from collections import Counter
from collections.abc import Iterator, Sequence

from dtqs.amounts import plural
from dtqs.cli.checks.check import OK, WARNING, Check
from dtqs.store.sessions import SessionsLook

_LEAK = (
    "a pooler hands out sessions that another client changed by SET, or that are older than the settings: "
    "let no client of this pool use SET, and run RECONNECT on PgBouncer's console"
)
_PREPARED = (
    "set prepared_statements = off in [postgresql], or use PgBouncer 1.22 or later with max_prepared_statements above 0"
)
_ASYNCHRONOUS = (
    "if the primary is lost, tasks accepted just before are lost with it; "
    "name standbys in synchronous_standby_names of postgresql.conf"
)


def sessions(found: SessionsLook) -> Iterator[Check]:
    """Judge what several connections found."""
    yield from _settings(found)
    if not found.pooled:
        each = "each with a session of its own" if len(found.settings) > 1 else "the pooler or server has no more"
        yield Check("pooler", OK, f"none: {plural(len(found.settings), 'connection')}, {each}")
    elif found.prepared is False:
        words = "a pooler shares the sessions and loses prepared statements, but prepared_statements = on"
        yield Check("pooler", WARNING, words, _PREPARED)
    else:
        kept = "keeps prepared statements" if found.prepared else "prepared_statements = off"
        yield Check("pooler", OK, f"a pooler shares the sessions; {kept}")


def _settings(found: SessionsLook) -> Iterator[Check]:
    count, fine = len(found.settings), True
    for same in zip(*found.settings, strict=True):
        if all(setting.is_right for setting in same):
            continue
        fine, name, wanted = False, same[0].name, same[0].wanted
        values = Counter(setting.value for setting in same)
        if len(values) > 1:
            parts = ", ".join(f"{value} in {number}" for value, number in values.most_common())
            yield Check("sessions", WARNING, f"{name} differs between {count} sessions: {parts}", _LEAK)
        else:
            yield Check("sessions", WARNING, f"{name} = {same[0].value} instead of {wanted}", "run: dtqs migrate")
    if fine:
        yield Check("sessions", OK, f"{plural(count, 'connection')}, all with the role's settings")


def standby(synchronous: str, names: Sequence[str]) -> Check:
    """Judge whether a commit waits for a standby, if one follows."""
    listed = ", ".join(names)
    if names and not synchronous:
        return Check("standby", WARNING, f"{listed} follows, but synchronous_standby_names is empty", _ASYNCHRONOUS)
    if synchronous:
        return Check("standby", OK, f"commits wait for {synchronous}; {listed or 'none'} follows")
    return Check("standby", OK, "none")
