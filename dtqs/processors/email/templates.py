"""Templates from the configured folder: NAME.txt, NAME.html and NAME.subject.txt; HTML is escaped automatically.

They are rendered in Jinja2's sandbox: the operator writes the templates, but anybody may supply the values.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from dtqs.errors import TransientError
from dtqs.processors.email.faults import TemplateFault
from dtqs.processors.email.message import Rendered

SUBJECT, TEXT, HTML = ".subject.txt", ".txt", ".html"


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
        """Tell whether a template exists; True if this process cannot see the folder, since the workers may see it."""
        return not self._folder.is_dir() or any((self._folder / f"{name}{ending}").is_file() for ending in (TEXT, HTML))

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
            if error.name == name:
                return None
            raise TemplateFault(name, f"it uses {error.name}, which does not exist") from error
        except TemplateSyntaxError as error:
            raise TemplateFault(error.name or name, f"line {error.lineno}: {error.message}") from error
        except TemplateError as error:
            raise TemplateFault(name, str(error.message)) from error
        except OSError as error:
            raise TransientError(f"template {name} cannot be read: {error.strerror}") from error
        except Exception as error:  # filters and operators may raise anything for the context's values
            raise TemplateFault(name, f"{type(error).__name__}: {error}") from error


def _is_html(name: str | None) -> bool:
    return name is None or name.endswith(HTML)
