"""The catalog: built-in and installed processors, their settings, and the payloads that they refuse."""

import re
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtqs.config import Config, load
from dtqs.errors import ConfigError, Invalid, NotFound
from dtqs.json_value import DEPTH_LIMIT
from dtqs.processors.base import Context, NoSettings, Payload
from dtqs.processors.catalog import Catalog
from dtqs.processors.function import processor, processor_class
from dtqs.processors.image.payload import ImageOutput, ImagePayload
from dtqs.processors.image.processor import ImageProcessor
from dtqs.processors.image.settings import ImageSettings
from dtqs.processors.validation import reader
from dtqs.processors.video import VideoProcessor
from dtqs.processors.video.payload import VideoOutput
from dtqs.processors.video.settings import VideoSettings

UPLOAD = "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42"
Install = Callable[[str, str], None]

SHOUT = """
from pydantic import Field
from dtqs import Context, Payload, Processor, ProcessorSettings, processor

class Text(Payload):
    text: str = Field(max_length=10)

class Settings(ProcessorSettings):
    mark: str = Field(default="!", max_length=1, description="what ends a shout")

class Shout(Processor[Text, Settings]):
    name, payload_model, settings_model, max_retries = "shout", Text, Settings, 1

    def run(self, payload, context):
        return payload.text.upper() + self.settings.mark

@processor("whisper", payload=Text, light=True, max_retries=2, timeout_seconds=9, retry_on_timeout=False)
def whisper(payload, context):
    "Say it low."
    return payload.text.lower()
"""


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Config]:
    def build(text: str = "", **environ: str) -> Config:
        path = tmp_path / "dtqs.ini"
        path.write_text(text)
        return load(path, environ)

    return build


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package `theirs` with this source and these entry points, as pip would lay it out."""
    site = tmp_path / "site"

    def write(source: str, points: str) -> None:
        info = site / "theirs-1.2.dist-info"
        info.mkdir(parents=True)
        (site / "theirs.py").write_text(source)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[dtqs.processors]\n{points}\n")
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, "theirs", raising=False)

    return write


def test_the_built_in_processors_are_found(config: Callable[..., Config]) -> None:
    catalog = Catalog.load(config())
    assert {"echo", "image"} <= set(catalog.names())
    assert catalog.get("echo").name == "echo"


def test_processors_of_other_packages_are_found_with_their_settings(
    config: Callable[..., Config], install: Install
) -> None:
    install(SHOUT, "shout = theirs:Shout\nwhisper = theirs:whisper")
    catalog = Catalog.load(config("[processor:shout]\nmark = ?\n"))
    shout, payload = catalog.validate("shout", {"text": "hey"})
    assert shout.run(payload, None) == "HEY?"  # type: ignore[arg-type]
    whisper, payload = catalog.validate("whisper", {"text": "HEY"})
    assert whisper.run(payload, None) == "hey"  # type: ignore[arg-type]
    assert (whisper.light, whisper.max_retries, whisper.timeout_seconds, whisper.retry_on_timeout) == (
        True,
        2,
        9,
        False,
    )


def test_an_operator_can_set_the_limits_of_every_type(config: Callable[..., Config], install: Install) -> None:
    install(SHOUT, "shout = theirs:Shout\nwhisper = theirs:whisper")
    catalog = Catalog.load(
        config(
            "[processor:shout]\ntimeout_seconds = 3.5\n[processor:whisper]\nmax_retries = 0\n[processor:echo]\n"
            "max_retries = 7\n"
        )
    )
    limits = {
        name: (catalog.get(name).max_retries, catalog.get(name).timeout_seconds)
        for name in ("shout", "whisper", "echo")
    }
    assert limits == {"shout": (1, 3.5), "whisper": (0, 9), "echo": (7, None)}


@pytest.mark.parametrize(
    ("source", "point", "problem"),
    [
        ("1 / 0", "shout = theirs:Shout", "cannot be loaded: ZeroDivisionError"),
        ("raise SystemExit(0)", "shout = theirs:Shout", "cannot be loaded: SystemExit: 0"),
        (SHOUT, "shout = theirs:Missing", "cannot be loaded: AttributeError"),
        (SHOUT, "text = theirs:Text", "not a processor"),
        (SHOUT + "Shout.name = 'echo'", "shout = theirs:Shout", "already defined by dtqs.processors.echo"),
        (SHOUT + "Shout.name = 'Shout It'", "shout = theirs:Shout", "is not a valid task type name"),
        (SHOUT + "del Shout.payload_model", "shout = theirs:Shout", "not a processor"),
        (
            SHOUT + "Shout.__init__ = lambda self, settings: 1 / 0",
            "shout = theirs:Shout",
            "cannot be built: ZeroDivisionError",
        ),
    ],
)
def test_a_broken_processor_of_another_package_is_named(
    config: Callable[..., Config], install: Install, source: str, point: str, problem: str
) -> None:
    install(source, point)
    with pytest.raises(ConfigError, match=problem) as caught:
        Catalog.load(config())
    assert "theirs" in str(caught.value)


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        ("async def send(payload, context): pass", "run is async"),
        ("async def send(payload, context):\n    yield 1", "run is async"),
        ("def send(payload, context):\n    yield 1", "run is a generator"),
        ("def send(payload): pass", "run takes (payload); it is called with two arguments"),
        ("def send(payload, context, more): pass", "run takes (payload, context, more)"),
        ("def send(*, payload, context): pass", "run takes"),
    ],
)
def test_a_function_that_no_worker_can_call_is_named(
    config: Callable[..., Config], install: Install, function: str, problem: str
) -> None:
    install(f"{SHOUT}\n@processor('send', payload=Text)\n{function}", "send = theirs:send")
    with pytest.raises(ConfigError, match=re.escape(f"processor send (theirs): {problem}")):
        Catalog.load(config())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("del Shout.run", "run is missing; define run(self, payload, context)"),
        ("async def run(self, payload, context): pass\nShout.run = run", "run is async"),
        ("Shout.run = lambda self, payload: 1", "run takes (payload); it is called with two"),
        ("async def is_light(self, payload): pass\nShout.is_light = is_light", "is_light is async"),
    ],
)
def test_a_method_that_no_worker_can_call_is_named(
    config: Callable[..., Config], install: Install, change: str, problem: str
) -> None:
    install(f"{SHOUT}\n{change}", "shout = theirs:Shout")
    with pytest.raises(ConfigError, match=re.escape(f"processor shout (theirs): {problem}")):
        Catalog.load(config())


WRAPPED = """
import functools
async def later(payload, context): return 1
def injected(payload, context, database): return 1

