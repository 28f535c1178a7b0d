"""The doctor's look at the jail of image decoder and ffmpeg: which parts this machine has, and what a missing one means."""

from collections.abc import Iterator
from pathlib import Path

from dtqs.cli.checks import FAILED, OK, WARNING, Check
from dtqs.config import Config
from dtqs.jail import Offer, exposed, offer

_MEANING = {
    "landlock": "could read what the worker's user may read, such as passwords in this configuration and other tasks' files",
    "seccomp": "could connect to servers, start programs, and signal other processes",
}
"""The harm that a taken-over program could do without each part."""


def jail(config: Config) -> Iterator[Check]:
    """Check the jail as this process would get it: a service may have more or less."""
    found = offer()
    yield from _parts(found, config)
    open_to_all = [f"{name} ({path})" for name, path in _secret_places(config) if exposed(path)]
    if found.landlock_abi and open_to_all:
        words = f"{', '.join(open_to_all)} lies where programs and libraries lie, which jailed programs may read"
        yield Check("jail", WARNING, words, "move it out of there: /etc/dtqs and /var/lib/dtqs are made for it")


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
        what_to_do = (
            "image and video tasks are refused on this node"
            if is_required
            else f"without it a hostile file that takes over ffmpeg {_MEANING[part]}"
        )
        advice = f"{what_to_do}; give this machine the part, or run image and video tasks on other nodes"
        yield Check(f"jail: {part}", FAILED if is_required else WARNING, found.why_not[part], advice)
