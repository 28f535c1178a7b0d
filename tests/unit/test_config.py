"""The configuration: where it is found, which source wins, and how a wrong setting is reported."""

import os
import re
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, ValidationError

from dtqs.config import SECTIONS, Config, Section, TraceSection, allowed, load
from dtqs.config_file import find, list_places
from dtqs.errors import ConfigError
from dtqs.host_name import HOST_FAULT
from dtqs.processors.email.settings import EmailSettings
from dtqs.processors.sms.settings import SmsSettings


def written(folder: Path, text: str) -> Path:
    path = folder / "dtqs.ini"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(written(folder, text), environ or {})
    return caught.value.problems


def test_without_a_file_everything_has_its_default() -> None:
    config = load(None, {})
    assert (config.path, config.api.port, config.lease.lease_seconds, list(config.pools)) == (
        None,
        8080,
        30.0,
        ["default"],
    )


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    config = load(
        written(tmp_path, "[api]\nport = 1\nworkers = 3\n[pool:default]\nworkers = 5\n"),
        {"DTQS_API_PORT": "2", "DTQS_POOL_DEFAULT_WORKERS": "7"},
    )
    assert (config.api.port, config.api.workers, config.pools["default"].workers) == (2, 3, 7)


def test_variables_of_the_client_are_not_taken_for_settings() -> None:
    load(None, {"DTQS_URL": "x", "DTQS_API_KEY": "x", "DTQS_CONFIG": "x"})


def test_a_variable_reaches_a_section_whose_name_has_a_dash(tmp_path: Path) -> None:
    config = load(written(tmp_path, "[pool:big-ones]\nworkers = 1\n"), {"DTQS_POOL_BIG_ONES_WORKERS": "9"})
    assert config.pools["big-ones"].workers == 9


def test_a_wrong_value_is_reported_with_its_place_and_the_allowed_values(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, "[log]\nlevel = info\n\n[api]\n; a comment\nport = 99999\n")
    assert told.startswith(f"{tmp_path}/dtqs.ini line 6: [api] port = '99999': ")
    assert told.endswith("allowed: a whole number from 1 to 65535 (TCP port to listen on)")


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    told = problems(
        tmp_path,
        "[api]\nport = x\nauth = perhaps\n[nowhere]\na = 1\n[log]\nlevel = warn\n",
        {"DTQS_LEASE_LEASE_SECONDS": "-1"},
    )
    assert len(told) == 5
    assert any("allowed: on or off" in line for line in told)
    assert any("allowed: debug, info, warning or error" in line for line in told)
    assert any(line.startswith("environment DTQS_LEASE_LEASE_SECONDS: [lease] lease_seconds = '-1'") for line in told)


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("[api]\nprot = 1\n", "did you mean port?"),
        ("[postgres]\ndsn = x\n", "did you mean postgresql?"),
    ],
)
def test_an_unknown_name_is_an_error_with_a_suggestion(tmp_path: Path, text: str, suggestion: str) -> None:
    (told,) = problems(tmp_path, text)
    assert suggestion in told


def test_an_unknown_variable_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="DTQS_APU_PORT: no such setting; did you mean DTQS_API_PORT"):
        load(None, {"DTQS_APU_PORT": "1"})


@pytest.mark.parametrize("text", ["port = 1\n", "[api]\nport\n", "[api]\nport = 1\nport = 2\n", "[api]\n[api]\n"])
def test_a_file_that_is_no_ini_is_reported_with_its_line(tmp_path: Path, text: str) -> None:
    (told,) = problems(tmp_path, text)
    assert str(tmp_path) in told
    assert re.search(r"\.ini line [1-4]: .*; allowed: ", told)


@pytest.mark.parametrize("text", ["dsn = S3cret\n", "[postgresql]\nS3cret\n", "[postgresql]\n = S3cret\n"])
def test_a_file_that_is_no_ini_shows_no_line(tmp_path: Path, text: str) -> None:
    assert "S3cret" not in "".join(problems(tmp_path, text))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "absent.ini", {})


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "dtqs.ini"
    path.write_bytes(b"[api]\n\xff\xfe = 1\n")
    with pytest.raises(ConfigError, match=r"dtqs\.ini"):
        load(path, {})


def test_a_comment_behind_a_value_is_reported_as_a_comment(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, "[api]\nport = 80 ; the usual\n")
    assert "a comment needs a line of its own" in told


