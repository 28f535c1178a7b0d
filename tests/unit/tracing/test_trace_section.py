"""`[trace]`: a wrong address of the collector, or a missing package, is told before anything starts."""

import sys
from pathlib import Path

import pytest

from dtqs.config import load
from dtqs.errors import ConfigError


def told(folder: Path, endpoint: str) -> str:
    path = folder / "dtqs.ini"
    path.write_text(f"[trace]\notlp_endpoint = {endpoint}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    return str(caught.value)


@pytest.mark.parametrize("endpoint", ["collector:4318", "grpc://collector:4317", "http://", "http://a b"])
def test_a_wrong_address_is_named_with_an_example(endpoint: str, tmp_path: Path) -> None:
    text = told(tmp_path, endpoint)
    assert "[trace] otlp_endpoint" in text
    assert "is not a URL such as http://127.0.0.1:4318, nor empty" in text


def test_a_collector_without_the_extra_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    assert "install the extra otel (pip install 'dtqs[otel]')" in told(tmp_path, "http://127.0.0.1:4318")
