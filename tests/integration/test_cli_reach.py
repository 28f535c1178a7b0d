"""The doctor's checks of mail servers and SMS providers: real servers on loopback, and nothing is sent."""

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from dtqs.cli.checks.check import Check
from dtqs.cli.checks.senders import mail_server, sms_provider
from dtqs.config import Config, load
from tests.support.fix_mail import Serve
from tests.support.helpers import free_port
from tests.support.mail_server import PASSWORD
from tests.support.sms_servers import Gateway, SmppServer

SMPP = {"provider": "smpp", "host": "127.0.0.1", "system_id": "dtqs", "password": "sesame"}


def config(folder: Path, section: str, keys: dict[str, Any]) -> Config:
    path = folder / "dtqs.ini"
    path.write_text(
        f"[processor:{section}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()), encoding="utf-8"
    )
    return load(path, {})


def mail(folder: Path, /, **keys: Any) -> list[Check]:
    return list(mail_server(config(folder, "email", keys)))


def sms(folder: Path, /, **keys: Any) -> list[Check]:
    return list(sms_provider(config(folder, "sms", keys)))


@pytest.mark.parametrize("options", [{}, {"tls_first": True}, {"starttls": False}])
def test_a_mail_server_is_greeted_and_logged_in_to(serve: Serve, tmp_path: Path, options: dict[str, bool]) -> None:
    server = serve(**options)
    keys = server.settings()
    if not server.starttls:
        del keys["username"], keys["password"]
    (check,) = mail(tmp_path, **keys)
    assert (check.part, check.state, check.advice) == ("mail server", "ok", "")
    expected = "encrypted, its certificate valid, logged in" if server.starttls else "without encryption, no login"
    assert check.found == f"localhost:{server.port}: {expected}"
    assert server.commands[-1] == "QUIT"
    assert server.mails == []


def test_a_fault_of_a_mail_server_is_reported_with_a_remedy(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    (refused,) = mail(tmp_path, **server.settings(password="open"))
    assert (refused.state, "refused the login: 535" in refused.found, "password" in refused.advice) == (
        "failed",
        True,
        True,
    )
    (untrusted,) = mail(tmp_path, **{key: value for key, value in server.settings().items() if key != "ca_file"})
    assert (untrusted.state, "certificate is not valid" in untrusted.found, "ca_file" in untrusted.advice) == (
        "failed",
        True,
        True,
    )
    server.stop()
    (away,) = mail(tmp_path, **server.settings())
    assert (away.state, "Connection refused" in away.found, "is it running" in away.advice) == ("failed", True, True)
    assert PASSWORD not in refused.found + untrusted.found + away.found


def test_the_wait_for_a_silent_mail_server_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dtqs.cli.checks.senders.LIMIT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (check,) = mail(tmp_path, host="127.0.0.1", port=silent.getsockname()[1], sender="a@b.c")
    assert (check.state, "timed out" in check.found) == ("failed", True)


def test_without_a_mail_server_there_is_no_check(tmp_path: Path) -> None:
    assert mail(tmp_path) == [], "without a sender nothing is configured"
    assert mail(tmp_path, backend="folder", folder=tmp_path, sender="a@b.c") == []


def test_an_sms_provider_is_connected_to_and_gets_no_message(tmp_path: Path) -> None:
    smpp, gateway = SmppServer(), Gateway()
    try:
        (bound,) = sms(tmp_path, **SMPP, port=smpp.port)
        (asked,) = sms(tmp_path, provider="http", url=f"{gateway.url}/send?to=${{to}}")
        (twilio,) = sms(tmp_path, provider="twilio", account_sid="AC1", auth_token="t", base_url=gateway.url)
    finally:
        smpp.stop()
        gateway.stop()
    assert [check.state for check in (bound, asked, twilio)] == ["ok"] * 3
    assert bound.found == f"smpp: 127.0.0.1:{smpp.port} is reachable; login not checked"
    assert (smpp.got, gateway.asked) == ([], [])


def test_a_fault_on_the_way_to_an_sms_provider_is_reported_with_a_remedy(tmp_path: Path) -> None:
    (away,) = sms(tmp_path, **SMPP, port=free_port())
    assert (away.state, "Connection refused" in away.found, "host, port, tls" in away.advice) == ("failed", True, True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    gateway = Gateway(context)
    try:
        (untrusted,) = sms(tmp_path, provider="http", url=gateway.url)
        (trusted,) = sms(tmp_path, provider="http", url=gateway.url, ca_file=tmp_path / "ca.pem")
    finally:
        gateway.stop()
    assert (untrusted.state, "certificate verify failed" in untrusted.found, "url and ca_file" in untrusted.advice) == (
        "failed",
        True,
        True,
    )
    assert trusted.state == "ok"
    (missing,) = sms(tmp_path, provider="http", url=gateway.url, ca_file=tmp_path / "none.pem")
    assert (missing.state, "ca_file" in missing.found) == ("failed", True)


def test_without_an_sms_provider_there_is_no_check(tmp_path: Path) -> None:
    assert sms(tmp_path) == []
    assert sms(tmp_path, provider="sink", sink_file=tmp_path / "sms.jsonl") == []
