"""What a task of type `image` may and may not ask for."""

from typing import Any

import pytest
from pydantic import ValidationError

from dtqs.processors.image.payload import ImagePayload

UPLOAD = "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42"


def test_without_outputs_three_thumbnails_are_made() -> None:
    payload = ImagePayload.model_validate({"source": UPLOAD})
    assert [(output.name, output.width, output.height, output.enlarge) for output in payload.outputs] == [
        ("thumb-160", 160, 160, False),
        ("thumb-480", 480, 480, False),
        ("thumb-1280", 1280, 1280, False),
    ]


@pytest.mark.parametrize(
    "output",
    [
        *({"name": name} for name in ("", ".", "..", ".hidden", "a/b", "a\\b", "a\n", "a b", "ä", "a\0", "x" * 101)),
        *({"name": "a", "width": width} for width in (0, -1, 65536, 1.5, "10", True)),
        *({"name": "a", "quality": quality} for quality in (0, 101)),
        *({"name": "a", "background": colour} for colour in ("white", "#fff", "#12345g", "ffffff")),
        *({"name": "a", "fit": "fill"}, {"name": "a", "format": "JPEG"}, {"width": 10}, {"name": "a", "bogus": 1}, None, []),
    ],
)
def test_a_wrong_output_is_refused(output: Any) -> None:
    with pytest.raises(ValidationError):
        ImagePayload.model_validate({"source": UPLOAD, "outputs": [output]})


@pytest.mark.parametrize("outputs", [[], None, {}, [{"name": "a"}] * 2, [{"name": "a"}, {"name": "A"}], [{"name": f"o{n}"} for n in range(101)]])
def test_a_wrong_list_of_outputs_is_refused(outputs: Any) -> None:
    with pytest.raises(ValidationError):
        ImagePayload.model_validate({"source": UPLOAD, "outputs": outputs})
