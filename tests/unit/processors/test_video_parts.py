"""The video processor without ffmpeg: sizes, file types, playlists, subtitles, progress, allowed options."""

import io
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtqs.errors import PermanentError
from dtqs.processors.video import container, ffprobe, overlays, paint, playlist, vtt
from dtqs.processors.video.codecs import Rate, encoder, parse_encoders, video
from dtqs.processors.video.command import checked
from dtqs.processors.video.ffmpeg_output import EncodeProgress
from dtqs.processors.video.geometry import frame
from dtqs.processors.video.meter import Meter
from dtqs.processors.video.payload import VideoOutput
from dtqs.processors.video.video_info import Picture

WIDE = (1920, 1080)


@pytest.mark.parametrize(
    ("shown", "asked", "size"),
    [
        (WIDE, {}, WIDE),
        ((101, 51), {}, (100, 50)),
        ((321, 179), {}, (320, 178)),
        ((321, 179), {"width": 321, "height": 179}, (320, 178)),
        ((321, 179), {"width": 1000}, (320, 178)),
        ((321, 179), {"short_side": 179}, (320, 178)),
        ((321, 179), {"width": 321, "height": 179, "fit": "stretch"}, (320, 178)),
        ((321, 179), {"width": 1000, "height": 1000, "fit": "cover"}, (178, 178)),
        ((321, 179), {"crop": {"x": 0, "y": 0, "width": 51, "height": 79}}, (50, 78)),
        ((321, 179), {"short_side": 179, "enlarge": True}, (320, 178)),
        ((321, 179), {"width": 642, "enlarge": True}, (642, 358)),
        (WIDE, {"width": 103, "height": 103}, (102, 58)),
        (WIDE, {"width": 103, "height": 103, "fit": "pad"}, (102, 102)),
        ((1, 1), {}, (2, 2)),
        (WIDE, {"width": 1280}, (1280, 720)),
        (WIDE, {"height": 100}, (178, 100)),
        (WIDE, {"short_side": 720}, (1280, 720)),
        ((1080, 1920), {"short_side": 720}, (720, 1280)),
        (WIDE, {"short_side": 2160}, WIDE),
        (WIDE, {"short_side": 2160, "enlarge": True}, (3840, 2160)),
        (WIDE, {"width": 100, "height": 100}, (100, 56)),
        (WIDE, {"width": 100, "height": 100, "fit": "cover"}, (100, 100)),
        (WIDE, {"width": 100, "height": 100, "fit": "pad"}, (100, 100)),
        (WIDE, {"width": 100, "height": 100, "fit": "stretch"}, (100, 100)),
        ((100, 50), {"width": 200, "height": 200, "fit": "cover"}, (50, 50)),
        ((100, 50), {"width": 200, "height": 200, "fit": "pad"}, (200, 200)),
        ((100, 50), {"width": 200, "height": 200, "fit": "stretch"}, (50, 50)),
        ((100, 50), {"crop": {"x": 10, "y": 0, "width": 40, "height": 50}}, (40, 50)),
        ((5000, 2), {"width": 100}, (100, 2)),
    ],
)
def test_an_output_gets_its_size(shown: tuple[int, int], asked: dict[str, Any], size: tuple[int, int]) -> None:
    decided = frame(shown, VideoOutput.model_validate({"name": "a", **asked}))
    assert decided.size == size
    assert all(side % 2 == 0 for side in (*decided.scaled, *decided.size))
    assert decided.scaled[0] >= (decided.middle or (0, 0))[0]
    assert decided.scaled[0] <= (decided.padded or decided.scaled)[0]


SIDE = st.integers(2, 900)
ASKED = st.fixed_dictionaries(
    {},
    optional={
        "width": SIDE,
        "height": SIDE,
        "enlarge": st.booleans(),
        "fit": st.sampled_from(["contain", "cover", "pad", "stretch"]),
    },
)


@given(
    st.tuples(st.integers(2, 700), st.integers(2, 700)),
    ASKED | st.fixed_dictionaries({"short_side": SIDE}, optional={"enlarge": st.booleans()}),
)
def test_nothing_is_enlarged_unasked_or_exceeds_its_box(shown: tuple[int, int], asked: dict[str, Any]) -> None:
    decided = frame(shown, VideoOutput.model_validate({"name": "a", **asked}))
    assert all(side >= 2 and side % 2 == 0 for side in (*decided.scaled, *decided.size))
    assert asked.get("enlarge") or all(side <= own for side, own in zip(decided.scaled, shown, strict=True))
    assert all(side <= bars for side, bars in zip(decided.scaled, decided.padded or decided.scaled, strict=True))
    assert all(side >= kept for side, kept in zip(decided.scaled, decided.middle or decided.scaled, strict=True))
    if "width" in asked and "height" in asked:
        assert all(side <= asked[name] for side, name in zip(decided.size, ("width", "height"), strict=True))


