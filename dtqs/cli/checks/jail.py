"""Check the jail of the image decoder and ffmpeg: the parts that work here, and the harm of a missing one."""

from collections.abc import Iterator
from pathlib import Path

from dtqs.cli.checks.check import FAILED, OK, WARNING, Check
from dtqs.config import Config
from dtqs.jail import Offer, exposed, offer

_MEANING = {
    "landlock": "could read files of the worker's user, such as passwords of this configuration and other tasks' files",
    "seccomp": "could connect to servers, start programs, and signal other processes",
}
"""The harm that a hijacked program could do without each part."""


def jail(config: Config) -> Iterator[Check]:
    """Check the jail that this process would get. A service may get more or less."""
    found = offer()
    yield from _parts(found, config)
    open_to_all = [f"{name} ({path})" for name, path in _secret_places(config) if exposed(path)]
    if found.landlock_abi and open_to_all:
        found_text = (
            f"{', '.join(open_to_all)} is in a folder of programs and libraries, which jailed programs may read"
        )
        yield Check("jail", WARNING, found_text, "move it to another folder, for example /etc/dtqs or /var/lib/dtqs")


def _secret_places(config: Config) -> Iterator[tuple[str, Path]]:
    if config.path:
        yield "this configuration", config.path
    yield "[files] directory", config.files.directory
    yield "[supervisor] state_dir", config.supervisor.state_dir
    for section, entries in config.raw.items():
        yield from ((f"[{section}] {key}", Path(entry.text)) for key, entry in entries.items() if key.endswith("_file"))


def _parts(found: Offer, config: Config) -> Iterator[Check]:
    has = [f"Landlock (ABI {found.landlock_abi})"] if found.landlock_abi else []
    has += ["seccomp"] if found.has_seccomp else []
    if found.namespaces:
        has.append("a network namespace")
    elif found.has_seccomp:
        has.append(f"no network namespace ({found.why_not['namespace']}), but seccomp refuses sockets too")
    if not found.missing:
        yield Check("jail", OK, ", ".join(has))
        return
    is_required = config.files.jail == "required"
    for part in found.missing:
        effect = (
            "this node refuses image and video tasks"
            if is_required
            else f"without it a hostile file that takes over ffmpeg {_MEANING[part]}"
        )
        advice = f"{effect}; enable {part} on this machine, or run image and video tasks on other nodes"
        yield Check(f"jail: {part}", FAILED if is_required else WARNING, found.why_not[part], advice)
