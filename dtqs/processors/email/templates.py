"""Templates from the configured folder: NAME.txt, NAME.html and NAME.subject.txt, rendered in Jinja2's sandbox; HTML is escaped by itself.

Templates are the operator's, what is put into them is anybody's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from dtqs.errors import TransientError
from dtqs.processors.email.faults import TemplateFault

SUBJECT, TEXT, HTML = ".subject.txt", ".txt", ".html"


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a template came to: None for each part that it has no file for."""

    subject: str | None
    text: str | None
    html: str | None


class Templates:
    """The templates of one folder; files are read when they are needed, and again when they have changed."""

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
        """Tell whether there is such a template; also yes where this process cannot see the folder, which the workers may."""
        return not self._folder.is_dir() or any((self._folder / f"{name}{ending}").is_file() for ending in (TEXT, HTML))

    def render(self, name: str, context: Mapping[str, Any]) -> Rendered:
        """Render all parts of a template. Raises TemplateFault, or TransientError where the folder cannot be read."""
        subject, text, html = (self._part(f"{name}{ending}", context) for ending in (SUBJECT, TEXT, HTML))
        if text is None and html is None:
            raise TemplateFault(
                name,
                f"there is none; wanted: {name}{TEXT} or {name}{HTML} in the folder of [processor:email] templates",
            )
        return Rendered(None if subject is None else " ".join(subject.split()), text, html)

    def _part(self, name: str, context: Mapping[str, Any]) -> str | None:
        try:
            return self._environment.get_template(name).render(context)
        except TemplateNotFound as error:
            if error.name == name:
                return None
            raise TemplateFault(name, f"it uses {error.name}, which is not there") from error
        except TemplateSyntaxError as error:
            raise TemplateFault(error.name or name, f"line {error.lineno}: {error.message}") from error
        except TemplateError as error:
            raise TemplateFault(name, str(error.message)) from error
        except OSError as error:
            raise TransientError(f"template {name} cannot be read: {error.strerror}") from error
        except Exception as error:  # filters and operators raise whatever the context's values make of them
            raise TemplateFault(name, f"{type(error).__name__}: {error}") from error


def _is_html(name: str | None) -> bool:
    return name is None or name.endswith(HTML)
