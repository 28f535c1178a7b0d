"""Standard streams that the caller has closed, as in `dtqs task ID >&-`, or that lack characters.

Imports little, for `dtqs health`.
"""

import codecs
import io
import os
import sys

_ESCAPE = "dtqs_escape"


def open_closed_streams() -> None:
    """Open each closed standard stream on /dev/null.

    Python has None in its place, and the next opened file or socket would get its descriptor.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, open(descriptor, mode, closefd=False))  # noqa: SIM115 - lives as long as the process


def escape_unknown_characters() -> None:
    """Let standard output escape the characters that its encoding lacks. Under UTF-8 nothing changes."""
    if isinstance(sys.stdout, io.TextIOWrapper) and codecs.lookup(sys.stdout.encoding).name != "utf-8":
        codecs.register_error(_ESCAPE, _escape)
        sys.stdout.reconfigure(errors=_ESCAPE)


def escaped(text: str) -> str:
    """Return each character as JSON escapes it: \\u0142."""
    units = text.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Escape characters. Bytes of a name that are no text stay an error: a command reports them."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    if any("\ud800" <= character <= "\udfff" for character in lacking):
        raise error
    return escaped(lacking), error.end
