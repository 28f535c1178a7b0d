"""Run the image processor on every file of a folder, as one worker does.

    python -m tests.support.image_folder FOLDER [--verbose]

Each file must end with outputs, or with an error that says why in plain words. The program was written for the test
folder of Pillow's source distribution: over a thousand images, some of them broken or hostile.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dtqs.config import FilesSection
from dtqs.errors import PermanentError
from dtqs.files import FileSpace
from dtqs.processors.base import Context
from dtqs.processors.image.payload import ImagePayload
from dtqs.processors.image.processor import ImageProcessor
from dtqs.processors.image.settings import ImageSettings
from dtqs.uuid7 import uuid7
from tests.support.fix_processors import Reports

OUTPUTS = (
    {"name": "thumb", "width": 200, "height": 200},
    {"name": "still", "animated": False, "format": "tiff", "keep_metadata": True, "keep_profile": True},
    {"name": "moving", "width": 64, "format": "gif"},
    {
        "name": "square",
        "width": 100,
        "height": 100,
        "fit": "cover",
        "gravity": "smart",
        "format": "webp",
        "corner_radius": 20,
        "max_bytes": 20_000,
    },
    {
        "name": "padded",
        "width": 120,
        "height": 90,
        "fit": "pad",
        "pad_with": "blur",
        "rotate": 10,
        "sharpen": 1,
        "format": "jpeg",
        "watermark": {"text": "©"},
    },
)
SLOW_SECONDS = 5.0


def look(folder: Path, verbose: bool) -> int:
    """Return how many files ended in a way that is not allowed."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    processor = ImageProcessor(ImageSettings(max_cpu_seconds=30))
    endings: Counter[str] = Counter()
    wrong, longest = 0, (0.0, Path())
    with tempfile.TemporaryDirectory() as space:
        place = FileSpace(FilesSection(directory=Path(space), roots=(folder,)))
        for path in files:
            began = time.monotonic()
            ending, words = attempt(processor, place, path)
            seconds = time.monotonic() - began
            endings[ending] += 1
            longest = max(longest, (seconds, path))
            wrong += ending == "WRONG"
            if verbose or ending == "WRONG" or seconds > SLOW_SECONDS:
                print(f"{ending:8} {seconds:6.2f} s {os.path.relpath(path, folder)}: {words}", flush=True)
    print(f"{len(files)} files: {dict(endings)}; longest {longest[0]:.1f} s: {longest[1].name}")
    return wrong


def attempt(processor: ImageProcessor, place: FileSpace, path: Path) -> tuple[str, str]:
    context = Context(uuid7(), 1, Reports(), place)
    payload = ImagePayload.model_validate({"source": f"file:{path}", "outputs": OUTPUTS})
    try:
        processor.run(payload, context)
    except PermanentError as error:
        return ("died" if "the process that decode" in str(error) else "refused"), str(error)
    except Exception as error:  # the program looks for these errors
        return "WRONG", f"{type(error).__name__}: {error}"
    return "made", ""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--verbose", action="store_true")
    asked = parser.parse_args(arguments)
    return os.EX_OK if look(asked.folder.resolve(), asked.verbose) == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
