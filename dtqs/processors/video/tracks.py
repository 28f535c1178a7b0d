"""Choose an output's audio track by number or language, and name the tracks that exist; pure."""

import re
from collections.abc import Sequence

from dtqs.errors import PermanentError
from dtqs.processors.video.payload import VideoOutput
from dtqs.processors.video.video_info import Sound, VideoInfo

_UNKNOWN = "und"
_LISTED = 20
_TAG = re.compile(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,3}")
_ISO_639 = """
aa aar ab abk ae ave af afr ak aka am amh an arg ar ara as asm av ava ay aym az aze ba bak be bel bg bul bi bis bm
bam bn ben bo bod br bre bs bos ca cat ce che ch cha co cos cr cre cs ces cu chu cv chv cy cym da dan de deu dv div
dz dzo ee ewe el ell en eng eo epo es spa et est eu eus fa fas ff ful fi fin fj fij fo fao fr fra fy fry ga gle gd
gla gl glg gn grn gu guj gv glv ha hau he heb hi hin ho hmo hr hrv ht hat hu hun hy hye hz her ia ina id ind ie ile
ig ibo ii iii ik ipk io ido is isl it ita iu iku ja jpn jv jav ka kat kg kon ki kik kj kua kk kaz kl kal km khm kn
kan ko kor kr kau ks kas ku kur kv kom kw cor ky kir la lat lb ltz lg lug li lim ln lin lo lao lt lit lu lub lv lav
mg mlg mh mah mi mri mk mkd ml mal mn mon mr mar ms msa mt mlt my mya na nau nb nob nd nde ne nep ng ndo nl nld nn
nno no nor nr nbl nv nav ny nya oc oci oj oji om orm or ori os oss pa pan pi pli pl pol ps pus pt por qu que rm roh
rn run ro ron ru rus rw kin sa san sc srd sd snd se sme sg sag si sin sk slk sl slv sm smo sn sna so som sq sqi sr
srp ss ssw st sot su sun sv swe sw swa ta tam te tel tg tgk th tha ti tir tk tuk tl tgl tn tsn to ton tr tur ts tso
tt tat tw twi ty tah ug uig uk ukr ur urd uz uzb ve ven vi vie vo vol wa wln wo wol xh xho yi yid yo yor za zha zh
zho zu zul
"""
_CODES = _ISO_639.split()
_ISO_639_2 = dict(zip(_CODES[::2], _CODES[1::2], strict=True))
_OLDER = (
    "alb sqi arm hye baq eus bur mya chi zho cze ces dut nld fre fra geo kat ger deu gre ell ice isl mac mkd mao mri "
    "may msa per fas rum ron slo slk tib bod wel cym"
)
_BIBLIOGRAPHIC = _OLDER.split()
_ISO_639_2 |= dict(zip(_BIBLIOGRAPHIC[::2], _BIBLIOGRAPHIC[1::2], strict=True))
"""Maps each two-letter code, and each bibliographic three-letter code, to the terminological code of ISO 639-2."""


def three_letters(language: str) -> str:
    """Return a language, such as `en`, `ger` or `pt-BR`, as an mp4 stores it: `eng`, `deu`, `por`."""
    return _normal(language)[0]


def no_track(kind: str, number: int, count: int) -> str:
    """Return a message that this track does not exist, with the numbers that do."""
    existing = "none" if count == 0 else "only track 0" if count == 1 else f"tracks 0 to {count - 1}"
    return f"no {kind} track {number}, counted from 0: it has {existing}"


def picture_name(video: VideoInfo) -> str:
    """Name the selected video track as the payload does."""
    return f"video track {video.pictures.index(video.picture)}" if video.picture in video.pictures else "cover"


def sound_of(output: VideoOutput, sounds: Sequence[Sound]) -> Sound | None:
    """Return the output's audio track. Raises PermanentError if it does not exist."""
    if output.mute:
        return None
    if (number := output.audio_track) is not None:
        if number >= len(sounds):
            raise PermanentError(f"output {output.name}: the source has {no_track('audio', number, len(sounds))}")
        return sounds[number]
    if output.audio_language is not None:
        return _by_language(output.name, output.audio_language, sounds)
    return _first_choice(sounds) if sounds else None


def _by_language(name: str, wanted: str, sounds: Sequence[Sound]) -> Sound:
    tag = _normal(wanted)
    languages = [sound.language if _TAG.fullmatch(sound.language) else _UNKNOWN for sound in sounds]
    tags = [_normal(language) for language in languages]
    # a container with three-letter codes cannot store a region, so a track without one is the second choice
    exact = [sound for sound, found in zip(sounds, tags, strict=True) if found[: len(tag)] == tag]
    if tracks := exact or [sound for sound, found in zip(sounds, tags, strict=True) if found == tag[:1]]:
        return _first_choice(tracks)
    names = [f"track {number} is {language}" for number, language in enumerate(languages)]
    more = f", and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    listed = ", ".join(names[:_LISTED]) + more if names else "it has none"
    raise PermanentError(f"output {name}: the source has no audio track of language {wanted}: {listed}")


def _first_choice(sounds: Sequence[Sound]) -> Sound:
    return next((sound for sound in sounds if sound.is_default), sounds[0])


def _normal(language: str) -> tuple[str, ...]:
    """Return the parts of a tag: the language as three letters, then script and region."""
    first, *rest = language.lower().replace("_", "-").split("-")
    return _ISO_639_2.get(first, first), *rest
