"""The media type by a file's name, for attachments and uploads."""

import mimetypes

import pytest

from dtqs.client.transfers import open_source
from dtqs.guessed_type import guessed_type, usual_ending
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


OFFICE = "application/vnd.openxmlformats-officedocument."
ABSENT = [
    ("Report.docx", f"{OFFICE}wordprocessingml.document"),
    ("figures.XLSX", f"{OFFICE}spreadsheetml.sheet"),
    ("talk.pptx", f"{OFFICE}presentationml.presentation"),
    ("a.odt", "application/vnd.oasis.opendocument.text"),
    ("a.ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("book.epub", "application/epub+zip"),
    ("flight.pkpass", "application/vnd.apple.pkpass"),
    ("invite.ics", "text/calendar"),
    ("ada.vcf", "text/vcard"),
    ("README.md", "text/markdown"),
    ("a.7z", "application/x-7z-compressed"),
    ("a.webp", "image/webp"),
    ("a.heic", "image/heic"),
    ("a.avif", "image/avif"),
]
"""Types that the table of some supported version of Python lacks."""


@pytest.mark.parametrize(("name", "kind"), [*NAMES, *ABSENT])
def test_a_compressed_file_has_the_type_of_its_compression(name: str, kind: str) -> None:
    assert (guessed_type(name) or "application/octet-stream") == kind
    assert open_source(b"\x00", name, "", lambda size: None).media_type == kind
    attachment = Attachment.model_validate({"source": f"https://example.org/{name}"})
    assert _file(attachment, 1, b"\x00").media_type == kind


def test_an_upload_has_the_same_type_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module's own table has what the machine's files say."""
    mimetypes.init()
    endings = (".docx", ".pdf", ".unknown")
    for ending in endings:
        monkeypatch.setitem(mimetypes.types_map, ending, "application/of-this-machine")
    types = [open_source(b"x", f"a{ending}", "", lambda size: None).media_type for ending in endings]
    assert types == [f"{OFFICE}wordprocessingml.document", "application/pdf", "application/octet-stream"]


@pytest.mark.parametrize(
    ("kind", "ending"),
    [("image/webp", ".webp"), ("application/yaml", ".yaml"), ("application/pdf", ".pdf"), ("a/b", "")],
)
def test_a_name_is_made_from_a_type(kind: str, ending: str) -> None:
    assert usual_ending(kind) == ending


def test_a_type_that_is_asked_for_is_kept() -> None:
    attachment = Attachment.model_validate({"source": "https://example.org/a.csv.gz", "content_type": "text/csv"})
    assert _file(attachment, 1, b"\x00").media_type == "text/csv"
