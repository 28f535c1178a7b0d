"""The steps of one task of type `email`, in order, and the checks of a payload that depend on the settings."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from dtqs.backoff import pause_seconds
from dtqs.errors import EffectUnknown, PermanentError, Problem
from dtqs.processors import checks
from dtqs.processors.base import Context, Json, Processor
from dtqs.processors.email.addresses import Address, parse, unique
from dtqs.processors.email.attachments import read_files
from dtqs.processors.email.faults import AnswerLost, Refusal, ServerFault, TemplateFault
from dtqs.processors.email.folder import MailFolder
from dtqs.processors.email.message import Body, Mail, Rendered, compose, header_names
from dtqs.processors.email.payload import SUBJECT_CHARACTERS, EmailPayload
from dtqs.processors.email.settings import ATTEMPT_SECONDS, MAX_RETRIES, EmailSettings
from dtqs.processors.email.signature import signature
from dtqs.processors.email.smtp import AnswerMissing, MailServer, SmtpReceipt
from dtqs.turn import Turn

if TYPE_CHECKING:
    from dtqs.processors.email.templates import Templates

_NO_SENDER = "must be given: no sender is configured ([processor:email] sender)"


class EmailProcessor(Processor[EmailPayload, EmailSettings]):
    """Sends e-mails through the configured server, over a connection that it keeps open."""

    name = "email"
    payload_model = EmailPayload
    settings_model = EmailSettings
    max_retries = MAX_RETRIES
    yields_to_retry = True
    timeout_seconds = ATTEMPT_SECONDS
    examples: ClassVar[Sequence[Json]] = (
        {"to": ["Ada Lovelace <ada@example.org>"], "subject": "Hello", "text": "How are you?"},
        {
            "to": ["ada@example.org"],
            "cc": ["grace@example.org"],
            "subject": "Your invoice",
            "text": "The invoice is attached.",
            "html": '<p><img src="cid:logo"> The invoice is attached.</p>',
            "attachments": [
                {"source": "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42", "filename": "invoice.pdf"},
                {"source": "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d43", "filename": "logo.png", "inline": "logo"},
            ],
        },
        {
            "to": ["ada@example.org"],
            "template": "welcome",
            "context": {"name": "Ada"},
            "headers": {"X-Campaign": "spring"},
        },
    )

    def __init__(self, settings: EmailSettings) -> None:
        super().__init__(settings)
        self.timeout_seconds = settings.attempt_seconds
        self._templates = _opened(settings.templates) if settings.templates else None
        self._server, self._folder = MailServer(settings), MailFolder(settings.folder)

    def problems(self, payload: EmailPayload) -> Sequence[Problem]:
        return (*self._problems(payload), *self._template_problems(payload))

    def sources(self, payload: EmailPayload) -> Sequence[str]:
        return [attachment.source for attachment in payload.attachments]

    def run(self, payload: EmailPayload, context: Context) -> Json:
        # without the template's: a folder that this worker cannot read now is worth a retry
        checks.refuse(tuple(self._problems(payload)))
        rendered, sender = self._rendered(payload), self._sender(payload)
        # before files are fetched: an e-mail that must wait for a turn would fetch them again each time
        self._keep_to_rates(payload, context)
        mail = self._mail(payload, rendered, sender, context)
        if self.settings.backend == "folder":
            file = self._folder.write(context.task_id, mail)
            return _result(mail, SmtpReceipt("", ())) | {"file": file}
        try:
            sent = self._send(mail, context)
        except ServerFault as fault:
            fault.retry_after_seconds = pause_seconds(
                context.attempt, self.settings.retry_base_seconds, self.settings.retry_max_seconds
            )
            raise
        result = _result(mail, sent)
        # first of all: if anything interrupts the rest, the server already has the e-mail
        context.effect_happened(result)
        self._server.rest()
        return result

    def close(self) -> None:
        """Close the connection to the mail server. Safe to call twice."""
        self._server.close()

    def _problems(self, payload: EmailPayload) -> Iterator[Problem]:
        settings = self.settings
        if payload.sender is None and settings.sender is None:
            yield Problem("payload.from", _NO_SENDER)
        elif payload.sender is not None and (refusal := settings.refusal_of_sender(parse(payload.sender))):
            yield Problem("payload.from", refusal)
        everyone = [
            (f"payload.{field}[{at}]", parse(text))
            for field in ("to", "cc", "bcc")
            for at, text in enumerate(getattr(payload, field))
        ]
        if (count := len(unique(address for _, address in everyone))) > settings.max_recipients:
            yield Problem(
                "payload.to", f"{count} recipients in to, cc and bcc; at most {settings.max_recipients} are allowed"
            )
        for field, address in everyone:
            if not settings.allows_domain(address.domain):
                yield Problem(
                    field,
                    f"e-mails to {address.domain} are not allowed; allowed: {', '.join(settings.allowed_domains)}",
                )
        for name in payload.headers:
            if not settings.allows_header(name):
                yield Problem(f"payload.headers.{name}", f"not allowed; allowed: {', '.join(settings.allowed_headers)}")
        for at, attachment in enumerate(payload.attachments):
            if attachment.inline and payload.html is None and payload.template is None:
                yield Problem(f"payload.attachments[{at}].inline", "is allowed only with html or a template")

    def _template_problems(self, payload: EmailPayload) -> Iterator[Problem]:
        if payload.template is not None and self._templates is None:
            yield Problem("payload.template", "no templates are configured ([processor:email] templates)")
        elif payload.template is not None and self._templates and not self._templates.has(payload.template):
            yield Problem("payload.template", "no such template")

    def _mail(self, payload: EmailPayload, rendered: Rendered, sender: Address, context: Context) -> Mail:
        """Read the attachments, compose and sign. Raises PermanentError if that is impossible or too large."""
        limit = self.settings.max_message_bytes
        files = read_files(payload.attachments, context, limit)
        body = Body(rendered.subject or "", rendered.text, rendered.html, files)
        try:
            mail = compose(payload, body, sender, context.task_id)
        except ValueError as error:
            raise PermanentError(f"the e-mail cannot be composed: {error}") from error
        if len(mail.content) > limit:
            raise PermanentError(f"the e-mail has {len(mail.content)} bytes; allowed are {limit}")
        return self._signed(mail)

    def _sender(self, payload: EmailPayload) -> Address:
        given = payload.sender or self.settings.sender
        if given is None:
            raise PermanentError(f"from {_NO_SENDER}")
        return parse(given)

    def _rendered(self, payload: EmailPayload) -> Rendered:
        """Return subject, text and HTML. The payload's own values override the template's."""
        made = Rendered(None, None, None)
        if payload.template is not None:
            if self._templates is None:
                raise TemplateFault(payload.template, "no templates are configured ([processor:email] templates)")
            made = self._templates.render(payload.template, payload.context or {})
            if payload.subject is None and made.subject is None:
                raise TemplateFault(
                    payload.template, f"{payload.template}.subject.txt is missing, and the task gives no subject"
                )
            if payload.subject is None and (count := len(made.subject or "")) > SUBJECT_CHARACTERS:
                raise TemplateFault(
                    f"{payload.template}.subject.txt", f"it makes {count} characters; allowed are {SUBJECT_CHARACTERS}"
                )
        subject = made.subject if payload.subject is None else payload.subject
        text = made.text if payload.text is None else payload.text
        return Rendered(subject, text, made.html if payload.html is None else payload.html)

    def _signed(self, mail: Mail) -> Mail:
        domain, selector, key = self.settings.dkim_domain, self.settings.dkim_selector, self.settings.dkim_key
        if domain is None or selector is None or key is None:
            return mail
        made = signature(mail.content, header_names(mail.content), domain, selector, key.get_secret_value())
        return replace(mail, content=made + mail.content)

    def _keep_to_rates(self, payload: EmailPayload, context: Context) -> None:
        """Take a turn for each recipient domain, or none; then the task is postponed."""
        if per_second := self.settings.per_domain_per_second:
            domains = sorted({parse(text).domain for text in (*payload.to, *payload.cc, *payload.bcc)})
            context.take_all(
                [Turn(f"email:{domain}", per_second, self.settings.per_domain_burst) for domain in domains]
            )

    def _send(self, mail: Mail, context: Context) -> SmtpReceipt:
        on_ambiguous, where = self.settings.on_ambiguous, self.settings.where

        def before_data(refused: Sequence[Refusal]) -> None:
            for each in refused:
                context.log(
                    "recipient refused", level="warning", address=each.address, code=each.code, answer=each.message
                )
            context.log(
                "handing the mail over",
                server=where,
                recipients=len(mail.recipients) - len(refused),
                message_id=mail.message_id,
            )
            context.effect_begins(on_ambiguous)

        try:
            return self._server.deliver(mail, before_data)
        except AnswerMissing as error:
            context.log(
                "nobody knows whether the server took the mail",
                level="warning",
                reason=str(error),
                on_ambiguous=on_ambiguous,
            )
            if on_ambiguous == "fail":
                raise EffectUnknown(f"the answer of the mail server {where} is lost ({error})", self.name) from error
            raise AnswerLost(where, str(error)) from error


def _result(mail: Mail, sent: SmtpReceipt) -> dict[str, Json]:
    refused = [{"address": each.address, "code": each.code, "message": each.message} for each in sent.refused]
    without = {each.address for each in sent.refused}
    accepted = [address.spec for address in mail.recipients if address.spec not in without]
    return {
        "message_id": mail.message_id,
        "accepted": accepted,
        "refused": refused,
        "answer": sent.answer,
        "size_bytes": len(mail.content),
    }


def _opened(folder: Path) -> "Templates":
    """Open the folder of templates. Jinja2 costs 3 MB and a twentieth of the time of a start."""
    from dtqs.processors.email.templates import Templates

    return Templates(folder)
