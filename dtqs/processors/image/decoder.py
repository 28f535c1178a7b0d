"""The process that decodes: one per worker, reused for task after task, with limits on memory and processor time.

It has no connection but the socket on its standard input. If an image crashes it, the worker starts another.
"""

import gc
import os
import resource
import socket
import sys
import traceback
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any, BinaryIO

from PIL import AvifImagePlugin

from dtqs.errors import DtqsError, TransientError
from dtqs.jail import enter
from dtqs.prctl import die_with_parent
from dtqs.processors.image import wire
from dtqs.processors.image.payload import ImagePayload
from dtqs.processors.image.settings import ImageSettings
from dtqs.processors.image.work import Made, Work

_TEXT_CHARACTERS, _MOST_REMARKS = 10_000, 100


def main() -> None:
    """Serve the worker whose process id is the first argument, until it closes its end."""
    die_with_parent()
    if os.getppid() != int(sys.argv[1]):
        os._exit(os.EX_OK)  # the worker has died already
    worker = socket.socket(fileno=os.dup(0))
    settings = ImageSettings.model_validate_json(sys.argv[2])
    _limit(settings)
    # there is one worker per core already
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    enter(sys.argv[3], has_socket=True)
    wire.send(worker, {"ready": os.getpid()})
    # libraries in C write complaints about broken images to standard error
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        while True:
            request, files = wire.receive_with_files(worker)
            _serve(worker, request, files, settings)
    except wire.Gone:
        os._exit(os.EX_OK)


def _limit(settings: ImageSettings) -> None:
    memory = settings.max_memory_bytes
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")  # if memory runs out, the kernel must kill this process and not the worker
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it writes to its socket only


def _serve(worker: socket.socket, request: Any, files: list[int], settings: ImageSettings) -> None:
    _allow_cpu(settings.max_cpu_seconds)
    with ExitStack() as stack:
        sources = {uri: stack.enter_context(open(fd, "rb")) for uri, fd in zip(request["sources"], files, strict=True)}
        answer = _answer(worker, request["payload"], sources, settings)
    wire.send(worker, answer)


def _answer(worker: socket.socket, payload: str, sources: Mapping[str, BinaryIO], settings: ImageSettings) -> Any:
    def hand_over(made: Made) -> None:
        width, height = made.size
        facts = {"index": made.index, "media_type": made.encoded.media_type, "width": width, "height": height}
        wire.send(
            worker,
            {**facts, "frames": made.encoded.frames, "milliseconds": made.encoded.milliseconds},
            made.encoded.data,
        )

    try:
        work = Work(ImagePayload.model_validate_json(payload), settings, sources, hand_over)
        return {"done": work.run(), "remarks": work.remarks[:_MOST_REMARKS]}
    except DtqsError as error:
        return {"refused": str(error)[:_TEXT_CHARACTERS], "transient": isinstance(error, TransientError)}
    except MemoryError:
        gc.collect()
        return {
            "refused": f"the image needs more memory than the allowed {settings.max_memory_bytes} bytes "
            "(max_memory_bytes)",
            "transient": False,
        }
    except wire.Gone:
        raise
    except Exception:  # an unknown fault of ours or of a library: the worker reports it, and the next task may succeed
        return {"fault": traceback.format_exc()[-_TEXT_CHARACTERS:]}


def _allow_cpu(seconds: int) -> None:
    """Allow this much more processor time; the kernel ends the process when it is used up."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime) + seconds + 1, hard))


if __name__ == "__main__":
    main()
