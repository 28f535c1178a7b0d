"""The manifests of kube/, and what must agree in them: with one another, with the image, and with the program.

`faults` needs no cluster. Each check is a generator of sentences; none means that all is well.
"""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import click
import yaml

from dtqs.api.http.byte_room import room_bytes
from dtqs.cli import main
from dtqs.config import Config, load
from dtqs.errors import ConfigError
from dtqs.processors.catalog import Catalog
from tests.support.source import ROOT

KUBE = ROOT / "kube"
OVERLAYS = sorted(path.name for path in (KUBE / "overlays").iterdir())
Document = dict[str, Any]
SECRETS = "/run/secrets/dtqs"
_ROOM_BYTES = 256 << 20
"""Room for logs and the node's own files."""
_PROCESS_BYTES = 64 << 20
"""Memory of an API process without large bodies, answers and streams."""
_WORKER_BYTES = 128 << 20
"""Memory of a worker without its ffmpeg or decoder."""
_WORKLOADS = ("Deployment", "Job", "StatefulSet")


def render(overlay: str) -> list[Document]:
    """Return the documents of an overlay, as `kubectl apply -k` would send them."""
    done = subprocess.run(
        ["kubectl", "kustomize", str(KUBE / "overlays" / overlay)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def raw(overlay: str) -> list[Document]:
    """Return the documents of base and overlay unrendered: without patches and images, but no kubectl is needed."""
    folder = KUBE / "overlays" / overlay
    files = [*sorted((KUBE / "base").glob("*.yaml")), *sorted(folder.glob("*.yaml"))]
    if overlay == "prod":
        files += sorted((KUBE / "components").glob("*/*.yaml"))
    documents = [
        one for path in files if path.name != "kustomization.yaml" for one in yaml.safe_load_all(path.read_text())
    ]
    ini = (folder / "dtqs.ini").read_text(encoding="utf-8")
    return [*documents, {"kind": "ConfigMap", "metadata": {"name": "dtqs-config"}, "data": {"dtqs.ini": ini}}]


def faults(documents: Sequence[Document], folder: Path) -> list[str]:
    """Return all that is wrong. `folder` is for files that stand in for the mounted ones."""
    checks: list[Callable[[], Iterator[str]]] = [
        lambda: _hardening(documents),
        lambda: _commands(documents),
        lambda: _configuration(documents, folder),
        lambda: _image(documents),
        lambda: _selectors(documents),
        lambda: _addresses(documents),
        lambda: _scaling(documents, folder),
    ]
    return [fault for check in checks for fault in check()]


def of_kind(documents: Sequence[Document], *kinds: str) -> list[Document]:
    return [document for document in documents if document["kind"] in kinds]


def pod_of(workload: Document) -> Document:
    return dict(workload["spec"]["template"]["spec"])


def containers_of(workload: Document) -> list[Document]:
    pod = pod_of(workload)
    return [*pod.get("initContainers", ()), *pod["containers"]]


def _ours(documents: Sequence[Document]) -> Iterator[tuple[Document, Document]]:
    """Yield each container that runs DTQS, with its workload."""
    for workload in of_kind(documents, *_WORKLOADS):
        for container in containers_of(workload):
            if container["image"].split(":")[0].split("/")[-1] in ("dtqs", "dtqs-media"):
                yield workload, container


def _hardening(documents: Sequence[Document]) -> Iterator[str]:
    for workload in of_kind(documents, *_WORKLOADS):
        pod, name = pod_of(workload), workload["metadata"]["name"]
        wanted = {"automountServiceAccountToken": False, "enableServiceLinks": False}
        yield from (f"{name}: {key} is not {value}" for key, value in wanted.items() if pod.get(key) is not value)
        context = pod.get("securityContext", {})
        if not (context.get("runAsNonRoot") and context.get("seccompProfile") == {"type": "RuntimeDefault"}):
            yield f"{name}: not restricted"
        for container in containers_of(workload):
            own = container.get("securityContext", {})
            if not own.get("readOnlyRootFilesystem") or own.get("allowPrivilegeEscalation") is not False:
                yield f"{name}/{container['name']}: not restricted"
            if own.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{name}/{container['name']}: keeps capabilities"
            if "memory" not in container["resources"]["limits"] or "cpu" not in container["resources"]["requests"]:
                yield f"{name}/{container['name']}: lacks resources"


def _commands(documents: Sequence[Document]) -> Iterator[str]:
    """Each command line is one that `dtqs` accepts."""
    for workload, container in _ours(documents):
        place = f"{workload['metadata']['name']}/{container['name']}"
        probes = [container[kind] for kind in ("startupProbe", "livenessProbe", "readinessProbe") if kind in container]
        if len(probes) != 3 and workload["kind"] == "Deployment" and container in pod_of(workload)["containers"]:
            yield f"{place}: has {len(probes)} of three probes"
        lines = [["dtqs", *container["args"]], *(probe["exec"]["command"] for probe in probes if "exec" in probe)]
        yield from (f"{place}: {' '.join(line)}: {why}" for line in lines if (why := _why_refused(line)))
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
        for probe in probes:
            if "httpGet" in probe and probe["httpGet"]["port"] not in ports:
                yield f"{place}: no port {probe['httpGet']['port']}"
        if {"config", "secrets", "tmp"} - {mount["name"] for mount in container["volumeMounts"]}:
            yield f"{place}: lacks a mount"


def _why_refused(line: Sequence[str]) -> str | None:
    program, name, *arguments = line
    command = main.get_command(click.Context(main), name)
    if program != "dtqs" or command is None:
        return "no such command"
    try:
        command.make_context(name, list(arguments))
    except click.ClickException as error:
        return error.format_message()
    return None


def config_of(documents: Sequence[Document], container: Document, folder: Path) -> Config:
    """Read the configuration as the container would, with short files in place of its secrets. Raises ConfigError."""
    (config_map,) = [
        one for one in of_kind(documents, "ConfigMap") if one["metadata"]["name"].startswith("dtqs-config")
    ]
    file = folder / "dtqs.ini"
    (folder / "url").write_text("amqp://dtqs:secret@rabbitmq:5672/%2F", encoding="utf-8")
    (folder / "secret").write_text("postgresql://or-any-other-secret-of-32-characters", encoding="utf-8")

    def written(match: re.Match[str]) -> str:
        return str(folder / ("url" if match[1] == "url" else "secret"))

    file.write_text(re.sub(rf"{SECRETS}/([\w-]+)", written, config_map["data"]["dtqs.ini"]), encoding="utf-8")
    return load(file, {one["name"]: one["value"] for one in container.get("env", ())})


def _configuration(documents: Sequence[Document], folder: Path) -> Iterator[str]:
    for workload, container in _ours(documents):
        name = workload["metadata"]["name"]
        try:
            config = config_of(documents, container, folder)
            Catalog.load(config)
        except ConfigError as error:
            yield f"{name}: {error}"
            continue
        if workload["kind"] != "Deployment" or container not in pod_of(workload)["containers"]:
            continue
        supervisor, pod = config.supervisor, pod_of(workload)
        hook = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        end = supervisor.drain_seconds + 3 * supervisor.stop_seconds
        needed = hook + (config.api.shutdown_seconds if container["args"] == ["api"] else end)
        if pod["terminationGracePeriodSeconds"] < needed + 5:
            yield f"{name}: the grace period is below {needed:g} s and 5 s of room"
        if container["args"] == ["supervisor"]:
            yield from _pool(name, config)
            yield from _task_memory(name, config, container)
        if container["args"] == ["api"]:
            yield from _memory(name, config, container)
        if container["args"] == ["api"] and config.files.store == "s3":
            yield from _uploads(name, config, pod, container)
        ports = {port["containerPort"] for port in container.get("ports", ())}
        wanted = config.api.port if container["args"] == ["api"] else int(config.metrics.listen.rpartition(":")[2])
        if ports != {wanted}:
            yield f"{name}: ports {ports}, but the configuration has {wanted}"


def _memory(name: str, config: Config, container: Document) -> Iterator[str]:
    """The limit leaves room for what all processes may hold: large bodies, large answers, and events of streams."""
    most = config.api.workers * (3 * room_bytes(config.api.max_body_bytes) + _PROCESS_BYTES)
    if most > _bytes(container["resources"]["limits"]["memory"]):
        yield f"{name}: its processes may need {most} bytes of memory"


def _task_memory(name: str, config: Config, container: Document) -> Iterator[str]:
    """A task that takes too much memory fails alone: the kernel would end all workers of the container."""
    ((_, section),) = config.pools.items()
    catalog = Catalog.load(config)
    types = [one for one in ("image", "video") if one in section.task_types]
    largest = max((catalog.get(one).settings.model_dump()["max_memory_bytes"] for one in types), default=0)
    most = (section.workers or section.max) * (largest + _WORKER_BYTES) + _ROOM_BYTES
    if types and most > _bytes(container["resources"]["limits"]["memory"]):
        yield f"{name}: tasks may take {most} bytes of memory with the program, and the kernel ends it before"


def _uploads(name: str, config: Config, pod: Document, container: Document) -> Iterator[str]:
    """Uploads on their way must not fill a volume whose overflow evicts the pod."""
    mounts = {Path(mount["mountPath"]): mount["name"] for mount in container["volumeMounts"]}
    where = next(mounts[path] for path in (config.files.directory, *config.files.directory.parents) if path in mounts)
    limits = {one["name"]: _bytes(one["emptyDir"]["sizeLimit"]) for one in pod["volumes"] if "emptyDir" in one}
    if where in limits:
        most = config.api.workers * config.files.receiving_bytes
        if not 0 < most <= limits[where] - _ROOM_BYTES:
            yield f"{name}: uploads of {most} bytes have no room in the volume {where}"
        if sum(limits.values()) + _ROOM_BYTES > _bytes(container["resources"]["limits"]["ephemeral-storage"]):
            yield f"{name}: the volumes have no room in its limit of ephemeral-storage"


def _bytes(quantity: str) -> int:
    return int(quantity[:-2]) << {"Mi": 20, "Gi": 30}[quantity[-2:]]


def _pool(name: str, config: Config) -> Iterator[str]:
    """One Deployment is one pool of a known size, since a container sees all CPUs of its node."""
    ((pool, section),) = config.pools.items()
    if not name.endswith(f"-{pool}") or not (section.workers or section.max):
        yield f"{name}: pool {pool} with {section.workers} workers"
    longest = max(config.retry.timeout_seconds, config.limits.max_timeout_seconds)
    if section.task_types and config.supervisor.drain_seconds < longest:
        yield f"{name}: a scale-in would interrupt attempts, which may take {longest:g} s"


def _image(documents: Sequence[Document]) -> Iterator[str]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    user, group = re.findall(r"^USER (\d+):(\d+)$", text, re.MULTILINE)[-1]
    targets = re.findall(r"^FROM .* AS ([\w-]+)$", text, re.MULTILINE)
    for workload, container in _ours(documents):
        context, name = pod_of(workload)["securityContext"], workload["metadata"]["name"]
        if [context.get(key) for key in ("runAsUser", "runAsGroup", "fsGroup")] != [int(user), int(group), int(group)]:
            yield f"{name}: its user is not the image's"
        if container["image"].split(":")[0].split("/")[-1] not in targets:
            yield f"{name}: the Dockerfile has no target for {container['image']}"
        if container["args"] == ["api"] and f"EXPOSE {container['ports'][0]['containerPort']}\n" not in text:
            yield f"{name}: its port is not the image's"


def _labels(documents: Sequence[Document]) -> list[Mapping[str, str]]:
    return [workload["spec"]["template"]["metadata"]["labels"] for workload in of_kind(documents, *_WORKLOADS)]


def _matches(selector: Document, labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", ())
    )


def _selectors(documents: Sequence[Document]) -> Iterator[str]:
    """Each selector finds a pod: one that finds none would silently do nothing."""
    names = {(one["kind"], one["metadata"]["name"]) for one in documents}
    for document in documents:
        kind, spec = document["kind"], document.get("spec", {})
        selectors = [spec[key] for key in ("selector", "podSelector") if key in spec and kind != "Job"]
        selectors = [{"matchLabels": one} if kind == "Service" else one for one in selectors]
        if kind in _WORKLOADS:
            selectors += [one["labelSelector"] for one in pod_of(document).get("topologySpreadConstraints", ())]
        for selector in selectors:
            if not any(_matches(selector, labels) for labels in _labels(documents)):
                yield f"{kind} {document['metadata']['name']}: selects no pod: {selector}"
        target = spec.get("scaleTargetRef")
        if target and (target.get("kind", "Deployment"), target["name"]) not in names:
            yield f"{kind} {document['metadata']['name']}: scales nothing"


def _addresses(documents: Sequence[Document]) -> Iterator[str]:
    """Kubernetes takes each exception of an address range: it lies in the range, and both have one family."""
    for policy in of_kind(documents, "NetworkPolicy"):
        rules = [*policy["spec"].get("egress", ()), *policy["spec"].get("ingress", ())]
        peers = [peer for rule in rules for peer in (*rule.get("to", ()), *rule.get("from", ()))]
        for block in (peer["ipBlock"] for peer in peers if "ipBlock" in peer):
            whole = ip_network(block["cidr"])
            for text in block.get("except", ()):
                if not _lies_in(ip_network(text), whole):
                    yield f"NetworkPolicy {policy['metadata']['name']}: {text} is no strict part of {whole}"


def _lies_in(part: IPv4Network | IPv6Network, whole: IPv4Network | IPv6Network) -> bool:
    if isinstance(part, IPv4Network):
        return isinstance(whole, IPv4Network) and part != whole and part.subnet_of(whole)
    # Go reads a mapped address as IPv4, which lies in no IPv6 range
    is_mapped = part.network_address.ipv4_mapped is not None
    return isinstance(whole, IPv6Network) and part != whole and part.subnet_of(whole) and not is_mapped


def _scaling(documents: Sequence[Document], folder: Path) -> Iterator[str]:
    """Each ScaledObject counts the tasks of its Deployment's pool, over the Service of the API."""
    workers: dict[str, Config] = {}
    for workload, container in _ours(documents):
        with suppress(ConfigError):  # _configuration tells
            workers[workload["metadata"]["name"]] = config_of(documents, container, folder)
    for scaled in of_kind(documents, "ScaledObject"):
        name, metadata = scaled["metadata"]["name"], scaled["spec"]["triggers"][0]["metadata"]
        url, config = urlsplit(metadata["url"]), workers.get(scaled["spec"]["scaleTargetRef"]["name"])
        if config is None:
            continue
        (section,) = config.pools.values()
        known = {one for one in Catalog.load(config).names() if config.routes.queue_of(one) in section.queues}
        if set(parse_qs(url.query)["task_type"]) != set(section.task_types or known):
            yield f"{name}: counts other task types than its pool runs"
        if (url.hostname, url.path) != (f"dtqs-api.{scaled['metadata']['namespace']}.svc", "/backlog"):
            yield f"{name}: {metadata['url']} is not the API's"
        if metadata["valueLocation"] != "backlog" or scaled["spec"]["minReplicaCount"] != 0:
            yield f"{name}: does not scale to zero by the backlog"
