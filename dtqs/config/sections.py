"""The sections of the configuration as frozen models, and what each key allows in words; reading file and environment is `dtqs.config`'s."""

import ipaddress
import re
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic.fields import FieldInfo

Port = Annotated[int, Field(ge=1, le=65535)]
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_ENDPOINT = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?/?")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_PREFIX = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]*/)*([A-Za-z0-9_-][A-Za-z0-9._-]*)?")


def is_network(text: str) -> bool:
    """Tell whether this is an address, or a network of them as 10.1.0.0/16."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


class Section(BaseModel):
    """A frozen section of the file. A field's description is its comment in conf/dtqs.ini; names end in their unit."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PostgresqlSection(Section):
    dsn: SecretStr = Field(
        SecretStr("postgresql://dtqs@127.0.0.1:5432/dtqs"),
        min_length=1,
        description="libpq connection string or URL; dsn_file names a file that holds it",
    )
    pool_size: int = Field(8, ge=1, le=200, description="most connections of one API process")
    connect_timeout_seconds: float = Field(5.0, ge=0.5, le=120, description="seconds to wait for a connection")
    statement_timeout_seconds: float = Field(
        10.0, ge=1, le=600, description="seconds after which a statement is given up"
    )
    prepared_statements: bool = Field(
        True, description="statements are prepared; off for PgBouncer before 1.22 in transaction mode"
    )
    retention_days: float = Field(30.0, gt=0, le=36500, description="days that tasks with an outcome are kept")


class RabbitmqSection(Section):
    url: SecretStr = Field(
        SecretStr("amqp://guest:guest@127.0.0.1:5672/%2F"),
        min_length=1,
        description="AMQP URL; url_file names a file that holds it",
    )
    queue_type: Literal["auto", "classic", "quorum"] = Field(
        "auto", description="type of the task queue; auto: classic; quorum: real priorities need 4.3"
    )
    heartbeat_seconds: int = Field(
        20, ge=1, le=600, description="seconds between the broker's heartbeats; not above the lease time"
    )
    connect_timeout_seconds: float = Field(5.0, ge=0.5, le=120, description="seconds to wait for a connection")
    publish_timeout_seconds: float = Field(10.0, ge=0.5, le=120, description="seconds to wait for the broker's confirm")


class ApiSection(Section):
    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8080, ge=1, le=65535, description="TCP port to listen on")
    workers: int = Field(2, ge=1, le=128, description="gunicorn processes")
    auth: bool = Field(True, description="API keys are required; off is possible only on loopback")
    public_url: str = Field("", description="how clients reach the API, for links; empty: links are paths")
    trusted_proxies: tuple[str, ...] = Field(
        (),
        description="addresses or networks of proxies whose X-Forwarded-For tells the caller; those on this machine are always believed",
    )
    secret: SecretStr | None = Field(
        None,
        description="what signs tickets and sessions, 32 characters or more, the same on every API host; empty: a file api-secret that is made in "
        "[supervisor] state_dir; secret_file names a file that holds it",
    )
    max_body_bytes: int = Field(4 << 20, ge=1024, le=1 << 30, description="bytes of a JSON body")
    max_connections: int = Field(
        5000, ge=10, le=100000, description="open connections of one API process, streams included"
    )
    max_streams: int = Field(4000, ge=1, le=100000, description="open SSE streams of one API process")
    ticket_seconds: float = Field(
        86400.0, ge=60, le=31 * 86400, description="seconds that a signed SSE ticket is valid"
    )
    session_seconds: float = Field(
        43200.0, ge=60, le=7 * 86400, description="seconds that a login to the dashboard is valid"
    )
    idempotency_hours: float = Field(
        24.0, ge=0.01, le=24 * 30, description="hours that an Idempotency-Key is remembered"
    )
    sse_heartbeat_seconds: float = Field(
        15.0, ge=0.1, le=300, description="seconds between heartbeat comments in a stream"
    )
    sse_retry_seconds: float = Field(
        1.0, ge=0.05, le=60, description="seconds after which a client is told to reconnect"
    )
    reread_seconds: float = Field(
        3.0, ge=0.1, le=60, description="seconds between two looks at all watched tasks, in case an event was lost"
    )
    shutdown_seconds: float = Field(10.0, ge=0.5, le=600, description="seconds that running requests get at shutdown")

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            if not is_network(proxy):
                raise ValueError(f"{proxy!r} is no address and no network as 10.1.0.0/16")
        return proxies


