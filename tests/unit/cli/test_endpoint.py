"""The API that a command talks to, and the key that it shows there."""

import errno
import os
from pathlib import Path

import pytest

from dtqs import config_file
from dtqs.cli.endpoint import find_endpoint
from dtqs.client.urls import is_local
from dtqs.client_env import read_client_env
from dtqs.errors import ConfigError


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    path = tmp_path / "dtqs.ini"
    path.write_text("[api]\nport = 8123\n", encoding="utf-8")
    (tmp_path / "client.env").write_text(
        "# made by dtqs up\nDTQS_URL=http://127.0.0.1:8123\nexport DTQS_API_KEY='k 1'\n", encoding="utf-8"
    )
    return path


def test_client_env_beside_the_file_names_url_and_key(ini: Path) -> None:
    endpoint = find_endpoint(ini, {})
    assert (endpoint.url, endpoint.key) == ("http://127.0.0.1:8123", "k 1")
    assert (endpoint.origin, endpoint.is_here) == (str(ini.parent / "client.env"), True)


def test_the_environment_comes_first(ini: Path) -> None:
    endpoint = find_endpoint(ini, {"DTQS_URL": "https://tasks.example/dtqs/", "DTQS_API_KEY": "k2"})
    assert (endpoint.url, endpoint.key, endpoint.is_here) == ("https://tasks.example/dtqs", "k2", False)


def test_the_key_of_the_file_is_not_shown_to_another_server(ini: Path) -> None:
    assert find_endpoint(ini, {"DTQS_URL": "https://tasks.example"}).key is None
    assert find_endpoint(ini, {"DTQS_URL": "http://127.0.0.1:8123"}).key == "k 1"
    assert find_endpoint(ini, {"DTQS_API_KEY": "k3"}).url == "http://127.0.0.1:8123"


@pytest.mark.parametrize(
    ("host", "url"), [("0.0.0.0", "http://127.0.0.1:9"), ("::1", "http://[::1]:9"), ("10.0.0.7", "http://10.0.0.7:9")]
)
def test_without_client_env_the_api_section_gives_the_url(tmp_path: Path, host: str, url: str) -> None:
    (tmp_path / "dtqs.ini").write_text(f"[api]\nhost = {host}\nport = 9\n", encoding="utf-8")
    assert find_endpoint(tmp_path / "dtqs.ini", {}).url == url


def test_the_rest_of_the_file_may_name_secrets_that_this_user_may_not_read(tmp_path: Path) -> None:
    ini = tmp_path / "dtqs.ini"
    ini.write_text("[api]\nport = 9\n[postgresql]\ndsn_file = /nowhere/postgresql.dsn\n", encoding="utf-8")
    assert find_endpoint(ini, {}).url == "http://127.0.0.1:9"
    assert find_endpoint(ini, {"DTQS_API_PORT": "8"}).url == "http://127.0.0.1:8"


def test_a_wrong_port_and_a_file_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    ini = tmp_path / "dtqs.ini"
    with pytest.raises(ConfigError, match=r"dtqs\.ini cannot be read: No such file.*set DTQS_URL and DTQS_API_KEY"):
        find_endpoint(ini, {})
    ini.write_text("[api]\nport = many\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"\[api\] port in .*dtqs\.ini = "):
        find_endpoint(ini, {})


def test_without_a_file_the_default_address_is_tried_with_the_key_of_the_environment() -> None:
    endpoint = find_endpoint(None, {"DTQS_API_KEY": "k"})
    assert (endpoint.url, endpoint.key) == ("http://127.0.0.1:8080", "k")


def test_without_any_configuration_the_error_names_the_searched_places() -> None:
    with pytest.raises(ConfigError, match=r"searched: var/dtqs\.ini, /etc/dtqs/dtqs\.ini") as caught:
        find_endpoint(None, {})
    assert "or set DTQS_URL and DTQS_API_KEY" in str(caught.value)


def test_the_key_of_the_environment_is_not_shown_to_a_server_that_only_a_file_names(tmp_path: Path) -> None:
    (tmp_path / "client.env").write_text("DTQS_URL=https://evil.example\n", encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"names https://evil\.example, and the environment's DTQS_API_KEY may be for another server"
    ):
        find_endpoint(tmp_path / "dtqs.ini", {"DTQS_API_KEY": "k"})
    assert find_endpoint(tmp_path / "dtqs.ini", {"DTQS_API_KEY": "k", "DTQS_URL": "https://evil.example"}).key == "k"


@pytest.mark.parametrize("host", ["evil.example", "192.0.2.7", "2001:db8::7", "localhost.evil.example"])
def test_the_key_of_the_environment_is_not_shown_to_a_host_that_only_a_file_names(tmp_path: Path, host: str) -> None:
    ini = tmp_path / "dtqs.ini"
    ini.write_text(f"[api]\nhost = {host}\n", encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"\[api\] host in .*dtqs\.ini names .*DTQS_API_KEY may be for another server"
    ):
        find_endpoint(ini, {"DTQS_API_KEY": "k"})
    assert find_endpoint(ini, {}).key is None
    assert find_endpoint(ini, {"DTQS_API_KEY": "k", "DTQS_API_HOST": "10.0.0.7"}).url == "http://10.0.0.7:8080"
    assert find_endpoint(ini, {"DTQS_API_KEY": "k", "DTQS_URL": "http://10.0.0.7"}).key == "k"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "0.0.0.0", "::", "*", "127.0.0.9"])
