"""The payload of the task type `image`: allowed and refused fields."""

from typing import Any

import pytest
from pydantic import ValidationError

from dtqs.errors import PermanentError
from dtqs.processors.faults import payload_problems
from dtqs.processors.image.payload import ImagePayload
from dtqs.processors.image.processor import ImageProcessor
from dtqs.processors.image.settings import ImageSettings
from tests.support.fix_processors import Attempt

UPLOAD = "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42"


def test_without_outputs_three_thumbnails_are_made() -> None:
    payload = ImagePayload.model_validate({"source": UPLOAD})
    assert [(output.name, output.width, output.height, output.enlarge) for output in payload.outputs] == [
        ("thumb-160", 160, 160, False),
        ("thumb-480", 480, 480, False),
        ("thumb-1280", 1280, 1280, False),
    ]


@pytest.mark.parametrize(
    ("keys", "why"), [({"max_side_pixels": 100}, "at most 100 pixels"), ({"max_outputs": 1}, "2 outputs; at most 1")]
)
def test_settings_that_became_narrower_hold_for_tasks_that_wait(
    attempt: Attempt, keys: dict[str, int], why: str
) -> None:
    outputs = [{"name": "a", "width": 200}, {"name": "b"}]
    processor = ImageProcessor(ImageSettings.model_validate(keys))
    with pytest.raises(PermanentError, match=why):
        processor.run(ImagePayload.model_validate({"source": UPLOAD, "outputs": outputs}), attempt.context())


@pytest.mark.parametrize(
    "output",
    [
        *({"name": name} for name in ("", ".", "..", ".hidden", "a/b", "a\\b", "a\n", "a b", "ä", "a\0", "x" * 101)),
        *({"name": "a", "width": width} for width in (0, -1, 65536, 1.5, "10", True)),
        *({"name": "a", "quality": quality} for quality in (0, 101)),
        *({"name": "a", "background": colour} for colour in ("white", "#fff", "#12345g", "ffffff")),
        *({"name": "a", "rotate": angle} for angle in (361, "90", float("nan"))),
        *({"name": "a", "pad_with": value} for value in ("red", "blurry", "#fff")),
        *(
            {"name": "a", "crop": crop}
            for crop in ({}, {"width": 10}, {"width": 0, "height": 1}, {"width": 1, "height": 1, "left": -1})
        ),
        *(
            {"name": "a", "watermark": mark}
            for mark in ({}, {"text": ""}, {"text": "x" * 201}, {"text": "a", "opacity": 1.1}, {"source": "ftp://a/b"})
        ),
        *({"name": "a", "border": border} for border in ({"width": 0}, {"color": "red"})),
        *(
            {"name": "a", **wrong}
            for wrong in ({"page": 0}, {"max_bytes": 0}, {"colors": 1}, {"subsampling": "4:1:1"}, {"gravity": "north"})
        ),
        *(
            {"name": "a", "fit": "fill"},
            {"name": "a", "format": "JPEG"},
            {"width": 10},
            {"name": "a", "bogus": 1},
            None,
            [],
        ),
    ],
)
def test_a_wrong_output_is_refused(output: Any) -> None:
    with pytest.raises(ValidationError):
        ImagePayload.model_validate({"source": UPLOAD, "outputs": [output]})


@pytest.mark.parametrize(
    ("output", "field"),
    [
        ({"crop": {"width": 10, "height": 10, "left": 5, "gravity": "top"}}, "payload.outputs[0].crop.gravity"),
        ({"crop": {"width": 101, "height": 10, "unit": "percent"}}, "payload.outputs[0].crop.width"),
        ({"crop": {"top": 101, "width": 10, "height": 10, "unit": "percent"}}, "payload.outputs[0].crop.top"),
        ({"watermark": {"opacity": 0.5}}, "payload.outputs[0].watermark.text"),
        ({"watermark": {"text": "a", "source": UPLOAD}}, "payload.outputs[0].watermark.text"),
        ({"pad_with": "blur"}, "payload.outputs[0].pad_with"),
        ({"lossless": True, "format": "png"}, "payload.outputs[0].lossless"),
    ],
)
def test_contradictory_fields_are_reported_at_the_superfluous_one(output: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ImagePayload.model_validate({"source": UPLOAD, "outputs": [{"name": "a", **output}]})
    assert [problem.field for problem in payload_problems(caught.value, ImagePayload)] == [field]


def test_each_side_of_a_crop_is_reported_separately() -> None:
    with pytest.raises(ValidationError) as caught:
        ImagePayload.model_validate(
            {
                "source": UPLOAD,
                "outputs": [{"name": "a", "crop": {"width": 101, "height": 200, "unit": "percent", "left": 5}}],
            }
        )
    message = "more than 100 percent; allowed with this unit: up to 100"
    problems = payload_problems(caught.value, ImagePayload)
    assert [(problem.field, problem.message) for problem in problems] == [
        (f"payload.outputs[0].crop.{side}", message) for side in ("width", "height")
    ]


def test_every_image_that_a_payload_names_is_a_source_once() -> None:
    mark = {"source": "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d43"}
    outputs = [
        {"name": "a", "watermark": mark},
        {"name": "b", "watermark": mark},
        {"name": "c", "watermark": {"text": "x"}},
        {"name": "d"},
    ]
    payload = ImagePayload.model_validate({"source": UPLOAD, "outputs": outputs})
    assert ImageProcessor(ImageSettings()).sources(payload) == (UPLOAD, mark["source"])


def test_settings_forbid_more_than_the_model() -> None:
    outputs = [{"name": f"o{number}", "width": 50 + number} for number in range(3)]
    problems = ImageProcessor(ImageSettings(max_outputs=2, max_side_pixels=51)).problems(
        ImagePayload.model_validate({"source": UPLOAD, "outputs": outputs})
    )
    assert [problem.field for problem in problems] == ["payload.outputs", "payload.outputs[2].width"]


def test_the_examples_are_valid() -> None:
    for example in ImageProcessor.examples:
        ImagePayload.model_validate(example)


@pytest.mark.parametrize("outputs", [[], None, {}, [{"name": f"o{n}"} for n in range(101)]])
def test_a_wrong_list_of_outputs_is_refused(outputs: Any) -> None:
    with pytest.raises(ValidationError):
        ImagePayload.model_validate({"source": UPLOAD, "outputs": outputs})


def test_two_outputs_of_one_name_are_refused_at_the_second() -> None:
    payload = ImagePayload.model_validate(
        {"source": UPLOAD, "outputs": [{"name": "a"}, {"name": "b"}, {"name": "A"}, {"name": "b"}]}
    )
    assert [problem.field for problem in ImageProcessor(ImageSettings()).problems(payload)] == [
        "payload.outputs[2].name",
        "payload.outputs[3].name",
    ]
