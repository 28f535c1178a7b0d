"""Each version has its migration and an old schema to upgrade from; each migration is one transaction."""

import re
from pathlib import Path

import pytest

from dtqs.store.driver.migrations import Migration, migrations
from dtqs.store.driver.schema import SCHEMA_COMPATIBLE, SCHEMA_VERSION

ROOT = Path(__file__).parents[2]
OUTSIDE = re.compile(r"\b(BEGIN;|COMMIT|ROLLBACK|CONCURRENTLY|VACUUM|CREATE DATABASE|LOCK TABLE)\b", re.IGNORECASE)
LEAKING = re.compile(r"(?m)^\s*SET (?!LOCAL)|set_config\((?![^$]*, true\))", re.IGNORECASE)


def code(text: str) -> str:
    """Return SQL without comments, one statement a line."""
    return " ".join(re.sub(r"--.*", "", text).split()).replace("; ", ";\n")


def test_every_version_has_a_migration() -> None:
    assert [migration.version for migration in migrations()] == list(range(2, SCHEMA_VERSION + 1))


def test_the_last_migration_and_the_whole_schema_agree_with_the_code() -> None:
    assert migrations()[-1].compatible == SCHEMA_COMPATIBLE
    assert f"version: {SCHEMA_VERSION}\n" in (ROOT / "schema.sql").read_text(encoding="utf-8")


def test_no_version_is_compatible_with_older_code_than_the_version_before() -> None:
    compatible = [migration.compatible for migration in migrations()]
    assert compatible == sorted(compatible)
    assert all(migration.compatible <= migration.version for migration in migrations())


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_every_earlier_version_has_a_schema_for_the_upgrade_tests(version: int) -> None:
    schema = ROOT / "tests" / "integration" / "schemas" / f"version_{version}.sql"
    assert f"version: {version}\n" in schema.read_text(encoding="utf-8")


@pytest.mark.parametrize("migration", migrations(), ids=lambda migration: migration.file_name)
def test_a_migration_is_one_transaction_and_leaves_nothing_set(migration: Migration) -> None:
    text = code(migration.text.decode())
    assert not OUTSIDE.search(text)
    assert not LEAKING.search(text)


@pytest.mark.parametrize(
    "text",
    ["CREATE INDEX CONCURRENTLY a ON b (c);", "SELECT 1; SET lock_timeout = 1;", "SELECT set_config('a', 'b', false);"],
)
def test_a_forbidden_statement_is_found(text: str) -> None:
    assert OUTSIDE.search(code(text)) or LEAKING.search(code(text))
