"""kube/ without a cluster: overlays render, and agree with image, program and configuration."""

import configparser
import copy
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from dtqs.files.guard import nonpublic_kind
from tests.support.manifests import KUBE, OVERLAYS, Document, containers_of, faults, of_kind, pod_of, raw, render

needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed here")
_rendered = cache(render)


def documents_of(overlay: str) -> Sequence[Document]:
    """Return the rendered documents, or those of the files where kubectl is missing. A caller may change them."""
    return copy.deepcopy(_rendered(overlay)) if shutil.which("kubectl") else raw(overlay)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_agrees_with_image_program_and_configuration(overlay: str, tmp_path: Path) -> None:
    assert faults(documents_of(overlay), tmp_path) == []


def test_each_value_of_a_place_is_marked_in_the_production_overlay() -> None:
    """docs/kubernetes.md finds the values to replace by the word `example`."""
    ini = configparser.ConfigParser()
    ini.read(KUBE / "overlays/prod/dtqs.ini")
    keys = {f"{section}.{key}": value for section in ini.sections() for key, value in ini.items(section)}
    places = re.compile(r"://|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+|[a-z0-9-]+\.(com|net|org)\b")
    of_place = {key for key, value in keys.items() if places.search(value)}
    of_place |= {
        key for key in keys if re.search(r"trusted_proxies|fetch_allow|s3_(endpoint|region|bucket|access)", key)
    }
    unmarked = {key: keys[key] for key in of_place if "example" not in keys[key]}
    assert {key for key, value in unmarked.items() if not value.startswith("0.0.0.0")} == set()
    assert "; trusted_proxies = example" in (KUBE / "overlays/prod/dtqs.ini").read_text(encoding="utf-8")


@needs_kubectl
def test_prod_scales_and_watches_the_parts_that_it_has() -> None:
    documents = _rendered("prod")
    assert len(of_kind(documents, "ScaledObject")) == 2
    assert [len(of_kind(documents, kind)) for kind in ("TriggerAuthentication", "ServiceMonitor", "PodMonitor")] == [
        1
    ] * 3
    assert not of_kind(documents, "Secret"), "secrets do not belong into the repository"
    assert all(one["metadata"].get("namespace", "dtqs") == "dtqs" for one in documents)


