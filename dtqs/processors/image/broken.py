"""The exceptions that Pillow's readers and writers raise on garbage."""

import struct
import zlib

BROKEN = (
    *(
        OSError,
        EOFError,
        SyntaxError,
        ValueError,
        ArithmeticError,
        LookupError,
        TypeError,
        AttributeError,
        RuntimeError,
        AssertionError,
    ),
    *(struct.error, zlib.error),
)
"""Not all of Exception: an interrupt by the worker must pass."""
