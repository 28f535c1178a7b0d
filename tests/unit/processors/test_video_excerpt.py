"""The cut of a part of a video, and the packets that describe it, without ffmpeg."""

from array import array
from fractions import Fraction

import pytest

from dtqs.errors import PermanentError
from dtqs.processors.video import playlist
from dtqs.processors.video.codecs import Rate, paced, timing, video
from dtqs.processors.video.excerpt import choose_excerpt, frame_at
from dtqs.processors.video.packets import PacketReader
from dtqs.processors.video.timeline import TrackExtent

RATES = (Fraction(25), Fraction(30000, 1001))


def picture(*times: float, end: float, held: float | None = None) -> TrackExtent:
    return TrackExtent(times[0], end, end if held is None else held, array("d", times))


def test_a_part_begins_with_the_frame_shown_at_that_time() -> None:
    made = choose_excerpt("a", (3.0, 9.0), picture(0, 2, 4, 6, end=20), None)
    assert made.video
    assert (made.video.from_seconds, made.video.begin_seconds, made.video.last_seconds, made.video.end_seconds) == (
        2,
        0,
        3,
        6,
    )
    assert made.video.is_held
    fast = choose_excerpt("a", (0.0, None), picture(0, 1 / 60, 2 / 60, end=0.05), None, (Fraction(60),)).video
    assert fast
    assert (fast.from_seconds, fast.rate) == (0, Fraction(60))
    near = choose_excerpt("a", (0.99, None), picture(0, 0.5, 1, end=2), None).video
    assert near
    assert (near.from_seconds, near.begin_seconds) == (1, 0)
    moved = choose_excerpt("a", (0.0, None), picture(0.021, 0.061, 0.101, end=0.141), TrackExtent(0, 2, 2), RATES)
    assert moved.video
    assert (moved.span.start_seconds, moved.video.rate) == (0.021, Fraction(25))
    assert [frame_at(array("d", [1, 2, 4]), seconds) for seconds in (0, 1, 3.9, 4, 99)] == [0, 0, 1, 2, 2]


def test_frames_follow_a_constant_rate_or_have_none() -> None:
    def rate(*times: float) -> Fraction | None:
        shown = choose_excerpt("a", (0.0, None), picture(*times, end=times[-1] + 0.04), None, RATES).video
        return shown.rate if shown else None

    assert rate(0, 0.04, 0.08, 0.16) == 25
    assert rate(0, 0.033, 0.067, 0.1) == Fraction(30000, 1001)
    assert rate(0, 0.04, 0.07) is None
    assert rate(0, 0.04, 0.04, 0.08) is None


def test_tracks_of_different_lengths_are_cut_separately() -> None:
    shown, heard = picture(*(n / 25 for n in range(50)), end=2), TrackExtent(1.5, 6, 6)
    whole = choose_excerpt("a", (0.0, None), shown, heard)
    assert whole.video
    assert whole.audio
    assert (whole.seconds, whole.video.end_seconds, whole.audio.begin_seconds, whole.audio.end_seconds) == (
        6,
        2,
        1.5,
        6,
    )
    assert whole.audio.is_late
    behind = choose_excerpt("a", (4.0, 5.0), shown, heard)
    assert behind.video
    assert (behind.video.from_seconds, behind.video.end_seconds) == (49 / 25, 1)
    assert choose_excerpt("a", (0.0, 1.0), shown, heard).audio is None
    for wanted, tracks, words in (
        ((7.0, None), (shown, heard), "start_seconds is 7, but the video ends at 6"),
        ((0.0, 1.0), (None, heard), "no audio from 0 to 1 s: it begins at 1.5"),
        ((0.0, 1.0), (picture(1.5, end=3), None), "no frame before 1 s: the video track begins at 1.5"),
        (
            (0.0, None),
            (picture(0, end=9, held=4), None),
            "cut short or broken: by its index its video ends at 9.00 s, but the data ends at 4.00 s",
        ),
    ):
        with pytest.raises(PermanentError, match=words):
            choose_excerpt("a", wanted, *tracks)
    assert choose_excerpt("a", (0.0, 4.0), picture(0, end=9, held=4), None).seconds == 4


