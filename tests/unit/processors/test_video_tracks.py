"""The audio track of a language, in the spellings of every container."""

import pytest

from dtqs.errors import PermanentError
from dtqs.processors.video.payload import VideoOutput
from dtqs.processors.video.rules import contradictions
from dtqs.processors.video.tracks import sound_of, three_letters
from dtqs.processors.video.video_info import Sound


def sounds(*languages: str, default: int = -1) -> list[Sound]:
    return [
        Sound(index, "aac", 2, 48000, None, None, index == default, language=language)
        for index, language in enumerate(languages)
    ]


def found(language: str, tracks: list[Sound]) -> int:
    sound = sound_of(VideoOutput(name="o", audio_language=language), tracks)
    assert sound
    return sound.index


@pytest.mark.parametrize(
    ("wanted", "languages", "index"),
    [
        ("de", ("eng", "ger"), 1),
        ("de", ("eng", "deu"), 1),
        ("ger", ("en", "de-AT"), 1),
        ("DEU", ("eng", "Ger"), 1),
        ("fr", ("fry", "fre"), 1),
        ("yue", ("zho", "yue"), 1),
        ("pt-BR", ("por", "pt-PT", "pt-BR"), 2),
        ("pt-BR", ("pt-PT", "por"), 1),
        ("pt", ("pt-BR",), 0),
        ("und", ("eng", ""), 1),
    ],
)
def test_a_track_is_found_by_its_language(wanted: str, languages: tuple[str, ...], index: int) -> None:
    assert found(wanted, sounds(*languages)) == index


@pytest.mark.parametrize(
    ("language", "stored"),
    [
        ("en", "eng"),
        ("EN", "eng"),
        ("deu", "deu"),
        ("ger", "deu"),
        ("pt-BR", "por"),
        ("zh_Hant", "zho"),
        ("und", "und"),
    ],
)
def test_a_language_is_stored_as_three_letters(language: str, stored: str) -> None:
    assert three_letters(language) == stored


def test_the_default_track_of_a_language_is_preferred() -> None:
    assert found("en", sounds("eng", "eng", "ger", default=1)) == 1
    assert found("en", sounds("ger", "eng", "eng", default=0)) == 1


@pytest.mark.parametrize(
    ("languages", "told"),
    [
        (("ger", "eng", "<b>"), "no audio track of language fr: track 0 is ger, track 1 is eng, track 2 is und"),
        ((), "no audio track of language fr: it has none"),
        (("ger",) * 22, r"track 19 is ger, and 2 more$"),
    ],
)
def test_a_missing_language_is_reported_with_the_available_ones(languages: tuple[str, ...], told: str) -> None:
    with pytest.raises(PermanentError, match=told):
        found("fr", sounds(*languages))


def test_a_number_and_a_language_exclude_each_other() -> None:
    clashes = contradictions(VideoOutput(name="o", audio_track=1, audio_language="de"))
    assert [(clash.field, clash.message) for clash in clashes] == [
        ("audio_language", "cannot be combined with audio_track: choose a number or a language")
    ]
