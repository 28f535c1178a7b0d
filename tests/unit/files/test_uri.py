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
        ("https://example.org", SourceUri("https", "https://example.org/")),
        ("HTTP://Example.ORG.:80/a b?c=ä&d#e", SourceUri("http", "http://example.org/a%20b?c=%C3%A4&d")),
        ("https://example.org:8443/a%2Fb", SourceUri("https", "https://example.org:8443/a%2Fb")),
        ("https://bücher.example/ü", SourceUri("https", "https://xn--bcher-kva.example/%C3%BC")),
        ("http://[::ffff:1.2.3.4]:81/", SourceUri("http", "http://[::ffff:102:304]:81/")),
        ("s3://bucket/a/b c%20.jpg", SourceUri("s3", "bucket/a/b c%20.jpg")),
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
        *("https:", "https:///a.jpg", "http:a.jpg", "http://user:secret@example.org/", "http://example.org@evil.example/", "http://a\\@b/"),
        *("http://h:0/", "http://h:65536/", "http://h:x/", "http://[::1/", "http://[fe80::1%25eth0]/", "http://h\n.org/", "http://a b/", "http://xn--/"),
        *("http://-a/", "http://a..b/", "http://" + "a" * 254, "file:/" + "a" * 3000),
        *("s3:bucket/key", "s3://bucket", "s3://bucket/", "s3:///key", "s3://b/key", "s3://bucket//key", "s3://bucket/a/../b", "s3://bucket/./a"),
        *("s3://bucket/" + "a" * 1025, "s3://bu%2fcket/a"),
    ],
)
def test_what_is_no_source_is_refused_with_what_is_allowed(uri: str) -> None:
    with pytest.raises(ValueError, match=r"allowed|cannot be read"):
        parse(uri)
