"""The dashboard in a browser while its data changes: selected text and focus stay, and alarms are spoken once."""

import functools
import re
from typing import Any

from tests.acceptance.test_web_faults import has_more, readings
from tests.acceptance.test_web_pages import crowd
from tests.support.browser import Page
from tests.support.fix_browser import go, run_with
from tests.support.fix_system import System
from tests.support.helpers import eventually

_SELECT = "getSelection().selectAllChildren(document.querySelector('#failures .why'))"
_WATCH_SPEECH = """
    window.spoken = [];
    new MutationObserver(() => window.spoken.push(document.getElementById('speech').innerText))
        .observe(document.getElementById('speech'), {childList: true, characterData: true, subtree: true})"""
_LATE = "UPDATE workers SET heartbeat_at = now() - make_interval(secs => %s) WHERE node_name = 'crowd' RETURNING 1"

_ADD_ROW = "INSERT INTO logs (task_id, event, level, message) VALUES (%s, 'log', 'info', 'new') RETURNING 1"


def put(page: Page, script: str) -> Any:
    """Evaluate an expression in which `put` and `h` are those of dom.js, and `box` is an element of the page."""
    box = "const box = dom.h('div'); document.getElementById('main').append(box)"
    return run_with(page, "dom", f"{{ const {{ h, put }} = dom; {box}; {script} }}")


def test_an_error_can_be_selected_while_other_tasks_fail(page: Page, shared: System) -> None:
    shared.wait_for(shared.submit({"fail": "permanent"}))
    page.wait("#failures .why", "permanent error")
    page.run(_SELECT)
    selected = page.run("String(getSelection())")
    assert "permanent error" in selected
    rows = page.count("#failures li")
    shared.wait_for(shared.submit({"fail": "permanent"}))
    eventually(lambda: page.count("#failures li") > rows, 10, "a further failure")
    before = readings(page)
    eventually(functools.partial(has_more, page, before + 1), 10, "readings go on")
    assert page.run("String(getSelection())") == selected


def test_changes_keep_focus_scroll_position_and_equal_nodes(page: Page) -> None:
    row = "(key) => h('li', {'data-key': key}, h('a', {href: '#/log'}, 'same'), h('p', {}, key))"
    script = f"""
        const row = {row};
        const style = {{'max-height': '3em', overflow: 'auto', 'overflow-anchor': 'none'}};
        const list = (keys) => h('ul', {{style}}, keys.map(row));
        const details = (text) => h('details', {{}}, h('summary', {{}}, text), text);
        put(box, list(['a', 'b', 'c', 'd', 'e']), details('old'));
        const [scroll, fold] = box.children, kept = scroll.children[2], link = kept.querySelector('a');
        scroll.scrollTop = 30; fold.open = true; link.focus({{preventScroll: true}});
        put(box, list(['x', 'a', 'c', 'd', 'e', 'f']), details('new'));
        const found = {{
            top: scroll.scrollTop, open: fold.open, text: fold.textContent,
            focus: document.activeElement === link, kept: scroll.children[2] === kept,
            keys: [...scroll.children].map((one) => one.dataset.key).join(''),
        }};
        box.remove();
        return found;"""
    assert put(page, script) == {
        "top": 30, "open": True, "text": "newnew", "focus": True, "kept": True, "keys": "xacdef",
    }  # fmt: skip


def test_a_change_of_any_kind_is_shown(page: Page) -> None:
    script = """
        const text = (...parts) => { put(box, ...parts); return box.innerHTML; };
        const found = [
            text('a'), text('b', h('b', {class: 'x', title: 'y'}, 'c')), text(h('b', {class: 'z'}, 'd'), 'e'),
            text(h('p', {id: 'one'}, '1'), h('p', {id: 'two'}, '2')),
            text(h('p', {id: 'two'}, '2'), h('p', {id: 'one'}, '3')),
            text(null, false, [h('i', {style: {width: '3%'}}), ['f']]), text(h('i', {style: {width: '4%'}})), text(),
        ];
        box.remove();
        return found;"""
    assert put(page, script) == [
        "a", 'b<b class="x" title="y">c</b>', '<b class="z">d</b>e', '<p id="one">1</p><p id="two">2</p>',
        '<p id="two">2</p><p id="one">3</p>', '<i style="width: 3%;"></i>f', '<i style="width: 4%;"></i>', "",
    ]  # fmt: skip


def test_a_row_of_the_log_keeps_the_focus(page: Page, shared: System) -> None:
    task_id = shared.submit({"sleep_seconds": 0.2, "steps": 2})
    shared.wait_for(task_id)
    go(page, f"log?task_id={task_id}")
    page.wait(".log", "completed")
    links = page.count(".log tbody a")
    assert links > 2
    page.run("[...document.querySelectorAll('.log tbody a')].at(-1).focus()")
    shared.rows(_ADD_ROW, task_id)
    eventually(lambda: page.count(".log tbody a") == links + 1, 10, "a new row")
    assert page.run("[...document.querySelectorAll('.log tbody a')].indexOf(document.activeElement)") == links


def shows_late(page: Page, system: System, age: float) -> bool:
    """Make the workers of the crowd late, and tell whether the page shows it."""
    assert system.rows(_LATE, age)
    return re.search(rf"heartbeat.* for {age:.0f} s", page.text("#verdict")) is not None


def test_alarms_are_spoken_when_they_begin_and_end(page: Page, shared: System) -> None:
    page.run(_WATCH_SPEECH)
    with crowd(shared, 2):
        for age in (3.6, 4.6):
            eventually(functools.partial(shows_late, page, shared, age), 15, f"workers are late by {age} s")
        assert page.count("main [role=alert]") == 0
        spoken = page.run("window.spoken")
        assert len(spoken) == 1
        assert "heartbeat" in spoken[0]
    page.wait("#verdict", "Healthy", 15)
    eventually(lambda: page.run("window.spoken")[1:] == ["No more alarms"], 10, "the end is spoken")


def test_only_a_change_of_the_set_of_alarms_is_spoken(page: Page) -> None:
    script = """(() => {
        const said = [];
        for (const set of [
            ['a task has been due for 61 s'], ['a task has been due for 2 min'],
            ['no worker has claimed a task for 45 s, and 1 are pending'],
            ['no worker has claimed a task for 2 h, and 1,234 are pending'],
            ['worker default/1 on node-7 is late (1 task)', 'x'],
            ['x', 'worker default/1 on node-7 is late (20 tasks)'],
            ['worker default/1 on node-8 is late (20 tasks)', 'x'], [], [],
        ]) {
            const before = alarms.speech.textContent;
            alarms.speech.textContent = '';
            alarms.speak(set);
            said.push(alarms.speech.textContent !== '');
        }
        return said;
    })()"""
    assert run_with(page, "alarms", script) == [True, False, True, False, True, False, True, True, False]


def test_a_long_list_of_alarms_is_cut(page: Page) -> None:
    many = "Array.from({length: 300}, (_, i) => `alarm ${i}`)"
    lines = run_with(
        page, "alarms", f"[...alarms.alarmsPart({many}).querySelectorAll('li')].map((li) => li.textContent)"
    )
    assert lines == [*(f"alarm {i}" for i in range(8)), "and 292 more"]
    assert run_with(page, "alarms", f"alarms.alarmsLine({many})").endswith("alarm 7; and 292 more")
