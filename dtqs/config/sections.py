"""The sections of the configuration as frozen models; `dtqs.config.reader` fills them from file and environment."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from dtqs.config.broker_url import host_urls, tls
from dtqs.config.files_section import FilesSection
from dtqs.config.section import Host, Section, SeveralLines, ShownAsUrl, check_host, is_network
from dtqs.config.trace_section import TraceSection
from dtqs.url_host import check_host_and_port


class PostgresqlSection(Section):
    # libpq takes a connection string of several lines
    dsn: Annotated[SecretStr, SeveralLines(may_name_keys=False)] = Field(
        SecretStr("postgresql://dtqs@127.0.0.1:5432/dtqs"),
        min_length=1,
        description="libpq connection string or URL; continuation lines of a connection string are indented; dsn_file "
        "names a file that holds it",
    )
    pool_size: int = Field(8, ge=1, le=200, description="most connections of one API process")
    connect_timeout_seconds: float = Field(5.0, ge=0.5, le=120, description="seconds to wait for a connection")
    statement_timeout_seconds: float = Field(
        10.0, ge=1, le=600, description="timeout of a statement in seconds; a change needs `dtqs migrate`"
    )
    prepared_statements: bool = Field(
        True, description="prepare statements; turn off for PgBouncer before 1.22 in transaction mode"
    )
    retention_days: float = Field(30.0, gt=0, le=36500, description="days that tasks with an outcome are kept")


class RabbitmqSection(Section):
    url: SecretStr = Field(
        SecretStr("amqp://guest:guest@127.0.0.1:5672/%2F"),
        min_length=1,
        description="AMQP URL; several hosts are tried in random order: amqp://user:password@one:5672,two:5672/%2F; "
        "amqps:// may name files: ?cacertfile=PATH&certfile=PATH&keyfile=PATH; url_file names a file that holds it",
    )
    queue_type: Literal["auto", "classic", "quorum"] = Field(
        "auto",
        description="type of a queue that DTQS makes, an existing one keeps its own; auto is quorum on RabbitMQ 4 if "
        "url names three hosts or more, otherwise classic; "
        "real priorities in a quorum queue need RabbitMQ 4.3",
    )
    heartbeat_seconds: int = Field(
        20, ge=1, le=600, description="seconds between the broker's heartbeats; not above [lease] lease_seconds"
    )
    connect_timeout_seconds: float = Field(
        5.0, ge=0.5, le=120, description="seconds to wait for a connection to a host, with its login"
    )
    publish_timeout_seconds: float = Field(10.0, ge=0.5, le=120, description="seconds to wait for the broker's confirm")
    event_outcomes: bool = Field(
        True,
        description="workers send the records of small tasks in events, with payload and result: submits that wait end "
        "sooner; off on every node with workers: RabbitMQ sees no payload",
    )

    @field_validator("url")
    @classmethod
    def _is_usable(cls, url: SecretStr) -> SecretStr:
        host_urls(url.get_secret_value())
        tls(url.get_secret_value())
        return url


class ApiSection(Section):
    host: Host = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8080, ge=1, le=65535, description="TCP port to listen on")
    workers: int = Field(2, ge=1, le=128, description="gunicorn processes")
    auth: bool = Field(True, description="require API keys; off is allowed on loopback only")
    public_url: Annotated[str, ShownAsUrl] = Field(
        "",
        description="URL under which clients reach the API, for links, such as https://tasks.example.org; empty: links "
        "are paths",
    )
    trusted_proxies: tuple[str, ...] = Field(
        (),
        description="addresses or networks of proxies whose X-Forwarded-For header is trusted; proxies on this machine "
        "always are",
    )
    secret: SecretStr | None = Field(
        None,
        description="secret that signs tickets and sessions: 32 characters or more, the same on every API host; "
        "secret_file names a file that holds it; empty: the API makes the file api-secret in [supervisor] state_dir",
    )
    max_body_bytes: int = Field(4 << 20, ge=1024, le=1 << 30, description="largest JSON body in bytes")
    max_connections: int = Field(
        5000, ge=10, le=100000, description="most open connections of one API process, streams included"
    )
    max_streams: int = Field(4000, ge=1, le=100000, description="most open SSE streams of one API process")
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
        1.0, ge=0.05, le=60, description="seconds that a client of a stream waits before it reconnects"
    )
    reread_seconds: float = Field(
        3.0, ge=0.1, le=60, description="seconds between two reads of watched tasks, in case an event was lost"
    )
    shutdown_seconds: float = Field(
        10.0,
        ge=0.5,
        le=600,
        description="seconds that running requests get at shutdown; systemd waits as long, but in containers keep "
        "stop_grace_period (20) 5 s above it, and terminationGracePeriodSeconds (30) 5 s above it and the preStop hook "
        "(5) together",
    )
    access_log: bool = Field(
        False,
        description="write a log line for each answered request, with its X-Request-ID; a submit then needs about "
        "twice the processor time of the API, since gunicorn itself reads and answers it",
    )

    @field_validator("public_url")
    @classmethod
    def _makes_links(cls, url: str) -> str:
        scheme, _, rest = url.partition(":")
        if not url:
            return url
        if not re.fullmatch(r"https?://([^/\s?#@]*@)?[^/\s?#@]+(/[^\s?#]*)?", f"{scheme.lower()}:{rest}"):
            raise ValueError("it is not http://HOST or https://HOST, with a port or a path behind it or not, nor empty")
        check_host_and_port(url)
        return f"{scheme.lower()}:{rest}"

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            if not is_network(proxy):
                raise ValueError(f"{proxy!r} is neither an IP address nor a network such as 10.1.0.0/16")
        return proxies


class SupervisorSection(Section):
    state_dir: Path = Field(
        Path("/var/lib/dtqs"), description="folder that holds the node's identity; locked while a supervisor runs"
    )
    drain_seconds: float = Field(
        30.0, ge=0, le=86400, description="seconds that running tasks get to finish after SIGTERM"
    )
    leaving_seconds: float = Field(
        3600.0,
        ge=0,
        le=7 * 86400,
        description="seconds that a replaced worker gets to finish its task; then the task is given back",
    )
    stop_seconds: float = Field(
        5.0, ge=0.1, le=600, description="seconds that a child gets to give back its tasks before SIGKILL"
    )
    beat_timeout_seconds: float = Field(
        60.0, ge=5, le=3600, description="seconds without a sign of life before a child is killed"
    )
    boot_timeout_seconds: float = Field(
        60.0, ge=1, le=3600, description="seconds that a new child gets to become ready"
    )
    restart_base_seconds: float = Field(
        0.1, ge=0.01, le=60, description="seconds before the second restart of a slot; doubled after each early death"
    )
    restart_max_seconds: float = Field(30.0, ge=0.1, le=3600, description="most seconds between restarts of a slot")
    young_seconds: float = Field(
        10.0, ge=0.1, le=3600, description="a child that lived longer than this is replaced at once, without a delay"
    )
    restart_limit: int = Field(
        10,
        ge=2,
        le=1000,
        description="a slot is given up after this many of its children in a row ended before they were ready",
    )
    hard_limit_seconds: float = Field(
        5.0, ge=0.1, le=600, description="seconds between a task's time limit and the kill of a worker that ignores it"
    )


class RetrySection(Section):
    max_retries: int = Field(
        5, ge=0, le=1000, description="retries after the first attempt, unless the task or its type sets another number"
    )
    max_deaths: int = Field(
        3,
        ge=1,
        le=1000,
        description="a task fails after this many of its workers died while they ran it, even if retries are left",
    )
    max_losses: int = Field(
        20,
        ge=1,
        le=1000,
        description="a task fails after it has lost this many workers with their nodes or heartbeats; "
        "these spend no attempt",
    )
    base_seconds: float = Field(
        2.0, ge=0, le=3600, description="seconds of backoff before the first retry; doubled for each further one"
    )
    max_seconds: float = Field(600.0, ge=0, le=86400, description="most seconds of backoff")
    timeout_seconds: float = Field(
        3600.0, ge=0.1, le=7 * 86400, description="time limit of an attempt, unless the task or its type sets another"
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
        description="seconds without a heartbeat before a worker is marked dead; "
        "not below [rabbitmq] heartbeat_seconds",
    )
    grace_seconds: float = Field(
        5.0,
        ge=0.5,
        le=600,
        description="seconds before an unclaimed task with an unconfirmed hint is published again",
    )
    far_out_seconds: float = Field(
        600.0,
        ge=10,
        le=86400,
        description="seconds before an unclaimed task with a confirmed hint is published again; later pauses grow",
    )
    relay_seconds: float = Field(
        0.5, ge=0.05, le=60, description="seconds between two turns of the relay; 0.1 at most while tasks become due"
    )


class LogSection(Section):
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="lowest severity that is written")
    format: Literal["text", "json"] = Field("text", description="format of the lines on standard error")
    file: Path | None = Field(
        None,
        description="file that gets the lines instead of standard error; it is opened again after a rotation, at once "
        "on SIGUSR1; empty: standard error",
    )
    retention_days: int = Field(30, ge=1, le=3650, description="days that log rows of tasks are kept")


class MetricsSection(Section):
    listen: str = Field(
        "",
        description="HOST:PORT on which the keeper of this node serves GET /metrics without a key, about the node; "
        "empty: nowhere. The API serves /metrics of the whole system",
    )

    @field_validator("listen")
    @classmethod
    def _is_a_place(cls, listen: str) -> str:
        place = place_of(listen)
        if listen and place is None:
            raise ValueError(f"{listen!r} is not HOST:PORT, such as 127.0.0.1:9105 or [::1]:9105, nor empty")
        if place:
            check_host(place[0])
        return listen

    @property
    def place(self) -> tuple[str, int] | None:
        """The host and the port, or None."""
        return place_of(self.listen)


def place_of(listen: str) -> tuple[str, int] | None:
    """Return the host and the port of HOST:PORT, or None if the text has another form."""
    host, _, port = listen.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535
    return (host, int(port)) if host and is_port else None


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
    "metrics": MetricsSection,
    "trace": TraceSection,
}
