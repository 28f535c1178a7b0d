"""The doctor's checks, one function a part: each says what it found and, of a failure, what to do about it."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx

from dtqs.amounts import plural, size
from dtqs.api.access.secret import file_fault
from dtqs.broker.checkup import look_once, write_refusal
from dtqs.cli.endpoint import Endpoint
from dtqs.cli.store import opened_store
from dtqs.client.calls import is_local
from dtqs.config import Config
from dtqs.errors import BrokerUnavailable, FilesUnavailable, StoreUnavailable
from dtqs.files import FileSpace
from dtqs.sandbox.places import SandboxPaths
from dtqs.sandbox.processes import running
from dtqs.store.checkup import POSTGRESQL_VERSION, LiveWorker, ServerFacts, live_workers, server_facts
from dtqs.store.driver.schema import SCHEMA_VERSION

OK, WARNING, FAILED, SKIPPED = "ok", "warning", "failed", "skipped"
CLOCK_WARNING_SECONDS, CLOCK_FAILED_SECONDS = 2.0, 60.0
DISK_FAILED_BYTES = 1 << 30
DISK_WARNING_PART = 0.05
PROGRAM_SECONDS = 10.0
_WANTED = {
    "enable_seqscan": ("off", FAILED, "plans go bad while tables grow; run: dtqs migrate"),
    "jit": ("off", FAILED, "plans go bad while tables grow; run: dtqs migrate"),
    "fsync": ("on", WARNING, "a crash of the server can lose accepted tasks; set fsync = on in postgresql.conf"),
    "synchronous_commit": (
        "on",
        WARNING,
        "a crash of the server can lose accepted tasks; set synchronous_commit = on for this role",
    ),
}
"""PostgreSQL's settings: what they should be, how bad it is if not, and why."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of one part. `state` is ok, warning, failed or skipped; `advice` says what to do unless it is ok."""

    part: str
    state: str
    found: str
    advice: str = ""


def sandbox(path: Path | None) -> Check | None:
    """Check whether the sandbox runs whose configuration this is; None where it is another one's."""
    if path is None or not SandboxPaths(path.parent).ports.exists():
        return None
    places = SandboxPaths(path.parent.absolute())
    if pid := running(places.pid_file("sandbox")):
        return Check("sandbox", OK, f"{places.var} runs, process {pid}")
    return Check("sandbox", FAILED, f"{places.var} is stopped", f"start it: {start_command(places.var)}")


def start_command(var: Path) -> str:
    """Return how the sandbox of a folder is started from here."""
    return "dtqs up" if var == Path("var").absolute() else f"dtqs up --var {os.path.relpath(var)}"


def skipped(parts: Sequence[str], because_of: str) -> Iterator[Check]:
    """Say of parts that they were not looked at."""
    for part in parts:
        yield Check(part, SKIPPED, "not looked at", f"mend {because_of} first")


def postgresql(config: Config, task_types: Sequence[str]) -> Iterator[Check]:
    """Check the server and, through it, schema, settings, clock, workers, and that they do the task types that are known here."""
    left = ["schema", "settings", "clock", "workers", "workers' types"]
    try:
        for check in _database(config, task_types):
            left = [
                part for part in left if part != (check.part if not check.part.startswith("setting ") else "settings")
            ]
            yield check
    except StoreUnavailable as error:
        yield Check(
            "PostgreSQL",
            FAILED,
            str(error).removeprefix("PostgreSQL: "),
            "is it running, and is [postgresql] dsn right? see: dtqs config show",
        )
        yield from skipped(left, "PostgreSQL")
    else:
        yield from skipped(left, "the schema")


def _database(config: Config, task_types: Sequence[str]) -> Iterator[Check]:
    with opened_store(config, "dtqs doctor") as store:
        before = time.time()
        facts = server_facts(store.database)
        yield _server(facts)
        yield _schema(facts)
        yield from _settings(facts)
        yield _clock(facts.clock - (before + time.time()) / 2)
        if facts.schema_version == SCHEMA_VERSION:
            workers = live_workers(store.database)
            yield _workers(workers, config.lease.lease_seconds)
            yield _types(workers, task_types)


