"""Detect a source's format by its bytes, and choose its demuxer.

ffmpeg is never left to guess: a hostile file may look like a playlist that names other files.
"""

from dataclasses import dataclass
from typing import BinaryIO

from dtqs.errors import PermanentError
from dtqs.sniff import HEAD_BYTES, UNKNOWN, sniff


@dataclass(frozen=True, slots=True)
class Container:
    """A file format: ffmpeg's demuxer for it, and its media type."""

    demuxer: str
    media_type: str

    @property
    def has_no_index(self) -> bool:
        """Tell whether the format lacks an index of key frames: a seek may land after the one that is needed."""
        return self.demuxer in ("mpegts", "mpeg", "h264", "hevc", "mpegvideo")


_BY_TYPE = {
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "audio/mp4": "mov",
    "video/webm": "matroska",
    "video/x-matroska": "matroska",
    "video/x-msvideo": "avi",
    "video/x-flv": "flv",
    "video/mpeg": "mpeg",
    "video/mp2t": "mpegts",
    "audio/ogg": "ogg",
    "video/ogg": "ogg",
    "audio/flac": "flac",
    "audio/wav": "wav",
    "audio/aac": "aac",
    "audio/mpeg": "mp3",
    "image/gif": "gif",
}
_MAGIC: tuple[tuple[int, bytes, Container], ...] = (
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Container("asf", "video/x-ms-asf")),
    (0, b"#!AMR", Container("amr", "audio/amr")),
    (0, b"caff\0\x01", Container("caf", "audio/x-caf")),
    (0, b"\x06\x0e\x2b\x34\x02\x05\x01\x01", Container("mxf", "application/mxf")),
    (0, b"RF64", Container("wav", "audio/wav")),
    (0, b"wvpk", Container("wv", "audio/x-wavpack")),
    (0, b".snd", Container("au", "audio/basic")),
    (0, b"\x7f\xfe\x80\x01", Container("dts", "audio/vnd.dts")),
    (0, b"DKIF\0\0", Container("ivf", "video/x-ivf")),
    (0, b"YUV4MPEG2 ", Container("yuv4mpegpipe", "video/x-yuv4mpeg")),
    (0, b"\0\0\x01\xb3", Container("mpegvideo", "video/mpeg")),
    *(
        (4, atom, Container("mov", "video/quicktime"))
        for atom in (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
    ),
)
"""Formats that `sniff` does not know, because no browser shows them."""
_ALLOWED = (
    "allowed are MP4, MOV, Matroska, WebM, AVI, MPEG-TS, MPEG-PS, FLV, Ogg, ASF, MXF, WAV, MP3, AAC, FLAC, AIFF, "
    "WavPack, AC-3, GIF, and streams of H.264, HEVC and MPEG-2 without a container"
)
_DESCRIPTIONS = {
    UNKNOWN: "of an unknown format",
    "text/plain": "plain text",
    "application/pdf": "a PDF",
    "text/html": "a web page (HTML)",
}
_TS_PACKETS = ((0, 188), (4, 192))

DECODERS = (
    "h264,hevc,libdav1d,libaom-av1,av1,vp8,vp9,libvpx,libvpx-vp9,mpeg1video,mpeg2video,mpegvideo,mpeg4,"
    "msmpeg4v1,msmpeg4v2,msmpeg4,h263,h263p,flv,vp6,vp6a,vp6f,wmv1,wmv2,wmv3,vc1,mjpeg,png,gif,prores,dnxhd,"
    "ffv1,huffyuv,ffvhuff,utvideo,rawvideo,v210,theora,svq1,svq3,cinepak,dvvideo,qtrle,"
    "aac,aac_latm,mp3,mp3float,mp2,mp2float,mp1,mp1float,opus,libopus,vorbis,flac,alac,ac3,eac3,dca,truehd,mlp,"
    "amrnb,amrwb,wmav1,wmav2,wmapro,speex,libspeex,wavpack,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,"
    "pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,"
    "pcm_f64be,pcm_alaw,pcm_mulaw,pcm_bluray,pcm_dvd,"
    "mov_text,subrip,srt,ass,ssa,webvtt,text,pgssub,dvdsub,dvbsub,xsub,cc_dec,libzvbi_teletextdec"
)
"""The allow-list of decoders. ffmpeg has about four hundred more, for formats of games and of the nineties, where most
of its vulnerabilities were."""
SUPPORTED = {
    "video": "H.264, HEVC, AV1, VP8, VP9, MPEG-1, -2 and -4, H.263, WMV, VC-1, ProRes, DNxHD, MJPEG, PNG, GIF, FFV1 "
    "and other common codecs",
    "audio": "AAC, MP3, MP2, Opus, Vorbis, FLAC, ALAC, AC-3, E-AC-3, DTS, TrueHD, AMR, WMA, Speex, WavPack and PCM",
}
"""The list as users know the codecs."""


def recognise(file: BinaryIO) -> Container:
    """Return the format of an open file. Raises PermanentError if it is neither video nor audio."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if not head:
        raise PermanentError(f"the file is empty, not a video: {_ALLOWED}")
    if head.startswith(b"ID3") and len(head) > 10:
        head = _skip_tag(file, head)
    for at, magic, container in _MAGIC:
        if head[at : at + len(magic)] == magic:
            return container
    if found := _elementary(head):
        return found
    media_type = _packet_format(head) or sniff(head)
    if media_type not in _BY_TYPE:
        description = _DESCRIPTIONS.get(media_type, f"of type {media_type}")
        raise PermanentError(f"the file is {description}, not a supported video or audio file: {_ALLOWED}")
    return Container(_BY_TYPE[media_type], media_type)


def _skip_tag(file: BinaryIO, head: bytes) -> bytes:
    """Return the bytes after an ID3 tag, which several audio formats may begin with, if they tell the format."""
    size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    file.seek(10 + size)
    after = file.read(HEAD_BYTES)
    return after if after[:4] == b"fLaC" or _packet_format(after) == "audio/aac" else head


def _elementary(head: bytes) -> Container | None:
    """Recognise audio in IFF, and streams without a container, by their first bytes."""
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return Container("aiff", "audio/aiff")
    if head[:2] == b"\x0b\x77" and len(head) > 6:  # the version follows after 40 bits
        return Container("eac3", "audio/eac3") if head[5] >> 3 > 10 else Container("ac3", "audio/ac3")
    start = 4 if head[:4] == b"\0\0\0\x01" else 3 if head[:3] == b"\0\0\x01" else 0
    if not start or len(head) < start + 3:
        return None
    first, second = head[start], head[start + 1]
    if first >> 1 in (32, 35) and first & 1 == 0 and second == 1:  # parameter sets or a delimiter, of layer 0
        return Container("hevc", "video/h265")
    if first in (0x09, 0x27, 0x47, 0x67):
        return Container("h264", "video/h264")
    return None


def _packet_format(head: bytes) -> str | None:
    """Recognise formats without a signature, by the sync word at the start of each packet."""
    for first, length in _TS_PACKETS:
        if len(head) > first + 3 * length and all(head[first + n * length] == 0x47 for n in range(4)):
            return "video/mp2t"
    if len(head) > 7 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "audio/aac"
    if len(head) > 3 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2:
        return "audio/mpeg"
    return None
