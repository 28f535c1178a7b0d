"""Videos as viewers get them: through the API, in a player and in a browser."""

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.films import QUARTERS, ffmpeg, film, picture_at, quarters
from tests.support.fix_system import System
from tests.support.helpers import eventually

OUTPUTS = [
    {"name": "stream", "format": "hls", "renditions": [{"short_side": 64}, {"short_side": 32}], "segment_seconds": 1,
     "speed": "ultrafast", "subtitles": {"mode": "carry", "language": "en", "title": "English"}},
    {"name": "film", "format": "mp4", "speed": "ultrafast"},
    {"name": "web", "format": "webm", "speed": "ultrafast"},
]  # fmt: skip
PAGE = """<!doctype html><body><script>
async function see(name, address) {
  const video = Object.assign(document.createElement("video"), {muted: true, src: address, playbackRate: 4});
  document.body.append(video);
  const told = new Promise(done => {
    video.onended = () => done("ended");
    video.onerror = () => done("error " + video.error.message);
  });
  await new Promise(done => video.onloadedmetadata = done);
  video.currentTime = 1.5;
  await video.play().catch(() => {});
  const how = await told;
  const canvas = Object.assign(document.createElement("canvas"), {width: 2, height: 2});
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 2, 2);
  const colours = Array.from(context.getImageData(0, 0, 2, 2).data);
  return {how, size: [video.videoWidth, video.videoHeight], seconds: video.duration, colours};
}
(async () => {
  const seen = {};
  await Promise.all(Object.entries(FILMS).map(async ([name, address]) => seen[name] = await see(name, address)));
  await fetch("/seen", {method: "POST", body: JSON.stringify(seen)});
})();
</script>"""


@pytest.fixture(scope="module")
def made(shared: System, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outputs of an uploaded video with subtitles, a stream and two videos, by their names."""
    folder = tmp_path_factory.mktemp("film")
    (folder / "text.srt").write_text("1\n00:00:00,500 --> 00:00:02,500\nHello\n", encoding="utf-8")
    ffmpeg(
        "-i",
        film(folder / "film.mp4", seconds=3),
        "-i",
        folder / "text.srt",
        "-c",
        "copy",
        "-c:s",
        "srt",
        folder / "film.mkv",
    )
    upload = shared.client.post("/files", content=(folder / "film.mkv").read_bytes()).json()
    task = shared.wait_for(shared.submit({"source": upload["uri"], "outputs": OUTPUTS}, "video"), timeout=60)
    assert task["status"] == "completed", task["error"]
    return {output["name"]: output for output in task["result"]["outputs"]}


def address(output: dict[str, Any]) -> str:
    return f"/files/{output['uri'].removeprefix('upload:')}"


def test_a_stream_plays_from_the_api(shared: System, made: dict[str, Any]) -> None:
    key = ("-headers", f"Authorization: Bearer {shared.key}\r\n")
    url = shared.url + address(made["stream"])
    streams = json.loads(
        subprocess.run(
            ["ffprobe", "-v", "error", *key, "-print_format", "json", "-show_streams", "-show_format", url],
            check=True,
            capture_output=True,
            timeout=60,
        ).stdout
    )
    found = [(stream["codec_name"], stream.get("height")) for stream in streams["streams"]]
    assert sorted(found, key=str) == [("aac", None), ("h264", 32), ("h264", 64)]
    assert abs(float(streams["format"]["duration"]) - 3) < 0.1
    for number in range(2):
        counted = ffmpeg(*key, "-i", url, "-map", f"0:v:{number}", "-vsync", "0", "-f", "framemd5", "-")
        assert len([line for line in counted.splitlines() if not line.startswith(b"#")]) == 75
    assert quarters(picture_at(url, 0, *key)) == list(QUARTERS)


def test_a_streams_playlists_cover_the_whole_length_of_its_files(shared: System, made: dict[str, Any]) -> None:
    names = [
        "stream",
        "stream/64p.m3u8",
        "stream/64p.m4s",
        "stream/32p.m3u8",
        "stream/32p.m4s",
        "stream/sound.m3u8",
        "stream/sound.m4s",
    ]
    assert list(made) == [*names, "stream/subtitles.m3u8", "stream/subtitles.vtt", "film", "web"]
    master = shared.client.get(address(made["stream"])).text
    assert master.count("#EXT-X-STREAM-INF:") == 2
    assert 'CODECS="avc1.' in master
    assert 'NAME="English",LANGUAGE="en"' in master
    playlist = shared.client.get(address(made["stream/64p.m3u8"])).text
    assert playlist.count("#EXTINF:1.000000,") == 3
    last = playlist.splitlines()[-2]
    assert httpx.URL(address(made["stream/64p.m3u8"])).join(last) == httpx.URL(
        f"{address(made['stream/64p.m4s'])}?name=64p.m4s"
    )
    size, start = map(int, playlist.splitlines()[-3].partition(":")[2].split("@"))
    assert start + size == made["stream/64p.m4s"]["size_bytes"]
    assert re.search(
        r"00:00:00\.5\d\d --> 00:00:02\.5\d\d\nHello", shared.client.get(address(made["stream/subtitles.vtt"])).text
    )


@contextmanager
def _served(shared: System, films: dict[str, str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve a page with the videos, and pass their files on from the API with its key, which the browser lacks."""
    seen: list[dict[str, Any]] = []

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith("/files/"):
                self._answer(200, {"Content-Type": "text/html"}, PAGE.replace("FILMS", json.dumps(films)).encode())
                return
            asked = {"Range": self.headers["Range"]} if "Range" in self.headers else {}
            answer = httpx.get(shared.url + self.path, headers={"Authorization": f"Bearer {shared.key}", **asked})
            kept = {
                name: value
                for name, value in answer.headers.items()
                if name in ("content-type", "content-range", "accept-ranges")
            }
            self._answer(answer.status_code, kept, answer.content)

        def do_POST(self) -> None:
            seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(204, {}, b"")

        def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):  # a player closes the connection once it has enough
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join(10)


def test_videos_play_in_a_browser_from_the_middle_to_the_end(
    chromium: str, shared: System, made: dict[str, Any], tmp_path: Path
) -> None:
    films = {name: address(made[name]) for name in ("film", "web", "stream")}
    with _served(shared, films) as (url, seen):
        options = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--mute-audio",
            "--autoplay-policy=no-user-gesture-required",
            f"--user-data-dir={tmp_path}",
        ]
        with (tmp_path / "log").open("wb") as log:
            browser = subprocess.Popen([chromium, *options, url], stdout=log, stderr=log, start_new_session=True)
        try:
            eventually(lambda: seen, 30, "the browser has played the videos")
        finally:
            os.killpg(browser.pid, signal.SIGKILL)  # the program may be a script that starts the browser
            browser.wait(10)
    for name in films:
        assert seen[0][name]["how"] == "ended", seen
        # the player of a stream chooses its own rendition
        assert seen[0][name]["size"] in ([96, 64], [48, 32] if name == "stream" else None)
        assert abs(seen[0][name]["seconds"] - 3) < 0.15
        red, green, blue, yellow = (seen[0][name]["colours"][at : at + 3] for at in (0, 4, 8, 12))
        assert red[0] > 200 > 60 > green[0]
        assert blue[2] > 200 > 60 > yellow[2]