def _server(facts: ServerFacts) -> Check:
    found = f"version {facts.version}"
    if facts.major_version < POSTGRESQL_VERSION:
        return Check("PostgreSQL", FAILED, found, f"install PostgreSQL {POSTGRESQL_VERSION} or later")
    if facts.read_only:
        advice = "is it a standby, or set to default_transaction_read_only? name the primary in [postgresql] dsn"
        return Check("PostgreSQL", FAILED, f"{found}, read-only", advice)
    return Check("PostgreSQL", OK, found)


def _schema(facts: ServerFacts) -> Check:
    if facts.schema_version is None:
        return Check("schema", FAILED, "there is none", "run: dtqs migrate")
    if facts.schema_version < SCHEMA_VERSION:
        return Check(
            "schema",
            FAILED,
            f"version {facts.schema_version}, and this is made for {SCHEMA_VERSION}",
            "run: dtqs migrate",
        )
    if facts.schema_version > SCHEMA_VERSION:
        return Check(
            "schema",
            FAILED,
            f"version {facts.schema_version}, and this is made for {SCHEMA_VERSION}",
            "install the newer DTQS on this machine too",
        )
    return Check("schema", OK, f"version {facts.schema_version}")


def _settings(facts: ServerFacts) -> Iterator[Check]:
    wrong = [(name, *_WANTED[name]) for name, value in facts.settings.items() if value != _WANTED[name][0]]
    for name, wanted, state, advice in wrong:
        yield Check(f"setting {name}", state, f"{facts.settings[name]} instead of {wanted}", advice)
    if not wrong:
        yield Check("settings", OK, ", ".join(f"{name} = {value}" for name, value in facts.settings.items()))


def _clock(difference_seconds: float) -> Check:
    off = abs(difference_seconds)
    found = (
        f"{off:.1f} s {'behind' if difference_seconds > 0 else 'ahead of'} PostgreSQL's"
        if off >= 0.1
        else "the same as PostgreSQL's"
    )
    state = FAILED if off > CLOCK_FAILED_SECONDS else WARNING if off > CLOCK_WARNING_SECONDS else OK
    return Check(
        "clock", state, found, "" if state == OK else "keep both machines' clocks by NTP: timedatectl set-ntp true"
    )


def _workers(workers: list[LiveWorker], lease_seconds: float) -> Check:
    alive = [worker for worker in workers if worker.beat_age_seconds <= lease_seconds]
    if not alive:
        late = f"; {len(workers)} gave no heartbeat for {lease_seconds:g} s" if workers else ""
        return Check("workers", FAILED, f"none is alive{late}", "start them: dtqs supervisor, or dtqs up")
    nodes = len({worker.node_name for worker in alive})
    found = f"{len(alive)} alive on {nodes} node{'s' if nodes > 1 else ''}, {sum(worker.task_id is not None for worker in alive)} with a task"
    if len(alive) < len(workers):
        return Check(
            "workers",
            WARNING,
            f"{found}; {len(workers) - len(alive)} late with their heartbeat",
            "a keeper takes back what they hold; see their logs",
        )
    return Check("workers", OK, found)


def _types(workers: list[LiveWorker], task_types: Sequence[str]) -> Check:
    """Compare what is accepted here with what the workers do; a worker of an older version does not say."""
    said = [worker.task_types for worker in workers if worker.task_types is not None]
    missing = sorted(set(task_types) - {name for types in said for name in types})
    if missing and said and len(said) == len(workers):
        words = f"no worker does: {', '.join(missing)}; their tasks would wait"
        return Check(
            "workers' types", WARNING, words, "install their package where the workers run, and restart the supervisor"
        )
    return Check("workers' types", OK, "every known type is done" if said else "not said by these workers")


def rabbitmq(config: Config) -> Iterator[Check]:
    """Check the broker and its queue."""
    try:
        look = look_once(config.rabbitmq, "dtqs doctor")
        refusal = write_refusal(config.rabbitmq, "dtqs doctor")
    except BrokerUnavailable as error:
        advice = (
            "is it running, and is [rabbitmq] url right? see: dtqs config show. Tasks are accepted meanwhile, and wait"
        )
        yield Check("RabbitMQ", FAILED, str(error).removeprefix("RabbitMQ: "), advice)
        yield from skipped(["queue"], "RabbitMQ")
        return
    if refusal is None:
        yield Check("RabbitMQ", OK, "reachable, and takes messages")
    else:
        advice = "give its user the permissions: rabbitmqctl set_permissions -p VHOST USER '.*' '.*' '.*'"
        yield Check("RabbitMQ", FAILED, f"reachable, but refuses messages: {refusal}", advice)
    if look is None:
        yield Check(
            "queue",
            FAILED,
            "task_queue is missing",
            "start a supervisor: it declares the queue and publishes again what is due",
        )
    else:
        yield Check("queue", OK, f"{look.ready} ready, {plural(look.consumers, 'consumer')}")


