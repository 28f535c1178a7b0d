"""Imports what few images need: with the first such image, as NumPy is large and the extra media may be absent."""

import importlib
from types import ModuleType

from dtqs.errors import PermanentError

_EXTRA = frozenset({"numpy", "pylibjxl"})


def seldom(name: str) -> ModuleType:
    """Import a module. Raises PermanentError if it needs the extra media, and that is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        raise PermanentError(
            f"this kind of image (JPEG XL, HDR, or a TIFF with more than 8 bits) needs the package {error.name}, which "
            "the worker lacks: install the extra media (pip install 'dtqs[media]'), or use the container image "
            "dtqs-media"
        ) from error
