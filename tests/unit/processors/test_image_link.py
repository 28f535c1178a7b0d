"""The worker's side of the image process: an answer of a process that an image has taken over."""

from typing import Any

import pytest
from pydantic import ValidationError

from dtqs.processors.image.link import _Answer

SOURCE = {
    "media_type": "image/png",
    "format": "png",
    "width": 1,
    "height": 1,
    "orientation": 1,
    "color_mode": "RGB",
    "has_profile": False,
    "has_alpha": False,
    "size_bytes": 70,
    "frames": 1,
}
DONE = {"source": SOURCE, "blurhash": "00", "dominant_color": "#000000"}


def test_the_facts_of_a_source_are_accepted() -> None:
    answer = _Answer.model_validate({"done": DONE, "remarks": ["a"]})
    assert answer.done
    assert answer.done.model_dump() == DONE


@pytest.mark.parametrize(
    "answer",
    [
        {"done": DONE | {"outputs": [{"uri": "upload:another"}]}},
        {"done": DONE | {"source": SOURCE | {"note": "x"}}},
        {"done": DONE | {"source": SOURCE | {"format": "x" * 10_000}}},
        {"done": DONE, "remarks": ["a"] * 10_000},
        {"done": DONE, "remarks": ["a" * 10_000]},
        {"refused": "a" * 1_000_000},
        {"fault": "a" * 1_000_000},
    ],
)
def test_an_answer_beyond_the_facts_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _Answer.model_validate(answer)