def api(endpoint: Endpoint) -> Iterator[Check]:
    """Check whether the API is ready; a node of workers has none, so its absence is a warning."""
    try:
        answer = httpx.get(f"{endpoint.url}/readyz", timeout=5.0, trust_env=not is_local(endpoint.url))
    except httpx.HTTPError as error:
        yield Check(
            "API",
            WARNING,
            f"{endpoint.url}: {error or type(error).__name__}",
            "if it should run here: dtqs api, or dtqs up",
        )
        return
    if answer.status_code == 200:
        yield Check("API", OK, f"{endpoint.url} is ready")
    else:
        yield Check("API", WARNING, f"{endpoint.url} answers {answer.status_code}{_reason(answer)}", "see its log")


def _reason(answer: httpx.Response) -> str:
    """Return why the API says that it is not ready; empty where it does not say."""
    try:
        return f": {answer.json()['reason']}"
    except (ValueError, LookupError, TypeError):
        return ""


def programs() -> Iterator[Check]:
    """Check that ffmpeg and ffprobe can be run."""
    for name in ("ffmpeg", "ffprobe"):
        advice = "video tasks need it: apt-get install ffmpeg"
        try:
            answer = subprocess.run(
                [name, "-version"],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PROGRAM_SECONDS,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            yield Check(name, FAILED, "not found" if isinstance(error, FileNotFoundError) else str(error), advice)
            continue
        if answer.returncode == 0:
            yield Check(name, OK, " ".join(answer.stdout.split("\n", 1)[0].split()[:3]))
        else:
            yield Check(name, FAILED, f"exit status {answer.returncode}", advice)


def storage(config: Config) -> Iterator[Check]:
    """Check that the bucket can be reached, where uploads and outputs are kept in one."""
    if config.files.store != "s3":
        return
    place = f"{config.files.s3_endpoint or 'Amazon S3'}: {config.files.s3_bucket}"
    try:
        with closing(FileSpace(config.files)) as space:
            space.look()
    except FilesUnavailable as error:
        yield Check(
            "object storage",
            FAILED,
            f"{place}: {error}",
            "is it running, and are the keys s3_… of [files] right? Files can be neither stored nor read meanwhile",
        )
        return
    yield Check("object storage", OK, place)


def disks(config: Config) -> Iterator[Check]:
    """Check the folders of files and of the node's state: there, ours to write, and with room."""
    yield _disk("files", config.files.directory, "[files] directory")
    yield _disk("state", config.supervisor.state_dir, "[supervisor] state_dir")


def signing(config: Config) -> Iterator[Check]:
    """Check who may read and change what signs tickets and sessions, where it is there."""
    if fault := file_fault(config):
        yield Check("api-secret", FAILED if fault.refused else WARNING, fault.found, fault.advice)


def _disk(part: str, folder: Path, key: str) -> Check:
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if there != folder and not os.access(there, os.W_OK):
        return Check(
            part, FAILED, f"{folder} is missing", f"make it, owned by the user that DTQS runs as; or change {key}"
        )
    if not folder.is_dir() and folder.exists():
        return Check(part, FAILED, f"{folder} is no folder", f"change {key}")
    usage = shutil.disk_usage(there)
    found = f"{folder}: {size(usage.free)} free of {size(usage.total)}" + (
        "" if there == folder else ", made when first needed"
    )
    if usage.free < DISK_FAILED_BYTES:
        return Check(part, FAILED, found, "make room: uploads, outputs and attempts fail on a full disk")
    if usage.free < usage.total * DISK_WARNING_PART:
        return Check(part, WARNING, found, "make room, or shorten [files] retention_days")
    if there == folder and not os.access(folder, os.W_OK):
        return Check(
            part, WARNING, f"{found}; not writable by this user", "run the doctor as the user that DTQS runs as"
        )
    return Check(part, OK, found)
