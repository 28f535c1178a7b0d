"""pika's private parts: two files use them, and the installed version is one that was tried with them."""

import ast
from importlib import import_module
from pathlib import Path

import pika
import pytest

from tests.support.source import ROOT, nodes

USERS = {ROOT / "dtqs" / "broker" / "loop" / name for name in ("pika_parts.py", "pika_gevent_parts.py")}
TRIED = ("1.3.2", "1.4.4")
"""Before you add a version: run tests/unit/broker, tests/integration/test_worker_link.py and tests/process with it."""
PARTS = (
    ("pika.adapters.gevent_connection", "_GeventSelectorIOLoop"),
    ("pika.adapters.gevent_connection", "_GeventSelectorIOServicesAdapter"),
    ("pika.adapters.gevent_connection", "GeventConnection._output_marshaled_frames"),
    ("pika.adapters.select_connection", "SelectConnection._output_marshaled_frames"),
    ("pika.adapters.select_connection", "IOLoop._get_poller"),
    ("pika.adapters.select_connection", "EPollPoller._init_poller"),
    ("pika.adapters.select_connection", "EPollPoller.wake_threadsafe"),
    ("pika.adapters.base_connection", "BaseConnection._proto_connection_made"),
    ("pika.adapters.utils.io_services_utils", "_AsyncPlaintextTransport._MAX_RECV_BYTES"),
    ("pika.adapters.utils.io_services_utils", "_AsyncPlaintextTransport._MAX_CONSUME_BYTES"),
    ("pika.channel", "ContentFrameAssembler.process"),
    ("pika.connection", "Connection._adapter_call_later"),
    ("pika.connection", "Connection._on_data_available"),
    ("pika.connection", "Connection._process_frame"),
    ("pika.connection", "Connection._read_frame"),
    ("pika.connection", "Connection._trim_frame_buffer"),
    ("pika.connection", "Connection._terminate_stream"),
)


@pytest.mark.parametrize(("module", "name"), PARTS)
def test_the_installed_version_has_each_part(module: str, name: str) -> None:
    part = import_module(module)
    for step in name.split("."):
        part = getattr(part, step)


def test_the_loop_has_the_attributes_that_we_read() -> None:
    loop = import_module("dtqs.broker.loop.pika_parts").LockedLoop()
    loop.activate_poller()
    try:
        assert not loop.has_callbacks
        assert loop._poller._poll._known is loop._poller._fd_handlers
    finally:
        loop.deactivate_poller()
        loop.close()


def test_the_installed_version_was_tried() -> None:
    assert pika.__version__ in TRIED


def test_two_files_import_private_parts_and_derive_from_classes_of_pika() -> None:
    assert {path for path in (ROOT / "dtqs").rglob("*.py") if path not in USERS and uses_parts(path)} == set()


def uses_parts(path: Path) -> bool:
    """Tell whether a file imports a private name of pika, or derives from one of its connections or loops."""
    private = False
    derived = {"SelectConnection", "GeventConnection", "IOLoop", "EPollPoller", "SelectorIOServicesAdapter"}
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pika"):
            private |= any(name.name.startswith("_") for name in node.names)
        if isinstance(node, ast.ClassDef):
            private |= any(isinstance(base, ast.Name) and base.id in derived for base in node.bases)
    return private
