"""Remove one condition of one statement at a time and run the store's tests: a test must fail for each mutation.

    python -m tests.support.mutations [WORD …]

runs all mutations, or those whose file or text has one of the words. It prints the survivors and exits with status 1
if there are any. It is not part of the test suite. It is also the pytest plugin that puts a mutation in place
(`-p tests.support.mutations`, MUTATION=number).
"""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

SQL = Path(__file__).parents[2] / "dtqs" / "store" / "sql"
TESTS = (
    "architecture/test_statements.py",
    "integration/test_pairs*.py",
    "integration/test_store_[!op]*.py",
    "integration/test_store_[op]*.py",
    "integration/test_stress.py",
)
"""Files below tests, the quickest first."""
TIMEOUT_SECONDS = 300
NOTHING = "nothing"
"""Run without a mutation: the tests must pass, or a failure would prove nothing."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change of one statement. The file contains `text` exactly once, apart from comments and line breaks."""

    file: str
    text: str
    instead: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.text!r} → {self.instead!r}"


def _of(file: str, *pairs: tuple[str, str] | str) -> list[Mutation]:
    return [Mutation(file, *((pair, "") if isinstance(pair, str) else pair)) for pair in pairs]


MUTATIONS = [
    *_of(
        "claim.sql",
        " AND dead_at IS NULL",
        (" FOR KEY SHARE", ""),
        (" FOR KEY SHARE", " FOR SHARE"),
        (" JOIN me ON true", ""),
        ("waiting.due_at <= now() OR", "true OR"),
        (" OR waiting.due_at < waiting.publish_at AND waiting.due_at <= now() + interval '2 s'", ""),
        ("waiting.due_at < waiting.publish_at AND ", ""),
        (" AND waiting.due_at <= now() + interval '2 s'", ""),
        " AND (waiting.light OR %(named)s = 1)",
        ("(waiting.light OR %(named)s = 1)", "waiting.light"),
        " AND waiting.task_type = coalesce(%(task_type)s::text, waiting.task_type)",
        (" ORDER BY waiting.task_id FOR UPDATE OF waiting", " FOR UPDATE OF waiting"),
        (" ORDER BY waiting.task_id FOR UPDATE OF waiting", " ORDER BY waiting.task_id"),
        ("FOR UPDATE OF waiting", "FOR UPDATE OF waiting SKIP LOCKED"),
        (" HAVING count(*) > 0", ""),
        (" WHERE NOT taken.light", ""),
        ("taken.due_at = greatest(", "taken.due_at >= greatest("),
        ("greatest(task.due_at, task.created_at)", "task.created_at"),
        ("greatest(task.due_at, task.created_at)", "coalesce(task.due_at, task.created_at)"),
        ("task.attempts + 1, task.max_retries", "task.attempts, task.max_retries"),
        ("'in_progress', task.attempts + 1", "'in_progress', task.attempts"),
        (
            "task.id) FROM taken CROSS JOIN LATERAL",
            "task.id) FROM locked taken CROSS JOIN LATERAL",
        ),
    ),
    *_of(
        "completed.part.sql",
        (
            "DELETE FROM leases WHERE id = %(lease_id)s::uuid AND task_ids = %(ids)s::text::uuid[]"
            " RETURNING worker_id, started_at",
            "SELECT worker_id, started_at FROM leases"
            " WHERE id = %(lease_id)s::uuid AND task_ids = %(ids)s::text::uuid[]",
        ),
        (" AND task_ids = %(ids)s::text::uuid[]", ""),
        ("task_ids = %(ids)s::text::uuid[]", "task_ids @> %(ids)s::text::uuid[]"),
        ("task_ids = %(ids)s::text::uuid[]", "task_ids <@ %(ids)s::text::uuid[]"),
        ("id = %(lease_id)s::uuid AND ", ""),
        (" ORDER BY named.id", " ORDER BY named.id DESC"),
        ("attempts = task.attempts + 1", "attempts = 1"),
        (", error = NULL", ""),
        ("started_at = settlement.started_at", "started_at = now()"),
        (", worker_id = settlement.worker_id", ""),
        ("settlement.value::json", "task.payload"),
        ("finished_at = now(), ", ""),
        (" AND task.outcome IS NULL", ""),
    ),
    *_of("complete.sql", ("'completed', attempts, worker_id", "'completed', attempts - 1, worker_id")),
    *_of(
        "complete_few.sql",
        ("'completed', attempts, worker_id", "'completed', attempts - 1, worker_id"),
    ),
    *_of(
        "finish.sql",
        (
            "DELETE FROM leases WHERE id = %(lease_id)s::uuid RETURNING worker_id, started_at, task_ids, effect",
            "SELECT worker_id, started_at, task_ids, effect FROM leases WHERE id = %(lease_id)s::uuid",
        ),
        ("LEFT JOIN {named}", "JOIN {named}"),
        (" ORDER BY member.id", " ORDER BY named.value, member.id DESC"),
        ("CASE mine.effect WHEN 'fail' THEN 'failed' ELSE 'unspent' END", "'unspent'"),
        ("named.kind IS NULL AND mine.effect = 'fail'", "mine.effect = 'fail'"),
        (
            "coalesce(named.kind, CASE mine.effect",
            "coalesce(CASE WHEN mine.effect IS NULL THEN named.kind END, CASE mine.effect",
        ),
        ("coalesce(named.delay, 0)", "0::float8"),
        ("replace(%(unknown)s, '[processor:TYPE]', '[processor:' || task.task_type || ']')", "named.value"),
    ),
    *_of(
        "part.sql",
        " AND dead_at IS NULL",
        (" FOR KEY SHARE", ""),
        (" FOR KEY SHARE", " FOR SHARE"),
        (" AND lease.worker_id = me.id", ""),
        (" WHERE member = ANY (%(keep)s::text::uuid[])", ""),
        (" WHERE member.id <> ALL (%(keep)s::text::uuid[])", ""),
        ("LEFT JOIN {named}", "JOIN {named}"),
        (" ORDER BY member.id", " ORDER BY member.id DESC"),
        ("worker_id, array_agg(member), started_at FROM mine", "worker_id, array_agg(member), now() FROM mine"),
        (
            "DELETE FROM leases lease USING me WHERE",
            "DELETE FROM leases lease USING (SELECT %(worker_id)s::uuid AS id) me WHERE",
        ),
    ),
    *_of(
        "settle.part.sql",
        " AND task.outcome IS NULL\n",
        ("task.attempts + (settlement.kind NOT IN ('unspent', 'lost'))::int", "task.attempts + 1"),
        (
            "task.attempts + (settlement.kind NOT IN ('unspent', 'lost'))::int",
            "task.attempts + (settlement.kind NOT IN ('unspent', 'lost', 'retry'))::int",
        ),
        (
            "result = CASE WHEN settlement.kind = 'completed' THEN settlement.value::json END",
            "result = settlement.value::json",
        ),
        (" WHEN 'unspent' THEN task.error", ""),
        ("ELSE settlement.value::json END", "WHEN 'failed' THEN settlement.value::json END"),
        (
            "WHEN 'completed' THEN NULL WHEN 'unspent' THEN task.error",
            "WHEN 'completed' THEN task.error WHEN 'unspent' THEN task.error",
        ),
        ("        deaths = task.deaths + (settlement.kind IN ('died', 'last_death'))::int,\n", ""),
        ("(settlement.kind IN ('died', 'last_death'))", "(settlement.kind = 'died')"),
        ("(settlement.kind IN ('died', 'last_death'))", "(settlement.kind IN ('died', 'last_death', 'retry'))"),
        ("(settlement.kind IN ('lost', 'last_loss'))", "(settlement.kind = 'last_loss')"),
        (
            "CASE WHEN settlement.kind IN ('unspent', 'lost') THEN task.started_at ELSE settlement.started_at END",
            "settlement.started_at",
        ),
        (
            "CASE WHEN settlement.kind IN ('unspent', 'lost') THEN task.started_at ELSE settlement.started_at END",
            "task.started_at",
        ),
        (
            "CASE WHEN settlement.kind IN ('unspent', 'lost') THEN task.worker_id ELSE settlement.worker_id END",
            "settlement.worker_id",
        ),
        (
            "CASE WHEN settlement.kind IN ('unspent', 'lost') THEN task.worker_id ELSE settlement.worker_id END",
            "task.worker_id",
        ),
        ("settlement.kind IN ('completed', 'failed', 'last_death',", "settlement.kind IN ('completed', 'last_death',"),
        ("settlement.kind IN ('completed', 'failed', 'last_death',", "settlement.kind IN ('completed', 'failed',"),
        (" OR task.cancel_requested_at IS NOT NULL\n", "\n"),
        (
            " OR settlement.kind NOT IN ('unspent', 'lost') AND task.attempts >= task.max_retries THEN now()",
            " THEN now()",
        ),
        (" WHEN task.cancel_requested_at IS NOT NULL THEN 'cancelled'\n", "\n"),
        (
            "THEN settlement.kind WHEN task.cancel_requested_at IS NOT NULL THEN 'cancelled'",
            "THEN CASE WHEN task.cancel_requested_at IS NULL THEN settlement.kind ELSE 'cancelled' END",
        ),
        (
            " OR settlement.kind NOT IN ('unspent', 'lost') AND task.attempts >= task.max_retries THEN 'failed' END",
            " THEN 'failed' END",
        ),
        (
            "WHEN settlement.kind IN ('last_death', 'last_loss') OR settlement.kind NOT IN ('unspent', 'lost') AND",
            "WHEN settlement.kind NOT IN ('unspent', 'lost') AND",
        ),
        ("task.attempts >= task.max_retries THEN 'failed'", "task.attempts > task.max_retries THEN 'failed'"),
        (
            "OR settlement.kind NOT IN ('unspent', 'lost') AND task.attempts >= task.max_retries THEN 'failed'",
            "OR task.attempts >= task.max_retries THEN 'failed'",
        ),
        ("CASE WHEN task.deaths > 0 THEN 0 ELSE task.priority END", "task.priority"),
        ("task.light AND task.attempts + task.losses = 0 AS light", "task.light"),
        ("task.light AND task.attempts + task.losses = 0 AS light", "false AS light"),
        ("now() + delay * interval '1 s', now()", "now(), now()"),
        ("CASE WHEN delay > 0 THEN delay ELSE %(grace)s END", "%(grace)s"),
        ("CASE WHEN delay > 0 THEN delay ELSE %(grace)s END", "delay"),
        (" FROM settled WHERE outcome IS NULL)", " FROM settled)"),
        (" FROM settled WHERE outcome IS NULL)", " FROM settled WHERE false)"),
        (" WHERE outcome IN ('failed', 'cancelled')", ""),
        ("IN ('failed', 'cancelled')", "IN ('failed')"),
        ("IN ('failed', 'cancelled')", "IN ('cancelled')"),
        (" WHERE settled.outcome = 'completed'", ""),
        ("JOIN settled ON settled.id = output.task_id", "CROSS JOIN settled"),
        ("output.sha256, settled.submitted_by", "output.sha256, NULL"),
        ("attempts + (kind IN ('unspent', 'lost'))::int, worker_id", "attempts, worker_id"),
        (
            "WHEN kind = 'completed' OR kind = 'unspent' OR outcome = 'cancelled' THEN 'info'",
            "WHEN kind = 'completed' OR kind = 'unspent' THEN 'info'",
        ),
        ("WHEN outcome = 'failed' THEN 'error' ELSE 'warning'", "ELSE 'warning'"),
        ("CASE WHEN kind NOT IN ('completed', 'unspent') THEN value::json END\n", "value::json\n"),
        ("coalesce(outcome, 'pending')", "coalesce(outcome, kind)"),
    ),
    *_of(
        "mark_dead.sql",
        (" FOR UPDATE)", ")"),
        (" FOR UPDATE)", " FOR NO KEY UPDATE)"),
        " AND dead_at IS NULL",
        "OR heartbeat_at = %(seen)s::timestamptz",
        (
            "(%(seen)s::timestamptz IS NULL OR heartbeat_at = %(seen)s::timestamptz)",
            "(%(seen)s::timestamptz IS NULL OR true)",
        ),
        ("%(seen)s::timestamptz IS NULL OR ", ""),
    ),
    *_of(
        "take_back.sql",
        " AND worker.dead_at IS NOT NULL",
        ("lease.worker_id = %(worker_id)s::uuid AND ", ""),
        (" FOR UPDATE OF lease", ""),
        (" ORDER BY member.id)", " ORDER BY member.id DESC)"),
        (" final(is_final) ORDER BY member.id)", " final(is_final) ORDER BY mine.started_at, member.id)"),
        " OR final.is_final",
        (" AND task.task_type = ANY (%(final_types)s::text[])", ""),
        ("mine.effect IS NULL AND member.id = %(culprit)s::uuid AND ", "member.id = %(culprit)s::uuid AND "),
        ("mine.effect IS NULL AND member.id = %(culprit)s::uuid AND ", "mine.effect IS NULL AND "),
        ("CASE WHEN mine.effect = 'fail' THEN 'failed'\n", "CASE WHEN false THEN 'failed'\n"),
        (
            "WHEN %(idle)s OR member.id <> %(culprit)s::uuid THEN 'unspent'",
            "WHEN member.id <> %(culprit)s::uuid THEN 'unspent'",
        ),
        ("WHEN %(idle)s OR member.id <> %(culprit)s::uuid THEN 'unspent'", "WHEN %(idle)s THEN 'unspent'"),
        ("            WHEN NOT %(blamed)s THEN 'lost'\n", ""),
        ("WHEN NOT %(blamed)s THEN 'lost'", "WHEN NOT %(blamed)s THEN 'unspent'"),
        ("            WHEN NOT %(blamed)s AND task.losses + 1 >= %(max_losses)s THEN 'last_loss'\n", ""),
        "task.deaths + 1 >= %(max_deaths)s OR ",
    ),
    *_of(
        "cancel_lock.sql",
        " AND task.outcome IS NULL",
        (" ORDER BY task.id", ""),
        (" ORDER BY task.id", " ORDER BY task.id DESC"),
        (" FOR NO KEY UPDATE", ""),
        (" FOR NO KEY UPDATE", " FOR NO KEY UPDATE SKIP LOCKED"),
    ),
    *_of(
        "cancel.sql",
        " AND task.outcome IS NULL",
        (" ORDER BY task_id FOR UPDATE", " ORDER BY task_id"),
        (" ORDER BY task_id FOR UPDATE", " ORDER BY task_id FOR UPDATE SKIP LOCKED"),
        (
            "WHERE waiting.task_id = ANY (ARRAY(SELECT task_id FROM locked))",
            "WHERE waiting.task_id = ANY (ARRAY(SELECT task_id FROM locked)) AND false",
        ),
        ("coalesce(task.cancel_requested_at, now())", "now()"),
        ("outcome = CASE WHEN removed.task_id IS NOT NULL THEN 'cancelled' END", "outcome = 'cancelled'"),
        ("finished_at = CASE WHEN removed.task_id IS NOT NULL THEN now() END", "finished_at = NULL"),
        (
            "SELECT id, task_type, outcome FROM cancelled WHERE outcome IS NOT NULL",
            "SELECT id, task_type, 'cancelled' FROM cancelled",
        ),
        (
            "'cancelled before it ran' FROM cancelled WHERE outcome IS NOT NULL",
            "'cancelled before it ran' FROM cancelled",
        ),
        ("LEFT JOIN logged", "JOIN logged"),
    ),
    *_of(
        "relay.sql",
        ("WHERE publish_at >= %(mark)s::timestamptz AND ", "WHERE "),
        ("WHERE publish_at >= %(mark)s", "WHERE publish_at > %(mark)s"),
        " AND publish_at <= now()",
        (" ORDER BY publish_at LIMIT", " LIMIT"),
        " LIMIT %(limit)s",
        " SKIP LOCKED",
        ("2 ^ least(waiting.publishes, 20)", "1"),
        (
            "least(%(grace)s * 2 ^ least(waiting.publishes, 20), %(far_out)s)",
            "(%(grace)s * 2 ^ least(waiting.publishes, 20) + 0 * %(far_out)s)",
        ),
        ("least(waiting.publishes + 1, 1000)", "waiting.publishes"),
        (", published_at = now()", ""),
        ("publishes = 0 AND ", ""),
        (" AND published_at <= now()", ""),
        ("least(3 * (published_at - due_at), interval '1 day')", "interval '1 day'"),
        ("least(3 * (published_at - due_at), interval '1 day')", "3 * (published_at - due_at)"),
        ("WHERE rests IS NOT TRUE", "WHERE NOT rests"),
        (" AND waiting.publish_at <= now()", ""),
        (" AND waiting.task_id NOT IN (SELECT locked.task_id FROM locked)", ""),
        (" ORDER BY waiting.publish_at LIMIT", " ORDER BY waiting.publish_at DESC LIMIT"),
    ),
    *_of("relay_mark.sql", (" - interval '5 s'", "")),
    *_of(
        "far_out.sql",
        " WHERE locked.publish_at = (%(publish_ats)s::timestamptz[])[published.place]",
        ("locked.publish_at = (%(", "locked.publish_at <= (%("),
        ("locked.publish_at = (%(", "locked.publish_at >= (%("),
        ("[published.place]", "[1]"),
        " SKIP LOCKED",
        (" FOR UPDATE SKIP LOCKED", ""),
        ("now() + %(far_out)s * interval '1 s'", "waiting.publish_at + 0 * %(far_out)s * interval '1 s'"),
        ("coalesce(waiting.published_at, waiting.publish_at - %(grace)s", "coalesce(now(), now() - %(grace)s"),
        ("coalesce(waiting.published_at, waiting.publish_at - ", "coalesce(waiting.publish_at - "),
        (", publishes = 0", ""),
    ),
    *_of(
        "put_off.sql",
        ", published_at = NULL",
        ("WHEN waiting.due_at > clock_timestamp() THEN waiting.due_at", "WHEN false THEN waiting.due_at"),
    ),
    *_of(
        "repair.sql",
        ", published_at = NULL",
        ("due_at <= now() AND ", ""),
        (" AND publish_at > now()", ""),
        ("published_at <= now() - %(older_than)s * interval '1 s'", "true"),
        (" AND published_at <= coalesce(%(cut)s::text, 'infinity')::timestamptz", ""),
        ("%(older_than)s = 0)", "false)"),
        ("%(older_than)s = 0)", "true)"),
        ("task_id > %(after)s::uuid", "true"),
        (" ORDER BY task_id LIMIT", " LIMIT"),
        (" SKIP LOCKED", ""),
        ("FROM seen WHERE lost", "FROM seen"),
    ),
    *_of("take_refill.sql", "refill.value ->> 'by' = %(process_id)s::text OR "),
    *_of("keep_refill.sql", " AND value ->> 'by' = %(process_id)s::text AND value ->> 'cut' = %(cut)s::text"),
    *_of("left_refills.sql", " AND NOT (value ->> 'ended')::boolean"),
    *_of("due_hints.sql", " AND due_at <= now()"),
    *_of("beat.sql", " AND dead_at IS NULL", ("heartbeat_at = now(), ", "")),
    *_of("heartbeats.sql", " WHERE dead_at IS NULL"),
    *_of(
        "vouch.sql",
        " AND worker.heartbeat_at = silent.at",
        ("WHERE worker.dead_at IS NULL ", ""),
        " SKIP LOCKED",
    ),
    *_of(
        "due_again.sql",
        "published_at = NULL, ",
        ("due_at <= to_timestamp(%(until)s) AND ", ""),
        ("task_id > %(after)s::uuid", "true"),
        " AND task_id <= %(last)s::uuid",
        (" SKIP LOCKED", ""),
        ("(SELECT count(*) FROM seen WHERE late) > (SELECT count(*) FROM locked)", "false"),
    ),
    *_of(
        "former_workers.sql",
        ("dead_at IS NULL AND ", ""),
        ("node_id = %(node_id)s::uuid AND ", ""),
        (" AND boot_id <> %(boot_id)s::uuid", ""),
    ),
    *_of("register_worker.sql", " ON CONFLICT (id) DO UPDATE SET heartbeat_at = now()"),
    *_of("lock_rates.sql", " ORDER BY wanted.key"),
    *_of(
        "read_back.sql",
        (" WHERE lease.worker_id = %(worker_id)s::uuid", ""),
        (" AND task.cancel_requested_at IS NOT NULL", ""),
    ),
    *_of(
        "mark_effect.sql",
        ("id = %(lease_id)s::uuid AND ", ""),
        (" AND task_ids = ARRAY[%(task_id)s::uuid]", ""),
        ("task_ids = ARRAY[%(task_id)s::uuid]", "%(task_id)s::uuid = ANY (task_ids)"),
    ),
    *_of(
        "report.sql",
        (" AND %(task_id)s::uuid = ANY (task_ids)", ""),
        ("id = %(lease_id)s::uuid AND ", ""),
        (" FOR KEY SHARE", ""),
        (" FOR KEY SHARE", " FOR KEY SHARE SKIP LOCKED"),
    ),
    *_of("report_lock.sql", (" FOR UPDATE", ""), (" FOR UPDATE", " FOR KEY SHARE")),
    *_of(
        "reported.sql",
        " AND log.at >= lease.started_at",
        " AND log.id > %(after)s",
        " AND log.event = %(event)s",
        " AND log.attempt = %(attempt)s",
        " AND log.level = %(level)s",
        " AND log.message IS NOT DISTINCT FROM %(message)s::text",
        " AND log.data::text IS NOT DISTINCT FROM %(data)s::json::text",
    ),
    *_of("insert_tasks_again.sql", "ON CONFLICT (id) DO NOTHING "),
    *_of("submitted.part.sql", ("coalesce(due_at, now() + delay_seconds * interval '1 s')", "due_at")),
    *_of(
        "accepted.part.sql",
        ("greatest(due_at, now())", "coalesce(due_at, now())"),
        (
            "coalesce(CASE WHEN due_at > now() THEN due_at END, now() + %(grace)s * interval '1 s')",
            "now() + %(grace)s * interval '1 s'",
        ),
        (
            "coalesce(CASE WHEN due_at > now() THEN due_at END, now() + %(grace)s * interval '1 s')",
            "coalesce(due_at, now() + %(grace)s * interval '1 s')",
        ),
    ),
    *_of("insert_key.sql", "ON CONFLICT (api_key_id, key) DO NOTHING "),
    *_of("read_key.sql", " AND content.task_ids = first.task_ids"),
    *_of(
        "expire_key.sql",
        (" AND created_at < now() - %(hours)s * interval '1 hour'", ""),
        ("api_key_id = %(api_key_id)s::uuid AND key", "key"),
        (" AND key = %(key)s", ""),
    ),
    *_of(
        "insert_retry.sql",
        (" AND outcome IN ('failed', 'cancelled')", ""),
        "ON CONFLICT (retry_of) WHERE retry_of IS NOT NULL DO NOTHING ",
        ("least(max_retries, %(max_retries)s::int)", "max_retries"),
        ("least(timeout_seconds, %(max_timeout)s::float8)", "timeout_seconds"),
        ("THEN %(default_timeout)s::float8", "THEN NULL"),
    ),
    *_of(
        "prune_tasks.sql",
        (
            "outcome IS NOT NULL AND finished_at < now() - %(days)s * interval '1 day' AS old",
            "outcome IS NOT NULL AS old",
        ),
        ("outcome IS NOT NULL AND finished_at < now() - %(days)s * interval '1 day' AS old", "true AS old"),
        ("id > %(after)s::uuid", "true"),
        " AND id < %(before)s::uuid",
        " LIMIT %(limit)s",
        (" WHERE old)", ")"),
        ("DELETE FROM failures WHERE task_id = ANY (ARRAY(SELECT id FROM deleted))", "SELECT 1"),
    ),
    *_of(
        "prune_small.sql",
        (" WHERE created_at < now() - %(hours)s * interval '1 hour'", ""),
        ("worker.dead_at < now() - interval '1 day' AND ", ""),
        " AND lease.id IS NULL",
    ),
    *_of("expired_files.sql", " WHERE kept_from < now() - %(days)s * interval '1 day'"),
    *_of(
        "fold_counters.sql",
        ("updated_at < now() - interval '1 hour' OR ", ""),
        (" OR NOT metrics ? ('=processes|' || role)", ""),
        ("(updated_at < now() - interval '1 hour' OR NOT metrics ? ('=processes|' || role))", "true"),
        ("submitted = folded.submitted + excluded.submitted", "submitted = excluded.submitted"),
    ),
    *_of(
        "old_partitions.sql",
        (" AND day.relname < 'logs_' || to_char((now() AT TIME ZONE 'UTC')::date - %(days)s::int, 'YYYYMMDD')", ""),
    ),
    *_of(
        "audit.sql",
        (" FILTER (WHERE worker.dead_at IS NULL AND worker.id IS NOT NULL)", ""),
        ("worker.dead_at IS NULL AND ", ""),
        (" AND worker.id IS NOT NULL", ""),
        ("id > %(after)s::uuid AND id ", "id "),
        ("coalesce(held.leases, 0)", "least(held.leases, 1)"),
        (" AND id <= %(until)s::uuid", ""),
        (
            " AND task_id <= (SELECT id FROM task ORDER BY id DESC LIMIT 1)",
            " AND task_id < (SELECT id FROM task ORDER BY id DESC LIMIT 1)",
        ),
        (" OR live <> leases", ""),
        (" OR (outcome IS NOT NULL AND waits + leases > 0)", ""),
    ),
    *_of(
        "page_tasks.sql",
        ("task.id < %(after)s::uuid", "true"),
        " LIMIT %(look)s",
        ("(%(status)s::text IS NULL OR task.outcome = %(status)s)", "true"),
        (" OR id = (SELECT id FROM seen ORDER BY id LIMIT 1)", ""),
    ),
    *_of(
        "page_tagged.sql",
        ("tags @> ARRAY[%(tag)s::text]", "true"),
        (" AND NOT (SELECT is_common FROM known)", ""),
        ("NOT known.is_common AND ", ""),
        ("< %(most)s::int", "<= %(most)s::int"),
        ("task.id < %(after)s::uuid", "true"),
        ("EXISTS (SELECT 1 FROM backlog waiting WHERE waiting.task_id = task.id)", "true"),
        ("task.outcome = %(status)s", "true"),
        ("ORDER BY task.id DESC", "ORDER BY task.id"),
    ),
    *_of(
        "page_pending.sql",
        ("task_id < %(after)s::uuid", "true"),
        (" OR seen.task_id = (SELECT task_id FROM seen ORDER BY task_id LIMIT 1)", ""),
    ),
    *_of("page_failures.sql", ("outcome = %(status)s AND ", ""), ("task_id < %(after)s::uuid", "true")),
    *_of("page_in_progress.sql", ("member.id < %(after)s::uuid", "true")),
    *_of(
        "matches.part.sql",
        ("(%(owner)s::uuid IS NULL OR task.submitted_by = %(owner)s::uuid)", "true"),
        ("task.tags @> ARRAY[%(tag)s::text]", "true"),
        ("task.task_type = %(task_type)s", "true"),
    ),
    *_of("read_tasks.sql", (" AND (%(owner)s::uuid IS NULL OR task.submitted_by = %(owner)s::uuid)", "")),
    *_of(
        "read_small.sql",
        (" AND (%(owner)s::uuid IS NULL OR task.submitted_by = %(owner)s::uuid)", ""),
        ("coalesce(octet_length(task.result::text), 0) <= %(most_bytes)s", "0 <= %(most_bytes)s"),
    ),
    *_of(
        "read_first.sql",
        (" AND (%(owner)s::uuid IS NULL OR submitted_by = %(owner)s::uuid)", ""),
        ("bytes <= %(most_bytes)s", "true"),
        (" OR bytes = own_bytes", ""),
    ),
    *_of("read_owners.sql", (" AND (%(owner)s::uuid IS NULL OR submitted_by = %(owner)s::uuid)", "")),
    *_of("watch.sql", ("log.id > watched.after", "true"), (" LIMIT %(limit)s", "")),
    *_of("read_logs.sql", (" AND id > %(after)s", ""), ("task_id = %(task_id)s::uuid", "true")),
]


