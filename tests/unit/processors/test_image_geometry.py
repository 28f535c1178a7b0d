"""Sizes and crops of images, by arithmetic alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtqs.errors import PermanentError
from dtqs.processors.image.geometry import Plan, extent, needed, plan
from dtqs.processors.image.operations import ImageCrop
from dtqs.processors.image.payload import ImageOutput

SIDE = st.integers(1, 20000)
CROP = st.builds(
    ImageCrop,
    width=st.integers(1, 20000),
    height=st.integers(1, 20000),
    gravity=st.sampled_from([None, "top-left", "right", "smart"]),
)


def _plan(source: tuple[int, int], **wanted: Any) -> Plan:
    return plan(source, ImageOutput(name="a", **wanted))


@pytest.mark.parametrize(
    ("source", "wanted", "size"),
    [
        ((640, 427), {"width": 200, "height": 200, "fit": "pad"}, (200, 133)),
        ((640, 427), {"crop": ImageCrop(width=100, height=50)}, (100, 50)),
        ((640, 427), {"crop": ImageCrop(width=50, height=50, unit="percent"), "width": 32}, (32, 21)),
        ((10, 10), {"crop": ImageCrop(left=95, top=99.9, width=5, height=5, unit="percent")}, (1, 1)),
        ((640, 427), {"crop": ImageCrop(left=600, top=400, width=100, height=100)}, (40, 27)),
        ((640, 427), {"crop": ImageCrop(width=100, height=50), "width": 10, "height": 10, "fit": "cover"}, (10, 10)),
        ((640, 427), {"width": 160, "height": 160}, (160, 107)),
        ((427, 640), {"width": 160, "height": 160}, (107, 160)),
        ((640, 427), {"width": 320}, (320, 214)),
        ((640, 427), {"height": 100}, (150, 100)),
        ((640, 427), {}, (640, 427)),
        ((640, 427), {"enlarge": True}, (640, 427)),
        ((640, 427), {"width": 1280, "height": 1280}, (640, 427)),
        ((640, 427), {"width": 1280, "height": 1280, "enlarge": True}, (1280, 854)),
        ((10000, 10), {"width": 100, "height": 100}, (100, 1)),
        ((640, 427), {"width": 100, "height": 100, "fit": "cover"}, (100, 100)),
        ((640, 427), {"width": 300, "fit": "cover"}, (300, 200)),
        ((400, 300), {"width": 800, "height": 400, "fit": "cover"}, (400, 200)),
        ((400, 300), {"width": 800, "height": 400, "fit": "cover", "enlarge": True}, (800, 400)),
        ((640, 427), {"width": 50, "height": 400, "fit": "stretch"}, (50, 400)),
        ((400, 300), {"width": 50, "height": 600, "fit": "stretch"}, (25, 300)),
        ((400, 300), {"width": 50, "height": 600, "fit": "stretch", "enlarge": True}, (50, 600)),
    ],
)
def test_an_output_has_the_requested_size(
    source: tuple[int, int], wanted: dict[str, Any], size: tuple[int, int]
) -> None:
    assert _plan(source, **wanted).size == size


def test_cover_keeps_the_middle() -> None:
    assert _plan((400, 200), width=100, height=100, fit="cover") == Plan(
        (0, 0, 400, 200), (200, 100), (50, 0, 150, 100)
    )


@given(SIDE, SIDE, SIDE, SIDE, st.sampled_from(["contain", "cover", "stretch"]), st.booleans())
def test_every_plan_fits_its_box_and_its_source(
    width: int, height: int, across: int, down: int, fit: str, enlarge: bool
) -> None:
    planned = _plan((width, height), width=across, height=down, fit=fit, enlarge=enlarge)
    left, top, right, bottom = planned.box
    assert 0 <= left < right <= planned.full[0]
    assert 0 <= top < bottom <= planned.full[1]
    assert planned.size[0] <= across
    assert planned.size[1] <= down
    if not enlarge:
        assert planned.full[0] <= max(width, across)
        assert planned.size[0] <= width
        assert planned.size[1] <= height
    elif fit != "contain":
        assert planned.size == (across, down)


def test_the_decoded_size_is_that_of_the_largest_output_and_at_most_the_sources() -> None:
    source = (4000, 3000)
    plans = [_plan(source, width=100), _plan(source, width=1000, height=1000, fit="cover")]
    assert needed(plans) == {(0, 0, *source): (1333, 1000)}
    assert needed([_plan(source, width=9000, enlarge=True)]) == {(0, 0, *source): source}


def test_each_crop_is_decoded_at_the_size_that_its_outputs_need() -> None:
    crop = ImageCrop(left=100, top=50, width=2000, height=1000)
    plans = [_plan((4000, 3000), crop=crop, width=width) for width in (50, 500)] + [_plan((4000, 3000), width=40)]
    assert needed(plans) == {(100, 50, 2100, 1050): (500, 250), (0, 0, 4000, 3000): (40, 30)}


def test_pad_gives_the_size_of_the_box_for_every_image() -> None:
    assert _plan((640, 427), width=200, height=200, fit="pad").final == (200, 200)
    assert _plan((64, 42), width=200, height=200, fit="pad").final == (200, 200)
    assert _plan((64, 42), width=200, height=200, fit="pad").size == (64, 42)
    assert _plan((64, 42), width=32, fit="pad").final == (32, 21)


def test_a_crop_is_scaled_from_its_part_of_the_source() -> None:
    planned = _plan((400, 200), crop=ImageCrop(left=105, top=50, width=100, height=100), width=10)
    assert planned == Plan((105, 50, 205, 150), (10, 10), (0, 0, 10, 10))


def test_smart_gravity_stays_inside_the_crop() -> None:
    assert _plan((400, 200), width=100, height=100, fit="cover", gravity="smart").area == (0, 0, 200, 100)
    within = _plan(
        (400, 200),
        crop=ImageCrop(left=200, top=0, width=200, height=100),
        width=50,
        height=50,
        fit="cover",
        gravity="smart",
    )
    assert within == Plan((200, 0, 400, 100), (100, 50), (25, 0, 75, 50), area=(0, 0, 100, 50))
    free = _plan((400, 200), crop=ImageCrop(width=100, height=100, gravity="smart"))
    assert free.free
    assert free.with_part_at(7, 9) == Plan((7, 9, 107, 109), (100, 100), (0, 0, 100, 100))


def test_a_crop_outside_the_image_is_refused() -> None:
    with pytest.raises(PermanentError, match="outside the image of 400 × 200 pixels"):
        _plan((400, 200), crop=ImageCrop(left=0, top=200, width=1, height=1))


@given(
    SIDE,
    SIDE,
    CROP,
    st.none() | SIDE,
    st.none() | SIDE,
    st.sampled_from(["contain", "cover", "stretch", "pad"]),
    st.booleans(),
)
def test_the_kept_part_of_a_crop_lies_inside_the_image(
    width: int, height: int, crop: ImageCrop, across: int | None, down: int | None, fit: str, enlarge: bool
) -> None:
    planned = _plan((width, height), crop=crop, width=across, height=down, fit=fit, enlarge=enlarge)
    left, top, right, bottom = planned.part
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert all(most <= side for most, side in zip(needed([planned])[planned.part], extent(planned.part), strict=True))
    left, top, right, bottom = planned.box
    assert 0 <= left < right <= planned.full[0]
    assert 0 <= top < bottom <= planned.full[1]
