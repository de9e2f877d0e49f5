"""The main job in a real browser, from the printed link to a merged change, with no reload."""

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests import factories
from tests.running import Studio, until
from tests.test_journey import APPROVED, runs, script, writes

pytestmark = [pytest.mark.browser, pytest.mark.real, pytest.mark.timeout(900)]

SOON = 20_000  # milliseconds that a page may lag behind, on a machine that is busy with agents
PHASE = 240_000  # of an agent that has what the browsers and the other tests leave of two cores
OpenPage = Callable[..., Page]


@pytest.fixture
def patient() -> None:
    expect.set_options(timeout=SOON)


def fill_task(page: Page, title: str, description: str) -> None:
    page.keyboard.press("c")
    dialog = page.locator("#new-task")
    dialog.get_by_label("Title").fill(title)
    dialog.get_by_label("Description").fill(description)


SECOND_PLAN = (
    "## Summary\n\nSecond plan.\n\nComplexity: S\n\n## Files to change\n\n- `hello.txt`: new\n\n"
    "## Acceptance criteria\n\n- It greets\n- It is one line"
)


def test_a_person_takes_a_task_from_the_board_to_a_merged_change(
    studio: Studio, fresh_repository: Path, open_page: OpenPage, patient: None
) -> None:
    wanted = {
        "severity": "warning",
        "path": "hello.txt",
        "line": 1,
        "end_line": 1,
        "title": "Too curt",
        "body": "Say more.",
    }
    todo = {
        "tool": "todowrite",
        "args": {"todos": [{"content": "Say hello", "status": "in_progress", "priority": "high"}]},
    }
    story = script(
        "hello.txt",
        planning=[
            [runs("git log --oneline"), {"text": "## Summary\n\nFirst plan."}],
            [{"text": SECOND_PLAN}],
        ],
        implementation=[
            todo,
            runs("echo out-of-the-shell"),
            writes("hello.txt", "hello\n"),
            {"text": "Said **hello**."},
        ],
        review=[
            [{"verdict": {"verdict": "changes_requested", "summary": "Nearly.", "findings": [wanted]}}],
            APPROVED,
        ],
        fix=[writes("more.txt", "more\n"), {"text": "Said more."}],
    )
    studio.make_project(fresh_repository, "WEB", name="Web")
    page = open_page("/projects/WEB/")
    fill_task(page, "Say hello", f"```demo\n{json.dumps(story)}\n```")
    page.locator("#new-task").get_by_role("button", name="Create", exact=True).click()

    card = page.locator(".card", has_text="Say hello")
    expect(page.locator("[data-column='To do'] .card")).to_contain_text("Say hello")
    page.evaluate("window.sameDocument = true")
    card.get_by_role("button", name="Start").click()
    expect(page.locator("[data-column='Plan'] .card")).to_contain_text("Say hello")
    expect(page.locator("[data-column='Plan'] .card")).to_contain_text("Plan waits", timeout=PHASE)
    assert page.evaluate("window.sameDocument"), "the board was reloaded"

    card.get_by_role("link", name="Say hello").click()
    expect(page.locator(".entry--message", has_text="First plan.")).to_be_visible()  # the prompt has it too
    page.get_by_role("link", name="Read the plan").click()
    page.evaluate("window.sameDocument = true")
    page.get_by_role("link", name="Lines").click()
    page.get_by_role("link", name="Comment on line 3").click()
    page.get_by_label("Comment", exact=True).fill("Which words?")
    page.get_by_role("button", name="Comment", exact=True).click()
    expect(page.locator(".remark", has_text="Which words?")).to_contain_text("draft, not sent yet")
    page.get_by_text("Request changes…").click()
    page.locator("#plan-changes textarea").fill("Think again.")
    page.locator("#plan-changes").get_by_role("button", name="Request changes").click()
    expect(page.locator(".entry--message", has_text="Second plan.")).to_be_visible(timeout=PHASE)
    expect(page.locator("main")).to_contain_text("About line 3: First plan. Which words?")
    expect(page.get_by_role("link", name="Read the plan")).to_be_visible(timeout=PHASE)
    page.get_by_role("link", name="Read the plan").click()
    expect(page.locator("#plan")).to_contain_text("Version 2")
    expect(page.locator("#plan")).to_contain_text("Second plan.")
    page.get_by_role("button", name="Say that it is met: It greets").click()
    expect(page.locator(".criterion--met")).to_contain_text("It greets")
    page.get_by_role("link", name="Compare with version 1").click()
    expect(page.locator(".compared ins").first).to_contain_text("Second plan.")
    page.get_by_role("button", name="Approve plan").click()

    page.get_by_role("link", name="Activity").click()
    page.evaluate("window.sameDocument = true")
    tool = page.locator("[id^='activity-']", has_text="echo out-of-the-shell").first
    expect(tool).to_be_visible(timeout=PHASE)
    expect(page.locator("aside")).to_contain_text("Say hello")
    expect(page.locator("#head")).to_contain_text("Waits for review", timeout=PHASE)
    tool.locator("summary").first.click()
    expect(tool).to_contain_text("out-of-the-shell")
    assert page.evaluate("window.sameDocument"), "the task page was reloaded"

    page.get_by_role("link", name="See the changes").click()
    for name in ("hello.txt", "more.txt"):
        expect(page.locator("main")).to_contain_text(name)
    expect(page.locator("main")).to_contain_text("Too curt")
    page.get_by_role("link", name="Comment on line 1").first.click()
    page.get_by_label("Comment", exact=True).fill("Say it louder.")
    page.get_by_role("button", name="Keep as draft").click()
    expect(page.locator(".remark", has_text="Say it louder.")).to_contain_text("draft, not sent yet")
    page.get_by_role("button", name="Send as comments only").click()
    page.locator(".remark", has_text="Say it louder.").get_by_role("button", name="Resolve").click()
    page.get_by_role("link", name="Changes", exact=True).click()
    page.get_by_role("button", name="Mark as viewed").first.click()
    expect(page.locator("#file-1")).to_contain_text("✓ viewed")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("#gate")).to_contain_text("approved by")
    page.get_by_role("button", name="Merge").click()
    expect(page.locator("#head")).to_contain_text("Merged")
    assert (fresh_repository / "hello.txt").read_text() == "hello\n"
    assert factories.git(fresh_repository, "status", "--porcelain") == ""


