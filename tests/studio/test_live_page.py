"""live.js and clock.js in a real Chromium, with the policy that allows no inline script."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect, sync_playwright

from tests.running import until
from tests.studio import live_site
from tests.studio.live_site import Site

pytestmark = pytest.mark.browser

PAGE = """{% load static django_htmx %}<!doctype html><meta charset="utf-8"><title>Page</title>
<meta name="htmx-config" content='{"includeIndicatorStyles": false, "allowEval": false}'>
{% htmx_script %}
<script src="{% static "js/live-apply.js" %}" defer></script>
<script src="{% static "js/live.js" %}" defer></script>
<script src="{% static "js/clock.js" %}" defer></script>
<b data-live></b>
<time datetime="2020-01-01T00:00:00Z" data-since>then</time>
<div data-ring="task-{{ session.attempt.task_id }}" id="part" hx-get="/part/" hx-trigger="ring" hx-target="this">old</div>
<div data-ring="task-{{ session.attempt.task_id }}" id="form" hx-get="/part/" hx-trigger="ring"><textarea></textarea></div>
<main data-topic="project-{{ session.attempt.task.project_id }}" data-cursor="{{ cursor }}">
  <i data-count="To do">1</i><i data-count="Plan">0</i>
  <section id="todo" data-column="To do"></section><section id="plan" data-column="Plan"></section>
</main>
<u data-topic="task-{{ session.attempt.task_id }}" data-cursor="{{ cursor }}"></u>
<ol id="log" data-topic="session-{{ session.pk }}" data-cursor="{{ session.rev }}" data-catch-up="/sessions/{{ session.pk }}/catch-up/">
{% for entry in session.activity.all %}{% include "sessions/_entry.html" %}{% endfor %}</ol>
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: Any) -> Iterator[Site]:
    with live_site.site(tmp_path_factory.mktemp("site"), TICK_SECONDS=0.5, CHECK_SECONDS=0.5) as made:
        made.template("page.html", PAGE)
        made.template("part.html", "{{ events }} events")
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def page(site: Site, browser: Any) -> Iterator[Page]:
    """alice on a page with a board, a task's parts and a session's log of three entries."""
    pk = site.do(
        "alice = factories.make_user('alice'); project = factories.make_project()\n"
        "todo = factories.make_task(project); task = factories.make_task(project)\n"
        "session = factories.make_session(factories.make_attempt(task))\n"
        "made = [factories.make_activity(session, text=f'entry {n}') for n in range(3)]; answer = session.pk"
    )
    context = browser.new_context()
    name, _, value = site.cookie("alice").partition("=")
    context.add_cookies([{"name": name, "value": value, "url": site.url}])
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"{site.url}/page/{pk}/")
    expect(page.locator("[data-live]")).to_have_text("live")
    yield page
    context.close()
    assert not wrong


def texts(page: Page) -> list[str]:
    return page.locator("#log > li").all_inner_texts()


def test_entries_come_in_at_their_place_and_change_in_theirs(site: Site, page: Page) -> None:
    site.do("factories.make_activity(session, text='last', seq=9)")
    expect(page.locator("#log > li")).to_have_count(4)
    site.do("factories.make_activity(session, text='between', seq=5)")
    expect(page.locator("#log > li")).to_have_count(5)
    site.do(
        "session.rev += 1; Activity.objects.filter(pk=made[0].pk).update(text='changed', rev=session.rev)"
    )
    expect(page.locator("#log > li").first).to_have_text("changed")
    assert texts(page) == ["changed", "entry 1", "entry 2", "between", "last"]


def test_an_entry_whose_place_changes_moves_and_one_taken_back_goes(site: Site, page: Page) -> None:
    site.do("session.rev += 1; Activity.objects.filter(pk=made[0].pk).update(seq=50, rev=session.rev)")
    expect(page.locator("#log > li").last).to_have_text("entry 0")
    site.do("task.note('session.entry_removed', session_id=session.pk, entry=made[1].pk); made[1].delete()")
    expect(page.locator("#log > li")).to_have_count(2)
    assert texts(page) == ["entry 2", "entry 0"]