@pytest.mark.parametrize(
    ("text", "size"), [("512M", 512 << 20), ("2 GiB", 2 << 30), ("1t", 1 << 40), ("67108864", 64 << 20), ("0", 0)]
)
def test_a_size_may_have_a_unit(tmp_path: Path, text: str, size: int) -> None:
    assert load(written(tmp_path, f"[pool:a]\nmemory_limit = {text}\n"), {}).pools["a"].memory_limit == size


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("memory_limit = 512", "a worker itself needs more than 512 bytes; 0 or at least 32M"),
        ("memory_limit = 2 films", "allowed: a whole number from 0 to 1125899906842624, or one with K, M, G or T"),
        ("memory_limit = 2G\nmemory_kill = 2G", "not above memory_limit, which is 2,147,483,648 bytes"),
        ("min = 3\nmax = 2", "max = '2': below min, which is 3"),
        ("max = 2", "needs min, 1 or more"),
        ("workers = 2\nmin = 1\nmax = 2", "a pool has either workers, or min and max"),
        ("max_tasks = -1", "allowed: a whole number from 0"),
    ],
)
def test_wrong_limits_of_a_pool_are_named(tmp_path: Path, text: str, fault: str) -> None:
    (told,) = problems(tmp_path, f"[pool:a]\n{text}\n")
    assert f"[pool:a] {text.splitlines()[-1].partition(' =')[0]} = " in told
    assert fault in told


def test_min_without_max_is_told_at_its_line(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, "[pool:a]\nmin = 3\n")
    assert "dtqs.ini line 2: [pool:a] max = '0': below min, which is 3; allowed: a whole number" in told


SWALLOWED = [
    "[rabbitmq]\nurl = amqp://a:b@127.0.0.1:5672/dtqs\n  heartbeat_seconds = 30",
    "[files]\ndirectory = /srv/dtqs\n  max_upload_bytes = 100",
    "[files]\nroots = /srv/a,\n  max_upload_bytes = 100",
    "[api]\nhost = 127.0.0.1\n  workers = 4",
    "[api]\nsecret = 0123456789012345678901234567890123456789\n  workers = 4",
    "[postgresql]\ndsn = host=one user=dtqs\n  pool_size = 3",
    "[log]\nfile = /var/log/dtqs.log\n  level = debug",
    "[log]\nfile = /var/log/dtqs.log\n\n  [api]\n  workers = 4",
    "[pool:default]\ntask_types = echo\n  workers = 4",
]
SWALLOWED_BY_PROCESSORS = [
    ("email", EmailSettings, "host = mail.example.org\n  port = 465"),
    ("email", EmailSettings, "hello_name = us.example.org\n  max_recipients = 3"),
    ("email", EmailSettings, "username = u\npassword = p\n  security = tls"),
    ("email", EmailSettings, "folder = /srv/mails\n  no_key = 3"),
    ("sms", SmsSettings, "auth_token = abc\n  sender : 49123"),
]


@pytest.mark.parametrize("text", SWALLOWED)
def test_an_indented_line_is_not_swallowed_into_the_value_above_it(tmp_path: Path, text: str) -> None:
    (problem,) = problems(tmp_path, f"; first\n{text}\n")
    key = text.splitlines()[1].partition(" ")[0]
    assert problem.startswith(f"{tmp_path}/dtqs.ini line 3: ")
    assert f"] {key}: the indented line below it goes on with its value" in problem


@pytest.mark.parametrize(("name", "model", "text"), SWALLOWED_BY_PROCESSORS)
def test_an_indented_line_of_a_processor_is_not_swallowed(
    tmp_path: Path, name: str, model: type[Section], text: str
) -> None:
    config = load(written(tmp_path, f"[processor:{name}]\n{text}\n"), {})
    with pytest.raises(ConfigError, match="the indented line below it goes on with its value"):
        config.processor(name, model)


def test_two_lines_of_a_list_need_a_comma(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "[files]\nroots = /srv/a\n  /srv/b\n")
    assert "[files] roots: " in problem
    assert "allowed: a comma before each further line" in problem
    text = "[files]\nroots = /srv/a,\n  ; the new disk\n  /srv/b\n  , /srv/c,\n"
    assert load(written(tmp_path, text), {}).files.roots == tuple(map(Path, ("/srv/a", "/srv/b", "/srv/c")))


def test_texts_for_several_lines_may_have_them(tmp_path: Path) -> None:
    body = "<sms\n  sender='${sender}'\n  to='${to}'/>"
    text = f"[postgresql]\ndsn = host=one\n  user=dtqs\n[processor:sms]\ncontent_type = text/xml\nbody = {body}\n"
    config = load(written(tmp_path, text), {})
    assert config.postgresql.dsn.get_secret_value() == "host=one\nuser=dtqs"
    assert config.processor("sms", SmsSettings).body.splitlines()[1] == "sender='${sender}'"


