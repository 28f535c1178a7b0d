"""The outputs in a real browser: Chromium decodes them and reports size and colours."""

import base64
import json
import re
from pathlib import Path
from typing import Any

from PIL import Image

from tests.support.browser import Browser
from tests.support.fix_images import QUARTERS, Run, quarters, saved
from tests.support.fix_processors import Attempt

_SECONDS = 60
_PAGE = """<body><script>
const sources = %s;
Promise.all(sources.map(async source => {
  const image = new Image();
  image.src = source;
  try { await image.decode(); } catch (error) { return String(error); }
  const canvas = Object.assign(
    document.createElement("canvas"), {width: image.naturalWidth, height: image.naturalHeight});
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  const at = (x, y) => [...pen.getImageData(image.naturalWidth * x, image.naturalHeight * y, 1, 1).data];
  return [image.naturalWidth, image.naturalHeight,
    at(.25, .25), at(.75, .25), at(.25, .75), at(.75, .75), at(.999, .999)];
})).then(seen => { document.body.textContent = "SEEN" + JSON.stringify(seen) + "END"; });
</script></body>"""


def test_a_browser_shows_every_format_in_its_size_and_colours(
    chromium: str, run: Run, attempt: Attempt, tmp_path: Path
) -> None:
    formats = ("jpeg", "png", "webp", "avif", "gif")
    frames = [quarters(), Image.new("RGB", (400, 200), "#ffffff")]
    moving = saved(frames[0], "gif", save_all=True, append_images=frames[1:], duration=60_000)
    results = [
        run(saved(quarters(), "png"), *({"width": 100, "format": format, "corner_radius": 10} for format in formats))[
            0
        ],
        run(moving, *({"width": 100, "format": format} for format in ("webp", "png", "avif", "gif")))[0],
    ]
    outputs = [output for result in results for output in result["outputs"]]
    shown = _seen(chromium, tmp_path, [_data_url(attempt, output) for output in outputs])
    for output, seen in zip(outputs, shown, strict=True):
        assert seen[:2] == [100, 50], (output["media_type"], seen)
        for pixel, colour in zip(seen[2:6], QUARTERS, strict=True):
            assert all(abs(a - b) <= 12 for a, b in zip(pixel, bytes.fromhex(colour[1:] + "ff"), strict=True)), (
                output["media_type"],
                pixel,
            )
    corners = [seen[6] for seen in shown[:5]]
    assert min(corners[0]) > 240, "a JPEG has white in place of transparency"
    assert all(corner[3] == 0 for corner in corners[1:])


def _data_url(attempt: Attempt, output: dict[str, str]) -> str:
    with attempt.space.open_input(output["uri"]) as file:
        return f"data:{output['media_type']};base64,{base64.b64encode(file.read()).decode()}"


def _seen(chromium: str, folder: Path, sources: list[str]) -> list[list[Any]]:
    (folder / "page.html").write_text(_PAGE % json.dumps(sources), encoding="utf-8")
    browser = Browser(chromium)
    try:
        page = browser.page(f"file://{folder}/page.html")
        page.wait("body", "END", _SECONDS)
        found = re.fullmatch(r"SEEN(.*)END", page.text().strip())
    finally:
        browser.close()
    assert found
    seen: list[list[Any]] = json.loads(found[1])
    return seen
