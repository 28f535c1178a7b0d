"""dkim without a resolver for DNS until it looks up a key. To sign needs none, and importing one takes 0.1 s."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_RESOLVER = "dkim.dnsplug"


def _get_txt(*arguments: Any, **options: Any) -> Any:
    return import_module(_RESOLVER).get_txt(*arguments, **options)


_stand_in = ModuleType(_RESOLVER)
_stand_in.get_txt = _get_txt  # type: ignore[attr-defined]
sys.modules.setdefault(_RESOLVER, _stand_in)
import dkim  # noqa: E402
from dkim.crypto import UnparsableKeyError, parse_pem_private_key  # noqa: E402

if sys.modules[_RESOLVER] is _stand_in:
    del sys.modules[_RESOLVER]  # the first lookup imports the real one

__all__ = ["UnparsableKeyError", "dkim", "parse_pem_private_key"]