def test_a_line_break_in_a_variable_or_a_secrets_file_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("amqp://a:b@one/dtqs\namqp://a:c@one/dtqs\n")
    (problem,) = problems(tmp_path, f"[rabbitmq]\nurl_file = {secret}\n")
    assert problem.startswith(f"{tmp_path}/dtqs.ini line 2: [rabbitmq] url_file: the file has several lines")
    (problem,) = problems(tmp_path, "", {"DTQS_RABBITMQ_URL": secret.read_text()})
    assert problem.startswith("environment DTQS_RABBITMQ_URL: [rabbitmq] url: the value has several lines")


def test_a_variable_loses_the_line_break_at_its_end(tmp_path: Path) -> None:
    environ = {"DTQS_FILES_DIRECTORY": f"{tmp_path}\n", "DTQS_RABBITMQ_URL": "amqp://a:b@one/dtqs\r\n"}
    config = load(None, environ)
    assert config.files.directory == tmp_path
    assert config.rabbitmq.url.get_secret_value() == "amqp://a:b@one/dtqs"


@pytest.mark.parametrize("host", ["one two", "one\x7f", "one\u00a0two"])
@pytest.mark.parametrize("text", ["[api]\nhost = HOST", "[metrics]\nlisten = HOST:9105"])
def test_a_host_has_no_space(tmp_path: Path, text: str, host: str) -> None:
    (problem,) = problems(tmp_path, f"{text.replace('HOST', host)}\n")
    assert "it has a space or an invisible character" in problem


@pytest.mark.parametrize(
    "url",
    [
        "https://[::1",
        "tasks.example.org",
        "ftp://tasks.example.org",
        "https://",
        "https://tasks.example.org ; our name",
        "https://ada:pw@",
        "https://tasks.example.org?a=1",
        "https://tasks.example.org#a",
        "https://tasks..example.org",
        "https://tasks.example.org:0",
    ],
)
def test_a_public_url_that_makes_no_links_is_refused(tmp_path: Path, url: str) -> None:
    (problem,) = problems(tmp_path, f"[api]\npublic_url = {url}\n")
    assert "] public_url = " in problem
    assert "pw" not in problem


@pytest.mark.parametrize(
    ("written_", "url"),
    [
        ("HTTPS://tasks.example.org", "https://tasks.example.org"),
        ("Http://[::1]:8080/Prefix/", "http://[::1]:8080/Prefix/"),
        ("https://tasks.example.org:8443/a/b", "https://tasks.example.org:8443/a/b"),
        ("", ""),
    ],
)
def test_a_public_url_has_its_scheme_in_small_letters(tmp_path: Path, written_: str, url: str) -> None:
    """The API compares it: only with https the session cookie is Secure."""
    assert load(written(tmp_path, f"[api]\npublic_url = {written_}\n"), {}).api.public_url == url


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_numbers_are_finite(tmp_path: Path, text: str) -> None:
    assert len(problems(tmp_path, f"[files]\nretention_days = {text}\n")) == 1


BAD_HOSTS = ("node-1..example.org", f"{64 * 's'}.org", ".org")


@pytest.mark.parametrize("host", BAD_HOSTS)
@pytest.mark.parametrize(
    "text",
    [
        "[api]\nhost = HOST",
        "[metrics]\nlisten = HOST:9105",
        "[rabbitmq]\nurl = amqp://one,HOST:5672/",
        "[files]\ns3_endpoint = http://HOST:9000",
        "[trace]\notlp_endpoint = http://HOST:4318",
    ],
)
def test_a_host_that_no_look_up_takes_is_refused(tmp_path: Path, text: str, host: str) -> None:
    (problem,) = problems(tmp_path, f"{text.replace('HOST', host)}\n")
    assert HOST_FAULT in problem


@pytest.mark.parametrize("host", BAD_HOSTS)
@pytest.mark.parametrize("key", ["host = HOST", "url = https://HOST/send", "base_url = http://HOST"])
def test_such_a_host_of_a_provider_is_refused(tmp_path: Path, key: str, host: str) -> None:
    config = load(written(tmp_path, f"[processor:sms]\n{key.replace('HOST', host)}\n"), {})
    with pytest.raises(ConfigError, match=HOST_FAULT):
        config.processor("sms", SmsSettings)


