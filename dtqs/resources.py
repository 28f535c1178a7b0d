"""Where the files are that ship beside the code: schema.sql, migrations/, conf/dtqs.ini, conf/gunicorn.conf.py."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """Return the path of a file or folder: in the checkout if we run from one, else in the installed package.

    Raises FileNotFoundError.
    """
    for place in (_PACKAGE.parent / name, _PACKAGE / "_data" / name):
        # a file of the same name beside site-packages is not ours: only a checkout has setup.py
        if place.exists() and (place.is_relative_to(_PACKAGE) or (_PACKAGE.parent / "setup.py").is_file()):
            return place
    raise FileNotFoundError(f"{name} is neither in {_PACKAGE.parent} nor in {_PACKAGE / '_data'}")
