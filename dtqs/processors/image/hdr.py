"""Converts HDR to sRGB. Imported with the first HDR image, because NumPy is large."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dtqs.processors.image.cicp import BT2020, HLG, PRIMARIES, SRGB, Code, inverse, product, to_xyz

Array = NDArray[Any]
_WHITE_NITS, _PEAK_NITS = 203.0, 1000.0
"""Reference white of HDR (ITU-R BT.2408), which becomes a light grey, and the brightest distinguished level."""
_ROWS_AT_ONCE = 128


def tone_mapped(image: Image.Image, code: Code) -> Image.Image:
    """Return the image in sRGB: unchanged up to about half of white, compressed above (ITU-R BT.2390)."""
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    numbers = np.asarray(image.convert("RGB"))
    table, matrix, luma = _tables(code[0] if code[0] in PRIMARIES else BT2020, code[1])
    made = np.empty_like(numbers)
    for top in range(0, len(numbers), _ROWS_AT_ONCE):
        light = table[numbers[top : top + _ROWS_AT_ONCE]]
        if code[1] == HLG:
            # the light of a screen of 1000 nits for this scene
            light = light * (_PEAK_NITS / _WHITE_NITS) * np.maximum(light @ luma, 1e-6)[..., None] ** 0.2
        linear = np.clip(_compressed(light) @ matrix.T, 0, 1)
        encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        made[top : top + _ROWS_AT_ONCE] = np.rint(255 * encoded)
    mapped = Image.frombytes("RGB", image.size, made.tobytes())
    if alpha:
        mapped.putalpha(alpha)
    return mapped


@lru_cache(maxsize=4)
def _tables(primaries: int, transfer: int) -> tuple[Array, Array, Array]:
    """Return the light of each level relative to white, the matrix to sRGB, and the brightness of each colour."""
    levels = np.arange(256) / 255
    if transfer == HLG:
        light = np.where(levels <= 0.5, levels**2 / 3, (np.exp((levels - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    else:
        light = _pq_nits(levels) / _WHITE_NITS
    colours = to_xyz(PRIMARIES[primaries])
    return light, np.array(product(inverse(to_xyz(PRIMARIES[SRGB])), colours)), np.array(colours[1])


def _compressed(light: Array) -> Array:
    """Bring the brightest channel below white and scale the others equally, which keeps the hue."""
    most = np.maximum(light.max(axis=-1), 1e-9)
    peak, white = _nits_pq(_PEAK_NITS), _nits_pq(_WHITE_NITS)
    top, value = white / peak, np.minimum(1.0, _nits_pq(most * _WHITE_NITS) / peak)
    knee = 1.5 * top - 0.5
    part = np.maximum(0.0, (value - knee) / (1 - knee))
    square, cube = part**2, part**3
    bent = (2 * cube - 3 * square + 1) * knee + (cube - 2 * square + part) * (1 - knee) + (3 * square - 2 * cube) * top
    value = np.where(value > knee, bent, value)
    return np.asarray(light * (_pq_nits(value * peak) / _WHITE_NITS / most)[..., None])


def _pq_nits(value: Array) -> Array:
    root = value ** (1 / 78.84375)
    return np.asarray(
        10000 * (np.maximum(0.0, root - 0.8359375) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    )


def _nits_pq(nits: Array | float) -> Array:
    power = (np.asarray(nits) / 10000) ** 0.1593017578125
    return np.asarray(((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375)