def test_after_a_restart_of_the_server_the_page_has_everything_once(site: Site, page: Page) -> None:
    site.web.kill()
    site.web.wait()
    expect(page.locator("[data-live]")).to_contain_text("stale since")
    site.do(
        "for n in range(3, 400): factories.make_activity(session, text=f'entry {n}')\n"
        "task.note('session.entry_removed', session_id=session.pk, entry=made[1].pk); made[1].delete()"
    )
    site.restart()
    expect(page.locator("#log > li")).to_have_count(399, timeout=20_000)
    assert texts(page) == [f"entry {n}" for n in range(400) if n != 1]
    expect(page.locator("[data-live]")).to_have_text("live")


def test_a_card_moves_to_its_column_and_the_counts_follow(site: Site, page: Page) -> None:
    card = site.do("todo.edit(by=None, title='Look'); answer = f'#task-{todo.pk}'")
    expect(page.locator(f"#todo > {card}")).to_have_text("Look")
    site.do("todo.execute()")
    expect(page.locator(f"#plan > {card}")).to_have_text("Look")
    expect(page.locator(f"#plan > {card}")).to_have_class("card is-fresh")
    expect(page.locator(card)).to_have_count(1)
    expect(page.locator('[data-count="Plan"]')).to_have_text("1")
    site.do("todo.cancel(by=None)")
    expect(page.locator(card)).to_have_count(0)


def test_a_rung_element_fetches_itself_but_never_under_a_draft(site: Site, page: Page) -> None:
    page.locator("textarea").fill("my draft")
    events = site.do("task.note('task.updated'); answer = Event.objects.count()")
    expect(page.locator("#part")).to_have_text(f"{events} events")
    expect(page.locator("#form")).to_have_class("is-behind")
    assert page.locator("textarea").input_value() == "my draft"
    page.locator("textarea").fill("")
    page.locator("textarea").blur()
    expect(page.locator("#form")).to_have_text(f"{events} events")


def test_an_element_that_is_rung_while_it_replaces_itself_fetches_once_more(page: Page) -> None:
    html = '<p id="self" data-ring="self" hx-get="/self/" hx-trigger="ring" hx-swap="outerHTML">{}</p>'
    asked: list[Route] = []

    def keep(route: Route) -> None:
        asked.append(route)

    def answer(number: int, text: str) -> None:
        until(lambda: len(asked) == number or page.wait_for_timeout(10), 10, f"request {number}")
        asked[-1].fulfill(body=html.format(text), content_type="text/html")

    page.route("**/self/", keep)
    page.evaluate(
        "(html) => { document.body.insertAdjacentHTML('beforeend', html); htmx.process(document.getElementById('self')); }",
        html,
    )
    page.evaluate("studioLive.ring(['self'])")
    page.evaluate("studioLive.ring(['self'])")  # what the first answer says may be older than this
    answer(1, "first")
    answer(2, "second")
    expect(page.locator("#self")).to_have_text("second")


def test_open_details_stay_open_and_selected_text_stays_selected(site: Site, page: Page) -> None:
    change = "session.rev += 1; Activity.objects.filter(pk=tool.pk).update(text={!r}, rev=session.rev)"
    site.do("tool = factories.make_activity(session, kind='tool', text='one')")
    tool = page.locator("#log > li").nth(3)
    tool.locator("summary").click()
    site.do(change.format("two"))
    expect(tool.locator("p")).to_have_text("two")
    expect(tool.locator("p")).to_be_visible()
    tool.locator("p").select_text()
    site.do(change.format("three") + "; factories.make_activity(session)")
    expect(page.locator("#log > li")).to_have_count(5)
    expect(tool.locator("p")).to_have_text("two")
    page.locator("time").click()
    expect(tool.locator("p")).to_have_text("three")


def test_a_person_who_is_signed_out_is_told_so(site: Site, page: Page) -> None:
    site.do("client.logout()")
    expect(page.locator("[data-live]")).to_have_text("signed out, reload")


def test_times_say_how_long_ago(site: Site, page: Page) -> None:
    page.evaluate("document.querySelector('time').dateTime = new Date(Date.now() - 3 * 3600e3).toISOString()")
    expect(page.locator("time")).to_have_text("3 h")
    page.evaluate("document.querySelector('time').dateTime = new Date(Date.now() - 58.5e3).toISOString()")
    expect(page.locator("time")).to_have_text("59 s")
    expect(page.locator("time")).to_have_text("1 min")
    assert page.locator("time").get_attribute("title")