def pytest_configure() -> None:
    """Put the mutation in place, before any statement is loaded."""
    from dtqs.store.driver import statements

    if (number := os.environ["MUTATION"]) == NOTHING:
        return
    mutation, read = MUTATIONS[int(number)], statements._read
    statements._read = lambda file_name: (
        mutated(read(file_name), mutation) if file_name == mutation.file else read(file_name)
    )


def mutated(text: str, mutation: Mutation) -> str:
    code, old = flat(text), flat(mutation.text)
    if code.count(old) != 1:
        raise ValueError(f"{mutation}: found {code.count(old)} times; expected once")
    return code.replace(old, mutation.instead)


def flat(text: str) -> str:
    """Return SQL without comments, in one line, and without blanks inside parentheses."""
    line = re.sub(r"\s+", " ", re.sub(r"(?m)^\s*--.*\n", "", text))
    return line.replace("( ", "(").replace(" )", ")")


def unfit() -> list[str]:
    """Return the errors of mutations that are listed twice, or whose text is not exactly once in the file."""
    wrong = [f"{mutation}: is listed twice" for mutation, count in Counter(MUTATIONS).items() if count > 1]
    for mutation in MUTATIONS:
        try:
            mutated((SQL / mutation.file).read_text(encoding="utf-8"), mutation)
        except (OSError, ValueError) as error:
            wrong.append(str(error))
    return wrong


