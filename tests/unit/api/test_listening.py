"""An API without keys serves only sockets that no other machine reaches, also those of systemd."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dtqs.api.server.listening import refuse_open_listeners
from dtqs.api.server.service import inherited_listeners
from dtqs.cli.serving import serve
from dtqs.config import load
from dtqs.errors import ConfigError


@pytest.fixture
def opened() -> Iterator[socket.socket]:
    """A socket that every machine reaches."""
    with socket.create_server(("0.0.0.0", 0)) as listener:
        yield listener


def test_a_socket_of_all_addresses_is_refused_without_keys(opened: socket.socket) -> None:
    port = opened.getsockname()[1]
    with pytest.raises(ConfigError, match=rf"\[api\] auth: off .* listens on 0\.0\.0\.0:{port}; allowed: on, or"):
        refuse_open_listeners(False, [opened.fileno()])
    refuse_open_listeners(True, [opened.fileno()])
    assert opened.getsockname()[1] == port, "the look leaves the socket open"


@pytest.mark.parametrize(("host", "is_refused"), [("127.0.0.2", False), ("::1", False), ("::", True)])
def test_the_address_of_the_socket_decides(host: str, is_refused: bool) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        if is_refused:
            with pytest.raises(ConfigError, match=r"listens on \[::\]:"):
                refuse_open_listeners(False, [listener.fileno()])
        else:
            refuse_open_listeners(False, [listener.fileno()])


def test_a_unix_socket_is_local(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "api"))
        refuse_open_listeners(False, [listener.fileno()])


def test_inherited_sockets_are_those_of_systemd_or_of_the_master_before() -> None:
    assert list(inherited_listeners({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"})) == [3, 4]
    assert inherited_listeners({"LISTEN_PID": "1", "LISTEN_FDS": "2", "GUNICORN_FD": "5,7"}) == [5, 7]
    assert inherited_listeners({}) == []


def test_the_api_does_not_start_on_such_a_socket(opened: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUNICORN_FD", str(opened.fileno()))
    with pytest.raises(ConfigError, match="a socket of the API listens on"):
        serve(load(None, {"DTQS_API_AUTH": "off"}), None)