def test_such_a_mail_server_is_refused(tmp_path: Path) -> None:
    config = load(written(tmp_path, "[processor:email]\nhost = mail..example.org\n"), {})
    with pytest.raises(ConfigError, match=HOST_FAULT):
        config.processor("email", EmailSettings)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("store = s3\ns3_bucket = dtqs\ns3_region = eu..west", "s3_region = 'eu..west' is no region of Amazon S3"),
        ("store = s3\ns3_bucket = a..b\ns3_path_style = off", "s3_path_style = off puts each bucket into a host name"),
    ],
)
def test_a_host_of_object_storage_is_made_of_parts_that_fit(tmp_path: Path, text: str, told: str) -> None:
    (problem,) = problems(tmp_path, f"[files]\n{text}\n")
    assert told in problem


@pytest.mark.parametrize(
    ("host", "told"), [("[::1]", "without brackets, such as ::1"), ("localhost:8080", "the port is a key of its own")]
)
def test_the_host_of_the_api_stands_alone(tmp_path: Path, host: str, told: str) -> None:
    (problem,) = problems(tmp_path, f"[api]\nhost = {host}\n")
    assert told in problem


@pytest.mark.parametrize("host", ["::1", "::", "fe80::1%eth0", "0.0.0.0", "localhost.", "b\u00fccher.example", "a_b"])
def test_addresses_and_names_of_all_kinds_are_hosts(tmp_path: Path, host: str) -> None:
    assert load(written(tmp_path, f"[api]\nhost = {host}\n"), {}).api.host == host


@pytest.mark.parametrize("key", ["[files]\ndirectory =", "[supervisor]\nstate_dir ="])
def test_an_empty_path_is_refused(tmp_path: Path, key: str) -> None:
    (problem,) = problems(tmp_path, f"{key}\n")
    assert "it is empty, and would mean the current folder; allowed: a path" in problem


def test_an_empty_path_in_the_environment_is_refused(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "", {"DTQS_FILES_DIRECTORY": " "})
    assert problem.startswith("environment DTQS_FILES_DIRECTORY: [files] directory = ' ': it is empty")


def test_a_path_that_may_be_left_out_may_be_empty(tmp_path: Path) -> None:
    config = load(written(tmp_path, "[log]\nfile =\n[files]\nroots =\n"), {})
    assert (config.log.file, config.files.roots) == (None, ())


def test_an_empty_path_of_a_processor_is_refused(tmp_path: Path) -> None:
    config = load(written(tmp_path, "[processor:email]\nfolder =\n"), {})
    with pytest.raises(ConfigError, match=r"\[processor:email\] folder = '': it is empty"):
        config.processor("email", EmailSettings)


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("postgresql://u:p@h/d\n", encoding="utf-8")
    config = load(written(tmp_path, f"[postgresql]\ndsn_file = {tmp_path}/secret\n"), {})
    assert config.postgresql.dsn.get_secret_value() == "postgresql://u:p@h/d"


def test_a_secret_in_the_environment_wins_over_the_file_of_a_secret(tmp_path: Path) -> None:
    config = load(written(tmp_path, "[postgresql]\ndsn_file = /nowhere\n"), {"DTQS_POSTGRESQL_DSN": "dbname=x"})
    assert config.postgresql.dsn.get_secret_value() == "dbname=x"


def test_a_secrets_file_that_cannot_be_read_is_one_problem(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, "[rabbitmq]\nurl_file = /nowhere/at/all\n")
    assert "line 2: [rabbitmq] url_file = '/nowhere/at/all'" in told


def test_a_secret_given_twice_is_an_error(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, "[postgresql]\ndsn = dbname=a\ndsn_file = /nowhere\n")
    assert "allowed: one of the two" in told


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("", encoding="utf-8")
    (told,) = problems(tmp_path, f"[postgresql]\ndsn_file = {tmp_path}/empty\n")
    assert "[postgresql] dsn =:" in told
    config = load(None, {"DTQS_POSTGRESQL_DSN": "postgresql://u:sesame@h/d"})
    assert "sesame" not in repr(config)


@pytest.mark.parametrize(
    "text",
    [
        "[postgresql]\ndsn_file = postgresql://u:hunter2@h/d",
        "[postgresql]\ndsn_file = hunter2",
        "[rabbitmq]\nurl_file = amqp://u:hunter2@h/",
        "[trace]\notlp_endpoint = https://u:hunter2@collector",
        "[trace]\notlp_endpoint = https://hunter2@collector",
        "[trace]\notlp_endpoint = https://collector/?key=hunter2",
        "[files]\ns3_endpoint = https://u:hunter2@store",
        "[files]\ns3_endpoint = https://u:a/hunter2@store",
        "[files]\ns3_endpoint = https://u:a?hunter2@store",
        "[api]\ntrusted_proxies = http://u:hunter2@proxy",
        "[api]\nport = https://hunter2@h",
        "[api]\nport = host=h password='a hunter2'",
        "[postgresql]\nhunter2@host:5432/d",
        "[postgresql]\nhunter2@host:5432/d\nhunter2@host:5432/e",
    ],
)
def test_no_message_quotes_a_secret(tmp_path: Path, text: str) -> None:
    told = problems(tmp_path, f"{text}\n")
    assert "hunter2" not in str(told), told