def test_packets_are_read_and_jumps_of_the_clock_are_closed() -> None:
    lines = (
        b"0,1.0,0.9,0.1,5,K__\n1,1.0,1.0,0.5,9,K__\n0,1.1,1.0,0.1,20,_D_\nx\n7,1,1,1,1,K__\n1,N/A,N/A,0.5,N/A,K__\n"
        b"0,90.0,90.0,0.1,N/A,K__,\n\n"
    )
    reader = PacketReader([0], [1], "mov")
    assert [reader.take(lines[:30]), reader.take(lines[30:]), reader.take(b"")] == [True, True, False]
    pictures, sounds = reader.tracks[0], reader.tracks[1]
    assert (list(pictures.times), list(pictures.positions), pictures.count, pictures.end_seconds) == (
        [1.0, 90.0],
        [5, -1],
        3,
        90.1,
    )
    assert (sounds.begin_seconds, sounds.end_seconds, sounds.is_timed) == (1.0, 2.0, False)
    jumping = PacketReader([0], [], "mpegts")
    jumping.take(b"0,100.0,100.0,0.1,5,K__\n0,20.0,20.0,0.1,5,K__\n0,20.1,20.1,0.1,5,K__\n")
    assert list(jumping.tracks[0].times) == pytest.approx([100.0, 100.1, 100.2])


def test_a_segment_is_as_long_as_its_packets() -> None:
    text = (
        "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6.0,\n#EXT-X-BYTERANGE:1000@800\na\n#EXTINF:0.5,\n"
        "#EXT-X-BYTERANGE:500@1800\na\n"
    )
    timed = playlist.with_packet_times(playlist.read(text), [0.0, 3.0, 6.2, 9.0], [800, 900, 1800, 2000], 13.5)
    assert [line for line in timed.lines if line.startswith("#EXT")][1:4:2] == [
        "#EXT-X-TARGETDURATION:8",
        "#EXT-X-BYTERANGE:1000@800",
    ]
    assert [line for line in timed.lines if line.startswith("#EXTINF")] == ["#EXTINF:6.200000,", "#EXTINF:7.300000,"]
    assert (timed.seconds, timed.end_bytes) == (13.5, 2300)


def test_each_muxer_gets_a_time_base_that_it_keeps() -> None:
    even = choose_excerpt("a", (0.0, None), picture(0, 0.04, 0.08, end=0.12), None, RATES).video
    held = choose_excerpt("a", (0.0, None), picture(0, 0.04, 0.08, end=5), None, RATES).video
    assert timing(even, None, "mp4") == {"enc_time_base:v": "1/25"}
    assert timing(even, 10.0, "mp4") == {}
    assert timing(held, None, "mp4") == {
        "enc_time_base:v": "1/90000",
        "bsf:v": r"setts=duration=if(gt(PTS\,7155.0)\,max(1\,450000-PTS)\,DURATION)",
        "bf": 0,
    }
    assert timing(held, None, "webm")["enc_time_base:v"] == "1/1000"
    assert paced({"enc_time_base:v": "1/1000", "b:v": 1000}, 25.0) == {"enc_time_base:v": "1/100", "b:v": 4000}
    assert paced({"enc_time_base:v": "1/25", "b:v": 1000}, 25.0)["b:v"] == 1000
    limited = paced({"enc_time_base:v": "1/1000", "b:v": 1000, "maxrate": 1500, "bufsize": 3000}, 25.0)
    assert (limited["b:v"], limited["maxrate"], limited["bufsize"]) == (4000, 6000, 12000), "all are for one tick"


def test_svt_av1_gets_no_option_that_it_refuses_or_ignores() -> None:
    with_limit = video("libsvtav1", Rate(bit_rate=1000, max_bit_rate=1500), None)
    assert with_limit["b:v"] == 1000
    assert not {"maxrate", "bufsize"} & with_limit.keys()
    assert video("libsvtav1", Rate(crf=30, max_bit_rate=1500), None)["maxrate"] == 1500
    assert [video(name, Rate(crf=0), None)["crf"] for name in ("libsvtav1", "libx264", "libaom-av1")] == [1, 0, 0]
