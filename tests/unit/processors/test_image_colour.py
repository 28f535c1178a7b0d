"""Colours of profiles: what the process that decodes remembers from one task to the next."""

from PIL import Image

from dtqs.processors.image import cicp, colour, effects
from dtqs.processors.image.colour import KEPT_BYTES, in_profile, srgb
from dtqs.processors.image.payload import ImageOutput


def test_a_large_profile_is_not_remembered() -> None:
    """Some profiles have 16 MiB, and a hundred of them would leave no memory to the next tasks."""
    wide, red = cicp.profile((12, 13)), Image.new("RGB", (1, 1), "#ff0000")
    assert wide
    large = wide + bytes(KEPT_BYTES)
    large = len(large).to_bytes(4, "big") + large[4:]
    output = ImageOutput(name="a", format="png", background="#ff0000")
    before = (colour._is_known_srgb.cache_info().misses, effects._known_colour_in.cache_info().misses)
    assert effects.with_colours_in(large, output).background == "#ea3323"
    assert srgb(in_profile(red, large), large)[0].getpixel((0, 0)) == (255, 0, 0)
    assert (colour._is_known_srgb.cache_info().misses, effects._known_colour_in.cache_info().misses) == before
    assert effects.with_colours_in(wide, output).background == "#ea3323"
