"""The dashboard's submit page in a browser: it sends the payload that a person sees, and changes nothing silently."""

import json

import pytest

from tests.support.browser import Page
from tests.support.fix_browser import blocked, go, run_with
from tests.support.fix_system import System

ODD = '{"b":1,"2":"x","1":{},"id":1234567890123456789,"x":1e+16,"y":-0.0,"one":1.0,"list":[18446744073709551615,1.5]}'
"""Values that JavaScript's numbers and objects change."""
EMPTY = '{"fail":null,"steps":0,"text":"","none":null,"nothing":{},"list":["",null,{},[]],"lines":"a\\r\\nb\\nc"}'
"""Values that look as if a field was left empty."""


def submitted(page: Page, system: System) -> str:
    """Submit the form and return the payload of the new task, as the API's text."""
    before = page.run("location.hash")
    page.click("#submit")
    page.wait("#task-status")
    task_id = page.run("location.hash").rpartition("/")[2]
    assert task_id not in before
    return payload_of(system, task_id)


def payload_of(system: System, task_id: str) -> str:
    text = system.client.get(f"/tasks/{task_id}").text
    return text[text.index('"payload":') + len('"payload":') : text.index(',"result":')]


def submit_text(system: System, payload: str) -> str:
    """Submit a payload as it is written, and return the id of its task."""
    answer = system.client.post(
        "/submit",
        content=f'{{"task_type": "echo", "payload": {payload}}}',
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])


def write_json(page: Page, text: str) -> None:
    page.click("#as-json")
    page.run("document.getElementById('payload-json').value = ''")
    page.type("#payload-json", text)


def test_a_payload_typed_as_json_is_sent_as_it_is(page: Page, shared: System) -> None:
    go(page, "submit?task_type=echo")
    write_json(page, ODD)
    assert submitted(page, shared) == ODD
    for text, words in (('{"z": 1e400}', "infinity"), ('{"a": 1, "a": 2}', "more than once"), ('{"a": 1', "not JSON")):
        go(page, "tasks")
        page.wait("h1", "Tasks")
        go(page, "submit?task_type=echo")
        write_json(page, text)
        page.click("#submit")
        page.wait("#submit-error", words)
        assert page.text("h1") == "Submit", "no task was submitted"


@pytest.mark.parametrize("payload", [ODD, EMPTY])
def test_a_copy_has_the_payload_of_its_task(page: Page, shared: System, payload: str) -> None:
    task_id = submit_text(shared, payload)
    assert payload_of(shared, task_id) == payload
    for looks in (0, 1, 2):
        go(page, f"submit/{task_id}")
        page.wait("#as-json")
        for _ in range(looks):
            page.click("#as-json")
        assert submitted(page, shared) == payload, f"looked at it as JSON and back: {looks} clicks"


def test_a_change_in_a_copy_changes_nothing_else(page: Page, shared: System) -> None:
    odd = '"constructor":[],"__proto__":{"a":1},"toString":null,"more":[1e+16,{}],"id":1234567890123456789'
    task_id = submit_text(shared, f'{{"z":"","fail":null,"steps":1,{odd}}}')
    go(page, f"submit/{task_id}")
    page.wait("#f-payload\\.steps")
    page.run("document.getElementById('f-payload.steps').value = ''")
    page.type("#f-payload\\.steps", "2")
    assert submitted(page, shared) == f'{{"z":"","fail":null,"steps":2,{odd}}}'


def test_further_fields_are_checked_and_kept(page: Page, shared: System) -> None:
    for text, words in (
        ('{"a": 1, "a": 2}', 'the key "a" occurs twice'),
        ("[1]", "a JSON object is needed"),
        ('{"steps": 1}', "steps has a field of its own"),
    ):
        go(page, "tasks")
        page.wait("h1", "Tasks")
        go(page, "submit?task_type=echo")
        page.type("#f-payload\\.\\*", text)
        page.type("#f-payload\\.steps", "2")
        page.click("#submit")
        page.wait("#e-payload\\.\\*", words)
    page.run("document.getElementById('f-payload.*').value = ''")
    page.type("#f-payload\\.\\*", '{"id": 1234567890123456789, "x": [-0.0]}')
    assert submitted(page, shared) == '{"id":1234567890123456789,"x":[-0.0],"steps":2}'


