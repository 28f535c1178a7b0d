"""The AWS credentials of this process, as botocore finds and renews them: environment, profile, role, web identity.

s3_signing.py loads this module only if the configuration has no keys, since it takes 0.3 s and 3 MiB.
"""

import os
import threading
from typing import Any

from botocore.config import Config
from botocore.credentials import (
    AssumeRoleProvider,
    CanonicalNameCredentialSourcer,
    ProfileProviderBuilder,
    ReadOnlyCredentials,
    create_credential_resolver,
)
from botocore.exceptions import BotoCoreError
from botocore.session import Session

from dtqs.deadline import Deadline
from dtqs.errors import ConfigError, FilesUnavailable

_STS_SECONDS, _STS_ATTEMPTS = 5.0, 2
_METADATA_SECONDS, _METADATA_ATTEMPTS = 2, 2
_AFTER_FAILURE_SECONDS = 5.0
"""Requests do not ask again so soon after a failure: each would wait for the same timeout."""
_PROFILES = ("assume-role-with-web-identity", "shared-credentials-file", "config-file")
_SOURCES = ("env", *_PROFILES, "container-role", "iam-role")
"""The sources that need no person and no other program: a prompt or a program may take any time."""


class CredentialChain:
    """Finds credentials at the first request, and renews them before they end. Threads and greenlets may share it."""

    def __init__(self, region: str) -> None:
        self._session = _checked_session(region)
        self._lock = threading.Lock()
        self._found: Any = None
        self._failure, self._pause = "", Deadline(0.0)
        if "AWS_WEB_IDENTITY_TOKEN_FILE" in os.environ:
            # the first client reads botocore's description of STS: 0.1 s, in which the API could answer nobody
            self._session.create_client("sts", aws_access_key_id="none", aws_secret_access_key="none")

    def current(self) -> ReadOnlyCredentials:
        """Return credentials that are valid now. Raises FilesUnavailable."""
        if self._failure and not self._pause.passed:
            raise FilesUnavailable(self._failure)
        try:
            current = self._credentials().get_frozen_credentials()
        except FilesUnavailable as error:
            raise self._failed(str(error)) from error
        except Exception as error:  # botocore raises many kinds, also for a missing file or a wrong answer
            reason = f"credentials for the object storage could not be read: {error or type(error).__name__}"
            raise self._failed(reason) from error
        self._failure = ""
        return current

    def forget(self) -> None:
        """Look for credentials again at the next request: the storage says that these have ended."""
        self._found = None

    def _credentials(self) -> Any:
        with self._lock:
            if self._found is None:
                self._found = _resolver(self._session).load_credentials()
            if self._found is None:
                raise FilesUnavailable(
                    "no credentials for the object storage: set [files] s3_access_key and s3_secret_key, "
                    "or give this machine credentials of AWS (docs/files.md)"
                )
            return self._found

    def _failed(self, reason: str) -> FilesUnavailable:
        self._failure, self._pause = reason, Deadline(_AFTER_FAILURE_SECONDS)
        return FilesUnavailable(reason)


class _Profiles(ProfileProviderBuilder):  # type: ignore[misc]
    """The sources of one profile, for a role whose profile names another as its source."""

    def providers(self, profile_name: str, disable_env_vars: bool = False) -> list[Any]:
        return [each for each in super().providers(profile_name, disable_env_vars) if each.METHOD in _PROFILES]


def _checked_session(region: str) -> Session:
    """Return a session. Raises ConfigError when the profile of AWS is missing or its file cannot be read."""
    try:
        return _session(region)
    except BotoCoreError as error:
        raise ConfigError([f"the AWS profile for [files] store = s3 cannot be used: {error}"]) from error


def _session(region: str) -> Session:
    """Return a session whose every request has a time limit."""
    session = Session()
    if session.get_config_variable("region") is None:
        session.set_config_variable("region", region)
    session.set_config_variable("metadata_service_timeout", _METADATA_SECONDS)
    session.set_config_variable("metadata_service_num_attempts", _METADATA_ATTEMPTS)
    limits = {"connect_timeout": _STS_SECONDS, "read_timeout": _STS_SECONDS}
    session.set_default_client_config(Config(**limits, retries={"total_max_attempts": _STS_ATTEMPTS}))
    return session


def _resolver(session: Session) -> Any:
    """Return botocore's own chain without the sources that ask a person or start a program."""
    cache: dict[str, Any] = {}
    resolver = create_credential_resolver(session, cache, session.get_config_variable("region"))
    resolver.providers = [each for each in resolver.providers if each.METHOD in _SOURCES]
    named = [resolver.get_provider(method) for method in ("env", "container-role", "iam-role")]
    role = AssumeRoleProvider(
        load_config=lambda: session.full_config,
        client_creator=session.create_client,
        cache=cache,
        profile_name=session.get_config_variable("profile") or "default",
        prompter=_refuse_prompt,
        credential_sourcer=CanonicalNameCredentialSourcer(named),
        profile_provider_builder=_Profiles(session, cache, session.get_config_variable("region")),
    )
    resolver.insert_after("env", role)
    return resolver


def _refuse_prompt(_: str) -> str:
    raise FilesUnavailable("the profile of AWS asks for a code of a person (mfa_serial), which a service cannot give")