@needs_kubectl
def test_kustomize_refuses_a_broken_overlay(tmp_path: Path) -> None:
    shutil.copytree(KUBE, tmp_path / "kube")
    (tmp_path / "kube/base/api.yaml").unlink()
    command = ["kubectl", "kustomize", str(tmp_path / "kube/overlays/prod")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "api.yaml" in done.stderr


def worker(documents: Sequence[Document], name: str = "dtqs-worker-media") -> Document:
    return next(one for one in of_kind(documents, "Deployment") if one["metadata"]["name"] == name)


def main_container(workload: Document) -> Document:
    return containers_of(workload)[-1]


def _change_pool(documents: Sequence[Document], name: str, value: str) -> None:
    next(one for one in main_container(worker(documents))["env"] if one["name"] == name)["value"] = value


def _change_ini(documents: Sequence[Document]) -> None:
    data = next(one for one in of_kind(documents, "ConfigMap"))["data"]
    data["dtqs.ini"] = data["dtqs.ini"].replace("timeout_seconds", "time_out_seconds", 1)


def _change_files(documents: Sequence[Document], line: str) -> None:
    data = next(one for one in of_kind(documents, "ConfigMap"))["data"]
    data["dtqs.ini"] = re.sub("receiving_bytes = .*", line, data["dtqs.ini"])


def _service(documents: Sequence[Document]) -> Document:
    return next(one for one in of_kind(documents, "Service") if one["metadata"]["name"] == "dtqs-api")


def _exceptions(documents: Sequence[Document]) -> list[str]:
    """Return the IPv6 addresses that pods do not reach."""
    web = next(one for one in of_kind(documents, "NetworkPolicy") if one["metadata"]["name"] == "dtqs-web")
    found: list[str] = web["spec"]["egress"][0]["to"][1]["ipBlock"]["except"]
    return found


@pytest.mark.parametrize(
    "address",
    [
        *("10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.168.0.1", "168.63.129.16"),
        *("0.0.0.0", "192.0.0.8", "198.18.0.1"),
        *("::1", "fc00::1", "fe80::1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:a00:1::", "2001::a00:1"),
    ],
)
def test_an_address_that_no_source_may_have_is_closed_to_pods(address: str) -> None:
    """A processor of your own may fetch without asking the guard."""
    web = next(one for one in of_kind(raw("prod"), "NetworkPolicy") if one["metadata"]["name"] == "dtqs-web")
    closed = [text for peer in web["spec"]["egress"][0]["to"] for text in peer["ipBlock"]["except"]]
    place = ip_address(address)
    assert nonpublic_kind(place)
    assert any(place in ip_network(text) for text in closed if ip_network(text).version == place.version)


Change = Callable[[Sequence[Document]], Any]
CHANGES: dict[str, tuple[Change, str]] = {
    "short grace": (
        lambda all_: worker(all_)["spec"]["template"]["spec"].update(terminationGracePeriodSeconds=3600),
        "dtqs-worker-media: the grace period is below 3615 s",
    ),
    "short drain": (
        lambda all_: _change_pool(all_, "DTQS_SUPERVISOR_DRAIN_SECONDS", "60"),
        "a scale-in would interrupt attempts",
    ),
    "wrong command": (
        lambda all_: main_container(worker(all_)).update(args=["superviser"]),
        "dtqs superviser: no such command",
    ),
    "wrong probe": (
        lambda all_: main_container(worker(all_))["livenessProbe"]["exec"].update(
            command=["dtqs", "health", "--alive"]
        ),
        "dtqs health --alive: No such option",
    ),
    "wrong key": (_change_ini, "time_out_seconds: no such key"),
    "unbounded uploads": (
        lambda all_: _change_files(all_, "receiving_bytes = 0"),
        "dtqs-api: uploads of 0 bytes have no room in the volume state",
    ),
    "too many uploads": (
        lambda all_: _change_files(all_, "receiving_bytes = 3221225472"),
        "dtqs-api: uploads of 6442450944 bytes have no room in the volume state",
    ),
    "little memory": (
        lambda all_: main_container(worker(all_, "dtqs-api"))["resources"]["limits"].update(memory="768Mi"),
        "dtqs-api: its processes may need 939524096 bytes of memory",
    ),
    "little memory for a film": (
        lambda all_: main_container(worker(all_))["resources"]["limits"].update(memory="8Gi"),
        "dtqs-worker-media: tasks may take 9126805504 bytes of memory",
    ),
    "wrong port": (
        lambda all_: main_container(worker(all_, "dtqs-api"))["ports"][0].update(containerPort=80),
        "dtqs-api: its port is not the image's",
    ),
    "wrong user": (
        lambda all_: pod_of(worker(all_))["securityContext"].update(runAsUser=10002),
        "its user is not the image's",
    ),
    "links of services": (
        lambda all_: worker(all_)["spec"]["template"]["spec"].pop("enableServiceLinks"),
        "enableServiceLinks is not False",
    ),
    "wrong selector": (
        lambda all_: _service(all_)["spec"]["selector"].update({"app.kubernetes.io/component": "web"}),
        "Service dtqs-api: selects no pod",
    ),
    "mapped addresses": (
        lambda all_: _exceptions(all_).append("::ffff:0:0/96"),
        "NetworkPolicy dtqs-web: ::ffff:0:0/96 is no strict part of ::/0",
    ),
    "another family": (
        lambda all_: _exceptions(all_).append("10.0.0.0/8"),
        "NetworkPolicy dtqs-web: 10.0.0.0/8 is no strict part of ::/0",
    ),
    "other types": (
        lambda all_: of_kind(all_, "ScaledObject")[0]["spec"]["triggers"][0]["metadata"].update(
            url="http://dtqs-api.dtqs.svc:8080/backlog?task_type=echo"
        ),
        "counts other task types than its pool runs",
    ),
}


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES)
def test_a_fault_in_the_manifests_is_found(change: Change, said: str, tmp_path: Path) -> None:
    documents = documents_of("prod")
    change(documents)
    found = faults(documents, tmp_path)
    assert [fault for fault in found if said in fault], found
