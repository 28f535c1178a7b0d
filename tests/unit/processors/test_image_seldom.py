"""An image that needs the extra media, on a worker without it."""

import sys

import pytest

from dtqs.errors import PermanentError
from dtqs.processors.image.seldom import seldom


@pytest.mark.parametrize(
    ("module", "package"),
    [("jxl", "numpy"), ("jxl", "pylibjxl"), ("tiff_numbers", "numpy"), ("hdr", "numpy")],
)
def test_the_message_names_the_package_and_the_extra(
    monkeypatch: pytest.MonkeyPatch, module: str, package: str
) -> None:
    monkeypatch.delitem(sys.modules, f"dtqs.processors.image.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PermanentError, match=rf"needs the package {package}.*dtqs\[media\]"):
        seldom(f"dtqs.processors.image.{module}")


def test_another_missing_module_stays_an_error() -> None:
    with pytest.raises(ModuleNotFoundError):
        seldom("dtqs.processors.image.no_such_module")
