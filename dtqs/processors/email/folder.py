"""E-mails as files, for trials: each is written atomically as ID.eml into a folder. `dtqs mails` reads them."""

from collections.abc import Iterator
from contextlib import suppress
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from dtqs.files.pending import FILE_MODE, disk_faults, make_parents
from dtqs.processors.email.message import Mail
from dtqs.whole_file import WholeFile

ENDING = ".eml"
ENVELOPE_FROM, ENVELOPE_TO = "X-Envelope-From", "X-Envelope-To"


class MailFolder:
    """One folder of e-mails. Creating the object touches nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, task_id: str, mail: Mail) -> str:
        """Write an e-mail durably and return its filename. A retry replaces the file.

        Raises TransientError if the disk fails.
        """
        path = self._folder / f"{task_id}{ENDING}"
        # header lines of their own: only the envelope has the bcc recipients
        envelope = "".join(
            [
                f"{ENVELOPE_FROM}: {mail.sender.spec}\r\n",
                *(f"{ENVELOPE_TO}: {each.spec}\r\n" for each in mail.recipients),
            ]
        )
        with disk_faults(), WholeFile(make_parents(path), FILE_MODE, durable=True) as file:
            file.write(envelope.encode() + mail.content)
        return path.name

    def names(self) -> list[str]:
        """Return the ids of the e-mails, newest first: an id begins with the time of its task."""
        with suppress(FileNotFoundError, NotADirectoryError):
            return sorted((path.stem for path in self._folder.iterdir() if path.suffix == ENDING), reverse=True)
        return []

    def size_bytes(self, name: str) -> int:
        return self._path(name).stat().st_size

    def read(self, name: str) -> EmailMessage:
        """Return one e-mail. Raises OSError."""
        return message_from_bytes(self._path(name).read_bytes(), policy=default)

    def newest(self, count: int) -> Iterator[tuple[str, EmailMessage]]:
        """Yield the newest e-mails with their ids; skip one that is deleted meanwhile."""
        for name in self.names()[:count]:
            with suppress(FileNotFoundError):
                yield name, self.read(name)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{ENDING}"
