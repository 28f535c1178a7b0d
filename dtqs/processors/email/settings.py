"""The keys of `[processor:email]`, and the rules between them."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from dtqs.config.section import Host, SeveralLines
from dtqs.processors.base import ProcessorSettings
from dtqs.processors.email import addresses
from dtqs.processors.email.signature import check_key
from dtqs.processors.settings import retries_field

SAFE_HEADERS = (
    "List-*", "Auto-Submitted", "Precedence", "Importance", "Priority", "In-Reply-To", "References", "Feedback-ID",
    "Organization", "Keywords", "Comments", "X-Priority", "X-MSMail-Priority", "X-Mailer", "X-Campaign",
    "X-Campaign-ID", "X-Entity-Ref-ID", "X-Auto-Response-Suppress", "X-Report-Abuse", "X-Feedback-ID",
)  # fmt: skip
"""Not X-*: relays take many of those as commands.

They add recipients (X-PM-Bcc, X-MC-BccAddress) or replace the whole e-mail (X-SMTPAPI).
"""
ATTEMPT_SECONDS, MAX_RETRIES = 600.0, 20
"""The default timeout of an attempt, at least. The default retries, with their pauses, take five to seven hours."""
_OWN_SECONDS = 60.0
"""Time of an attempt for everything but waits."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PORTS = {"starttls": 587, "tls": 465, "none": 25}


