"""Phone numbers and sender ids: the allowed forms, and how logs show them."""

import re

import phonenumbers

E164_PATTERN = r"^\+[1-9][0-9]{6,14}$"
E164 = "a number in E.164 form: +, country code, number, digits only, as in +4915112345678"
SENDERS = (
    "a number in E.164 form, a short code of 3 to 8 digits, "
    "or 1 to 11 letters and digits with at least one letter (space, -, _ and & inside)"
)
PREFIX_PATTERN = r"^\+[1-9][0-9]{0,9}$"
_ALPHANUMERIC = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9](?:[A-Za-z0-9 _&-]{0,9}[A-Za-z0-9])?")
_SHORT_CODE = re.compile(r"[0-9]{3,8}")
_NUMBER = re.compile(r"(\+?)\(?([0-9](?:[ ()./\u2010-\u2015-]{0,2}[0-9]){6,14})")
"""A number as people and gateways write it. Each step takes a digit, so its time is linear."""
_NOT_DIGITS = re.compile(r"[^0-9]+")


def number(text: str) -> str:
    """Return a valid number in E.164 form. Raises ValueError, which says what is allowed without the number itself."""
    if not re.fullmatch(E164_PATTERN, text):
        raise ValueError(f"not a phone number; allowed: {E164}")
    try:
        parsed = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        raise ValueError(f"no country has this code; allowed: {E164}") from None
    if not phonenumbers.is_valid_number(parsed):
        raise ValueError(f"not a valid number{_why(parsed)}; allowed: {E164}")
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def _why(parsed: phonenumbers.PhoneNumber) -> str:
    reason = phonenumbers.is_possible_number_with_reason(parsed)
    where = f"for country code +{parsed.country_code}"
    if reason == phonenumbers.ValidationResult.TOO_SHORT:
        return f" (too short {where})"
    return (
        f" (too long {where})"
        if reason == phonenumbers.ValidationResult.TOO_LONG
        else f" ({where} this range is not in use)"
    )


def sender_id(text: str) -> str:
    """Return a valid sender id. Raises ValueError, which says what is allowed."""
    if text.startswith("+"):
        return number(text)
    if _SHORT_CODE.fullmatch(text) or _ALPHANUMERIC.fullmatch(text):
        return text
    raise ValueError(f"not a sender id; allowed: {SENDERS}")


def is_alphanumeric(sender: str) -> bool:
    return not sender.lstrip("+").isdigit()


def hide_numbers(text: str) -> str:
    """Return the text with the middle digits of every phone number replaced, in any spelling."""
    return _NUMBER.sub(_hidden, text)


def _hidden(match: re.Match[str]) -> str:
    digits = _NOT_DIGITS.sub("", match[2])
    shown = 4 if len(digits) >= 10 else 2
    return f"{match[1]}{digits[:shown]}…{digits[-2:]}"