def test_the_text_of_a_models_own_error_quotes_no_value() -> None:
    with pytest.raises(ValidationError) as caught:
        TraceSection(otlp_endpoint="https://u:hunter2@collector")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[api]\nauth = off\nhost = 0.0.0.0\n", "line 2: [api] auth: off is allowed only on loopback"),
        (
            "[lease]\nlease_seconds = 19\n",
            "line 2: [lease] lease_seconds: 19 is below [rabbitmq] heartbeat_seconds = 20",
        ),
        (
            "[lease]\nlease_seconds = 30\nheartbeat_seconds = 16\n",
            "less than two heartbeats of 16 s; allowed: 32 or more",
        ),
        (
            "[lease]\ngrace_seconds = 60\nfar_out_seconds = 30\n",
            "line 2: [lease] grace_seconds: 60 is above far_out_seconds = 30; allowed: that or less",
        ),
    ],
)
def test_contradictory_settings_are_errors(tmp_path: Path, text: str, part: str) -> None:
    assert any(part in told for told in problems(tmp_path, text))


class Toy(Section):
    limit: int | None = Field(None, ge=1, description="a limit")
    mode: Literal["a", "b"] = "a"


def toy(folder: Path, text: str) -> Toy:
    config: Config = load(written(folder, text), {})
    return config.processor("toy", Toy)


def test_a_processors_section_is_read_with_its_own_model(tmp_path: Path) -> None:
    assert toy(tmp_path, "[processor:toy]\nlimit = 3\n").limit == 3
    with pytest.raises(
        ConfigError,
        match=r"line 2: \[processor:toy\] limit = '0': .*allowed: a whole number from 1, or empty \(a limit\)",
    ):
        toy(tmp_path, "[processor:toy]\nlimit = 0\n")


def test_an_optional_key_may_be_empty(tmp_path: Path) -> None:
    assert toy(tmp_path, "[processor:toy]\nlimit =\n").limit is None


def test_every_key_has_a_description_and_its_allowed_values() -> None:
    for model in SECTIONS.values():
        for key, field in model.model_fields.items():
            assert field.description, key
            assert allowed(field) not in ("", "text that is not empty", "a number", "a whole number") or key in (
                "dsn",
                "url",
                "host",
                "s3_region",
            ), key


def test_find_prefers_the_option_then_the_variable_then_the_default_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find(None, {}) in (None, Path("/etc/dtqs/dtqs.ini"))
    (tmp_path / "var").mkdir()
    (tmp_path / "var/dtqs.ini").touch()
    assert find(None, {}) == Path("var/dtqs.ini")
    assert find(None, {"DTQS_CONFIG": "b.ini"}) == Path("b.ini")
    assert find("a.ini", {"DTQS_CONFIG": "b.ini"}) == Path("a.ini")


def test_a_file_of_the_current_folder_that_others_may_have_written_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("var").mkdir()
    Path("var/dtqs.ini").touch()
    for path in ("var", "var/dtqs.ini"):
        mode = Path(path).stat().st_mode
        Path(path).chmod(0o777)
        assert find(None, {}) in (None, Path("/etc/dtqs/dtqs.ini"))
        assert f"{path} can be written by others (mode 0777); name it with --config to trust it" in list_places()
        Path(path).chmod(mode)
    assert find(None, {}) == Path("var/dtqs.ini")
    if os.geteuid() == 0:
        os.chown("var", -1, 12345)
        Path("var").chmod(0o775)
        assert "var can be written by others (mode 0775)" in list_places()
        Path("var").chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert find(None, {}) in (None, Path("/etc/dtqs/dtqs.ini"))
    assert "var belongs to another user" in list_places()


@pytest.mark.parametrize("name", ["DTQS_POSTGRESQL_DSN", "DTQS_RABBITMQ_URL", "DTQS_API_SECRET"])
def test_a_secret_and_its_file_in_the_environment_exclude_each_other(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    file.write_text("postgresql://one" if "DSN" in name else "amqp://one" if "URL" in name else "x" * 40)
    value = file.read_text()
    with pytest.raises(ConfigError, match="_file"):
        load(None, {name: value, f"{name}_FILE": str(file)})
    load(None, {name: value})
    load(None, {f"{name}_FILE": str(file)})
