"""Builds colour profiles from code points (CICP, ITU-T H.273) or plain numbers.

AVIF, HEIC, JPEG XL and PNG have these if they have no profile. HDR has no profile: see hdr.py.
"""

import struct
from functools import lru_cache

Code = tuple[int, ...]
Point = tuple[float, float]
Matrix = tuple[tuple[float, float, float], ...]

_D65: Point = (0.3127, 0.3290)
_D50 = (0.96422, 1.0, 0.82521)
PRIMARIES: dict[int, tuple[Point, Point, Point, Point]] = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    4: ((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), (0.310, 0.316)),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
PQ, HLG = 16, 18
SRGB, BT2020 = 1, 9
_BRADFORD: Matrix = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_CURVE_POINTS = 1024
_SAME_GAMMA = 0.02
_SAME_POINT = 0.004


def is_hdr(code: Code) -> bool:
    """Tell whether the values go beyond white."""
    return code[1] in (PQ, HLG)


@lru_cache(maxsize=16)
def profile(code: Code) -> bytes | None:
    """Return the profile for code points; None for sRGB, the usual case, and for unknown code points.

    BT.709's curve is treated as sRGB's, as browsers do: it describes a camera, not a screen.
    """
    primaries, gamma = PRIMARIES.get(code[0]), _GAMMAS.get(code[1])
    known = code[0] in PRIMARIES and code[0] != SRGB
    if is_hdr(code) or (not known and gamma is None):
        return None
    return _built(primaries or PRIMARIES[SRGB], gamma)


@lru_cache(maxsize=16)
def profile_of_numbers(gamma: float, points: tuple[float, ...] | None) -> bytes | None:
    """Return the profile for a PNG's gAMA and cHRM (white, red, green, blue); None if they mean sRGB."""
    usual = PRIMARIES[SRGB]
    white, *colours = list(zip(points[::2], points[1::2], strict=True)) if points else [usual[3], *usual[:3]]
    given = (*colours, white)
    if not 0.1 <= gamma <= 10 or any(not (0 < x < 1 and 0 < y < 1) for x, y in given):
        return None
    same = all(
        abs(a - b) < _SAME_POINT
        for one, other in zip(given, usual, strict=True)
        for a, b in zip(one, other, strict=True)
    )
    usual_gamma = abs(gamma - 1 / 2.2) < _SAME_GAMMA
    if same and usual_gamma:
        return None
    return _built((given[0], given[1], given[2], given[3]), None if usual_gamma else 1 / gamma)


def _built(primaries: tuple[Point, Point, Point, Point], gamma: float | None) -> bytes:
    """Return an ICC profile of three colours and one curve; without a gamma, sRGB's curve."""
    colours = product(_adaptation(primaries[3]), to_xyz(primaries))
    if gamma is None:
        curve = b"".join(
            struct.pack(">H", round(65535 * _decoded(step / (_CURVE_POINTS - 1)))) for step in range(_CURVE_POINTS)
        )
        curve = b"curv" + bytes(4) + struct.pack(">I", _CURVE_POINTS) + curve
    else:
        curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    text = b"colours as told by the file\0"
    described = b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78)
    tags = [(b"desc", described + bytes(-len(described) % 4)), (b"cprt", b"text" + bytes(4) + b"none\0\0\0\0")]
    tags += [(b"wtpt", _point(_D50))]
    tags += [
        (name, _point((colours[0][at], colours[1][at], colours[2][at])))
        for at, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))
    ]
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    start, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, data in tags:
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    head = struct.pack(
        ">I4sI4s4s4s12s4s", start + len(body), b"lcms", 0x02400000, b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp"
    )
    return (head + bytes(28) + b"".join(_fixed(value) for value in _D50)).ljust(128, b"\0") + table + body


def _decoded(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)


def _point(xyz: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(value) for value in xyz)


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def to_xyz(primaries: tuple[Point, Point, Point, Point]) -> Matrix:
    """Return the matrix from linear colours to XYZ, with white at brightness 1."""
    red, green, blue, white = (_xyz(point) for point in primaries)
    columns: Matrix = (red, green, blue)
    rows = _transposed(columns)
    shares = [_dot(row, white) for row in inverse(rows)]
    return tuple((row[0] * shares[0], row[1] * shares[1], row[2] * shares[2]) for row in rows)


def _adaptation(white: Point) -> Matrix:
    """Return the matrix from this white to the profiles' white (Bradford)."""
    source, target = ([_dot(row, xyz) for row in _BRADFORD] for xyz in (_xyz(white), _D50))
    scaled = tuple(
        (t / s * row[0], t / s * row[1], t / s * row[2]) for s, t, row in zip(source, target, _BRADFORD, strict=True)
    )
    return product(inverse(_BRADFORD), scaled)


def _xyz(point: Point) -> tuple[float, float, float]:
    x, y = point
    return x / y, 1.0, (1 - x - y) / y


def _dot(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _transposed(m: Matrix) -> Matrix:
    return tuple((m[0][at], m[1][at], m[2][at]) for at in range(3))


def product(a: Matrix, b: Matrix) -> Matrix:
    columns = _transposed(b)
    return tuple((_dot(row, columns[0]), _dot(row, columns[1]), _dot(row, columns[2])) for row in a)


def inverse(m: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = m
    whole = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    if not whole:
        raise ValueError("the primary colours lie on one line")
    return (
        ((e * i - f * h) / whole, (c * h - b * i) / whole, (b * f - c * e) / whole),
        ((f * g - d * i) / whole, (a * i - c * g) / whole, (c * d - a * f) / whole),
        ((d * h - e * g) / whole, (b * g - a * h) / whole, (a * e - b * d) / whole),
    )
