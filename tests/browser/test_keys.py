"""The keys and the palette in a real browser: one gets about without a mouse, and what is written stays text."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.test_journey import SOON, OpenPage
from tests.running import Studio

pytestmark = [pytest.mark.browser, pytest.mark.real, pytest.mark.timeout(300)]


def test_a_person_gets_about_by_keys(studio: Studio, fresh_repository: Path, open_page: OpenPage) -> None:
    expect.set_options(timeout=SOON)
    project = studio.make_project(fresh_repository, "KEYS", name="Keys")
    first, _ = (studio.file(project, title) for title in ("Older", "Newer"))
    page = open_page("/projects/KEYS/")
    press, focused = page.keyboard.press, page.locator(":focus")
    for key, said in (("j", "Newer"), ("j", "Older"), ("j", "Older"), ("k", "Newer")):
        press(key)
        expect(focused).to_have_text(said)
    press("x")
    expect(page.locator("[data-select]:checked")).to_have_count(1)
    press("/")
    page.keyboard.type("?c")
    expect(focused).to_have_value("?c")
    expect(page.locator("dialog[open]")).to_have_count(0)
    focused.evaluate("field => field.blur()")
    press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    press("c")
    expect(page.locator("dialog[open]")).to_have_count(1)
    press("Escape")
    press("c")
    expect(page.get_by_role("dialog", name="New task")).to_be_visible()
    press("Escape")
    press("Control+k")
    palette = page.get_by_role("dialog", name="Go to")
    expect(palette.locator("[data-entry]").first).to_contain_text("New task")
    page.keyboard.type("keys-1")
    expect(palette.locator("[data-entry]")).to_have_count(1)
    press("Enter")
    expect(page).to_have_url(f"{studio.url}/tasks/{first}/")
    press("Control+k")
    expect(palette.locator("[data-entry]").first).to_contain_text("Start")
    press("ArrowDown")
    expect(focused).to_contain_text("Start")
    press("Escape")
    press("Escape")
    page.evaluate("window.sameDocument = true")
    waiting = int(page.locator("#needs-count").get_attribute("data-waiting") or 0)
    studio.post(f"/tasks/{first}/execute")
    expect(page.locator("#needs-count")).to_have_attribute("data-waiting", str(waiting + 1))
    expect(page).to_have_title(re.compile(rf"^\({waiting + 1}\) "))
    assert page.evaluate("window.sameDocument")
    page.goto(f"{studio.url}/needs-you/?project=KEYS")
    page.get_by_role("button", name="I am looking").click()
    expect(page.locator(".need")).to_contain_text("You are looking")
    page.get_by_role("button", name="Approve plan").click()
    expect(page.locator(".need")).to_have_count(0)
