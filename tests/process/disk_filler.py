"""Work on a full disk: attempts of a worker's runner, uploads, and the fetch of a source. Prints how each ended."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dtqs.config import FilesSection, RetrySection
from dtqs.errors import FilesUnavailable
from dtqs.files import FileSpace
from dtqs.processors.base import Context, Json, NoSettings, Payload, Processor
from dtqs.processors.catalog import Catalog
from dtqs.scoreboard import Scoreboard
from dtqs.task import Claimed
from dtqs.uuid7 import uuid7
from dtqs.worker.limits import AttemptLimits
from dtqs.worker.runner import Runner
from tests.support.fix_processors import Reports

MANY = 4 << 20


class Size(Payload):
    size_bytes: int


class Writes(Processor[Size, NoSettings]):
    """Stores an output of the given size."""

    name = "writes"
    payload_model = Size

    def run(self, payload: Size, context: Context) -> Json:
        return context.add_output("o", lambda file: file.write(b"x" * payload.size_bytes), "text/plain")


def main(directory: Path, url: str) -> None:
    port = int(url.rpartition(":")[2].partition("/")[0])
    space = FileSpace(FilesSection(directory=directory, fetch_ports=(port,), fetch_allow_hosts=("127.0.0.1",)))
    limits = AttemptLimits(Scoreboard(1).slot(0), 5.0)
    runner = Runner(Catalog([Writes(NoSettings())]), space, Reports(), limits, RetrySection())
    ended: list[Any] = []
    for size in (10, MANY, 10):
        settlement = runner.attempt(
            Claimed(uuid7(), "writes", json.dumps({"size_bytes": size}), 1, 5, None, False), light=False
        )
        ended.append([settlement.kind, json.loads(settlement.value or "{}").get("message")])
    ended += [
        _attempt(lambda: _upload(space, MANY)),
        _attempt(lambda: _upload(space, 10)),
        _attempt(lambda: space.open_input(url).close()),
    ]
    left = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    print(json.dumps({"ended": ended, "left_bytes": left}))


def _upload(space: FileSpace, size: int) -> None:
    with space.new_upload() as pending:
        pending.write(b"x" * size)
        pending.commit()


def _attempt(call: Callable[[], None]) -> list[str]:
    try:
        call()
    except FilesUnavailable as error:
        return ["retry", str(error)]
    return ["completed", ""]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
