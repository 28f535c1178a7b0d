"""kube/ before the judges of bin/test-kube: the schemas of Kubernetes, models of custom resources, and checkov.

Each judge also gets one broken manifest, and must find the fault.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.manifests import KUBE, OVERLAYS, Document, of_kind, render
from tests.support.source import ROOT

TOOLS = ROOT / ".venv-kube/bin"
OLDEST, NEWEST = "1.30", "1.37"
"""The supported versions of Kubernetes. Before 1.30 a preStop hook cannot sleep without a shell."""
CUSTOM = {"PodMonitor", "ScaledObject", "ServiceMonitor", "TriggerAuthentication"}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, check=False)


def write(path: Path, documents: list[Document]) -> Path:
    path.write_text(yaml.safe_dump_all(documents, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def overlays(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Render each overlay into a file."""
    folder = tmp_path_factory.mktemp("overlays")
    return [write(folder / f"{overlay}.yaml", render(overlay)) for overlay in OVERLAYS]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_each_resource_has_the_schema_of_kubernetes(overlays: list[Path], version: str) -> None:
    done = run(TOOLS / "kubernetes-validate", "--strict", "-k", version, *overlays)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(re.findall(r"Couldn't find schema for kind (\w+)", done.stdout + done.stderr)) == CUSTOM
    assert "passed for resource deployment/dtqs-api" in done.stdout + done.stderr


def test_a_misspelt_key_is_found(tmp_path: Path) -> None:
    documents = of_kind(render("prod"), "Deployment")
    documents[0]["spec"]["template"]["spec"]["enableServiceLink"] = False
    done = run(TOOLS / "kubernetes-validate", "--strict", "-k", NEWEST, write(tmp_path / "broken.yaml", documents))
    assert done.returncode != 0
    assert "enableServiceLink" in done.stdout + done.stderr


def test_custom_resources_fit_their_models(overlays: list[Path], tmp_path: Path) -> None:
    script = ROOT / "tests/kube/custom_resources.py"
    done = run(TOOLS / "python", script, *overlays)
    assert (done.returncode, done.stdout) == (0, "5 custom resources checked\n"), done.stdout + done.stderr
    documents = render("prod")
    for kind, key, value in (("ScaledObject", "pollIntervals", 10), ("ServiceMonitor", "endpoints", "http")):
        of_kind(documents, kind)[0]["spec"][key] = value
    done = run(TOOLS / "python", script, write(tmp_path / "broken.yaml", documents))
    assert done.returncode == 1
    assert re.findall(r": (\w+) dtqs\S*: ", done.stdout) == ["ScaledObject", "ServiceMonitor"], done.stdout


def test_checkov_finds_nothing_but_the_argued_exceptions(overlays: list[Path], tmp_path: Path) -> None:
    broken = of_kind(render("prod"), "Deployment")[:1]
    broken[0]["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = True
    paths = [*overlays, write(tmp_path / "broken.yaml", broken)]
    files: list[str | Path] = [part for path in paths for part in ("-f", path)]
    command: list[str | Path] = [
        TOOLS / "checkov",
        "--framework",
        "kubernetes",
        "--skip-download",
        "--quiet",
        "--compact",
        "-o",
        "json",
    ]
    done = run(*command, *files)
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["passed"] > 500
    assert report["summary"]["parsing_errors"] == 0
    failed = report["results"]["failed_checks"]
    assert "CKV_K8S_16" in {one["check_id"] for one in failed if one["file_path"].endswith("broken.yaml")}
    found = {
        (one["check_id"], one["resource"].split(".")[0])
        for one in failed
        if not one["file_path"].endswith("broken.yaml")
    }
    exceptions = yaml.safe_load((KUBE / "checkov.yaml").read_text(encoding="utf-8"))
    assert all(len(one["reason"]) > 80 for one in exceptions)
    assert found == {(one["check"], kind) for one in exceptions for kind in one["resources"]}
