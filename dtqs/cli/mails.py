"""The command `mails`: show the folder that keeps the e-mails of a sandbox.

Their content comes from clients. Its control characters are made visible, so that it cannot steer the terminal.
"""

from email.message import EmailMessage
from typing import Any

import click

from dtqs.amounts import size
from dtqs.cli.cells import cell_text
from dtqs.cli.options import configuration
from dtqs.cli.output import print_json, print_table
from dtqs.errors import Conflict, NotFound
from dtqs.log import visible
from dtqs.processors.email.folder import ENVELOPE_TO, MailFolder
from dtqs.processors.email.settings import EmailSettings

HEADERS = ("From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID")


@click.command()
@click.argument("which", metavar="[ID|N]", required=False)
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Maximum number of e-mails to list."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def mails(which: str | None, limit: int, as_json: bool) -> None:
    """List the e-mails in [processor:email] folder, newest first. Show one by its task's ID, or by N (1: newest).

    \b
      dtqs mails
      dtqs mails 1
      dtqs mails --json | jq -r '.mails[].subject'
    """
    folder = _folder()
    if which is not None:
        found = _one(folder, which)
        _show(*found, as_json)
        return
    rows = [_summary(number, name, mail) for number, (name, mail) in enumerate(folder.newest(limit), 1)]
    if as_json:
        print_json({"mails": rows})
    elif rows:
        print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    else:
        click.echo("the folder has no e-mails")


def _folder() -> MailFolder:
    settings = configuration(needed=True).processor("email", EmailSettings)
    if settings.backend != "folder":
        raise Conflict(
            f"e-mails are sent through {settings.where} and not kept; "
            "to keep them, as a sandbox does, set [processor:email] backend = folder"
        )
    return MailFolder(settings.folder)


def _one(folder: MailFolder, which: str) -> tuple[str, EmailMessage]:
    """Return the e-mail with this id or number. Raises NotFound."""
    names = folder.names()
    number = int(which) if which.isascii() and which.isdecimal() and len(which) < 9 else 0
    name = names[number - 1] if 1 <= number <= len(names) else which
    if name not in names:  # a path is refused: only names that the folder lists are read
        raise NotFound("e-mail", f"{which!r:.100}; the folder has {len(names)}, and 1 is the newest")
    return name, folder.read(name)


def _summary(number: int, name: str, mail: EmailMessage) -> dict[str, Any]:
    return {
        "n": number,
        "task": name,
        "date": _text(mail, "Date"),
        "to": ", ".join(_all(mail, ENVELOPE_TO)),
        "subject": _text(mail, "Subject"),
        "attachments": sum(1 for _ in _files(mail)),
    }


def _show(name: str, mail: EmailMessage, as_json: bool) -> None:
    files = [
        {"filename": part.get_filename(), "content_type": part.get_content_type(), "size_bytes": len(_bytes(part))}
        for part in _files(mail)
    ]
    text, html = (_body(mail, kind) for kind in ("plain", "html"))
    if as_json:
        headers = [[key, str(value)] for key, value in mail.items()]
        print_json(
            {
                "task": name,
                "headers": headers,
                "recipients": _all(mail, ENVELOPE_TO),
                "text": text,
                "html": html,
                "attachments": files,
            }
        )
        return
    click.echo(f"Task: {name}")
    click.echo(f"Recipients: {visible(', '.join(_all(mail, ENVELOPE_TO)))}")
    for key in HEADERS:
        if value := _text(mail, key):
            click.echo(f"{key}: {visible(value)}")
    for title, content in (("text", text), ("html", html)):
        if content is not None:
            click.echo(f"\n--- {title}")
            click.echo("\n".join(map(visible, content.splitlines())))
    for file in files:
        name, content_type = cell_text(file["filename"]), cell_text(file["content_type"])
        click.echo(f"\n--- attachment {name}, {content_type}, {size(int(str(file['size_bytes'])))}")


def _files(mail: EmailMessage) -> list[EmailMessage]:
    """Return the attachments and the files that the HTML shows."""
    return [
        part
        for part in mail.walk()
        if isinstance(part, EmailMessage) and part.get_content_disposition() in ("attachment", "inline")
    ]


def _body(mail: EmailMessage, kind: str) -> str | None:
    part = mail.get_body((kind,))
    return None if part is None else str(part.get_content()).replace("\r\n", "\n")


def _bytes(part: EmailMessage) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(mail: EmailMessage, name: str) -> str:
    return str(mail[name] or "")


def _all(mail: EmailMessage, name: str) -> list[str]:
    return [str(value) for value in mail.get_all(name, [])]
