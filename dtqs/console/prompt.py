"""Bottom lines that ask the operator: a question before an action, and the input of a filter or search; pure."""

from dataclasses import dataclass

from dtqs.console.formats import short_id
from dtqs.console.lines import ScreenLine, StyledText, line, typed

_FULL_ID_FROM = 70
"""From this width on, the question has room for a whole id."""
_LABELS = {"queue": "Filter (status:failed type:email tag:x id:01a2)", "logs": "Search"}


@dataclass(frozen=True, slots=True)
class Question:
    """An action that waits for the operator's yes."""

    action: str
    task_id: str


def question_line(question: Question, width: int) -> ScreenLine:
    """Ask whether to run the action."""
    identity = short_id(question.task_id, 36 if width >= _FULL_ID_FROM else 13)
    return line(StyledText(f" {question.action} task {identity}?  y yes   n no", "ask"))


def input_line(tab: str, text: str, error: str) -> ScreenLine:
    """Show the input with its label, or with the reason of its refusal."""
    label, fault = ("", f"  ✗ {typed(error)}") if error else (f"{_LABELS[tab]}: ", "")
    return line(StyledText(f" {label}{typed(text)}▏{fault}", "ask"))