def test_cancel_says_stopping_at_once_and_a_failure_says_what_to_do(
    studio: Studio, fresh_repository: Path, open_page: OpenPage, patient: None
) -> None:
    page = open_page("/projects/new/")
    page.get_by_role("link", name="Clone from an address").click()
    page.get_by_label("Address").fill(f"file://{fresh_repository}")
    page.get_by_label("Key", exact=True).fill("CLONED")
    page.get_by_role("button", name="Clone").click()
    expect(page).to_have_url(f"{studio.url}/projects/CLONED/", timeout=PHASE)
    project = studio.make_project(fresh_repository, "HALT", planning=False)
    hanging = studio.file(project, "Hang", script("", implementation=[runs("sleep 300")]))
    broken = studio.file(project, "Break", script("", implementation=[{"error": 400}]))
    page.goto(f"{studio.url}/tasks/{broken}/")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#head")).to_contain_text("provider refused the request", timeout=PHASE)
    expect(page.locator("#head")).to_contain_text("then retry")
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    page.goto(f"{studio.url}/tasks/{hanging}/")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("[id^='activity-']", has_text="sleep 300").first).to_be_visible(timeout=PHASE)
    for words in ("Use tabs.", "And spaces."):
        page.get_by_label("Message to the agent").last.fill(words)
        page.get_by_role("button", name="Queue").click()
        expect(page.locator("#follow-up-queue")).to_contain_text(words)
    page.get_by_role("button", name="Move up").click()
    expect(page.locator(".follow-up").first).to_contain_text("And spaces.")
    page.get_by_role("button", name="Delete").first.click()
    expect(page.locator(".follow-up")).to_have_count(1)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#head")).to_contain_text("Stopping")
    expect(page.locator("#head")).to_contain_text("Cancelled")
    page.get_by_role("button", name="Reopen").click()
    expect(page.get_by_role("button", name="Start")).to_be_visible()


def test_a_page_that_is_rung_while_it_fetches_comes_to_rest(
    studio: Studio, fresh_repository: Path, open_page: OpenPage, patient: None
) -> None:
    """Each part asks once more for what it may have missed, and then nobody asks."""
    task = studio.file(studio.make_project(fresh_repository, "RING"), "Wait")
    page = open_page(f"/tasks/{task}/")
    expect(page.locator("[data-live-text]")).to_have_text("live")
    asked: list[float] = []

    def late(route: Route) -> None:
        asked.append(time.monotonic())
        time.sleep(0.2)
        route.continue_()

    page.route("**/tasks/**", late)
    page.evaluate("studioLive.ringAll()")
    page.wait_for_timeout(100)
    page.evaluate("studioLive.ringAll()")
    until(lambda: page.wait_for_timeout(100) or (asked and time.monotonic() - asked[-1] > 3), 60, "rest")
    parts = page.locator("[data-ring]").count()
    assert len(asked) <= 2 * parts