class SupervisorSection(Section):
    state_dir: Path = Field(
        Path("/var/lib/dtqs"), description="folder of the node's identity; locked while a supervisor runs"
    )
    drain_seconds: float = Field(
        30.0, ge=0, le=86400, description="seconds that running tasks get to end after SIGTERM"
    )
    stop_seconds: float = Field(
        5.0, ge=0.1, le=600, description="seconds that a child gets to give back its work before SIGKILL"
    )
    beat_timeout_seconds: float = Field(
        60.0, ge=5, le=3600, description="seconds without a sign of life after which a child is killed"
    )
    boot_timeout_seconds: float = Field(
        60.0, ge=1, le=3600, description="seconds that a new child gets to become ready"
    )
    restart_base_seconds: float = Field(
        0.1, ge=0.01, le=60, description="seconds before the second restart of a slot; doubled each time it dies young"
    )
    restart_max_seconds: float = Field(30.0, ge=0.1, le=3600, description="most seconds between restarts of a slot")
    young_seconds: float = Field(
        10.0, ge=0.1, le=3600, description="a child that lived longer than this many seconds is restarted at once"
    )
    restart_limit: int = Field(
        10,
        ge=2,
        le=1000,
        description="a slot is given up when so many of its children in a row ended before they were ready",
    )
    hard_limit_seconds: float = Field(
        5.0, ge=0.1, le=600, description="seconds after a task's time limit at which its process is killed"
    )


class PoolSection(Section):
    workers: int = Field(0, ge=0, le=1024, description="worker processes; 0: one per core")
    moment_seconds: float = Field(
        0.2, ge=0.01, le=10, description="seconds after which a busy worker holds no unclaimed delivery"
    )
    batch_seconds: float = Field(
        0.03, ge=0, le=1, description="seconds of work that a batch of light tasks should make; 0: one hint at a time"
    )
    batch_limit: int = Field(250, ge=1, le=1000, description="most light tasks of one claim")


class RetrySection(Section):
    max_retries: int = Field(
        5, ge=0, le=1000, description="retries after the first attempt, unless task or type say otherwise"
    )
    max_deaths: int = Field(
        3,
        ge=1,
        le=1000,
        description="a task fails when so many of its workers have died while they ran it, whatever max_retries says",
    )
    base_seconds: float = Field(
        2.0, ge=0, le=3600, description="seconds of backoff before the first retry, doubled each time"
    )
    max_seconds: float = Field(600.0, ge=0, le=86400, description="most seconds of backoff")
    timeout_seconds: float = Field(
        3600.0, ge=0.1, le=7 * 86400, description="time limit of an attempt, unless task or type say otherwise"
    )


class LimitsSection(Section):
    max_retries: int = Field(100, ge=0, le=1000, description="most retries that a caller may ask for")
    max_timeout_seconds: float = Field(
        86400.0, ge=1, le=7 * 86400, description="longest time limit of an attempt that a caller may ask for"
    )


class LeaseSection(Section):
    heartbeat_seconds: float = Field(5.0, ge=0.1, le=60, description="seconds between a worker's heartbeats")
    lease_seconds: float = Field(
        30.0,
        ge=0.5,
        le=3600,
        description="seconds without a heartbeat that make a worker dead; not below the broker's heartbeat",
    )
    grace_seconds: float = Field(
        5.0,
        ge=0.5,
        le=600,
        description="seconds after which an unclaimed task is published again if its hint was not confirmed",
    )
    far_out_seconds: float = Field(
        600.0, ge=10, le=86400, description="seconds after which a task whose hint was confirmed is published again"
    )
    relay_seconds: float = Field(0.5, ge=0.05, le=60, description="seconds between two turns of the relay")


