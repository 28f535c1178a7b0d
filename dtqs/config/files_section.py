"""The section [files]: uploads, outputs, and the sources that tasks may read."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from dtqs.config.section import Port, Section, ShownAsUrl, is_network
from dtqs.host_name import HOST_FAULT, is_host_name
from dtqs.url_host import check_host_and_port

_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_ENDPOINT = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?/?")
_REGION = re.compile(r"[A-Za-z0-9-]{1,63}")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_PREFIX = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]*/)*([A-Za-z0-9_-][A-Za-z0-9._-]*)?")


class FilesSection(Section):
    directory: Path = Field(
        Path("/var/lib/dtqs/files"),
        description="folder of uploads and outputs, shared by all nodes; with store = s3 it holds temporary files only",
    )
    roots: tuple[Path, ...] = Field((), description="folders that file: sources may lie below; empty: none")
    max_upload_bytes: int = Field(2 << 30, ge=1, le=1 << 42, description="largest upload in bytes")
    receiving_bytes: int = Field(
        0,
        ge=0,
        le=1 << 44,
        description="most bytes of uploads that one API process receives at the same time, at least max_upload_bytes; "
        "a further upload gets 503, to try again; 0: no limit but the disk",
    )
    min_free_bytes: int = Field(
        1 << 30,
        ge=0,
        le=1 << 44,
        description="free bytes of the disk that uploads leave to outputs of tasks, at most a twentieth of the disk; "
        "with less, an upload gets 503; 0: uploads may fill the disk",
    )
    retention_days: float = Field(
        7.0,
        gt=0,
        le=36500,
        description="days that uploads and outputs are kept; for a file that a task names, the days begin no earlier "
        "than the task's due time",
    )
    fetch_ports: tuple[Port, ...] = Field(
        (80, 443), description="ports that http: and https: sources may name; empty: fetching is off"
    )
    fetch_allow_hosts: tuple[str, ...] = Field(
        (),
        description="hosts that may be fetched although their addresses are private: host names, *.DOMAIN for all "
        "hosts below it, networks such as 10.1.0.0/16",
    )
    fetch_max_bytes: int = Field(2 << 30, ge=1, le=1 << 42, description="largest https:, http: or s3: source in bytes")
    fetch_max_redirects: int = Field(5, ge=0, le=20, description="most redirects of one fetch")
    fetch_timeout_seconds: float = Field(
        600.0, ge=1, le=86400, description="timeout in seconds for fetching one source, from start to end"
    )
    fetch_silence_seconds: float = Field(
        20.0, ge=0.5, le=600, description="seconds that a server may take to connect, or send nothing"
    )
    jail: Literal["best", "required"] = Field(
        "best",
        description="if the kernel lacks a part of the jail of image decoder and ffmpeg: best goes without the part, "
        "required refuses image and video tasks",
    )
    store: Literal["local", "s3"] = Field(
        "local", description="place of uploads and outputs: local is the folder, s3 an S3-compatible object storage"
    )
    s3_endpoint: Annotated[str, ShownAsUrl] = Field(
        "", description="URL of the object storage; empty: Amazon S3 in s3_region"
    )
    s3_region: str = Field("us-east-1", min_length=1, description="region that requests are signed for")
    s3_bucket: str = Field("", description="bucket of uploads and outputs")
    s3_prefix: str = Field("", description="prefix of all object names in the bucket, for example dtqs/")
    s3_access_key: str = Field(
        "",
        description="id of the access key; empty: AWS credentials of the environment, a profile, a web identity, or "
        "the role of container or machine",
    )
    s3_secret_key: SecretStr | None = Field(
        None, description="secret of the access key; s3_secret_key_file names a file that holds it"
    )
    s3_session_token: SecretStr | None = Field(
        None, description="session token of a temporary access key; s3_session_token_file names a file that holds it"
    )
    s3_path_style: bool = Field(True, description="put the bucket into the URL's path; off: into the host name")
    s3_sources: tuple[str, ...] = Field(
        (), description="buckets that s3: sources may name; BUCKET/FOLDER allows a folder, BUCKET/KEY one object"
    )
    s3_timeout_seconds: float = Field(
        30.0, ge=1, le=600, description="seconds that the object storage may take to connect, or send nothing"
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
            raise ValueError("not a URL such as https://host or http://host:9000, without a path")
        if endpoint:
            check_host_and_port(endpoint)
        return endpoint.rstrip("/")

    @field_validator("s3_bucket")
    @classmethod
    def _is_bucket(cls, bucket: str) -> str:
        if bucket and not _BUCKET.fullmatch(bucket):
            raise ValueError("not a bucket name: use 3 to 63 letters, digits, dots, _ and -")
        return bucket

    @field_validator("s3_prefix")
    @classmethod
    def _is_prefix(cls, prefix: str) -> str:
        if not _PREFIX.fullmatch(prefix):
            raise ValueError("not a prefix: use letters, digits, dots, _ and -, with one / between parts")
        return prefix

    @field_validator("s3_sources")
    @classmethod
    def _are_sources(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        for source in sources:
            bucket, _, prefix = source.partition("/")
            if not _BUCKET.fullmatch(bucket) or not _PREFIX.fullmatch(prefix):
                raise ValueError(f"{source!r} is neither BUCKET nor BUCKET/PREFIX")
        return sources

    @property
    def uses_s3(self) -> bool:
        """Whether uploads, outputs or sources are in object storage."""
        return self.store == "s3" or bool(self.s3_sources)

    @model_validator(mode="after")
    def _receives_the_largest_upload(self) -> Self:
        if 0 < self.receiving_bytes < self.max_upload_bytes:
            raise ValueError(f"receiving_bytes is below max_upload_bytes, which is {self.max_upload_bytes}")
        return self

    @model_validator(mode="after")
    def _has_the_storages_keys(self) -> Self:
        if self.store == "s3" and not self.s3_bucket:
            raise ValueError("store = s3 needs s3_bucket too")
        if bool(self.s3_access_key) != bool(self.s3_secret_key):
            raise ValueError("s3_access_key and s3_secret_key need each other; without both, AWS credentials are used")
        if self.uses_s3 and not self.s3_endpoint and not _REGION.fullmatch(self.s3_region):
            raise ValueError(f"s3_region = {self.s3_region!r:.80} is no region of Amazon S3, and s3_endpoint is empty")
        buckets = [self.s3_bucket, *(source.partition("/")[0] for source in self.s3_sources)]
        if not self.s3_path_style and any(bucket and not is_host_name(bucket) for bucket in buckets):
            raise ValueError(
                f"s3_path_style = off puts each bucket into a host name, and one does not fit: {HOST_FAULT}"
            )
        if self.s3_session_token and not self.s3_access_key:
            raise ValueError("s3_session_token needs s3_access_key and s3_secret_key too")
        if self.uses_s3 and find_spec("botocore") is None:
            setting = "store = s3" if self.store == "s3" else "s3_sources"
            raise ValueError(f"{setting} needs the package botocore: install the extra s3 (pip install 'dtqs[s3]')")
        return self
