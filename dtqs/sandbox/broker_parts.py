"""Which of RabbitMQ's applications a broker without plugins needs: it reads all that lie in its plugins folder at every start, for a second or two."""

import re
import shutil
from pathlib import Path

_NEEDS = re.compile(r"\{\s*applications\s*,\s*\[(.*?)\]", re.DOTALL)


def link_needed(server: Path, folder: Path) -> None:
    """Fill `folder` with links to what the program `rabbitmq-server` at `server` needs.

    Without it, and so where an installation is laid out in another way, the broker reads its own folder.
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
        # what is not here belongs to Erlang itself
        if name in found and name not in needed:
            needed.add(name)
            applications = _NEEDS.search(found[name].read_text(encoding="utf-8", errors="replace"))
            pending += re.findall(r"\w+", applications[1]) if applications else []
    return needed