class EmailSettings(ProcessorSettings):
    """The mail server, the allowed senders and recipients, and the limits."""

    max_retries: int | None = retries_field(
        f"{MAX_RETRIES}, in five to seven hours if the mail server cannot be used, "
        "unless [retry] max_retries is changed"
    )
    retry_base_seconds: float = Field(
        60.0,
        ge=0,
        le=3600,
        description="seconds before the sixth retry after a fault of the mail server or a 4xx answer; "
        "doubled for each further one. Earlier ones follow [retry] alone",
    )
    retry_max_seconds: float = Field(
        1800.0, ge=0, le=86400, description="most seconds before such a retry, beside up to a quarter more"
    )
    backend: Literal["smtp", "folder"] = Field(
        "smtp", description="smtp: send e-mails; folder: write each as a file ID.eml, for trials"
    )
    host: Host = Field("localhost", min_length=1, description="the mail server")
    port: int | None = Field(
        None, ge=1, le=65535, description="its TCP port; left out: 587 with starttls, 465 with tls, 25 with none"
    )
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="encryption; with the first two the certificate must be valid for the host"
    )
    ca_file: Path | None = Field(
        None, description="PEM file of the trusted certificate authorities; left out: the system's"
    )
    username: str | None = Field(None, description="login name; left out: no login")
    password: SecretStr | None = Field(None, description="its password; password_file names a file that holds it")
    hello_name: str | None = Field(
        None, description="name of this host in EHLO; left out: its full name, or its address"
    )
    connect_timeout_seconds: float = Field(
        30.0, ge=0.1, le=300, description="seconds to wait for a connection and the server's greeting"
    )
    reply_timeout_seconds: float = Field(
        60.0, ge=0.1, le=3600, description="seconds to wait for each answer of the server"
    )
    data_timeout_seconds: float = Field(
        300.0,
        ge=0.1,
        le=3600,
        description="seconds to send each piece of an e-mail, and to wait for the final answer; "
        "too few make sent e-mails ambiguous",
    )
    idle_seconds: float = Field(
        60.0, ge=0, le=3600, description="seconds that a kept connection may be idle; 0: a new one for each e-mail"
    )
    mails_per_connection: int = Field(
        100, ge=1, le=100_000, description="e-mails after which a new connection is opened"
    )
    on_ambiguous: Literal["retry", "fail"] = Field(
        "fail", description="settlement of an e-mail when it is unknown whether the server took it"
    )
    sender: str | None = Field(None, description="sender address of e-mails whose task gives none")
    allowed_senders: tuple[str, ...] = Field(
        (), description="addresses, domains or * allowed in a task's from; empty: the domain of sender"
    )
    allowed_headers: tuple[str, ...] = Field(
        SAFE_HEADERS,
        description="headers that a task may add; NAME-* allows a prefix, but X-* lets in commands to relays",
    )
    allowed_domains: tuple[str, ...] = Field(
        (), description="domains that may receive e-mails, subdomains included; empty: all"
    )
    max_recipients: int = Field(100, ge=1, le=1000, description="recipients of one e-mail: to, cc and bcc together")
    max_message_bytes: int = Field(
        25_000_000, ge=1000, le=1 << 30, description="bytes of a whole e-mail, including the encoded attachments"
    )
    per_domain_per_second: float | None = Field(
        None,
        gt=0,
        le=100_000,
        description="e-mails a second to each recipient domain, all workers together; left out: no limit",
    )
    per_domain_burst: int = Field(
        10, ge=1, le=100_000, description="e-mails to a domain that may go at once after a pause"
    )
    templates: Path | None = Field(None, description="folder of templates; left out: no templates")
    folder: Path = Field(Path("/var/lib/dtqs/mails"), description="folder for the files of backend = folder")
    dkim_domain: str | None = Field(None, description="domain that signs e-mails (DKIM); left out: no signature")
    dkim_selector: str | None = Field(None, description="name of the key below _domainkey in that domain's DNS")
    dkim_key: Annotated[SecretStr | None, SeveralLines()] = Field(
        None,
        description="private RSA key in PEM; continuation lines are indented; dkim_key_file names a file that holds it",
    )

    @field_validator("sender")
    @classmethod
    def _is_an_address(cls, sender: str | None) -> str | None:
        return sender and addresses.check(sender)

    @field_validator("allowed_senders")
    @classmethod
    def _are_senders(cls, senders: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            each if each == "*" else addresses.parse(each).spec if "@" in each else addresses.ascii_domain(each)
            for each in senders
        )

    @field_validator("dkim_key")
    @classmethod
    def _is_a_key(cls, key: SecretStr | None) -> SecretStr | None:
        return key and SecretStr(check_key(key.get_secret_value()))

    @field_validator("hello_name")
    @classmethod
    def _is_a_hello(cls, name: str | None) -> str | None:
        return name and addresses.hello_name(name)

    @field_validator("dkim_domain", "dkim_selector")
    @classmethod
    def _is_a_domain(cls, domain: str | None) -> str | None:
        return domain and addresses.ascii_domain(domain)

    @field_validator("allowed_domains")
    @classmethod
    def _are_domains(cls, domains: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(addresses.ascii_domain, domains))

    @field_validator("username")
    @classmethod
    def _is_sendable(cls, username: str | None) -> str | None:
        if username and not (username.isascii() and username.isprintable()):
            raise ValueError("must be ASCII: the login to a mail server knows no other characters")
        return username

    @field_validator("password")
    @classmethod
    def _is_ascii(cls, password: SecretStr | None) -> SecretStr | None:
        if password and (not password.get_secret_value().isascii() or "\0" in password.get_secret_value()):
            raise ValueError("must be ASCII without NUL: not every server accepts other characters")
        return password

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together: set both, or neither")
        if self.username and self.security == "none" and self.host not in _LOOPBACK:
            raise ValueError(
                "security = none would send the password unencrypted; allowed: starttls or tls, or a host on loopback"
            )
        dkim = (self.dkim_domain, self.dkim_selector, self.dkim_key)
        if any(part is None for part in dkim) and any(part is not None for part in dkim):
            raise ValueError("dkim_domain, dkim_selector and dkim_key go together: set all, or none")
        return self

    @property
    def attempt_seconds(self) -> float:
        """The time limit of an attempt. By default it does not cut off a wait that the settings allow."""
        waits = self.connect_timeout_seconds + self.reply_timeout_seconds + self.data_timeout_seconds
        return self.timeout_seconds or max(ATTEMPT_SECONDS, waits + _OWN_SECONDS)

    @property
    def server_port(self) -> int:
        return self.port or _PORTS[self.security]

    @property
    def where(self) -> str:
        return f"{self.host}:{self.server_port}"

    def refusal_of_sender(self, address: addresses.Address) -> str | None:
        """Return why a task's `from` is not allowed; None if it is allowed."""
        allowed = self.allowed_senders or ((addresses.parse(self.sender).domain,) if self.sender else ())
        if "*" in allowed or address.domain in allowed or address.spec in allowed:
            return None
        senders = ", ".join(allowed) or "none: set [processor:email] sender or allowed_senders"
        return f"not allowed as a sender; allowed: {senders}"

    def allows_header(self, name: str) -> bool:
        name = name.lower()
        patterns = [pattern.lower() for pattern in self.allowed_headers]
        return any(name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern for pattern in patterns)

    def allows_domain(self, domain: str) -> bool:
        return not self.allowed_domains or any(
            domain == allowed or domain.endswith(f".{allowed}") for allowed in self.allowed_domains
        )
