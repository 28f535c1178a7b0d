"""Signs requests to S3-compatible object storage with botocore's signer (AWS Signature Version 4, header form).

s3_wire.py loads this module only if object storage is configured, since botocore takes 0.3 s and 7 MiB.
"""

from collections.abc import Mapping

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from dtqs.config import FilesSection


class RequestSigner:
    """Signs with the configured keys, or with the credentials that botocore finds."""

    def __init__(self, section: FilesSection) -> None:
        self._region, self._chain = section.s3_region, None
        if section.s3_access_key and section.s3_secret_key:
            token = section.s3_session_token.get_secret_value() if section.s3_session_token else None
            secret = section.s3_secret_key.get_secret_value()
            self._keys = ReadOnlyCredentials(section.s3_access_key, secret, token)
        else:
            from dtqs.files.s3_credentials import CredentialChain

            self._chain = CredentialChain(section.s3_region)

    def signed(self, method: str, url: str, headers: Mapping[str, str], sha256: str) -> list[tuple[str, str]]:
        """Return the headers with those that authenticate the request. Raises FilesUnavailable."""
        credentials = self._chain.current() if self._chain else self._keys
        request = AWSRequest(method=method, url=url, headers=headers)
        request.context["sha256"] = sha256
        _HashedAuth(credentials, "s3", self._region).add_auth(request)
        return list(request.headers.items())

    def forget(self) -> None:
        """Look for other credentials at the next request, unless they are configured."""
        if self._chain:
            self._chain.forget()


class _HashedAuth(S3SigV4Auth):  # type: ignore[misc]
    """Takes the body's hash from the caller, who has it already: botocore would read the whole body once more."""

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["sha256"])