class FilesSection(Section):
    directory: Path = Field(
        Path("/var/lib/dtqs/files"),
        description="folder of uploads and outputs, shared by all nodes; with store = s3 of temporary ones",
    )
    roots: tuple[Path, ...] = Field((), description="folders below which file: sources may lie")
    max_upload_bytes: int = Field(2 << 30, ge=1, le=1 << 42, description="bytes of one upload")
    retention_days: float = Field(
        7.0,
        gt=0,
        le=36500,
        description="days that uploads and outputs are kept, and files that a task names from the time on when it is due",
    )
    fetch_ports: tuple[Port, ...] = Field(
        (80, 443), description="ports that http: and https: sources may name; empty: nothing is fetched"
    )
    fetch_allow_hosts: tuple[str, ...] = Field(
        (),
        description="what is fetched from although its addresses are not public: host names, *.DOMAIN for those below it, networks as 10.1.0.0/16",
    )
    fetch_max_bytes: int = Field(
        2 << 30, ge=1, le=1 << 42, description="bytes of one fetched source, also of an s3: one"
    )
    fetch_max_redirects: int = Field(5, ge=0, le=20, description="redirects that are followed")
    fetch_timeout_seconds: float = Field(
        600.0, ge=1, le=86400, description="seconds that fetching one source may take in all"
    )
    fetch_silence_seconds: float = Field(
        20.0, ge=0.5, le=600, description="seconds that a server may take to connect, or be silent"
    )
    jail: Literal["best", "required"] = Field(
        "best",
        description="where the kernel lacks a part of the jail of image decoder and ffmpeg: go without it, or refuse their tasks",
    )
    store: Literal["local", "s3"] = Field(
        "local", description="where uploads and outputs are kept: in the folder, or in an S3-compatible object storage"
    )
    s3_endpoint: str = Field("", description="URL of the object storage; empty: Amazon's, in the region")
    s3_region: str = Field("us-east-1", min_length=1, description="region that requests are signed for")
    s3_bucket: str = Field("", description="bucket of uploads and outputs")
    s3_prefix: str = Field(
        "", description="what the names of uploads and outputs begin with in the bucket, for example dtqs/"
    )
    s3_access_key: str = Field("", description="id of the access key; empty: there is no object storage")
    s3_secret_key: SecretStr | None = Field(
        None, description="secret of the access key; s3_secret_key_file names a file that holds it"
    )
    s3_path_style: bool = Field(True, description="the bucket is named in the path; off: in the host name")
    s3_sources: tuple[str, ...] = Field(
        (), description="buckets that s3: sources may lie in, or BUCKET/PREFIX for a part of one"
    )
    s3_timeout_seconds: float = Field(
        30.0, ge=1, le=600, description="seconds that the object storage may take to connect, or be silent"
    )

    @field_validator("fetch_allow_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not is_network(host) and not _HOST.fullmatch(host):
                raise ValueError(f"{host!r} is neither a host name nor a network")
        return tuple(host.lower() for host in hosts)

    @field_validator("s3_endpoint")
    @classmethod
    def _is_endpoint(cls, endpoint: str) -> str:
        if endpoint and not _ENDPOINT.fullmatch(endpoint):
            raise ValueError("no URL like https://host or http://host:9000, without a path")
        return endpoint.rstrip("/")

    @field_validator("s3_bucket")
    @classmethod
    def _is_bucket(cls, bucket: str) -> str:
        if bucket and not _BUCKET.fullmatch(bucket):
            raise ValueError("no name of a bucket: letters, digits, dots, _ and -, 3 to 63 of them")
        return bucket

    @field_validator("s3_prefix")
    @classmethod
    def _is_prefix(cls, prefix: str) -> str:
        if not _PREFIX.fullmatch(prefix):
            raise ValueError("no prefix: parts of letters, digits, dots, _ and - with one / between them")
        return prefix

    @field_validator("s3_sources")
    @classmethod
    def _are_sources(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        for source in sources:
            bucket, _, prefix = source.partition("/")
            if not _BUCKET.fullmatch(bucket) or not _PREFIX.fullmatch(prefix):
                raise ValueError(f"{source!r} is neither BUCKET nor BUCKET/PREFIX")
        return sources

    @model_validator(mode="after")
    def _has_what_the_store_needs(self) -> Self:
        missing = [key for key in ("s3_bucket", "s3_access_key", "s3_secret_key") if not getattr(self, key)]
        if self.store == "s3" and missing:
            raise ValueError(f"store = s3 needs {', '.join(missing)} too")
        if self.s3_sources and self.store == "local" and (unset := [key for key in missing if key != "s3_bucket"]):
            raise ValueError(f"s3_sources needs {', '.join(unset)} too")
        return self


class LogSection(Section):
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severity that is written")
    format: Literal["text", "json"] = Field("text", description="form of the lines on standard error")
    retention_days: int = Field(30, ge=1, le=3650, description="days that log rows of tasks are kept")


SECTIONS: dict[str, type[Section]] = {
    "postgresql": PostgresqlSection,
    "rabbitmq": RabbitmqSection,
    "api": ApiSection,
    "supervisor": SupervisorSection,
    "retry": RetrySection,
    "limits": LimitsSection,
    "lease": LeaseSection,
    "files": FilesSection,
    "log": LogSection,
}


def kinds(field: FieldInfo) -> tuple[Any, ...]:
    """Return the types that a field's annotation names: the parts of a union, else itself."""
    annotation = field.annotation
    parts = get_args(annotation)
    return parts if parts and get_origin(annotation) not in (Literal, tuple) else (annotation,)


def may_be_empty(field: FieldInfo) -> bool:
    """Tell whether the key may be left empty in the file, for "not set"."""
    return NoneType in kinds(field)


def is_secret(field: FieldInfo) -> bool:
    return SecretStr in kinds(field)


def is_list(field: FieldInfo) -> bool:
    return any(get_origin(kind) is tuple for kind in kinds(field))


def allowed(field: FieldInfo) -> str:
    """Say in words what a key may hold: `a whole number from 1 to 65535`, `on or off`."""
    words = [_allowed_kind(kind, field) for kind in kinds(field) if kind is not NoneType]
    return " or ".join(words) + (", or empty" if may_be_empty(field) else "")


def _allowed_kind(kind: Any, field: FieldInfo) -> str:
    if get_origin(kind) is Literal:
        choices = [str(choice) for choice in get_args(kind)]
        return " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))
    if get_origin(kind) is tuple:
        return "a list separated by commas, or empty"
    if kind is bool:
        return "on or off"
    if kind in (int, float):
        return f"{'a whole number' if kind is int else 'a number'}{_bounds(field)}"
    if kind is Path:
        return "a path"
    return "text" if field.default == "" or may_be_empty(field) else "text that is not empty"


def _bounds(field: FieldInfo) -> str:
    at_least = next((m.ge for m in field.metadata if isinstance(m, Ge)), None)
    above = next((m.gt for m in field.metadata if isinstance(m, Gt)), None)
    at_most = next((m.le for m in field.metadata if isinstance(m, Le)), None)
    below = next((m.lt for m in field.metadata if isinstance(m, Lt)), None)
    low = (
        f" from {number(at_least)}" if at_least is not None else f" above {number(above)}" if above is not None else ""
    )
    high = f" to {number(at_most)}" if at_most is not None else f" below {number(below)}" if below is not None else ""
    return low + high


def number(value: Any) -> str:
    """Write a number as an operator would: no `.0`."""
    return str(int(value)) if value == int(value) else str(value)