def test_the_key_of_the_environment_is_shown_to_this_machine(tmp_path: Path, host: str) -> None:
    ini = tmp_path / "dtqs.ini"
    ini.write_text(f"[api]\nhost = {host}\n", encoding="utf-8")
    assert find_endpoint(ini, {"DTQS_API_KEY": "k"}).key == "k"


def test_no_message_shows_user_and_password_of_a_url(tmp_path: Path) -> None:
    (tmp_path / "client.env").write_text("DTQS_URL=https://u:hunter2@tasks.example\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"names https://tasks\.example,"):
        find_endpoint(tmp_path / "dtqs.ini", {"DTQS_API_KEY": "k"})
    for url in ("u:hunter2@tasks.example", "http://u:a/hunter2@tasks.example", "http://u:a?hunter2@tasks.example"):
        with pytest.raises(ConfigError, match="DTQS_URL") as caught:
            find_endpoint(None, {"DTQS_URL": url})
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["tasks.example", "ftp://tasks.example", "http://"])
def test_text_that_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="DTQS_URL"):
        find_endpoint(None, {"DTQS_URL": url})


def test_the_text_of_an_endpoint_hides_its_key(ini: Path) -> None:
    assert "k 1" not in repr(find_endpoint(ini, {}))


def test_only_loopback_is_local() -> None:
    assert all(map(is_local, ("http://localhost:1", "http://127.0.0.9", "https://[::1]:2")))
    assert not any(map(is_local, ("http://localhost.example", "http://10.0.0.1", "http://127.0.0.1@evil.example")))


def test_a_client_env_that_others_may_have_written_is_not_read(ini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ini.parent.parent)
    relative = ini.relative_to(ini.parent.parent)
    assert find_endpoint(relative, {}).key == "k 1"
    (ini.parent / "client.env").chmod(0o666)
    with pytest.raises(ConfigError, match=r"client\.env is ignored: .*can be written by others \(mode 0666\)"):
        find_endpoint(relative, {})
    assert find_endpoint(ini, {}).key == "k 1"


def test_a_missing_client_env_gives_nothing(tmp_path: Path) -> None:
    assert read_client_env(tmp_path / "client.env") == {}


@pytest.mark.parametrize("text", [b"DTQS_API_KEY='secret", b"A=1\nDTQS_API_KEY=secret\\", b"DTQS_API_KEY=\xff"])
def test_a_client_env_that_cannot_be_read_is_named_without_its_values(ini: Path, text: bytes) -> None:
    (ini.parent / "client.env").write_bytes(text)
    with pytest.raises(ConfigError, match=r"client\.env") as found:
        find_endpoint(ini, {})
    assert "secret" not in str(found.value)


def test_a_place_that_may_not_be_entered_has_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "dtqs.ini"
    monkeypatch.setattr(config_file, "PLACES", (str(place),))

    def refused(path: object, *_: object, **__: object) -> os.stat_result:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "stat", refused)
    assert config_file.find(environ={}) is None
    assert config_file.list_places() == str(place)
