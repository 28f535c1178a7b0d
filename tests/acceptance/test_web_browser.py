"""The dashboard in a real headless Chromium: normal use, restarts of the API, and attacks through hostile tasks."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.browser import Page
from tests.support.fix_browser import go
from tests.support.fix_site import Site
from tests.support.fix_system import System
from tests.support.helpers import eventually

PHOTO = Path(__file__).parents[2] / "docs/media/rocket.jpg"
MARKUP = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>\u202eevil'
_CONTRAST = (Path(__file__).parents[1] / "data/contrast.js").read_text(encoding="utf-8")


def kill_api(system: System) -> None:
    """Kill every process of the API at once."""
    assert system.api
    os.killpg(system.api.pid, signal.SIGKILL)
    system.api.wait(10)


def test_a_photograph_is_submitted_and_its_thumbnails_are_shown(page: Page, shared: System) -> None:
    go(page, "submit?task_type=image")
    page.wait("input[type=file]")
    page.give_file("input[type=file]", PHOTO)
    page.wait(".drop", "rocket.jpg, 110 KiB, image/jpeg")
    page.click("#submit")
    page.wait("#task-status", "completed", 20)
    script = "[...document.querySelectorAll('#result img')].map((one) => one.complete ? one.naturalWidth : 0)"
    eventually(lambda: page.run(script) == [160, 480, 640], 10, "three thumbnails are shown")
    page.wait(".attempts", "Attempt 1")
    page.send("Page.reload")
    page.wait("#result", "thumb-480")
    assert page.complaints() == []
    page.click("#logout")
    page.wait("#api-key")
    assert "thumb-480" not in page.text()


def test_a_task_page_follows_its_task_across_a_restart_of_the_api(page: Page, shared: System) -> None:
    task_id = shared.submit({"sleep_seconds": 20, "steps": 40})
    go(page, f"tasks/{task_id}")
    page.wait("#progress", "%")
    page.wait("#live", "live")
    kill_api(shared)
    page.wait("#live", "reconnecting")
    shared.start_api()
    page.wait("#live", "live")
    page.wait("#task-status", "completed", 20)
    page.wait(".log", "completed")
    go(page, "overview")
    page.wait("#verdict", "Healthy", 20)


def test_markup_in_a_task_is_shown_as_text_on_every_page(page: Page, shared: System) -> None:
    harm = {
        "text": MARKUP,
        MARKUP: [MARKUP],
        "fail": "permanent",
        "password": "hunter2",
        "url": "https://ada:hunter2@example.org/",
    }
    task_id = shared.submit(harm, tags=[MARKUP[:90]])
    retried = shared.submit(
        {"text": MARKUP, "source": "javascript:window.harmed=1", "uri": "upload:x", "media_type": "image/png"}
    )
    shared.wait_for(retried)
    shared.wait_for(task_id)
    for place, words in (
        (f"tasks/{task_id}", "onerror"),
        (f"tasks/{retried}", "onerror"),
        ("tasks?status=failed", "permanent error"),
        ("tasks?text=onerror", "onerror"),
        ("log", "echo"),
        ("overview", "permanent"),
    ):
        go(page, place)
        page.wait("main", words)
        assert "hunter2" not in page.text()
        assert "\u202e" not in page.text()
        assert page.count("main script, main img, a[href^=javascript]") == 0
    assert page.run("window.harmed === undefined")
    assert page.complaints() == []


def test_a_file_that_could_run_is_saved_and_never_shown(page: Page, shared: System) -> None:
    uri = shared.client.post(
        "/files?name=harm.svg",
        content=b'<svg xmlns="http://www.w3.org/2000/svg"><script>window.harmed=1</script></svg>',
    ).json()["uri"]
    task_id = shared.submit(
        {
            "outputs": [
                {"uri": uri, "name": "harm", "media_type": "image/svg+xml"},
                {"uri": uri, "name": "lie", "media_type": "image/png"},
            ]
        }
    )
    shared.wait_for(task_id)
    go(page, f"tasks/{task_id}")
    page.wait("#result", "image/svg+xml")
    assert page.count("#result figure a[download]") == 2
    assert page.count("#result img[alt=harm]") == 0
    eventually(
        lambda: page.run("document.querySelector('#result img[alt=lie]').complete"),
        5,
        "the browser tried to load it as an image",
    )
    answer = shared.client.get(f"/files/{uri.removeprefix('upload:')}")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert page.run("window.harmed === undefined")


def test_another_sites_page_cannot_use_the_login(page: Page, shared: System, site: Site) -> None:
    task_id = shared.submit({}, delay_seconds=60)
    # the same host, so its pages belong to the same site and the browser would send the cookie
    form = f'<form id=f method=post action="{shared.url}/tasks/{task_id}/cancel"></form>'
    site.answers["/"] = (200, {"Content-Type": "text/html"}, f"<!doctype html><title>evil</title>{form}".encode())
    go(page, "tasks")
    page.go(site.url("/"))
    cancel = f"'{shared.url}/tasks/{task_id}/cancel', {{method: 'POST', credentials: 'include', mode: 'no-cors'}}"
    page.run(f"fetch({cancel}).catch(() => 0)")
    assert (
        page.run(f"fetch('{shared.url}/tasks', {{credentials: 'include'}}).then((r) => r.ok, () => 'refused')")
        == "refused"
    )
    page.run("document.getElementById('f').submit()")
    page.wait("body", "another site")
    assert shared.task(task_id)["status"] == "pending"
    page.go(f"{shared.url}/#/tasks/{task_id}")
    page.click("#cancel")
    page.click("#confirm-yes")
    page.wait("#task-status", "cancelled")


def test_many_tasks_are_retried_together(page: Page, shared: System) -> None:
    for task_id in shared.submit_many(3, {"fail": "permanent"}, tags=["together"]):
        shared.wait_for(task_id)
    go(page, "tasks?tag=together&status=failed")
    page.wait(".hint", "3 tasks")
    page.click("#all")
    page.click("#bulk-retry")
    page.click("#confirm-yes")
    page.wait("#notes", "Retried: 3")
    assert len(shared.client.get("/tasks?tag=together").json()["tasks"]) == 6
    first = shared.client.get("/tasks?tag=together").json()["tasks"][-1]["task_id"]
    go(page, f"tasks?id={first[:13]}")
    page.wait("tbody", first[-8:])


def test_the_form_follows_the_schema_and_shows_errors_at_their_fields(page: Page, shared: System) -> None:
    go(page, "submit?task_type=sms")
    page.type("#f-payload\\.to", "12345")
    page.type("#f-payload\\.text", "hello")
    page.click("#submit")
    page.wait("#e-payload\\.to", "E.164")
    assert page.run("document.activeElement.id") == "f-payload.to"
    page.choose("#task-type", "echo")
    page.type("#f-payload\\.steps", "2")
    page.type("#f-payload\\.\\*", '{"hello": ["world"]}')
    page.click("#submit")
    page.wait("#task-status", "completed")
    assert '"world"' in page.text("#result")
    assert '"steps": 2' in page.text("#result")


@pytest.mark.parametrize(("width", "height", "scheme"), [(1280, 900, "light"), (390, 844, "dark")])
def test_every_page_is_readable_on_a_screen_and_on_a_phone(
    page: Page, shared: System, width: int, height: int, scheme: str
) -> None:
    failed, running = (
        shared.submit({"fail": "permanent"}),
        shared.submit({"sleep_seconds": 30, "steps": 30}, tags=["readable"]),
    )
    shared.wait_for(running, "in_progress")
    page.look(width, height, scheme)
    for place in (
        "overview",
        "tasks",
        f"tasks/{failed}",
        f"tasks/{running}",
        "workers",
        "submit?task_type=image",
        "log",
    ):
        go(page, place)
        page.wait("main h1")
        page.wait("main", "echo" if "submit" not in place else "outputs")
        assert page.run(_CONTRAST) == [], place
        assert page.run("document.documentElement.scrollWidth") <= width, place
        fields = "[...document.querySelectorAll('input, select, textarea')]"
        unnamed = f"{fields}.filter((one) => !one.labels.length && !one.getAttribute('aria-label')).length"
        assert page.run(unnamed) == 0, place
    assert shared.client.post(f"/tasks/{running}/cancel").status_code == 202
    assert page.complaints() == []


def test_an_example_and_another_type_keep_the_file_that_was_uploaded(page: Page, shared: System) -> None:
    go(page, "submit?task_type=image")
    page.wait("input[type=file]")
    page.give_file("input[type=file]", PHOTO)
    page.wait(".drop", "rocket.jpg, 110 KiB, image/jpeg")
    uploaded = page.run("document.getElementById('f-payload.source').value")
    assert uploaded.startswith("upload:")
    page.run("[...document.querySelectorAll('form.submit > p button')].at(-1).click()")
    source = "document.getElementById('f-payload.source').value"
    assert page.run(source) == uploaded
    assert page.run("document.getElementById('f-payload.outputs[2].name').value") == "full", (
        "the other fields have the example's values"
    )
    assert page.count("[id='u-payload.outputs[2].watermark.source']") == 1, "every source can be uploaded"
    page.run(
        "{ const type = document.getElementById('task-type'); type.value = 'video';"
        " type.dispatchEvent(new Event('change')); }"
    )
    assert page.run(source) == uploaded
    assert page.complaints() == []


def test_every_page_shows_the_alarms(page: Page, shared: System) -> None:
    go(page, "tasks")
    page.wait("#health.good")
    assert page.run("document.getElementById('alarms').hidden")
    assert shared.supervisor
    shared.supervisor.send_signal(signal.SIGTERM)
    shared.supervisor.wait(20)
    shared.submit()
    for place in ("tasks", "submit", "log"):
        go(page, place)
        page.wait("#alarms", "no worker is running", 30)
        page.wait("#health.bad")
    go(page, "overview")
    page.wait("#verdict", "no worker is running")
    assert page.run("document.getElementById('alarms').hidden"), "Overview shows the alarm once"
    shared.start_supervisor()
    page.wait("#health.good", "", 30)
    assert page.complaints() == []
