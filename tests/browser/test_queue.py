"""The queue in a real browser: it follows by itself, moves what waits, and shows a pause."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.test_journey import SOON, OpenPage
from tests.running import Studio

pytestmark = [pytest.mark.browser, pytest.mark.real, pytest.mark.timeout(900)]


def test_a_person_pauses_a_project_and_puts_its_queue_in_order(
    studio: Studio, fresh_repository: Path, open_page: OpenPage
) -> None:
    expect.set_options(timeout=SOON)
    project = studio.make_project(fresh_repository, "TURN", name="Turns")
    page = open_page("/queue/")
    page.get_by_text("Pause…").click()
    page.get_by_role("link", name="Turns TURN").click()
    page.get_by_label("Why").fill("A look at the queue")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#pauses")).to_contain_text("“A look at the queue”")
    expect(page.locator("#pauses")).to_contain_text("drained")
    page.get_by_role("link", name="Queue").click()
    page.evaluate("window.sameDocument = true")

    first, second = (studio.file(project, title) for title in ("The first", "The second"))
    for task in (first, second):
        studio.post(f"/tasks/{task}/execute")
    rows = page.locator(".queue__entry", has_text="TURN-")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("The first")
    expect(rows.first).to_contain_text("Paused")
    page.get_by_role("button", name="Move TURN-2 up").click()
    expect(rows.first).to_contain_text("The second")
    for task in (first, second):
        assert studio.api("POST", f"/tasks/{task}/cancel").status_code == 200
    expect(rows).to_have_count(0)
    page.locator(".banner", has_text="Turns is paused").get_by_role("button", name="Resume").click()
    expect(page.locator("body")).not_to_contain_text("is paused by")
