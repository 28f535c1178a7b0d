"""Templates from the configured folder: NAME.txt, NAME.html and NAME.subject.txt; HTML is escaped automatically.

They are rendered in Jinja2's sandbox: the operator writes the templates, but anybody may supply the values.
"""

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound, TemplateSyntaxError
from jinja2.loaders import split_template_path
from jinja2.sandbox import ImmutableSandboxedEnvironment

from dtqs.errors import TransientError
from dtqs.processors.email.faults import TemplateFault
from dtqs.processors.email.message import Rendered

SUBJECT, TEXT, HTML = ".subject.txt", ".txt", ".html"
_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP})


class Templates:
    """The templates of one folder. A file is read when needed, and again after a change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(folder),
            autoescape=_is_html,
            undefined=StrictUndefined,
            keep_trailing_newline=False,
            cache_size=200,
        )

    def has(self, name: str) -> bool:
        """Tell whether a template exists; True if this process cannot see its place, since the workers may see it."""
        try:
            return any(self._holds(f"{name}{ending}") for ending in (TEXT, HTML))
        except OSError:
            return True

    def render(self, name: str, context: Mapping[str, Any]) -> Rendered:
        """Render all parts of a template. Raises TemplateFault, or TransientError if the folder is unreadable."""
        subject, text, html = (self._part(f"{name}{ending}", context) for ending in (SUBJECT, TEXT, HTML))
        if text is None and html is None:
            raise TemplateFault(
                name,
                f"not found; needed: {name}{TEXT} or {name}{HTML} in the folder of [processor:email] templates",
            )
        return Rendered(None if subject is None else " ".join(subject.split()), text, html)

    def _part(self, name: str, context: Mapping[str, Any]) -> str | None:
        try:
            return self._environment.get_template(name).render(context)
        except TemplateNotFound as error:
            self._check_visible(str(error.name or name))
            if error.name == name:
                return None
            raise TemplateFault(name, f"it uses {error.name}, which does not exist") from error
        except TemplateSyntaxError as error:
            raise TemplateFault(error.name or name, f"line {error.lineno}: {error.message}") from error
        except TemplateError as error:
            raise TemplateFault(name, str(error.message)) from error
        except OSError as error:
            raise _unreadable(name, error) from error
        except Exception as error:  # filters and operators may raise anything for the context's values
            raise TemplateFault(name, f"{type(error).__name__}: {error}") from error

    def _check_visible(self, name: str) -> None:
        """Raise TransientError if the file may exist after all: the loader takes each error for a missing file.

        The name may come from a value: then it is looked for where the loader looks, never outside the folder.
        """
        try:
            if not self._holds("/".join(split_template_path(name))) and not os.listdir(self._folder):
                # the place of a file system that is not mounted now
                raise TransientError(f"template {name} cannot be read: the folder {self._folder} is empty")
        except (TemplateNotFound, ValueError):
            return  # the loader refuses the name, or no file can have it
        except OSError as error:
            raise _unreadable(name, error) from error

    def _holds(self, name: str) -> bool:
        """Tell whether the folder has this file. Raises OSError if that cannot be seen, or without the folder."""
        try:
            return stat.S_ISREG(os.stat(self._folder / name).st_mode)
        except OSError as error:
            if error.errno not in _MISSING:
                raise
            os.stat(self._folder)
            return False


def _unreadable(name: str, error: OSError) -> TransientError:
    return TransientError(f"template {name} cannot be read: {error.strerror}")


def _is_html(name: str | None) -> bool:
    return name is None or name.endswith(HTML)
