"""Finds the files that ship beside the code: schema.sql, migrations/, conf/dtqs.ini, conf/gunicorn.conf.py."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """Return the path of a file or folder: in the checkout if this code runs from one, else in the package.

    Raises FileNotFoundError.
    """
    for place in (_PACKAGE.parent / name, _PACKAGE / "_data" / name):
        # only a checkout has setup.py; a file of the same name beside site-packages belongs to others
        if place.exists() and (place.is_relative_to(_PACKAGE) or (_PACKAGE.parent / "setup.py").is_file()):
            return place
    raise FileNotFoundError(
        f"{name} is neither in {_PACKAGE.parent} nor in {_PACKAGE / '_data'}: install DTQS again, with all its files"
    )
