"""Plays compose.yaml without an engine: each service as the file says it, in the order of its health conditions.

Services of DTQS run in the images. SERVERS stands for the others. The names of all services mean this machine.
A key that is not played fails the test, so compose.yaml cannot say anything that is never tried.
"""

import re
import signal
import subprocess
from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Self

import yaml

from tests.containers.container import Container, Place
from tests.containers.image import Image
from tests.containers.servers import SERVERS, Server
from tests.support.helpers import eventually

_COMPLETED, _HEALTHY = "service_completed_successfully", "service_healthy"
_OUTSIDE = {"build", "cap_drop", "hostname", "ports", "restart", "security_opt", "shm_size"}
"""Keys that the engine alone acts on. `Service` checks those that say how safe a container is."""
_HOW = {"command", "entrypoint", "environment", "image", "network_mode", "read_only", "tmpfs", "user", "volumes"}
_WHEN = {"depends_on", "healthcheck", "stop_grace_period"}


class Service:
    """One service of the file."""

    def __init__(self, name: str, given: Mapping[str, Any]) -> None:
        unknown = set(given) - _OUTSIDE - _HOW - _WHEN
        assert not unknown, f"compose.yaml: {name} has keys that this test does not play: {unknown}"
        self.name, self.given = name, given
        self.target = re.split("[:@]", given["image"].rpartition("/")[2])[0]
        self.waits: dict[str, str] = {
            other: condition["condition"] for other, condition in given.get("depends_on", {}).items()
        }
        self.grace = seconds(given.get("stop_grace_period", "10s"))
        self.volumes = [volume.split(":") for volume in given.get("volumes", ())]
        if self.target not in SERVERS:
            assert given["read_only"] is True
            assert (given["cap_drop"], given["security_opt"]) == (["ALL"], ["no-new-privileges:true"])

    def command(self, image: Image) -> list[str]:
        return [*self.given.get("entrypoint", image.entrypoint), *self.given["command"]]


class Compose:
    """The services of compose.yaml, with new volumes below a folder."""

    def __init__(self, file: Path, folder: Path) -> None:
        told = yaml.safe_load(re.sub(r"\$\$|\$", dollars, file.read_text(encoding="utf-8")))
        self._services = {name: Service(name, given) for name, given in told["services"].items()}
        self._folder = folder
        self._volumes: dict[str, Path] = {name: folder / "volumes" / name for name in told["volumes"]}
        self._hosts = folder / "hosts"
        self._containers: dict[str, Container] = {}
        self._servers: dict[str, Server] = {}

    def __enter__(self) -> Self:
        (self._folder / "volumes").mkdir()
        self._hosts.write_text(f"127.0.0.1 localhost {' '.join(self._services)}\n", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        for container in self._containers.values():
            container.kill()
        for server in self._servers.values():
            server.stop(60)

    def up(self) -> None:
        """Start all services, each when the conditions of its dependencies hold; wait until all are well."""
        order = {name: service.waits for name, service in self._services.items()}
        for name in TopologicalSorter(order).static_order():
            for other, condition in self._services[name].waits.items():
                self._wait(self._services[other], condition)
            self.start(self._services[name])
        for service in self._services.values():
            if "test" in service.given.get("healthcheck", {}):
                self._wait(service, _HEALTHY)

    def start(self, service: Service) -> None:
        if service.target in SERVERS:
            server = SERVERS[service.target](self._folder / service.name, self._translated(service))
            self._servers[service.name] = server
            server.start()
            return
        image = Image.load(service.target)
        place = Place(
            image,
            service.given.get("user", image.user),
            service.given["environment"],
            {"/etc/hosts": self._hosts, **self._mounts(service, image)},
            frozenset(place for _, place, *mode in service.volumes if mode == ["ro"]),
            tuple(service.given["tmpfs"]),
            service.given.get("network_mode") != "none",
            self._folder / f"{service.name}.log",
        )
        self._containers[service.name] = Container(place, *service.command(image))

    def again(self, name: str) -> int:
        """Run a service that ends a second time, and return its exit status."""
        self.start(self._services[name])
        return self._containers[name].wait(60)

    def container(self, name: str) -> Container:
        return self._containers[name]

    def read(self, volume: str, name: str) -> str:
        return (self._volumes[volume] / name).read_text(encoding="utf-8")

    def down(self) -> dict[str, int]:
        """Ask all services to end, the dependent ones first; return the exit statuses of those that still ran."""
        statuses = {}
        order = {name: service.waits for name, service in self._services.items()}
        for name in reversed([*TopologicalSorter(order).static_order()]):
            grace = self._services[name].grace
            if server := self._servers.pop(name, None):
                server.stop(grace)
            elif self._containers[name].running:
                self._containers[name].send(signal.SIGTERM)
                statuses[name] = self._containers[name].wait(grace)
        return statuses

    def _wait(self, service: Service, condition: str) -> None:
        if condition == _COMPLETED:
            assert self._containers[service.name].wait(120) == 0, self._containers[service.name].text
            return
        assert condition == _HEALTHY
        told = service.given["healthcheck"]
        assert told["test"][0] == "CMD"
        limit = seconds(told.get("start_period", "0s")) + told["retries"] * seconds(told["interval"])
        eventually(lambda: self._well(service, told["test"][1:], seconds(told["timeout"])), limit, service.name)

    def _well(self, service: Service, test: list[str], limit: float) -> bool:
        one = self._servers.get(service.name) or self._containers[service.name]
        try:
            return one.run(*test, seconds=limit).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def _mounts(self, service: Service, image: Image) -> dict[str, Path]:
        """Return the volumes by their place: those of the image, which get no name, and those of the service."""
        folder = self._folder / "volumes"
        unnamed = {place: folder / f"{service.name}{place.replace('/', '.')}" for place in image.volumes}
        found = unnamed | {place: self._volumes[name] for name, place, *_ in service.volumes}
        for place, volume in found.items():
            within = image.root / place.lstrip("/")
            # a new volume begins as a copy of the image's folder, with its owner and mode
            if not volume.exists() and within.exists():
                subprocess.run(["cp", "-a", within, volume], check=True)
            volume.mkdir(exist_ok=True)
        return found

    def _translated(self, service: Service) -> dict[str, str]:
        """Return a server's variables with the paths of its volumes out here."""
        found = dict(service.given["environment"])
        for name, place, *_ in service.volumes:
            found = {key: value.replace(f"{place}/", f"{self._volumes[name]}/") for key, value in found.items()}
        return found


def dollars(match: "re.Match[str]") -> str:
    assert match[0] == "$$", "compose.yaml reads a variable of the shell, which this test does not play"
    return "$"


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))
