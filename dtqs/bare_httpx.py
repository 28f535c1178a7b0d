"""httpx without its own command line, whose imports (rich, pygments) take as long as all else in httpx."""

import sys

_COMMAND_LINE = "httpx._main"
sys.modules.setdefault(_COMMAND_LINE, None)  # type: ignore[arg-type]
import httpx  # noqa: E402

if sys.modules[_COMMAND_LINE] is None:
    del sys.modules[_COMMAND_LINE]  # another module of the process may need it

__all__ = ["httpx"]
