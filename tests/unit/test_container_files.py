"""Dockerfile and compose.yaml name only commands, variables, files, ports and services that exist."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dtqs.cli import COMMANDS
from dtqs.config import Config, load
from dtqs.errors import ConfigError
from dtqs.health import PARTS

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = {name: service for name, service in SERVICES.items() if service["image"].startswith("dtqs")}
SECRETS = "/run/secrets-of-dtqs/"
DOCKER_PAGE = (ROOT / "docs/docker.md").read_text(encoding="utf-8")
MAKE_SECRETS = SERVICES["secrets"]["command"][0].replace("$$", "$")


def settings(environment: dict[str, str], tmp_path: Path) -> Config:
    """Load the variables as the product does. Each secret is a file, with the form that compose.yaml gives it."""
    forms = {
        "postgresql.dsn": "postgresql://dtqs:x@postgresql:5432/dtqs",
        "rabbitmq.url": "amqp://dtqs:x@rabbitmq:5672/%2F",
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
    return load(None, {name: value.replace(SECRETS, f"{tmp_path}/") for name, value in environment.items()})


def test_each_command_and_probe_of_the_containers_exists() -> None:
    probe = re.search(r'^HEALTHCHECK .* CMD \["dtqs", (.+)\]$', DOCKERFILE, re.MULTILINE)
    assert probe
    assert probe[1] == '"health", "any"'
    assert 'ENTRYPOINT ["dtqs"]' in DOCKERFILE
    commands = [service["command"] for name, service in OWN.items() if name != "secrets"]
    assert commands == [["migrate", "--accept-newer"], ["api"], ["supervisor"]]
    for command in commands:
        assert command[0] in COMMANDS
    for test in [service["healthcheck"]["test"] for service in OWN.values() if "test" in service["healthcheck"]]:
        assert test[:3] == ["CMD", "dtqs", "health"]
        assert set(test[3:]) <= set(PARTS)


def test_each_variable_is_a_setting_and_ports_agree(tmp_path: Path) -> None:
    own = dict(re.findall(r"\b(DTQS_\w+)=(\S+)", DOCKERFILE))
    config = settings(own | OWN["api"]["environment"], tmp_path)
    assert (config.api.host, config.log.format) == ("0.0.0.0", "json")
    assert f"EXPOSE {config.api.port}\n" in DOCKERFILE
    assert SERVICES["api"]["ports"] == [f"127.0.0.1:{config.api.port}:{config.api.port}"]
    with pytest.raises(ConfigError, match="DTQS_API_NO_SUCH"):
        settings({"DTQS_API_NO_SUCH": "1"}, tmp_path)
    volumes = [volume.split(":")[1] for volume in SERVICES["workers"]["volumes"]]
    assert volumes[:2] == [str(config.supervisor.state_dir), str(config.files.directory)]
    grace = config.supervisor.drain_seconds + 3 * config.supervisor.stop_seconds
    assert float(SERVICES["workers"]["stop_grace_period"].removesuffix("s")) > grace
    assert float(SERVICES["api"]["stop_grace_period"].removesuffix("s")) >= config.api.shutdown_seconds + 5


def test_each_foreign_image_is_pinned_by_digest_and_a_comment_names_its_tag() -> None:
    text = DOCKERFILE + (ROOT / "compose.yaml").read_text(encoding="utf-8")
    names = r"(?:ARG BASE=|image: )docker\.io/library/(\w+)@sha256:[0-9a-f]{64}\n"
    pinned = re.findall(rf"# (\w+):\d+\.\d+\S* *(?:for all platforms\..*)?\n *{names}", text)
    assert pinned == [(name, name) for name in ("python", "postgres", "rabbitmq")]
    assert text.count("docker.io/") == len(pinned)
    for name in ("postgresql", "rabbitmq"):
        assert SERVICES[name]["image"] in (ROOT / f"kube/overlays/dev/{name}.yaml").read_text(encoding="utf-8")


def test_targets_services_files_and_volumes_exist() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))
    assert {"dtqs", "dtqs-media"} <= stages
    assert {service["build"]["target"] for service in OWN.values() if "build" in service} == {"dtqs", "dtqs-media"}
    assert set(re.findall(r"--from=(\S+)", DOCKERFILE)) <= stages
    for name in re.findall(r"^COPY (?:--chmod=755 )?(conf/\S+)", DOCKERFILE, re.MULTILINE):
        assert (ROOT / name).is_file()
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", {})) <= set(SERVICES), name
        assert {volume.split(":")[0] for volume in service.get("volumes", ())} <= set(COMPOSE["volumes"]), name
    made = set(re.findall(r">(\S+)$", MAKE_SECRETS, re.MULTILINE))
    named = set(re.findall(r"/run/(secrets-of-\w+/\S+?)['\"]", str(SERVICES)))
    assert named == made
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        assert not line.startswith("!") or (ROOT / line[1:]).exists(), line


def test_servers_of_your_own_leave_services_that_start() -> None:
    """Play the merge of Compose: volumes replace volumes of the same place, and a tagged value replaces a value."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        pass

    for tag in ("!reset", "!override"):
        Loader.add_constructor(tag, lambda loader, node: loader.construct_mapping(node, deep=True))
    block = re.search(r"```yaml\n(.+?)```", DOCKER_PAGE, re.DOTALL)
    assert block
    changes = yaml.load(block[1], Loader)["services"]
    left = {name: service for name, service in SERVICES.items() if "profiles" not in changes.get(name, {})}
    assert set(left) == {"migrate", "api", "workers"}
    built = {service["image"] for service in left.values() if "build" in service}
    for name, service in left.items():
        assert service["image"] in built, name
        assert set(changes[name]["depends_on"]) <= set(left), name
        (volume,) = changes[name]["volumes"]
        folder, place = volume.split(":")[:2]
        assert place in {given.split(":")[1] for given in service["volumes"]}
        for file in re.findall(rf"{SECRETS}(\S+?)'", str(service["environment"])):
            assert f"`{folder}/{file}`" in DOCKER_PAGE


