"""Twilio's answers with JSON of any type."""

from typing import Any

import orjson
import pytest

from dtqs.errors import DtqsError
from dtqs.json_value import json_text
from dtqs.processors.sms.exchange import Reply
from dtqs.processors.sms.message import SmsNotTaken, SmsRefused, SmsUnsure, TextMessage
from dtqs.processors.sms.segments import segment
from dtqs.processors.sms.settings import SmsSettings
from dtqs.processors.sms.twilio import Twilio

MESSAGE = TextMessage("id", "+4915112345678", "hello", None, None, segment("hello"))


def judge(code: int, facts: dict[str, Any]) -> Any:
    twilio = Twilio(SmsSettings(provider="twilio", account_sid="AC1", auth_token="token"))
    return twilio._judge(Reply(code, orjson.dumps(facts).decode(), True, 0.0), MESSAGE)


@pytest.mark.parametrize("status", [["queued"], {"a": 1}, 1, None])
def test_an_accepted_message_is_accepted_with_a_status_of_any_type(status: Any) -> None:
    accepted = judge(201, {"status": status, "sid": ["SM1"]})
    assert (accepted.message_id, accepted.status) == (None, "accepted")


@pytest.mark.parametrize("text", ["<html>Log in to this network</html>", "", "[]"])
def test_a_success_of_another_server_is_no_success_of_twilio(text: str) -> None:
    twilio = Twilio(SmsSettings(provider="twilio", account_sid="AC1", auth_token="token"))
    with pytest.raises(SmsUnsure, match="check base_url"):
        twilio._judge(Reply(200, text, True, 0.0), MESSAGE)
    # the code alone settles a reply that broke off
    assert twilio._judge(Reply(201, text, False, 0.0), MESSAGE).status == "accepted"


@pytest.mark.parametrize("error", [[20429], {"code": 20429}, "x\0y"])
@pytest.mark.parametrize(("code", "fault"), [(400, SmsRefused), (503, SmsNotTaken), (504, SmsUnsure)])
def test_the_status_code_decides_with_an_error_of_any_type(error: Any, code: int, fault: type[DtqsError]) -> None:
    with pytest.raises(fault) as caught:
        judge(code, {"code": error})
    assert json_text("the log's data", str(caught.value))
