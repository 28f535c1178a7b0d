"""An image as its engine describes it: files, user, variables, entry point, probe. bin/test-image unpacks it."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

FOLDER = Path(os.environ.get("DTQS_TEST_IMAGES", "bin/test-image sets DTQS_TEST_IMAGES"))


@dataclass(frozen=True, slots=True)
class Image:
    """A target of the Dockerfile."""

    root: Path
    user: str
    environment: Mapping[str, str]
    entrypoint: tuple[str, ...]
    directory: str
    probe: tuple[str, ...]
    volumes: tuple[str, ...]

    @classmethod
    def load(cls, target: str) -> Self:
        """Read what the engine's `inspect` printed: a list for docker and podman, an object for buildah."""
        found: Any = json.loads((FOLDER / f"{target}.json").read_text(encoding="utf-8"))
        config = found[0]["Config"] if isinstance(found, list) else found["Docker"]["config"]
        kind, *probe = config["Healthcheck"]["Test"]
        assert kind == "CMD"
        return cls(
            FOLDER / target,
            config["User"],
            dict(variable.split("=", 1) for variable in config["Env"]),
            tuple(config["Entrypoint"]),
            config["WorkingDir"],
            tuple(probe),
            tuple(config["Volumes"]),
        )
