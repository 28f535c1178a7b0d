"""Cursors: they are sealed and opened again, and reveal nothing of the id."""

import pytest

from dtqs.api.tasks.cursor import Cursors
from dtqs.uuid7 import uuid7


def test_a_sealed_cursor_is_opened_by_its_own_secret_only() -> None:
    cursors = Cursors(b"k" * 32)
    ids = [uuid7() for _ in range(100)]
    sealed = [cursors.seal(task_id) for task_id in ids]
    assert [cursors.open(cursor) for cursor in sealed] == ids
    assert [Cursors(b"o" * 32).open(cursor) for cursor in sealed] != ids
    # Ids of one moment begin alike; their cursors must differ from the first character.
    assert len({cursor[1:5] for cursor in sealed}) > 95


@pytest.mark.parametrize(
    "text", ["", "~", "018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42", "~" + "!" * 22, "~" + "A" * 23, "~\u00e9" + "A" * 21]
)
def test_a_text_of_another_form_is_no_cursor(text: str) -> None:
    assert Cursors(b"k" * 32).open(text) is None
