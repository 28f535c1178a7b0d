"""What a source URI may look like."""

import pytest

from dtqs.files.uri import SourceUri, parse

UPLOAD = "018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (f"upload:{UPLOAD}", SourceUri("upload", UPLOAD)),
        ("file:/srv/a.jpg", SourceUri("file", "/srv/a.jpg")),
        ("file:///srv/a.jpg", SourceUri("file", "/srv/a.jpg")),
        ("file://localhost/srv/a.jpg", SourceUri("file", "/srv/a.jpg")),
        ("FILE:/srv/a%20b%23.jpg", SourceUri("file", "/srv/a b#.jpg")),
    ],
)
def test_a_uri_is_taken_apart(uri: str, expected: SourceUri) -> None:
    assert parse(uri) == expected


@pytest.mark.parametrize(
    "uri",
    [
        *("", "a.jpg", "/srv/a.jpg", "ftp://example.org/a", "data:image/png;base64,AA"),
        *("upload:", "upload:../../etc/passwd", f"upload:{UPLOAD.upper()}", f"upload:{UPLOAD}\n"),
        *("file:", "file:a.jpg", "file://other/srv/a.jpg", "file:/a%00b", "file:/a\0b"),
        *("https://example.org/a.jpg", "http://example.org/a", "s3://bucket/key", "file:/" + "a" * 3000),
    ],
)
def test_what_is_no_source_is_refused_with_what_is_allowed(uri: str) -> None:
    with pytest.raises(ValueError, match=r"allowed|cannot be read"):
        parse(uri)