def killed_by(number: int | None) -> str | None:
    """Run the tests with one mutation, or without; return the test that failed, or None."""
    for pattern in TESTS:
        files = sorted(map(str, Path("tests").glob(pattern)))
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "--no-header",
            "--tb=no",
            "-p",
            "tests.support.mutations",
            "-p",
            "no:cacheprovider",
            *files,
        ]
        try:
            done = subprocess.run(
                command,
                env={**os.environ, "MUTATION": NOTHING if number is None else str(number)},
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "a time limit"
        if done.returncode not in (0, 1):
            raise SystemExit(f"mutation {number}: pytest could not run\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        if done.returncode == 1:
            found = re.search(r"(?m)^(?:FAILED|ERROR) (\S+)", done.stdout)
            return found[1].rpartition("::")[2] if found else "a test"
    return None


def main(words: list[str]) -> int:
    if wrong := unfit():
        raise SystemExit("\n".join(wrong))
    chosen = [n for n, mutation in enumerate(MUTATIONS) if not words or any(word in str(mutation) for word in words)]
    if failed := killed_by(None):
        raise SystemExit(f"{failed} fails without a mutation")
    survived = []
    for number in chosen:
        began, killer = time.monotonic(), killed_by(number)
        result = "killed  " if killer else "SURVIVED"
        print(f"{result} {time.monotonic() - began:4.0f} s  {MUTATIONS[number]}  {killer or ''}", flush=True)
        survived += [] if killer else [number]
    print(f"{len(chosen)} mutations, {len(survived)} survived")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
