"""Suggestions for mistyped names."""

from dtqs.suggestion import NAME_CHARACTERS, closest, did_you_mean, suggestion


def test_the_most_similar_name_is_suggested() -> None:
    assert closest("sumbit", ["submit", "supervisor"]) == "submit"
    assert did_you_mean("prot", ["host", "port"]) == "; did you mean port?"
    assert suggestion("ecko", ["echo", "image"]) == "; did you mean echo?; known: echo, image"


def test_a_name_like_no_other_gets_no_suggestion() -> None:
    assert closest("xyz", ["submit"]) is None
    assert suggestion("xyz", ["echo"]) == "; known: echo"


def test_similarity_is_a_lower_limit() -> None:
    assert closest("abxx", ["abcd"]) is None
    assert closest("abxx", ["abcd"], 0.5) == "abcd"


def test_a_long_name_is_not_compared() -> None:
    assert closest("a" * (NAME_CHARACTERS + 1), ["a" * NAME_CHARACTERS]) is None
