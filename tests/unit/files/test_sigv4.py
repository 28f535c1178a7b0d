"""Signatures, compared with the examples that the authors of the algorithm publish."""

from datetime import UTC, datetime

import pytest

from dtqs.files.sigv4 import EMPTY_SHA256, Credentials, encoded_path, encoded_query, signed_headers

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
AT = datetime(2013, 5, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "signature"),
    [
        ([("lifecycle", "")], "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ([("prefix", "J"), ("max-keys", "2")], "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_the_published_examples_get_the_published_signatures(query: list[tuple[str, str]], signature: str) -> None:
    headers = signed_headers("GET", "examplebucket.s3.amazonaws.com", "/", query, EMPTY_SHA256, EXAMPLE, AT)
    assert headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        f"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
    )
    assert headers["x-amz-date"] == "20130524T000000Z"


def test_paths_and_queries_are_encoded_as_they_are_signed() -> None:
    assert encoded_path("/b/a b+c%ü~.-_/=&?#") == "/b/a%20b%2Bc%25%C3%BC~.-_/%3D%26%3F%23"
    assert encoded_query([("b", "x/y z"), ("a", "~")]) == "a=~&b=x%2Fy%20z"
