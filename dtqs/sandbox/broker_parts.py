"""A plugins folder with only the applications that RabbitMQ needs.

Reading the full folder at each start takes RabbitMQ one or two seconds.
"""

import re
import shutil
from pathlib import Path

_NEEDS = re.compile(r"\{\s*applications\s*,\s*\[(.*?)\]", re.DOTALL)


def link_needed(server: Path, folder: Path) -> None:
    """Fill `folder` with links to the applications that `rabbitmq-server` at `server` needs.

    An installation with another layout gets no folder: the broker then reads its own.
    """
    found = {path.stem: path for path in (server.resolve().parent.parent / "plugins").glob("*/ebin/*.app")}
    shutil.rmtree(folder, ignore_errors=True)
    if "rabbit" not in found:
        return
    folder.mkdir(mode=0o755)
    for name in _closure(found):
        home = found[name].parent.parent
        (folder / home.name).symlink_to(home)


def _closure(found: dict[str, Path]) -> set[str]:
    needed: set[str] = set()
    pending = ["rabbit"]
    while pending:
        name = pending.pop()
        # Other applications belong to Erlang.
        if name in found and name not in needed:
            needed.add(name)
            applications = _NEEDS.search(found[name].read_text(encoding="utf-8", errors="replace"))
            pending += re.findall(r"\w+", applications[1]) if applications else []
    return needed
