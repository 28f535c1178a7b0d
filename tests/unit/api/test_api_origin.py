"""The origin of a browser's request, also one that is no URL."""

import falcon
import pytest
from falcon.testing import create_environ

from dtqs.api.access.origin import refuse_foreign


def change(origin: str) -> falcon.Request:
    return falcon.Request(
        create_environ(method="POST", host="here:8080", headers={"Host": "here:8080", "Origin": origin})
    )


@pytest.mark.parametrize("is_browser", [False, True])
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://[", "http://[here:8080", "http://]", "http://[v1.x]x"]
)
def test_another_origin_is_refused_even_if_it_is_no_url(origin: str, is_browser: bool) -> None:
    with pytest.raises(falcon.HTTPForbidden):
        refuse_foreign(change(origin), is_browser)


def test_the_own_origin_may_change_something() -> None:
    refuse_foreign(change("http://here:8080"), is_browser=True)