def edited(page: Page, schema: str, given: str, typed: str | None = None, name: str = "title") -> object:
    """Give an editor a value, type a text, and return the JSON of its new value."""
    here = "document.querySelector('script[type=module]').src.replace('app.js', 'exact.js')"
    script = f"""import({here}).then((exact) => {{
        const made = new form.Form({{components: {{schemas: {{}}}}}}, () => {{}});
        const editor = made.editor({schema}, 'p', '{name}', false);
        document.getElementById('main').append(editor.element);
        const typed = {json.dumps(typed)};
        editor.set(exact.parse({json.dumps(given)}));
        if (typed !== null) {{
            const control = editor.element.querySelector('input, textarea');
            control.value = typed;
            control.dispatchEvent(new Event('input', {{bubbles: true}}));
        }}
        const value = exact.write(editor.get()) ?? 'nothing';
        editor.element.remove();
        return value;
    }}, (error) => String(error))"""
    return run_with(page, "form", script)


@pytest.mark.parametrize(
    ("schema", "given", "typed", "expected"),
    [
        ("{type: 'string'}", '"a\\nb"', None, '"a\\nb"'),
        ("{type: 'string'}", '"a\\nb"', "a\nb\nc", '"a\\nb\\nc"'),
        ("{type: 'string'}", '"a\\r\\nb"', "a\nc", '"a\\r\\nc"'),
        ("{type: 'string'}", '""', None, '""'),
        ("{type: 'string'}", "null", None, "null"),
        ("{type: 'string'}", '"a"', "", "nothing"),
        ("{type: 'integer'}", "18446744073709551615", None, "18446744073709551615"),
        ("{type: 'integer'}", "1", "18446744073709551615", "18446744073709551615"),
        ("{type: 'number'}", "1e400", None, "1e400"),
        ("{type: 'number'}", "1", "-0.0", "-0.0"),
        ("{type: 'number'}", "1", "1e16", "1e16"),
        ("{type: 'number'}", "1", ".5", "0.5"),
        ("{type: 'number'}", "1", "", "nothing"),
        ("{type: 'array', items: {type: 'string'}}", '["",null,"a"]', None, '["",null,"a"]'),
        ("{type: 'array', items: {type: 'string'}}", '["","a"]', "b", '["b","a"]'),
        ("{type: 'array', items: {type: 'string'}}", "[]", None, "[]"),
        ("{type: 'object', properties: {a: {type: 'string'}}}", "{}", None, "{}"),
        ("{type: 'boolean', default: false}", "false", None, "false"),
    ],
)
def test_a_value_stays_until_a_person_edits_it(
    page: Page, schema: str, given: str, typed: str | None, expected: str
) -> None:
    assert edited(page, schema, given, typed) == expected


def test_a_secret_of_several_lines_can_be_edited_unseen(page: Page) -> None:
    assert edited(page, "{type: 'string'}", '"a\\nb"', "a\nc", "private_key") == '"a\\nc"'


def test_numbers_are_shown_as_they_are(page: Page, shared: System) -> None:
    task_id = submit_text(shared, '{"id":1234567890123456789,"x":1e16,"y":-0.0}')
    shared.wait_for(task_id)
    go(page, f"tasks/{task_id}")
    for place in ("#result", "pre.json"):
        page.wait(place, '"id": 1234567890123456789,\n  "x": 1e+16,\n  "y": -0.0')
    go(page, "tasks")
    page.wait("tbody", '{"id":1234567890123456789,"x":1e+16,"y":-0.0}')
    assert page.complaints() == []


def test_the_submit_page_waits_for_the_api(page: Page) -> None:
    with blocked(page, "*/openapi.json"):
        go(page, "submit")
        page.wait("main .banner.bad", "retrying")
    page.wait("#task-type")
