"""The media type by a file's name, for attachments and uploads."""

from mimetypes import MimeTypes

import pytest

from dtqs.client.transfers import open_source
from dtqs.guessed_type import guessed_type
from dtqs.processors.email.attachments import _file
from dtqs.processors.email.payload import Attachment

NAMES = [
    ("data.csv", "text/csv"),
    ("data.csv.gz", "application/gzip"),
    ("report.pdf.bz2", "application/x-bzip2"),
    ("a.tar.xz", "application/x-xz"),
    ("a.tar", "application/x-tar"),
    ("backup.tgz", "application/gzip"),
    ("x.svgz", "application/gzip"),
    ("a.txt.Z", "application/x-compress"),
    ("a.html.br", "application/octet-stream"),
]


@pytest.mark.parametrize(("name", "kind"), NAMES)
def test_a_compressed_file_has_the_type_of_its_compression(name: str, kind: str) -> None:
    assert (guessed_type(MimeTypes(filenames=()).guess_type(name)) or "application/octet-stream") == kind
    assert open_source(b"\x00", name, "", lambda size: None).media_type == kind
    attachment = Attachment.model_validate({"source": f"https://example.org/{name}"})
    assert _file(attachment, 1, b"\x00").media_type == kind


def test_a_type_that_is_asked_for_is_kept() -> None:
    attachment = Attachment.model_validate({"source": "https://example.org/a.csv.gz", "content_type": "text/csv"})
    assert _file(attachment, 1, b"\x00").media_type == "text/csv"
