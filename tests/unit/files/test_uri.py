"""The allowed forms of a source URI."""

from urllib.parse import quote

import pytest

from dtqs.files.uri import SourceUri, parse, redacted, upload_id

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
def test_a_uri_is_split_into_its_parts(uri: str, expected: SourceUri) -> None:
    assert parse(uri) == expected


@pytest.mark.parametrize(
    "uri",
    [
        *("", "a.jpg", "/srv/a.jpg", "ftp://example.org/a", "data:image/png;base64,AA"),
        *("upload:", "upload:../../etc/passwd", f"upload:{UPLOAD.upper()}", f"upload:{UPLOAD}\n"),
        *("file:", "file:a.jpg", "file://other/srv/a.jpg", "file:/a%00b", "file:/a\0b"),
        *(
            "https:",
            "https:///a.jpg",
            "http:a.jpg",
            "http://user:secret@example.org/",
            "http://example.org@evil.example/",
            "http://a\\@b/",
        ),
        *(
            "http://h:0/",
            "http://h:65536/",
            "http://h:x/",
            "http://[::1/",
            "http://[fe80::1%25eth0]/",
            "http://h\n.org/",
            "http://a b/",
            "http://xn--/",
        ),
        *("http://-a/", "http://a..b/", "http://" + "a" * 254, "file:/" + "a" * 3000),
        *(
            "s3:bucket/key",
            "s3://bucket",
            "s3://bucket/",
            "s3:///key",
            "s3://b/key",
            "s3://bucket//key",
            "s3://bucket/a/../b",
            "s3://bucket/./a",
        ),
        *("s3://bucket/" + "a" * 1025, "s3://bu%2fcket/a"),
    ],
)
def test_text_that_is_no_source_is_refused_with_the_allowed_forms(uri: str) -> None:
    with pytest.raises(ValueError, match=r"allowed|cannot be read"):
        parse(uri)


# "I go" in Persian with its joiner, a family, spaces of French and Japanese, and a mark of Hebrew
NAMES = ["\u0645\u06cc\u200c\u0631\u0648\u0645", "👩\u200d👩\u200d👧", "prix\u00a0: 3", "写真\u3000二", "\u05d0\u200f!"]


@pytest.mark.parametrize("name", NAMES)
def test_names_with_joiners_and_any_space_are_allowed(name: str) -> None:
    assert parse(f"s3://bucket/a/{name}.jpg") == SourceUri("s3", f"bucket/a/{name}.jpg")
    assert parse(f"file:/srv/{name}") == SourceUri("file", f"/srv/{name}")
    assert parse(f"https://h/{name}?{name}").rest == f"https://h/{quote(name, safe=':!')}?{quote(name, safe=':!')}"
    assert redacted(f"s3://bucket/{name}.jpg") == f"s3://bucket/{name}.jpg"


@pytest.mark.parametrize(
    "character", ["\0", "\n", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\u202e", "\u2066", "\ud800"]
)
@pytest.mark.parametrize("uri", ["s3://bucket/a{}b", "file:/srv/{}", "https://h/{}", "https://{}/"])
def test_a_character_that_cannot_be_shown_is_refused_by_its_number(uri: str, character: str) -> None:
    with pytest.raises(ValueError, match=rf"the character U\+{ord(character):04X} is not allowed"):
        parse(uri.format(character))
    assert character not in redacted(uri.format(character))


def test_a_long_uri_is_refused_with_its_length() -> None:
    with pytest.raises(ValueError, match="the URI has 2049 characters; at most 2048 are allowed"):
        parse("file:/" + "a" * 2043)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("https://example.org/a/b.jpg", "https://example.org/a/b.jpg"),
        ("https://example.org/@ada/b.jpg", "https://example.org/@ada/b.jpg"),
        (f"upload:{UPLOAD}", f"upload:{UPLOAD}"),
        ("s3://bucket/a b", "s3://bucket/a b"),
        ("https://h/a?X-Amz-Expires=60&X-Amz-Signature=secret=&x", "https://h/a?X-Amz-Expires=…&X-Amz-Signature=…&…"),
        ("https://h/a?secret", "https://h/a?…"),
        ("https://h/a?empty=&", "https://h/a?…&"),
        ("https://h/a?=secret&&a==secret", "https://h/a?=…&&a=…"),
        ("https://h/a?c2VjcmV0dG9rZW4=", "https://h/a?…"),
        ("https://h/a?x=1&c2VjcmV0dG9rZQ==", "https://h/a?x=…&…"),
        ("https://h/a;jsessionid=secret;v=secret/b;v2?x=secret", "https://h/a;jsessionid=…;v=…/b;v2?x=…"),
        ("https://h/a;c2VjcmV0dG9rZQ==/b", "https://h/a;…/b"),
        ("https://h/a&sig=secret/b", "https://h/a&sig=…/b"),
        ("https://h/a%3Fsig=secret%26x=secret", "https://h/a%3Fsig=…"),
        ("https://h/https%3A%2F%2Fi%253fsig%253Dsecret?x=secret", "https://h/https%3A%2F%2Fi%253f…"),
        ("s3://bucket/year=2026/day=27/a", "s3://bucket/year=2026/day=27/a"),
        ("s3://bucket/key?sig=secret", "s3://bucket/key?sig=…"),
        ("https://h/a#access_token=secret", "https://h/a#…"),
        ("https://h/a#b?sig=secret", "https://h/a#…"),
        ("https://ada:secret@h/a?sig=secret", "https://…@h/a?sig=…"),
        ("HTTPS://ada:sec/ret?sec#ret@h/a", "HTTPS://…@h/a"),
        ("https:ada:secret@h/a", "https:…@h/a"),
        ("https:/\\ada:secret@h/a", "https:/\\…@h/a"),
        ("//ada:secret@h/a", "//…@h/a"),
        ("ada:secret@h/a", "…@h/a"),
        ("ftp://ada:secret@h/a?x=secret", "ftp://…@h/a?x=…"),
        ("file://ada:secret@h/a", "file://…@h/a"),
        ("s3://ada:secret@bucket/a", "s3://…@bucket/a"),
        ("https://h/\x1b[2J", "https://h/\ufffd[2J"),
        ("https://h/" + "a" * 5000, "https://h/" + "a" * 290 + "…"),
        ("", ""),
    ],
)
def test_a_redacted_source_has_no_secrets(uri: str, words: str) -> None:
    assert redacted(uri) == words


def test_the_reason_of_a_refusal_contains_no_secret() -> None:
    for uri in (
        "https://ada:secret@h/",
        "https://ada:secret/",
        "file://ada:secret@h/a",
        "s3://ada:secret@b/",
        "secret:x",
        "https://h:secret/",
    ):
        with pytest.raises(ValueError, match="allowed") as refused:
            parse(uri)
        assert "secret" not in str(refused.value)


def test_an_upload_is_recognised_in_every_spelling_of_its_scheme() -> None:
    assert [upload_id(uri) for uri in (f"upload:{UPLOAD}", f"UpLoad:{UPLOAD}", "upload:x", f"file:/{UPLOAD}", "")] == [
        UPLOAD,
        UPLOAD,
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://a\N{ACCOUNT OF}b/", "the host is missing or not valid"),
        ("http://[::1/", "an IPv6 address without a zone"),
    ],
)
def test_a_host_that_cannot_be_split_has_its_own_reason(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(url)
