"""The sound of videos: loudness and true peak as ffmpeg measures them, and each number of channels."""

import re
from pathlib import Path

import pytest

from tests.support.films import Run, ffmpeg


def tones(path: Path, *channels: int, decibels: float = 0) -> Path:
    """Make a sound of one tone in each channel; channels of one number are equal."""
    inputs = [word for tone in channels for word in ("-f", "lavfi", "-i", f"sine=d=4:r=48000:f={500 + 100 * tone}")]
    joined = "".join(f"[{number}:a]" for number in range(len(channels)))
    graph = (
        f"{joined}amerge=inputs={len(channels)},volume={decibels}dB" if len(channels) > 1 else f"volume={decibels}dB"
    )
    ffmpeg(*inputs, "-filter_complex", graph, "-ac", str(len(channels)), path)
    return path


def loudness(path: Path) -> tuple[float, float]:
    """Return the loudness in LUFS, and the true peak as a part of full scale."""
    said = path.with_suffix(".txt")
    graph = f"ebur128=peak=true:metadata=1,ametadata=print:file={said}"
    ffmpeg("-i", path, "-af", graph, "-f", "null", "-")
    text = said.read_text()
    peaks = [float(peak) for peak in re.findall(r"true_peaks_ch\d+=(-?[\d.]+)", text)]
    return float(re.findall(r"r128\.I=(-?[\d.]+)", text)[-1]), max(peaks)


@pytest.mark.parametrize(
    ("source", "channels"),
    [((1, 1), 1), ((1, 1, 1, 1, 1, 1), 2), ((1, 1), 6)],
)
def test_sound_gets_the_requested_loudness(
    transcode: Run, sources: Path, source: tuple[int, ...], channels: int
) -> None:
    quiet = tones(sources / "quiet.wav", *source, decibels=-10)
    ((output, path),) = transcode(quiet, {"format": "aac", "loudness_lufs": -16, "audio_channels": channels})
    assert output["audio_channels"] == channels
    heard, peak = loudness(path)
    assert abs(heard - -16) < 1
    assert peak < 1


def test_a_clipped_sound_gets_the_requested_loudness(transcode: Run, sources: Path) -> None:
    """Its loudness is above 0 LUFS: loudnorm measures such a figure, and refuses it."""
    loud = tones(sources / "loud.wav", 1, 1, decibels=70)
    assert loudness(loud)[0] > 0
    ((_, path),) = transcode(loud, {"format": "aac", "loudness_lufs": -16})
    assert abs(loudness(path)[0] - -16) < 1


def test_silence_has_no_loudness_and_is_no_fault(transcode: Run, sources: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "anullsrc=d=1", sources / "silent.wav")
    ((output, _),) = transcode(sources / "silent.wav", {"format": "aac", "loudness_lufs": -16})
    assert output["audio_codec"] == "aac"


def test_each_number_of_channels_can_be_encoded(transcode: Run, sources: Path) -> None:
    """Other tests have mono and stereo of both codecs, and six channels of AAC."""
    tone = tones(sources / "tone.wav", 1, 2)
    wanted = [("aac", number) for number in (3, 4, 5, 7, 8)] + [("opus", number) for number in range(3, 9)]
    made = transcode(tone, *({"format": name, "audio_channels": number, "end_seconds": 0.2} for name, number in wanted))
    assert [(output["audio_codec"], output["audio_channels"]) for output, _ in made] == wanted


@pytest.mark.parametrize("channels", [1, 2])
def test_audio_alone_gets_no_more_bits_than_its_encoder_takes(transcode: Run, sources: Path, channels: int) -> None:
    tone = tones(sources / "tone.wav", *range(1, channels + 1))
    asked = [{"format": name, "max_bytes": 10_000_000, "end_seconds": 0.2} for name in ("aac", "mp3", "opus")]
    made = transcode(tone, *asked, {"format": "opus", "audio_bit_rate": 500_000, "end_seconds": 0.2})
    assert [output["audio_codec"] for output, _ in made] == ["aac", "mp3", "opus", "opus"]


def test_sample_rates_are_kept_or_chosen(transcode: Run, sources: Path) -> None:
    tone = tones(sources / "tone.wav", 1)
    made = transcode(tone, {"format": "mp3", "audio_sample_rate": 24000, "loudness_lufs": -16, "audio_channels": 1})
    assert [(output["audio_channels"], output["audio_sample_rate"]) for output, _ in made] == [(1, 24000)]


def test_a_title_is_not_read_as_an_error(transcode: Run, sources: Path) -> None:
    title = "x" * 3000 + "\nNo space left on device"
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", "-metadata", f"title={title}", sources / "titled.m4a")
    ((output, _),) = transcode(sources / "titled.m4a", {"format": "mp3", "loudness_lufs": -16})
    assert output["audio_codec"] == "mp3"
