"""Signs requests to S3-compatible object storage (AWS Signature Version 4, header form); pure."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Credentials:
    access_key: str
    secret_key: str
    region: str


def encoded_path(path: str) -> str:
    """Return a path as it is sent and signed, with all bytes encoded except the unreserved ones."""
    return quote(path, safe="/~")


def encoded_query(query: Query) -> str:
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(query))


def signed_headers(
    method: str, host: str, path: str, query: Query, payload_sha256: str, credentials: Credentials, at: datetime
) -> Mapping[str, str]:
    """Return the headers that authenticate a request: `host`, time, body hash, signature. `at` is UTC."""
    headers = {"host": host, "x-amz-content-sha256": payload_sha256, "x-amz-date": f"{at:%Y%m%dT%H%M%SZ}"}
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"{method}\n{encoded_path(path)}\n{encoded_query(query)}\n{lines}\n{names}\n{payload_sha256}"
    scope = f"{at:%Y%m%d}/{credentials.region}/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return headers | {"authorization": authorization}
