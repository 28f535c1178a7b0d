"""Requests are signed with the configured keys, or with credentials that a server like AWS's gives out and renews."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dtqs.config import FilesSection
from dtqs.errors import FilesUnavailable
from dtqs.files import s3_credentials
from dtqs.files.s3_signing import RequestSigner
from tests.support.fix_aws import Aws, Given
from tests.support.fix_site import Clock

URL = "http://storage.internal/bucket/key?partNumber=1"
KEYS = {"s3_access_key": "CONFIGURED", "s3_secret_key": "secret"}
PROFILE = "[default]\naws_access_key_id = PROFILE\naws_secret_access_key = x\n"


def signer(**keys: Any) -> RequestSigner:
    return RequestSigner(FilesSection(store="s3", s3_bucket="bucket", s3_region="eu-central-1", **keys))


def signed(by: RequestSigner) -> dict[str, str]:
    headers = by.signed("PUT", URL, {"host": "storage.internal", "range": "bytes=0-1"}, "5" * 64)
    return {name.lower(): value for name, value in headers}


def key_of(by: RequestSigner) -> str:
    """Return the id of the access key that signed."""
    return signed(by)["authorization"].split("Credential=")[1].split("/")[0]


def test_a_session_token_is_sent_and_signed() -> None:
    headers = signed(signer(**KEYS, s3_session_token="session"))
    assert headers["x-amz-security-token"] == "session"
    assert headers["x-amz-content-sha256"] == "5" * 64
    assert "/eu-central-1/s3/aws4_request" in headers["authorization"]
    signed_names = "host;range;x-amz-content-sha256;x-amz-date;x-amz-security-token"
    assert f"SignedHeaders={signed_names}," in headers["authorization"]
    assert "x-amz-security-token" not in signed(signer(**KEYS))


def test_configured_keys_ask_nobody(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/container")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    assert key_of(signer(**KEYS)) == "CONFIGURED"
    assert aws.seen == []


def test_credentials_of_the_environment_come_before_a_profile(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.config(PROFILE)
    assert key_of(signer()) == "PROFILE"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    headers = signed(signer())
    assert "Credential=ENVIRONMENT/" in headers["authorization"]
    assert headers["x-amz-security-token"] == "session"


def test_the_role_of_a_container_is_renewed_before_its_credentials_end(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/container")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Bearer pod")
    aws.given = [Given("FIRST", seconds=300), Given("SECOND", token="renewed")]
    by = signer()
    headers = signed(by)
    assert ("Credential=SECOND/" in headers["authorization"], headers["x-amz-security-token"]) == (True, "renewed")
    assert [key_of(by) for _ in range(3)] == ["SECOND"] * 3
    assert aws.seen == [("GET /container", "Bearer pod", "")] * 2


def test_the_role_of_a_machine_is_found(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    aws.given = [Given("MACHINE")]
    by = signer()
    assert [key_of(by), key_of(by)] == ["MACHINE", "MACHINE"]
    assert [path for path, _, _ in aws.seen] == [
        "PUT /latest/api/token",
        "GET /latest/meta-data/iam/security-credentials/",
        "GET /latest/meta-data/iam/security-credentials/role",
    ]


def test_a_web_identity_becomes_a_role(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    token_file = aws.home / "token"
    token_file.write_text("identity")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token_file))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/dtqs")
    aws.given = [Given("POD")]
    by = signer()
    assert [key_of(by), key_of(by)] == ["POD", "POD"]
    [(path, authorization, body)] = aws.seen
    assert (path, authorization) == ("POST /", "")
    assert "WebIdentityToken=identity" in body
    assert "role%2Fdtqs" in body


def test_forgotten_credentials_are_read_again(aws: Aws) -> None:
    aws.config(PROFILE)
    by = signer()
    assert key_of(by) == "PROFILE"
    aws.config(PROFILE.replace("PROFILE", "ROTATED"))
    assert key_of(by) == "PROFILE"
    by.forget()
    assert key_of(by) == "ROTATED"


def test_a_lookup_ends_and_its_failure_is_remembered(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setattr(s3_credentials, "_METADATA_SECONDS", 1)
    monkeypatch.setattr(s3_credentials, "_METADATA_ATTEMPTS", 1)
    aws.silent = True
    by = signer()
    with Clock() as clock, pytest.raises(FilesUnavailable, match=r"set \[files\] s3_access_key"):
        key_of(by)
    assert clock.seconds < 5
    asked = len(aws.seen)
    assert asked > 0
    with pytest.raises(FilesUnavailable, match=r"set \[files\] s3_access_key"):
        key_of(by)
    assert len(aws.seen) == asked


def test_a_profile_starts_no_program_and_asks_no_person(aws: Aws) -> None:
    trace = aws.home / "started"
    aws.config(f"[default]\ncredential_process = touch {trace}\n")
    with pytest.raises(FilesUnavailable, match="no credentials"):
        key_of(signer())
    assert not trace.exists()
    role = "role_arn = arn:aws:iam::123456789012:role/dtqs\nsource_profile = base\n"
    aws.config(f"[default]\n{role}[profile base]\ncredential_process = touch {trace}\n")
    with pytest.raises(FilesUnavailable, match="must have credentials"):
        key_of(signer())
    assert not trace.exists()
    aws.config(
        f"[default]\n{role}mfa_serial = arn:aws:iam::123456789012:mfa/ada\n{PROFILE.replace('default', 'profile base')}"
    )
    with pytest.raises(FilesUnavailable, match="mfa_serial"):
        key_of(signer())


def test_an_address_that_is_not_asked_is_worth_a_retry(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/container")
    with pytest.raises(FilesUnavailable, match=r"could not be read.*Unsupported host"):
        key_of(signer())


# --- without the extra

_ROOT = Path(__file__).parents[3]


def run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=_ROOT, check=False)


def test_processes_without_object_storage_load_no_botocore() -> None:
    done = run("""
import sys
import dtqs.api.server.wsgi, dtqs.cli.supervisor
from dtqs.config import FilesSection
from dtqs.files import FileSpace
FileSpace(FilesSection())
print(sorted({"botocore", "urllib3", "dateutil"} & set(sys.modules)))
""")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_start_without_the_extra_ends_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "dtqs.ini"
    path.write_text("[files]\nstore = s3\ns3_bucket = files\n")
    program = 'import sys; sys.modules["botocore"] = None; from dtqs.__main__ import run; run()'
    done = run(program, "supervisor", "--config", str(path))
    assert done.returncode == 78
    assert "store = s3 needs the package botocore: install the extra s3 (pip install 'dtqs[s3]')" in done.stderr
    path.write_text("")
    assert run(program, "config", "check", "--config", str(path)).returncode == 0
