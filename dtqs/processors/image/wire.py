"""The messages between a worker and its image process, over a socket: JSON frames, optionally followed by bytes."""

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

_HEAD = struct.Struct("!IQ")
_LONGEST_JSON_BYTES = 8 << 20
_CHUNK_BYTES = 1 << 18
_MOST_FILES = 128


class Gone(Exception):
    """The other side closed its end, or sent an invalid message."""


class Silent(Gone):
    """The other side did not answer in time."""


def send(to: socket.socket, value: Any, blob: bytes = b"", files: Sequence[int] = ()) -> None:
    """Send a frame, with open files attached to its first bytes. Raises Gone."""
    text = orjson.dumps(value)
    with _faults():
        start = _HEAD.pack(len(text), len(blob)) + text
        sent = socket.send_fds(to, [start], list(files)) if files else 0
        to.sendall(start[sent:])
        if blob:
            to.sendall(blob)


def receive(of: socket.socket) -> tuple[Any, int]:
    """Return a frame's value, and the number of bytes that follow it. Raises Gone."""
    return _value(of, _exactly(of, _HEAD.size))


def receive_with_files(of: socket.socket) -> tuple[Any, list[int]]:
    """Return a frame's value, and the open files attached to it. Raises Gone."""
    with _faults():
        head, files, _, _ = socket.recv_fds(of, _HEAD.size, _MOST_FILES)
    if not head:
        raise Gone
    value, _ = _value(of, head + _exactly(of, _HEAD.size - len(head)))
    return value, files


def chunks(of: socket.socket, size_bytes: int) -> Iterator[bytes]:
    """Yield the bytes that follow a frame, in chunks. Raises Gone."""
    while size_bytes:
        with _faults():
            chunk = of.recv(min(size_bytes, _CHUNK_BYTES))
        if not chunk:
            raise Gone
        size_bytes -= len(chunk)
        yield chunk


@contextmanager
def _faults() -> Iterator[None]:
    """Translate a socket's errors, so that they do not look like a disk's."""
    try:
        yield
    except TimeoutError as error:
        raise Silent from error
    except OSError as error:
        raise Gone from error


def _value(of: socket.socket, head: bytes) -> tuple[Any, int]:
    json_bytes, blob_bytes = _HEAD.unpack(head)
    if json_bytes > _LONGEST_JSON_BYTES:
        raise Gone
    try:
        return orjson.loads(_exactly(of, json_bytes)), blob_bytes
    except orjson.JSONDecodeError as error:
        raise Gone from error


def _exactly(of: socket.socket, size_bytes: int) -> bytes:
    return b"".join(chunks(of, size_bytes))
