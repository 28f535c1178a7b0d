"""Words of a mail server, and of errors of its connection, as they stand in messages; pure."""

import smtplib
import ssl

from dtqs.one_line import one_line

MESSAGE_CHARACTERS = 500


def text(message: bytes | str) -> str:
    """Return a server's words as one line."""
    words = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
    return one_line(words, MESSAGE_CHARACTERS)


def reason(error: BaseException) -> str:
    """Return the cause of a broken or unsafe connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, smtplib.SMTPServerDisconnected) and isinstance(error.__context__, OSError):
        error = error.__context__  # it has the cause
    return text(str(error)) or type(error).__name__