def test_a_server_reads_its_own_password_only() -> None:
    readers: dict[str, set[str]] = {}
    for name, service in SERVICES.items():
        for volume in service.get("volumes", ()):
            source, place, *mode = volume.split(":")
            if place.startswith("/run/secrets-of-"):
                assert mode == ([] if name == "secrets" else ["ro"])
                readers.setdefault(source, set()).add(name)
    assert readers == {
        "secrets": {"secrets", "migrate", "api", "workers"},
        "postgresql-secret": {"secrets", "postgresql"},
        "rabbitmq-secret": {"secrets", "rabbitmq"},
    }


def test_passwords_are_made_once_and_those_of_an_earlier_version_stay(tmp_path: Path) -> None:
    folders = [tmp_path / f"secrets-of-{name}" for name in ("dtqs", "postgresql", "rabbitmq")]
    for folder in folders:
        folder.mkdir()

    def made() -> dict[str, str]:
        script = MAKE_SECRETS.replace("cd /run\n", f"cd {tmp_path}\n")
        subprocess.run([*SERVICES["secrets"]["entrypoint"], script], check=True, timeout=20)
        files = [file for folder in folders for file in folder.iterdir()]
        return {str(file.relative_to(tmp_path)): file.read_text() for file in files}

    first = made()
    assert len(first) == 5
    password = first["secrets-of-postgresql/postgresql.password"]
    assert f":{password}@" in first["secrets-of-dtqs/postgresql.dsn"]
    assert made() == first
    for name in ("postgresql/postgresql.password", "rabbitmq/rabbitmq.conf"):
        file = tmp_path / f"secrets-of-{name}"
        file.rename(folders[0] / file.name)
    assert made() == first
