"""A project's environment in a real browser, and what becomes of it where the agent and a check print it."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.test_journey import PHASE, SOON, OpenPage
from tests.running import Studio
from tests.test_journey import runs, writes

pytestmark = [pytest.mark.browser, pytest.mark.real, pytest.mark.timeout(900)]


def test_a_maintainer_sets_a_secret_and_a_setup_and_nobody_reads_the_secret_again(
    studio: Studio, fresh_repository: Path, open_page: OpenPage
) -> None:
    expect.set_options(timeout=SOON)
    secret = "canary-of-the-browser"
    (fresh_repository / ".env").write_text("COLOUR=green\n")
    wait = "until test -f go; do sleep 0.1; done"
    check = {"name": "prints", "command": f"echo token $API_TOKEN; cat .env; {wait}; echo bye", "timeout": 90}
    policy = {"planning": False, "ai_review": False, "permissions": {"bash": "allow"}}
    project = studio.make_project(fresh_repository, "ENVI", name="Envi", checks=[check], **policy)

    page = open_page("/projects/ENVI/environment/")
    page.get_by_label("Name").fill("API_TOKEN")
    page.get_by_label("Value").fill(secret)
    page.get_by_label("Who gets it").select_option("Agents too")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.locator(".variable")).to_contain_text("Its value is not shown to anybody")
    page.get_by_label("Files to copy in").fill(".env")
    page.get_by_label("Setup", exact=True).fill("echo ready for $API_TOKEN")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Files to copy in")).to_have_value(".env")
    assert secret not in page.content()

    script = {
        "implementation": [
            runs("echo the agent has $API_TOKEN"),
            writes("made.txt", "made\n"),
            {"text": "Done."},
        ]
    }
    task = studio.file(project, "Use the token", script)
    studio.post(f"/tasks/{task}/execute")
    page.goto(f"{studio.url}/tasks/{task}/")
    page.evaluate("window.sameDocument = true")
    expect(page.locator(".entry", has_text="made.txt")).to_have_count(1, timeout=2 * PHASE)
    shows = page.locator(".entry", has_text="token [redacted: API_TOKEN]")
    expect(shows).to_contain_text("COLOUR=green", timeout=PHASE)
    assert page.evaluate("window.sameDocument"), "it came by itself"
    page.goto(f"{studio.url}/tasks/{task}/checks/")
    expect(page.locator(".entry").last).to_contain_text("token [redacted: API_TOKEN]")
    (made,) = studio.home.glob("attempts/*-ENVI-1-1")
    (made / "workspace/go").touch()
    studio.wait_for(task, "review")
    expect(page.locator("#checks")).to_contain_text("ready for [redacted: API_TOKEN]")
    expect(page.locator("#checks")).to_contain_text("bye")
    for tab in ("", "checks/", "changes/", "timeline/"):
        page.goto(f"{studio.url}/tasks/{task}/{tab}")
        assert secret not in page.content()
        assert "COLOUR" not in page.content() or tab != "changes/", "what was copied in is in no diff"
