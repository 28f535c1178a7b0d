"""The section [files]: fetching and object storage are checked together, and each error names the allowed values."""

import sys
from pathlib import Path

import pytest

from dtqs.config import load
from dtqs.errors import ConfigError

S3 = "store = s3\ns3_bucket = dtqs\ns3_access_key = me\ns3_secret_key = hidden\n"


def problems(tmp_path: Path, keys: str) -> str:
    path = tmp_path / "dtqs.ini"
    path.write_text(f"[files]\n{keys}")
    try:
        load(path, {})
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "keys",
    [
        S3,
        f"{S3}s3_endpoint = http://[::1]:9000/\ns3_prefix = a/b-\ns3_sources = pictures, archive/public/\n",
        "s3_access_key = me\ns3_secret_key = hidden\ns3_sources = pictures\n",
        f"{S3}s3_session_token = hidden\n",
        "store = s3\ns3_bucket = dtqs\ns3_sources = pictures\n",
        "fetch_ports = 80, 8080\nfetch_allow_hosts = 10.0.0.0/8, ::1, 192.0.2.1, *.internal, host_1.internal\n",
        "fetch_ports =\n",
        "max_upload_bytes = 10\nreceiving_bytes = 10\n",
    ],
)
def test_consistent_settings_are_accepted(tmp_path: Path, keys: str) -> None:
    assert problems(tmp_path, keys) == ""


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("store = s3\n", "[files]: store = s3 needs s3_bucket too"),
        ("s3_access_key = me\n", "[files]: s3_access_key and s3_secret_key need each other"),
        ("s3_secret_key = hidden\n", "[files]: s3_access_key and s3_secret_key need each other"),
        ("s3_session_token = hidden\n", "[files]: s3_session_token needs s3_access_key and s3_secret_key too"),
        (f"{S3}s3_endpoint = https://host/path\n", "without a path"),
        (f"{S3}s3_prefix = ../a\n", "not a prefix"),
        (f"{S3}s3_sources = a//b\n", "neither BUCKET nor BUCKET/PREFIX"),
        (S3.replace("dtqs", "d/q"), "not a bucket name"),
        ("fetch_allow_hosts = 10.0.0.1/8\n", "neither a host name nor a network"),
        ("fetch_allow_hosts = http://files.internal\n", "neither a host name nor a network"),
        ("fetch_ports = 80, 0\n", "greater than or equal to 1"),
    ],
)
def test_contradictory_settings_are_reported(tmp_path: Path, keys: str, told: str) -> None:
    assert told in problems(tmp_path, keys)
    assert "hidden" not in problems(tmp_path, keys)


def test_object_storage_needs_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    assert "[files]: store = s3 needs the package botocore: install the extra s3" in problems(tmp_path, S3)
    assert "[files]: s3_sources needs the package botocore" in problems(tmp_path, "s3_sources = pictures\n")
    assert problems(tmp_path, "s3_access_key = me\ns3_secret_key = hidden\n") == ""


def test_the_secret_may_be_in_a_file_and_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hidden\n")
    path = tmp_path / "dtqs.ini"
    path.write_text("[files]\n" + S3.replace("s3_secret_key = hidden", f"s3_secret_key_file = {tmp_path}/secret"))
    section = load(path, {}).files
    assert section.s3_secret_key is not None
    assert section.s3_secret_key.get_secret_value() == "hidden"
    assert "hidden" not in repr(section)


def test_a_process_must_have_room_for_the_largest_upload(tmp_path: Path) -> None:
    assert "receiving_bytes is below max_upload_bytes, which is 11" in problems(
        tmp_path, "max_upload_bytes = 11\nreceiving_bytes = 10\n"
    )
