"""The board in a real browser: cards are dragged, selected and opened beside it, and stay so while others change them."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.test_journey import SOON, OpenPage
from tests.running import Studio

pytestmark = [pytest.mark.browser, pytest.mark.real, pytest.mark.timeout(300)]


def test_a_person_moves_selects_and_opens_cards(
    studio: Studio, fresh_repository: Path, open_page: OpenPage
) -> None:
    expect.set_options(timeout=SOON)
    project = studio.make_project(fresh_repository, "CARDS")
    hanging = {"planning": [{"hang": True}]}
    first, second = (studio.file(project, title, hanging) for title in ("The first", "The second"))
    page = open_page("/projects/CARDS/?q=the")
    page.locator(f"#task-{second} [data-select]").check()
    page.locator(f"#task-{first}").drag_to(
        page.locator("#column-build"), source_position={"x": 60, "y": 60}
    )  # planning comes first
    expect(page.locator(f"#column-plan #task-{first}")).to_be_visible()

    studio.post(f"/tasks/{second}/execute")
    expect(page.locator(f"#column-plan #task-{second} [data-select]")).to_be_checked()
    page.locator(".bulk").get_by_role("button", name="Back to To do").click()
    expect(page.get_by_text("1 done")).to_be_visible()
    page.get_by_role("link", name="Go back").click()
    expect(page.locator(f"#column-to-do #task-{second}")).to_be_visible()
    expect(page.locator(f"#task-{second}")).to_have_count(1)  # each column is fetched on its own

    page.get_by_role("link", name="The second", exact=True).click()
    expect(page.locator("#panel").get_by_role("heading", name="The second")).to_be_visible()
    assert page.url.endswith(f"/tasks/{second}/")
    page.keyboard.press("Escape")
    expect(page).to_have_url(f"{studio.url}/projects/CARDS/?q=the")
    expect(page.get_by_role("link", name="The second", exact=True)).to_be_focused()
    page.go_forward()
    expect(page.locator("#panel").get_by_role("heading", name="The second")).to_be_visible()
    page.reload()
    page.go_back()
    expect(page.locator(f"#task-{second}")).to_be_visible()
    for task in (first, second):
        assert studio.api("POST", f"/tasks/{task}/cancel").status_code in {200, 202}
