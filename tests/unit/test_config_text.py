"""Texts about the configuration: the shipped file, the reference, and effective values without secrets."""

import configparser
from pathlib import Path

import pytest

from dtqs.config import Section, load
from dtqs.config.reference import MASK, default_ini, effective, mask_connection_string, models, reference, write_ini
from dtqs.processors.catalog import BUILT_IN, Catalog
from dtqs.processors.sms.settings import SmsSettings
from dtqs.resources import resource

BUILT_IN_MODELS: dict[str, type[Section]] = {
    processor.name: processor.settings_model for processor in sorted(BUILT_IN, key=lambda each: each.name)
}


def test_the_shipped_file_equals_the_models() -> None:
    assert resource("conf/dtqs.ini").read_text(encoding="utf-8") == default_ini(BUILT_IN_MODELS), (
        "run: dtqs config default > conf/dtqs.ini"
    )


def test_the_reference_equals_the_models() -> None:
    text = (Path(__file__).parents[2] / "docs/configuration.md").read_text(encoding="utf-8")
    assert text == reference(BUILT_IN_MODELS), "run: dtqs config reference > docs/configuration.md"


def test_the_shipped_file_sets_every_key_to_its_default() -> None:
    shipped, bare = load(resource("conf/dtqs.ini"), {}), load(None, {})
    catalogs = [Catalog.load(each) for each in (shipped, bare)]
    settings = [{name: catalog.get(name).settings for name in catalog.names()} for catalog in catalogs]
    values = [
        {(s, k): value for s, keys in effective(c, p).items() for k, (value, _) in keys.items()}
        for c, p in zip((shipped, bare), settings, strict=True)
    ]
    assert values[0] == values[1]
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(resource("conf/dtqs.ini").read_text(encoding="utf-8"))
    named = {(section, key) for section in parser.sections() for key in parser[section]}
    assert named == {(section, key) for section, model in models(BUILT_IN_MODELS).items() for key in model.model_fields}


def test_the_output_of_show_can_be_read_again(tmp_path: Path) -> None:
    first = load(None, {"DTQS_API_PORT": "81", "DTQS_FILES_ROOTS": "/a, /b c", "DTQS_API_AUTH": "off"})
    (tmp_path / "again.ini").write_text(write_ini(effective(first, {})), encoding="utf-8")
    again = load(tmp_path / "again.ini", {})
    assert (again.api, again.files) == (first.api, first.files)
    assert "; environment DTQS_API_PORT\nport = 81\n" in write_ini(effective(first, {}))


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        ("postgresql://dtqs:sesame@db:5432/dtqs", f"postgresql://dtqs:{MASK}@db:5432/dtqs"),
        ("postgresql://dtqs@db/dtqs", "postgresql://dtqs@db/dtqs"),
        ("amqp://u:sesame@[::1]:5672/%2F", f"amqp://u:{MASK}@[::1]:5672/%2F"),
        ("postgresql://db/dtqs?password=sesame", f"postgresql://db/dtqs?{MASK}"),
        ("amqp://u:ses/ame@host/", MASK),
        ("amqp://u:12/same@host/", MASK),
        ("amqp://u:ses#ame@host/", MASK),
        ("amqp://u:ses?ame@host/", MASK),
        ("host=db password=sesame dbname=x", f"host=db password={MASK} dbname=x"),
        ("host=db password='ses ame'", MASK),
        ("password = sesame", MASK),
        ("host=db password=ses\\ ame", MASK),
        ("sesame", MASK),
        ("", MASK),
    ],
)
def test_secrets_are_masked(secret: str, shown: str) -> None:
    assert mask_connection_string(secret) == shown
    assert "ame" not in mask_connection_string(secret).replace("dbname", "")


def test_show_masks_the_keys_in_urls_and_headers(tmp_path: Path) -> None:
    (tmp_path / "dtqs.ini").write_text(
        "[api]\npublic_url = https://u:sesame@tasks.example/dtqs\n[processor:sms]\n"
        "url = https://gateway.example/bot-sesame/send?key=sesame\n"
        'headers = {"Authorization": "Bearer sesame"}\nbody = {"key": "sesame"}\n'
        "status_callback = https://tasks.example/?token=sesame\nbase_url = https://twilio.example/?key=sesame\n",
        encoding="utf-8",
    )
    config = load(tmp_path / "dtqs.ini", {})
    text = write_ini(effective(config, {"sms": config.processor("sms", SmsSettings)}))
    assert "sesame" not in text
    assert "public_url = https://tasks.example/dtqs\n" in text
    assert f"url = https://gateway.example/{MASK}\n" in text
    assert f"headers = {MASK}\n" in text


def test_show_masks_secrets() -> None:
    config = load(None, {"DTQS_POSTGRESQL_DSN": "postgresql://u:sesame@h/d", "DTQS_RABBITMQ_URL": "amqp://u:sesame@h/"})
    assert "sesame" not in write_ini(effective(config, {}))