def test_the_middle_has_two_spellings() -> None:
    assert paint.overlay_position("center", 5) == paint.overlay_position("centre", 5) == ("(W-w)/2", "(H-h)/2")
    assert paint.overlay_position("top-left", 5) == ("min(5,(W-w)/2)", "min(5,(H-h)/2)")


def test_a_crop_outside_the_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="100 × 50"):
        frame(
            (100, 50), VideoOutput.model_validate({"name": "a", "crop": {"x": 90, "y": 0, "width": 20, "height": 20}})
        )


@pytest.mark.parametrize(
    ("head", "demuxer"),
    [
        (b"\0\0\0\x18ftypisom", "mov"),
        (b"\0\0\0\x14ftypqt  ", "mov"),
        (b"\0\0\0\x08wide\0\0\0\x10mdat", "mov"),
        (b"\x1aE\xdf\xa3 webm", "matroska"),
        (b"RIFF\0\0\0\0AVI LIST", "avi"),
        (b"RIFF\0\0\0\0WAVEfmt ", "wav"),
        (b"FLV\x01\x05", "flv"),
        (b"OggS\0", "ogg"),
        (b"fLaC\0", "flac"),
        (b"GIF89a", "gif"),
        (b"\0\0\x01\xba", "mpeg"),
        ((b"\x47" + bytes(187)) * 5, "mpegts"),
        ((b"\0\0\0\0\x47" + bytes(187)) * 5, "mpegts"),
        (b"\xff\xfb\x90\0", "mp3"),
        (b"\xff\xf1\x50\x80\0\0\0\0", "aac"),
        (b"ID3\x04\0\0\0\0\0\x05" + bytes(5) + b"\xff\xfb\x90\0", "mp3"),
        (b"ID3\x04\0\0\0\0\0\x05" + bytes(5) + b"fLaC\0", "flac"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
        (b"FORM\0\0\0\0AIFF", "aiff"),
        (b"wvpk\0\0", "wv"),
        (b"\x0b\x77\0\0\0\x40\0\0", "ac3"),
        (b"\x0b\x77\0\0\0\x80\0\0", "eac3"),
        (b"\0\0\0\x01\x67\x64\0", "h264"),
        (b"\0\0\0\x01\x40\x01\x0c", "hevc"),
        (b"\0\0\x01\xb3\x02", "mpegvideo"),
    ],
)
def test_the_demuxer_is_chosen_by_the_bytes(head: bytes, demuxer: str) -> None:
    assert container.recognise(io.BytesIO(head)).demuxer == demuxer


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", "empty"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "plain text"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "plain text"),
        (b"v=0\no=- 0 0 IN IP4 127.0.0.1\n", "plain text"),
        (b"<?xml version='1.0'?><MPD/>", "application/xml"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"%PDF-1.7", "a PDF"),
        (bytes(500), "of an unknown format"),
    ],
)
def test_a_file_that_is_no_video_is_refused_with_its_type(head: bytes, words: str) -> None:
    with pytest.raises(PermanentError, match=words):
        container.recognise(io.BytesIO(head))


def test_the_output_of_ffprobe_is_not_trusted() -> None:
    hostile = b"""{"streams": [
        {"index": 0, "codec_type": "video", "disposition": {"attached_pic": 1}},
        {"index": 1, "codec_type": "video", "codec_name": "h264", "width": 720, "height": 576,
         "sample_aspect_ratio": "16:15", "avg_frame_rate": "0/0",
         "r_frame_rate": "25/1", "side_data_list": [{"rotation": -90}], "tags": {"DURATION": "00:01:02.500"}},
        {"index": 2, "codec_type": "audio", "codec_name": "aac", "channels": 2, "sample_rate": "nan", "duration": "-5",
         "tags": {"DURATION": "x"}}
        ], "format": {"duration": "61.5", "bit_rate": "inf"}}"""
    read = ffprobe.read(hostile, "mov", 5)
    assert read.picture
    assert (read.picture.index, read.picture.width, read.picture.height, read.picture.fps, read.picture.rotation) == (
        1,
        576,
        768,
        25.0,
        90,
    )
    assert (read.duration_seconds, read.bit_rate, read.sounds[0].sample_rate) == (61.5, None, 48000)
    for empty in (b"{}", b"[]", b"", b'{"streams": [{"codec_type": "data"}]}'):
        with pytest.raises(PermanentError):
            ffprobe.read(empty, "mov", 5)


@given(st.integers(1, 1 << 20), st.integers(1, 1 << 20))
def test_a_decoders_buffer_is_at_most_four_times_the_frame_even_if_it_is_narrow(width: int, height: int) -> None:
    picture = Picture(0, "h264", width, height, (width, height), 25.0, 0, None, None)
    assert picture.pixels < picture.decoded_pixels <= 4 * picture.pixels


