"""Every page, wide and light, narrow and dark: accessible (WCAG 2.2 AA, by axe), no wider than its screen, and all its own."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from playwright.sync_api import Page

from tests.browser.test_journey import OpenPage
from tests.running import ROOT, Studio
from tests.test_journey import runs, script, writes

pytestmark = [pytest.mark.browser, pytest.mark.real, pytest.mark.timeout(300)]

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
LOOK = """async rules => {
  const {violations} = await axe.run(document, {runOnly: rules, resultTypes: ["violations"]});
  return violations.flatMap(each => each.nodes.map(node => `${each.id}: ${node.html.slice(0, 160)} (${node.any.concat(node.all)[0]?.message ?? each.help})`));
}"""
STICKING_OUT = """[...document.querySelectorAll("body *")]
  .filter(each => each.checkVisibility() && each.getBoundingClientRect().right > innerWidth)
  .map(each => `${each.outerHTML.slice(0, 100)} (to ${each.getBoundingClientRect().right})`).slice(0, 5)"""
# What is no page of ours, or needs rows that a run of an agent does not leave. A page that is not reached and not named here fails the test.
NOT_REACHED = re.compile(
    r"admin/|api/|attachments/|clones/|follow-ups/|environment/\d|filters/\d|commen|findings/|requests/|steps/|setup|later/"
)


def addresses(resolver: URLResolver | None = None, before: str = "") -> list[str]:
    """The patterns of all pages, as `tasks/<int:pk>/plan/`."""
    found = []
    for each in (resolver or get_resolver("studio.urls")).url_patterns:
        path = before + str(each.pattern)
        if isinstance(each, URLResolver):
            if not path.startswith(("admin", "api")):
                found += addresses(each, path)
        elif isinstance(each, URLPattern):
            found.append(path)
    return found


def filled(path: str, known: dict[str, Any]) -> str:
    """With the keys of rows that are there: which row is meant says the word before it."""
    path = path.replace("<str:key>", "PAGES").replace("<slug:name>", "review").replace("<int:version>", "1")
    path = re.sub(r"(\w+)/<int:pk>", lambda word: f"{word[1]}/{known.get(word[1], 1)}", path)
    return path.replace("<int:entry_pk>", str(known["entry"])).replace("<int:after>", "0")


@pytest.fixture
def known(studio: Studio, fresh_repository: Path) -> dict[str, Any]:
    """A project with a task in review, one with a plan to approve, one that failed and one to do."""
    project = studio.make_project(
        fresh_repository.rename(fresh_repository.with_name("longname" * 8)), "PAGES", name="All pages"
    )
    work = [
        runs("echo a; echo b"),
        writes("hello.py", "def hello():\n    return 'hello'\n"),
        {"text": "Said **hello**."},
    ]
    done = studio.file(project, "Say hello", script("hello.py", implementation=work))
    broken = studio.file(project, "Break", {"planning": [{"error": 400}]})
    studio.file(project, "A task to do")
    for task in (done, broken):
        studio.post(f"/tasks/{task}/execute")
    studio.wait_for(done, "planning_review")
    studio.post(f"/tasks/{done}/approve-plan")
    planned = studio.file(project, "Plan only", script("hello.py"))
    studio.post(f"/tasks/{planned}/execute")
    studio.wait_for(done, "review")
    studio.wait_for(planned, "planning_review")
    sessions = studio.get(f"/tasks/{done}/sessions")["items"]
    built = next(each for each in sessions if each["phase"] == "implementation")
    return {
        "tasks": done,
        "attempts": built["attempt"],
        "sessions": built["id"],
        "others": [broken, planned],
    }


def views(page: Page) -> Iterator[int]:
    """The page as it is at each width and theme that is looked at; the width. With SCREENSHOTS, a folder, in all of them, and kept there."""
    folder = os.environ.get("SCREENSHOTS")
    others: list[tuple[int, Any]] = [(1440, "dark"), (390, "light")]
    wanted: list[tuple[int, Any]] = [(1440, "light"), (390, "dark")]
    for width, scheme in [*wanted, *(others if folder else [])]:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        if folder:
            name = re.sub(r"\W+", "-", page.url.partition("//")[2].partition("/")[2]).strip("-") or "home"
            page.screenshot(path=Path(folder) / f"{name}-{width}-{scheme}.png", full_page=True)
        yield width


def complaints(page: Page) -> list[str]:
    """Of the page as it is, wide and light, then narrow and dark."""
    found = []
    for width in views(page):
        found += [f"{width} {each}" for each in page.evaluate(LOOK, RULES)]
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found += [f"{width} is too narrow for {each}" for each in page.evaluate(STICKING_OUT)]
    return found


def test_every_page_is_accessible_and_fits_its_screen(
    studio: Studio, known: dict[str, Any], open_page: OpenPage
) -> None:
    page = open_page()
    page.context.add_init_script(path=ROOT / "node_modules" / "axe-core" / "axe.min.js")
    activity = page.request.get(f"{studio.url}/tasks/{known['tasks']}/").text()
    (known["entry"], *_) = re.findall(r"/entries/(\d+)/", activity)
    paths = ["/" + filled(path, known) for path in addresses() if not path.startswith("^")]
    paths += [f"/tasks/{task}/" for task in known["others"]] + ["/?view=list", "/needs-you/?project=PAGES"]
    found: dict[str, list[str]] = {}
    missing, looked = [], 0
    for path in dict.fromkeys(paths):
        if NOT_REACHED.search(path) or "sign-" in path:
            continue
        answer = page.request.get(f"{studio.url}{path}")
        if answer.status in {404, 500}:
            missing.append(f"{answer.status} {path}")
        if answer.ok and "<!doctype html" in answer.text()[:300].lower():
            page.goto(f"{studio.url}{path}")
            looked += 1
            for said in complaints(page):
                found.setdefault(said, []).append(path)
    assert missing == []
    assert not found, "\n".join(f"{said} on {', '.join(on)}" for said, on in found.items())
    assert looked > 30
