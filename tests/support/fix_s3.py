"""Fixture `bucket`: a fresh bucket on a private S3-compatible server, which runs on loopback and checks signatures."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from dtqs.sandbox.ports import free_ports
from tests.support.helpers import eventually

_READY_SECONDS = 30.0
_REGION = "eu-central-1"
_POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@dataclass(frozen=True)
class Bucket:
    """A bucket. `client` is boto3's client, with which tests check what the product stored."""

    endpoint: str
    name: str
    access_key: str
    secret_key: str
    client: Any = field(repr=False)

    def temporary_keys(self) -> dict[str, str]:
        """Keys of [files] of a role that the user takes on; the server refuses them without their session token."""
        keys = self.access_key, self.secret_key
        iam, sts = (_client(service, self.endpoint, *keys) for service in ("iam", "sts"))
        role = f"role-{self.name}"
        arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(_POLICY))["Role"]["Arn"]
        iam.put_role_policy(RoleName=role, PolicyName="all", PolicyDocument=json.dumps(_POLICY))
        made = sts.assume_role(RoleArn=arn, RoleSessionName="dtqs")["Credentials"]
        return {
            "s3_access_key": made["AccessKeyId"],
            "s3_secret_key": made["SecretAccessKey"],
            "s3_session_token": made["SessionToken"],
        }

    def settings(self, **others: Any) -> dict[str, Any]:
        """Return the keys of [files] that make this bucket the store."""
        own = {
            "s3_endpoint": self.endpoint,
            "s3_region": _REGION,
            "s3_bucket": self.name,
            "s3_access_key": self.access_key,
            "s3_secret_key": self.secret_key,
        }
        return {"store": "s3", "s3_prefix": "dtqs/", **own, **others}

    def listed(self) -> list[str]:
        return [each["Key"] for each in self.client.list_objects_v2(Bucket=self.name).get("Contents", ())]

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def get(self, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket=self.name, Key=key)["Body"].read())

    def unended(self) -> list[str]:
        return [each["UploadId"] for each in self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", ())]


@dataclass(frozen=True)
class _Server:
    endpoint: str
    access_key: str
    secret_key: str
    client: Any


@pytest.fixture(scope="session")
def s3_server(servers_dir: Path) -> Iterator[_Server]:
    """The session's server. Its first three calls make a user and a key; then it refuses requests without that key."""
    port = free_ports(1)[0]
    environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "3", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (
        (servers_dir / "s3.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            endpoint = f"http://127.0.0.1:{port}"
            eventually(lambda: _answers(process, endpoint), _READY_SECONDS, "the S3-compatible server is ready")
            yield _with_user(endpoint)
        finally:
            process.kill()


def _answers(process: "subprocess.Popen[bytes]", endpoint: str) -> bool:
    assert process.poll() is None, f"the S3-compatible server ended with status {process.returncode}"
    with suppress(httpx.TransportError):
        return httpx.get(f"{endpoint}/moto-api/", timeout=5, trust_env=False).status_code == 200
    return False


def _with_user(endpoint: str) -> _Server:
    iam = _client("iam", endpoint, "none", "none")
    iam.create_user(UserName="dtqs")
    iam.put_user_policy(UserName="dtqs", PolicyName="all", PolicyDocument=json.dumps(_POLICY))
    key = iam.create_access_key(UserName="dtqs")["AccessKey"]
    return _Server(
        endpoint,
        key["AccessKeyId"],
        key["SecretAccessKey"],
        _client("s3", endpoint, key["AccessKeyId"], key["SecretAccessKey"]),
    )


def _client(service: str, endpoint: str, access_key: str, secret_key: str) -> Any:
    import boto3  # takes a quarter of a second, which only the tests of S3 should wait
    from botocore.config import Config

    plain = Config(
        proxies={}, retries={"max_attempts": 1}, connect_timeout=5, read_timeout=20, s3={"addressing_style": "path"}
    )
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=_REGION,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=plain,
    )


@pytest.fixture
def bucket(s3_server: _Server) -> Bucket:
    """A fresh bucket."""
    name = f"test-{secrets.token_hex(6)}"
    s3_server.client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": _REGION})
    return Bucket(s3_server.endpoint, name, s3_server.access_key, s3_server.secret_key, s3_server.client)
