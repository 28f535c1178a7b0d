"""The URL of RabbitMQ: hosts, and messages that name the wrong part without the password."""

from pathlib import Path

import pytest

from dtqs.config.broker_url import host_urls, tls
from dtqs.config.reference import mask_connection_string


def test_each_host_gets_a_url_of_its_own() -> None:
    assert host_urls("amqp://u:p%2C@one,[::1]:5673,10.0.0.1:1/v?frame_max=9000") == (
        "amqp://u:p%2C@one/v?frame_max=9000",
        "amqp://u:p%2C@[::1]:5673/v?frame_max=9000",
        "amqp://u:p%2C@10.0.0.1:1/v?frame_max=9000",
    )
    assert host_urls("amqps://one/?cacertfile=/a") == ("amqps://one/",)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://u:secret@one/", "amqp:// or amqps://"),
        ("amqp://u:secret@one,,two/", "'' is not a host"),
        ("amqp://u:secret@one,two:x/", "'two:x' is not a host"),
        ("amqp://u:secret@one,two:70000/", "port 70000 of host two"),
        ("amqp://u:sec/ret@one/", "escaped: %2F"),
        ("amqp://secret@one/", "need each other"),
        ("amqp://u:secret@[::1/", "brackets"),
        ("amqp://u:secret@one/?cacertfile=/a", "needs amqps://"),
        ("amqps://u:secret@one/?cafile=/a", "'cafile' is unknown; known: cacertfile"),
        ("amqps://u:secret@one/?certfile=", "certfile needs a path"),
    ],
)
def test_a_message_names_the_wrong_part(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        host_urls(url)
    assert told in str(caught.value)
    assert "sec" not in str(caught.value)


def test_a_file_of_tls_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("nothing")
    for query, told in (
        (f"cacertfile={tmp_path}/away", "cacertfile names no usable PEM file: No such file"),
        (f"cacertfile={tmp_path}/no.pem", "cacertfile names no usable PEM file"),
        (f"certfile={tmp_path}/no.pem", "certfile or keyfile names no usable PEM file"),
        ("keyfile=/a", "keyfile needs certfile"),
    ):
        with pytest.raises(ValueError, match=told):
            tls(f"amqps://one/?{query}")
    assert tls("amqp://one/") is None


def test_all_hosts_are_shown_and_no_password() -> None:
    shown = mask_connection_string("amqp://u:secret@one:1,two:2/v")
    assert shown.startswith("amqp://u:")
    assert shown.endswith("@one:1,two:2/v")
    assert "secret" not in shown
    assert "secret" not in mask_connection_string("amqp://u:se/secret")


@pytest.mark.parametrize("url", ["amqp://dtqs:secret1/dtqs", "amqp://dtqs:99999/dtqs", "amqp://a,dtqs:secret1/x"])
def test_a_password_without_its_host_is_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match=r"host [12]") as found:
        host_urls(url)
    assert "secret1" not in str(found.value)
    assert "99999" not in str(found.value)
