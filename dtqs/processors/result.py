"""What an attempt may have as its result: JSON text that PostgreSQL can store."""

from dtqs.json_value import json_text


def result_text(result: object) -> str:
    """Return the result as JSON text. Raises ValueRefused where it is none, or cannot be stored."""
    return json_text("the result", result)