def test_an_option_that_is_not_on_the_list_is_refused() -> None:
    assert checked(["ffmpeg", "-v", "error", "-map_metadata", "-1", "-c:v:0", "libx264", "-f", "null", "-"])
    for option in ("-vstats_file", "-dump_attachment:t", "-filter_script", "-report", "-attach", "-vf"):
        with pytest.raises(ValueError, match=option):
            checked(["ffmpeg", "-v", "error", option, "x"])


def test_an_encoder_is_chosen_from_the_installed_ones() -> None:
    known = parse_encoders(
        b"Encoders:\n V..... = Video\n ------\n V....D libx264    x (codec h264)\n V..... libaom-av1    y\n"
        b" A....D aac   z\n"
    )
    assert (encoder("h264", known), encoder("av1", known)) == ("libx264", "libaom-av1")
    with pytest.raises(PermanentError, match="no encoder for hevc: it needs libx265"):
        encoder("hevc", known)
    assert video("libx264", Rate(bit_rate=5000), None) == {
        "pix_fmt": "yuv420p",
        "fps_mode:v": "vfr",
        "preset": "medium",
        "b:v": 5000,
    }
    assert video("libvpx-vp9", Rate(crf=30), "slow")["b:v"] == 0
    assert video("libsvtav1", Rate(max_bit_rate=5000), None)["maxrate"] == 5000


MEDIA = """#EXTM3U
#EXT-X-MAP:URI="a-0.m4s",BYTERANGE="827@0"
#EXTINF:2.000000,
#EXT-X-BYTERANGE:1000@827
a-0.m4s
#EXTINF:1.000000,
#EXT-X-BYTERANGE:700@1827
a-0.m4s
#EXT-X-ENDLIST
"""


def test_a_playlist_is_measured_and_its_files_renamed() -> None:
    segments = playlist.read(MEDIA)
    assert (segments.seconds, segments.end_bytes, segments.peak_bit_rate, segments.mean_bit_rate) == (
        3.0,
        2527,
        5600,
        4533,
    )
    assert playlist.with_uri(segments, "ID") == MEDIA.replace("a-0.m4s", "ID")


def test_a_master_playlist_adds_the_sound_to_each_size() -> None:
    known = playlist.codecs('#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="avc1.64,mp4a.40.2",AUDIO="x"\na-0.m3u8\n')
    variant = playlist.Variant("V", (640, 360), 25.0, known["a-0.m3u8"], 1000, 800)
    text = playlist.master(
        [variant],
        [
            playlist.PlaylistTrack("AUDIO", "A", "Sound", None),
            playlist.PlaylistTrack("SUBTITLES", "S", "English", "en"),
        ],
        (100, 80),
    )
    assert (
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subtitles",NAME="English",LANGUAGE="en",DEFAULT=NO,AUTOSELECT=YES,URI='
        '"S"' in text
    )
    expected = (
        "BANDWIDTH=1100,AVERAGE-BANDWIDTH=880,RESOLUTION=640x360,FRAME-RATE=25.000,"
        'CODECS="avc1.64,mp4a.40.2",AUDIO="audio",SUBTITLES="subtitles"\nV\n'
    )
    assert expected in text


def test_subtitles_are_cut_with_their_video() -> None:
    text = (
        "WEBVTT\n\n00:01.000 --> 00:02.000\nbefore\n\n1\n00:00:03.000 --> 00:00:06.500 align:left\nin\nit\n\n"
        "01:00:00.000 --> 01:00:01.000\nbehind\n"
    )
    assert vtt.read(text).moved(4.0, 2.0).text() == "WEBVTT\n\n00:00:00.000 --> 00:00:02.000 align:left\nin\nit\n"
    assert vtt.read(text).moved(10.0, 2.0).text() == "WEBVTT\n"


def test_styles_regions_and_settings_of_subtitles_are_kept() -> None:
    styles = "STYLE\n::cue { color: red }\n\nREGION\nid:fred"
    text = (
        f"WEBVTT - a title\nX: y\n\nNOTE no\n\n{styles}\r\n \r\nname\r\n"
        "00:01.5\t-->  00:02.000 \t line:0 region:fred\r\n<c.red>a</c>\r\n"
    )
    script = vtt.read(text)
    cue = "00:00:01.500 --> 00:00:02.000 line:0 region:fred\n<c.red>a</c>\n"
    assert script.text() == f"WEBVTT\n\n{styles}\n\n{cue}"
    assert script.text(styled=False) == f"WEBVTT\n\n{cue}"
    assert vtt.read("WEBVTT\n\nSTYLE\n::cue{}\n").cues == ()


