"""Text of servers, files and programs in a form that results, logs and errors can hold."""


def one_line(text: str, most_characters: int) -> str:
    """Return foreign text as one line of printable characters.

    NULs and lone surrogates, which PostgreSQL cannot store, become spaces like any control character.
    """
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:most_characters]