BUSY = """
from datetime import timedelta
from django.utils import timezone
from tests import factories
from tasks.models import Project, Task
from sessions.models import Attempt
project = Project.objects.filter(key="WORK").first() or factories.make_project("/nowhere", key="WORK", name="Durations")
def put(status, title, minutes, **attempt):
    task = factories.make_task(project, title=title, status=status)
    Task.objects.filter(pk=task.pk).update(status_changed_at=timezone.now() - timedelta(minutes=minutes))
    return factories.make_attempt(task, **attempt) if status != "todo" else None
def ago(minutes): return {"started_at": timezone.now() - timedelta(minutes=minutes)}
if not project.tasks.exists():
    factories.make_session(put("done", "Read a duration back from its text", 300), phase="review", state="completed", cost=0.31)
    review = put("review", "Say “0s” for a duration of nothing", 64)
    checks = factories.make_session(review, phase="checks", state="completed", **ago(70))
    factories.make_check_result(checks)
    factories.make_session(review, phase="review", state="completed", cost=0.42, **ago(66))
    fix = put("fix", "Leave out parts that are zero", 3, rounds=1)
    factories.make_finding(factories.make_session(fix, phase="review", state="completed", cost=0.18, **ago(5)))
    factories.make_session(fix, phase="fix", doing="edit tests/test_text.py", **ago(1))
    build = put("in_progress", "Weeks and days, for long durations", 6)
    factories.make_session(build, phase="implementation", doing="bash python3 -m unittest -q", cost=0.27, **ago(4))
    stuck = put("in_progress", "Translate the units", 12)
    factories.make_session(stuck, phase="implementation", state="failed", reason="provider_limited", **ago(14))
    waits = put("planning_review", "Round to the two largest parts", 18)
    factories.make_session(waits, phase="planning", state="completed", cost=0.09, **ago(21))
    factories.make_plan(waits.task)
    factories.make_session(put("planning", "Accept ISO 8601 as input", 1), phase="planning", doing="read durations/text.py", **ago(1))
    put("todo", "Explain the format in the README", 40)
    put("todo", "Refuse negative durations with a clear error", 45)
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_a_busy_board_fits_its_screen(
    studio: Studio, open_page: OpenPage, scheme: Any, width: int, tmp_path: Path, patient: None
) -> None:
    """Makes the README's picture too: `STUDIO_TEST_SCREENSHOTS=docs/images make test ARGS="-k busy_board"`."""
    studio.manage("shell", "--no-imports", "-c", BUSY)
    page = open_page("/projects/WORK/", viewport={"width": width, "height": 900}, color_scheme=scheme)
    expect(page.locator(".card")).to_have_count(9)
    expect(page.locator("[data-live]")).to_have_class(re.compile("live--live"))
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    folder = Path(os.environ.get("STUDIO_TEST_SCREENSHOTS", tmp_path))
    name = "board" if (width, scheme) == (1440, "light") else f"board-{width}-{scheme}"
    page.screenshot(path=folder / f"{name}.png")


def test_the_pages_work_without_javascript(
    studio: Studio, fresh_repository: Path, open_page: OpenPage
) -> None:
    studio.make_project(fresh_repository, "PLAIN")
    page = open_page("/projects/PLAIN/", java_script_enabled=False)
    page.get_by_role("link", name="New task").click()
    page.get_by_label("Title").fill("By hand")
    page.get_by_role("button", name="Create", exact=True).click()
    page.goto(f"{studio.url}/projects/PLAIN/")
    page.get_by_role("link", name="By hand").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#head")).to_contain_text("Cancelled")
    page.goto(f"{studio.url}/projects/PLAIN/settings/")
    expect(page.get_by_label("For every phase")).to_have_attribute("list", "models")
    page.get_by_role("link", name="Archive…").click()
    page.get_by_role("button", name="Archive project").click()
    page.get_by_text("1 archived").click()
    page.get_by_role("button", name="Restore PLAIN").click()
    expect(page.get_by_role("link", name="New task")).to_be_visible()