def test_fonts_and_images_are_removed_from_subtitles() -> None:
    text = (
        "[Script Info]\nTitle: a\n[Fonts]\nfontname: evil.ttf\n!!!!\n[V4+ Styles]\nStyle: b\n[Graphics]\n"
        "filename: c\n[Events]\nDialogue: d\n"
    )
    assert (
        overlays.without_attachments(text) == "[Script Info]\nTitle: a\n[V4+ Styles]\nStyle: b\n[Events]\nDialogue: d\n"
    )


@pytest.mark.parametrize("separator", "\v\f\x1c\x1d\x1e\x85\u2028\u2029")
def test_a_separator_in_a_cue_ends_neither_its_line_nor_the_cues_after_it(separator: str) -> None:
    shown = separator if separator in "\f\x1c\x1d\x1e" else r"\N"
    text = f"[Events]\r\nDialogue: Hello{separator}[Music]\r\nDialogue: Second\r\n"
    assert overlays.without_attachments(text) == f"[Events]\nDialogue: Hello{shown}[Music]\nDialogue: Second\n"


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_cue_that_holds_a_line_end_and_a_bracket_hides_no_later_cue(end: str) -> None:
    """Matroska stores an ASS cue without its line, and a few programs put raw line ends into it."""
    text = f"[Events]{end}Dialogue: Hello{end}[Fonts]{end}fontname: a{end}Dialogue: Second{end}"
    assert overlays.without_attachments(text) == "[Events]\nDialogue: Hello\nDialogue: Second\n"


def test_progress_never_falls_and_is_reported_once_a_second() -> None:
    now = [0.0]
    told: list[tuple[float, str]] = []
    meter = Meter(lambda fraction, message: told.append((round(fraction, 3), message)), [3, 1], lambda: now[0])
    meter.begin("a")
    for step in range(12):
        now[0] += 0.25
        meter.watch(10.0, 1, 2)(EncodeProgress(step, step, 0, 2.0))
    assert len(told) == 3
    now[0] += 1
    meter.watch(10.0, 1, 2)(EncodeProgress(0.0, 0, 0, None))
    assert told[-1][0] == told[-2][0]
    meter.begin("b")
    now[0] += 1
    meter.watch(10.0)(EncodeProgress(5.0, 1, 0, 2.0))
    assert told[-1] == (0.875, "b: 5.0 s done, 2× speed, about 1 s left")


TWO_TRACKS = b"""{"streams": [
    {"index": 0, "codec_type": "video", "codec_name": "h264", "width": 160, "height": 90, "duration": "60",
     "tags": {"DURATION": "00:00:05.000"}},
    {"index": 1, "codec_type": "video", "codec_name": "h264", "width": 640, "height": 360,
     "disposition": {"default": 1}, "tags": {"DURATION": "00:01:00"}},
    {"index": 2, "codec_type": "video", "codec_name": "h264"}
    ], "format": {"duration": "61"}}"""
HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 60), 1 << 60)
    | st.floats()
    | st.sampled_from(["1e308:1e-308", "9" * 5000 + "/1", "²/1", "1e999", "7:1e308:1", ""]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["index", "rotation", "DURATION", "default"]), inner, max_size=2)
    ),
)
PLACES = [
    "index",
    "codec_type",
    "codec_name",
    "width",
    "height",
    "disposition",
    "tags",
    "duration",
    "start_time",
    "side_data_list",
    "sample_aspect_ratio",
]


@given(
    st.sampled_from(
        [*PLACES, "avg_frame_rate", "r_frame_rate", "nb_frames", "channels", "bit_rate", "color_space", "pix_fmt"]
    ),
    HOSTILE,
)
def test_any_answer_of_ffprobe_is_a_video_or_a_refusal(place: str, hostile: Any) -> None:
    said = orjson.loads(TWO_TRACKS)
    without: Any = {
        "streams": [{name: value for name, value in said["streams"][0].items() if name != place}],
        "format": hostile,
    }
    said["streams"][0][place] = hostile
    for answer in (
        said,
        without,
        {"streams": hostile},
        {"streams": said["streams"], "format": {place: hostile}},
        hostile,
    ):
        with suppress(PermanentError):
            read = ffprobe.read(orjson.dumps(answer), "matroska", 5)
            assert orjson.loads(orjson.dumps(read.facts())) == read.facts()
    with pytest.raises(PermanentError, match="report on this file cannot be read"):
        ffprobe.read(b'{"streams": [{"codec_type": "video"}]}', "matroska", 5)


def test_a_video_is_as_long_as_its_chosen_video_track() -> None:
    said = ffprobe.read(TWO_TRACKS, "matroska", 5)
    assert said.duration_seconds == 60
    assert [said.showing(picture).duration_seconds for picture in said.pictures] == [5, 60, 61]