def runs(function):
    @functools.wraps(function)
    def wrapper(payload, context):
        return 1
    return wrapper
"""


@pytest.mark.parametrize(
    "function",
    [
        "def send(*arguments): return 1",
        "def send(payload, context, more=1): return 1",
        "send = functools.partial(lambda more, payload, context: 1, 1)",
        "send = functools.lru_cache(lambda payload, context: 1)",
        "send = runs(injected)",
        "send = runs(later)",
    ],
)
def test_any_callable_that_takes_both_arguments_may_be_a_processor(
    config: Callable[..., Config], install: Install, function: str
) -> None:
    install(
        f"{WRAPPED}\n{SHOUT}\n{function}\nsend.__name__ = 'send'\nprocessor('send', payload=Text)(send)",
        "send = theirs:send",
    )
    assert "send" in Catalog.load(config()).names()


def test_all_wrong_settings_are_reported_at_once(config: Callable[..., Config]) -> None:
    with pytest.raises(ConfigError) as caught:
        Catalog.load(
            config(
                "[processor:imag]\nmax_pixels = 1\n[processor:image]\nmax_pixels = none\nmax_pixel = 1\n",
                DTQS_PROCESSOR_ECHO_MAX_RETRIES="-1",
            )
        )
    text = str(caught.value)
    assert (
        "dtqs.ini line 2: [processor:imag]: no such task type; did you mean image?; known: echo, email, image" in text
    )
    assert "dtqs.ini line 4: [processor:image] max_pixels = 'none'" in text
    assert "dtqs.ini line 5: [processor:image] max_pixel: no such key; did you mean max_pixels?" in text
    assert "environment DTQS_PROCESSOR_ECHO_MAX_RETRIES: [processor:echo] max_retries = '-1'" in text


def test_an_unknown_task_type_is_answered_with_the_known_ones(config: Callable[..., Config]) -> None:
    with pytest.raises(NotFound, match=r"no task type 'ecko'; did you mean echo\?; known: echo, email, image"):
        Catalog.load(config()).get("ecko")


def test_a_valid_payload_is_returned_as_its_model(config: Callable[..., Config]) -> None:
    processor, payload = Catalog.load(config()).validate("image", {"source": UPLOAD, "outputs": [{"name": "a"}]})
    assert processor.name == "image"
    assert isinstance(payload, ImagePayload)


def test_all_faults_of_a_payload_are_reported_at_once(config: Callable[..., Config]) -> None:
    outputs = [{"name": "a", "width": 0, "heigth": 1, "format": "bmp"}, {"name": "a", "width": "10"}, 7]
    with pytest.raises(Invalid) as caught:
        Catalog.load(config()).validate("image", {"source": "ftp://x", "outputs": outputs, "extra": 1})
    problems = {problem.field: problem.message for problem in caught.value.problems}
    assert set(problems) == {
        "payload.source",
        "payload.extra",
        "payload.outputs[0].width",
        "payload.outputs[0].heigth",
        "payload.outputs[0].format",
        "payload.outputs[1].name",
        "payload.outputs[1].width",
        "payload.outputs[2]",
    }
    assert problems["payload.outputs[1].name"].startswith("outputs[0] has the same name; allowed: a different name")
    assert problems["payload.extra"] == "no such field; known: source, outputs"
    assert problems["payload.outputs[0].heigth"].startswith("no such field; did you mean height?; known: name, ")
    assert "greater than or equal to 1" in problems["payload.outputs[0].width"]
    assert "'jpeg', 'png'" in problems["payload.outputs[0].format"]
    assert "upload:ID" in problems["payload.source"]
    assert problems["payload.outputs[2]"] == "must be an object, not 7"


VIDEO = {
    "payload.source": "upload:ID",
    "payload.outputs[0].crf": "less than or equal to 63",
    "payload.outputs[0].video_codec": "webm does not hold h264; allowed: vp9, av1",
    "payload.outputs[1].name": "outputs[0] has the same name; allowed: a different name for each, ignoring case",
    "payload.outputs[1].preset": "no such preset; did you mean web-720p?",
    "payload.outputs[1].width": "cannot be combined with short_side",
    "payload.outputs[2].format": "'mp4', 'webm'",
    "payload.outputs[2].watermark.opacity": "less than or equal to 1",
    "payload.outputs[2].end_seconds": "must be greater than start_seconds",
    "payload.outputs[3].name": "must be given",
    "payload.outputs[3].two_pass": "needs video_bit_rate or max_bytes",
    "payload.outputs[4]": "must be an object",
    "payload.outputs[5].subtitles.language": "does not have the allowed form",
    "payload.outputs[5].subtitles.mode": "gif has no tracks; allowed: burn",
    "payload.outputs[6].renditions[0].short_side": "must be given",
    "payload.outputs[6].renditions[0].crf": "h264 allows 0 to 51",
    "payload.outputs[6].renditions[1]": "must be an object",
}


def test_contradictions_between_the_fields_of_a_video_are_reported_with_all_other_faults(
    config: Callable[..., Config],
) -> None:
    outputs = [
        {"name": "a", "format": "webm", "video_codec": "h264", "crf": 64},
        {"name": "A", "preset": "web-720", "short_side": 720, "width": 100},
        {
            "name": "b",
            "format": "webn",
            "quality": 80,
            "watermark": {"source": UPLOAD, "opacity": 2},
            "start_seconds": 5,
            "end_seconds": 4,
        },
        {"two_pass": True},
        "c",
        {"name": "d", "format": "gif", "subtitles": {"mode": "carry", "language": "?"}},
        {"name": "e", "format": "hls", "renditions": [{"crf": 60}, 7]},
    ]
    with pytest.raises(Invalid) as caught:
        Catalog.load(config()).validate("video", {"source": "ftp://x", "outputs": outputs})
    problems = {problem.field: problem.message for problem in caught.value.problems}
    assert set(problems) == set(VIDEO)
    assert {field: message for field, message in problems.items() if VIDEO[field] not in message} == {}


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "x", "webm", "h264", "pad", "web-720p", "carry"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["mode", "source", "text", "width", "crf", "x"]), inner, max_size=3)
    ),
    max_leaves=4,
)
CATALOG = Catalog([ImageProcessor(ImageSettings()), VideoProcessor(VideoSettings())])
FIELDS = st.sampled_from(sorted({*ImageOutput.model_fields, *VideoOutput.model_fields}))


@given(
    st.sampled_from(["image", "video"]),
    VALUES
    | st.fixed_dictionaries({"outputs": VALUES | st.lists(VALUES | st.dictionaries(FIELDS, VALUES), max_size=3)}),
)
def test_each_wrong_field_of_any_payload_is_reported_once(task_type: str, payload: Any) -> None:
    with pytest.raises(Invalid) as caught:
        CATALOG.validate(task_type, payload)
    fields = [problem.field for problem in caught.value.problems if problem.field != "payload"]
    assert sorted(fields) == sorted(set(fields))


@pytest.mark.parametrize(
    "output",
    [
        {"format": "jpgg", "quality": 80, "at_seconds": 3},
        {"fit": "padd", "background": "#ffffff"},
        {"fit": "pad", "width": "10", "height": 10},
        {"two_pass": True, "video_bit_rate": 1},
        {"preset": "web-720p", "two_pass": True, "max_bytes": 1},
        {"format": "webm", "video_codec": "vp8", "crf": 60},
        {"preset": 7, "quality": 80, "background": "#ffffff"},
        {"preset": "nono", "quality": 80, "background": "#ffffff", "end_seconds": 0.5},
        {"start_seconds": -1, "end_seconds": 0},
    ],
)
def test_a_wrong_field_causes_no_fault_at_another_field(
    config: Callable[..., Config], output: dict[str, object]
) -> None:
    with pytest.raises(Invalid) as caught:
        Catalog.load(config()).validate("video", {"source": UPLOAD, "outputs": [{"name": "a", **output}]})
    assert len(caught.value.problems) == 1


def test_faults_against_the_settings_are_reported_with_all_others(config: Callable[..., Config]) -> None:
    outputs = [{"name": "a", "width": 101, "format": "bmp"}, {"name": "b"}, {"name": "c"}]
    with pytest.raises(Invalid) as caught:
        Catalog.load(config("[processor:image]\nmax_outputs = 2\nmax_side_pixels = 100\n")).validate(
            "image", {"source": UPLOAD, "outputs": outputs}
        )
    assert {problem.field for problem in caught.value.problems} == {
        "payload.outputs",
        "payload.outputs[0].width",
        "payload.outputs[0].format",
    }


@pytest.mark.parametrize(
    ("task_type", "payload", "allowed"),
    [
        ("image", {"outputs": [{"name": "a/b"}]}, "letters, digits, dots, _ and -"),
        (
            "image",
            {"outputs": [{"name": "a", "pad_with": "red"}]},
            "blur (the blurred image itself) or #rrggbb",
        ),
        ("image", {"outputs": [{"name": "a", "border": {"color": "red"}}]}, "as #rrggbb"),
        ("video", {"outputs": [{"name": "-a"}]}, "letters, digits, dots, _ and -"),
        (
            "video",
            {"outputs": [{"name": "a", "background": "white", "fit": "pad", "width": 10, "height": 10}]},
            "as #rrggbb",
        ),
        ("video", {"outputs": [{"name": "a", "subtitles": {"language": "english!"}}]}, "as `en`, `deu` or `pt-BR`"),
        (
            "video",
            {"outputs": [{"name": "a", "subtitles": {"title": 'a"b'}}]},
            "without quotation marks and control characters",
        ),
        ("email", {"to": ["ada@example.org"], "template": "/etc/passwd"}, "name of a template"),
    ],
)
def test_a_text_of_the_wrong_form_is_answered_in_words_and_not_with_a_pattern(
    config: Callable[..., Config], task_type: str, payload: Any, allowed: str
) -> None:
    source = {} if task_type == "email" else {"source": UPLOAD}
    with pytest.raises(Invalid) as caught:
        Catalog.load(config()).validate(task_type, {**source, **payload})
    (problem,) = caught.value.problems
    assert problem.message.startswith("does not have the allowed form; ")
    assert allowed in problem.message
    assert "^" not in problem.message


@pytest.mark.parametrize("payload", [None, 1, "a", [], [{}]])
@pytest.mark.parametrize("task_type", ["echo", "image", "video"])
def test_a_payload_that_is_no_object_is_refused(config: Callable[..., Config], task_type: str, payload: object) -> None:
    with pytest.raises(Invalid) as caught:
        Catalog.load(config()).validate(task_type, payload)
    ((field, message),) = [(problem.field, problem.message) for problem in caught.value.problems]
    assert field == "payload"
    assert message.startswith("must be an object, not ")


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Rich(Payload):
    """Types that JSON has only as text, numbers or lists."""

    at: datetime | None = None
    day: date | None = None
    time: clock | None = None
    wait: timedelta | None = None
    id: UUID | None = None
    colour: Colour | None = None
    level: Level | None = None
    price: Decimal | None = None
    path: Path | None = None
    raw: bytes | None = None
    ids: set[int] | None = None
    pair: tuple[int, str] | None = None
    counts: dict[int, int] | None = None
    either: int | None = None
    any: list[Any] | None = None


UUID_TEXT = "018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42"


@processor("rich", payload=Rich)
def rich(payload: Rich, context: Context) -> None:
    """Do nothing."""


@pytest.fixture
def rich_catalog() -> Catalog:
    kind = processor_class(rich)
    assert kind
    return Catalog([kind(NoSettings())])


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ("at", "2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("day", "2026-01-31", date(2026, 1, 31)),
        ("time", "12:30:00", clock(12, 30)),
        ("wait", "PT1H30M", timedelta(minutes=90)),
        ("id", UUID_TEXT, UUID(UUID_TEXT)),
        ("colour", "red", Colour.RED),
        ("level", 1, Level.LOW),
        ("price", "1.10", Decimal("1.10")),
        ("path", "a/b", Path("a/b")),
        ("raw", "abc", b"abc"),
        ("ids", [1, 2, 1], {1, 2}),
        ("pair", [1, "a"], (1, "a")),
        ("counts", {"1": 2}, {1: 2}),
        ("either", 18446744073709551615, 18446744073709551615),
    ],
)
def test_values_that_json_has_only_as_text_or_lists_are_read(
    rich_catalog: Catalog, field: str, given: object, expected: object
) -> None:
    _, payload = rich_catalog.validate("rich", {field: given})
    assert getattr(payload, field) == expected
    assert reader(Rich)(orjson.dumps({field: given}).decode()) == payload


def test_a_payload_of_such_types_may_be_as_deep_as_any_other(rich_catalog: Catalog) -> None:
    value: list[Any] = []
    for _ in range(DEPTH_LIMIT - 3):
        value = [value]
    _, payload = rich_catalog.validate("rich", {"any": value})
    assert getattr(payload, "any", None) == value


class Either(Payload):
    at: datetime | str
    id: UUID | str = ""


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00Z", "12345"])
def test_text_that_a_field_takes_as_a_value_stays_text(text: str) -> None:
    """Processors that were written before payloads could have dates expect it."""

    @processor("either", payload=Either)
    def either(payload: Either, context: Context) -> None:
        """Do nothing."""

    kind = processor_class(either)
    assert kind
    given = {"at": text, "id": UUID_TEXT}
    _, payload = Catalog([kind(NoSettings())]).validate("either", given)
    assert payload == reader(Either)(orjson.dumps(given).decode()) == Either(at=text, id=UUID_TEXT)


@pytest.mark.parametrize(
    ("field", "given", "words"),
    [
        ("at", 5, "must be a date and time as text, such as 2026-01-31T12:00:00Z, not 5"),
        ("at", "noon", 'must be a date and time as text, such as 2026-01-31T12:00:00Z, not "noon"'),
        ("day", "noon", 'must be a date as text, such as 2026-01-31, not "noon"'),
        ("time", "noon", 'must be a time of day as text, such as 12:00:00, not "noon"'),
        ("wait", 90, "must be a duration as text, such as PT1H30M, not 90"),
        ("id", "7", 'must be a UUID as text, not "7"'),
        ("colour", "blue", "should be 'red'"),
        ("price", "much", 'must be a decimal number, not "much"'),
        ("ids", "1", 'must be a list, not "1"'),
        ("pair", {}, "must be a list, not an object"),
        ("either", "1", 'must be a whole number, not "1"'),
    ],
)
def test_a_wrong_value_of_such_a_type_is_answered_in_words(
    rich_catalog: Catalog, field: str, given: object, words: str
) -> None:
    with pytest.raises(Invalid) as caught:
        rich_catalog.validate("rich", {field: given})
    assert [(each.field, each.message) for each in caught.value.problems] == [(f"payload.{field}", words)]


def test_a_missing_field_is_named_with_its_description(config: Callable[..., Config]) -> None:
    with pytest.raises(Invalid) as caught:
        Catalog.load(config()).validate("image", {})
    assert [p.field for p in caught.value.problems] == ["payload.source"]
    assert caught.value.problems[0].message.startswith("must be given; URI of the input: upload:ID")


def test_the_list_of_problems_is_limited(config: Callable[..., Config]) -> None:
    with pytest.raises(Invalid) as caught:
        Catalog.load(config()).validate("image", {"source": UPLOAD, **{f"x{n}": n for n in range(150)}})
    assert len(caught.value.problems) == 101
    assert caught.value.problems[-1].message == "50 more"


def test_faults_against_the_settings_are_reported_at_submit(config: Callable[..., Config]) -> None:
    catalog = Catalog.load(config("[processor:image]\nmax_outputs = 1\nmax_side_pixels = 100\n"))
    with pytest.raises(Invalid) as caught:
        catalog.validate(
            "image", {"source": UPLOAD, "outputs": [{"name": "a", "width": 100}, {"name": "b", "height": 101}]}
        )
    assert [p.field for p in caught.value.problems] == ["payload.outputs", "payload.outputs[1].height"]


def test_examples_are_valid_and_every_model_has_a_schema(config: Callable[..., Config]) -> None:
    catalog = Catalog.load(config("[processor:email]\nsender = shop@example.org\ntemplates = /not/on/this/machine\n"))
    for name in catalog.names():
        processor = catalog.get(name)
        assert processor.payload_model.model_json_schema()["type"] == "object"
        assert processor.examples
        for example in processor.examples:
            catalog.validate(name, example)
