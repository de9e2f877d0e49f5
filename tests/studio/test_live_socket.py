"""The socket at /live/, on the real daphne, with another process that writes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.studio import live_site
from tests.studio.live_site import Closed, Refused, Site, Socket


@pytest.fixture(scope="module")
def site(tmp_path_factory: Any) -> Iterator[Site]:
    with live_site.site(tmp_path_factory.mktemp("site"), CHECK_SECONDS=0.3, TICK_SECONDS=0.5) as made:
        made.do("factories.make_user('alice'); factories.make_user('charlie')")
        yield made


@pytest.fixture
def ids(site: Site) -> dict[str, int]:
    """A project of alice's with a task to do, and a session of another one."""
    return site.do(
        "project = factories.make_project()\n"
        "task = factories.make_task(project)\n"
        "session = factories.make_session(factories.make_attempt(factories.make_task(project)))\n"
        "answer = {'project': project.pk, 'task': task.pk, 'session': session.pk,"
        " 'event': Event.objects.order_by('-pk')[0].pk}"
    )


@pytest.fixture
def alice(site: Site) -> Iterator[Socket]:
    socket = Socket(site, cookie=site.cookie("alice"))
    yield socket
    socket.close()


def entries(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry for frame in frames for entry in frame.get("entries", [])]


# --- what comes ---------------------------------------------------------------------------------------------------


def test_an_entry_that_another_process_writes_arrives_rendered(site: Site, ids: Any, alice: Socket) -> None:
    alice.follow(**{f"session_{ids['session']}": 0})
    site.do("entry = factories.make_activity(session, text='<b>hi</b>')\nanswer = entry.pk")
    frame = alice.until(lambda frame: "entries" in frame)[-1]
    assert (frame["topic"], frame["from"], frame["to"]) == (f"session-{ids['session']}", 0, 1)
    assert "&lt;b&gt;hi&lt;/b&gt;" in frame["entries"][0]["html"]
    assert (frame["entries"][0]["rev"], frame["entries"][0]["seq"]) == (1, 1)


def test_500_quick_writes_arrive_in_order_without_a_gap(site: Site, ids: Any, alice: Socket) -> None:
    alice.follow(**{f"session_{ids['session']}": 0})
    site.do("for n in range(500): factories.make_activity(session, seq=n + 1, text=str(n))")
    frames = [frame for frame in alice.until(lambda frame: frame.get("to") == 500) if "to" in frame]
    have = 0
    for frame in frames:
        assert frame["from"] <= have
        have = frame["to"]
    assert [entry["rev"] for entry in entries(frames)] == list(range(1, 501))
    assert len(frames) < 200, "they come together, not one by one"
    assert all(len(json.dumps(frame, ensure_ascii=False).encode()) <= 16 * 1024 for frame in frames)


def test_a_page_gets_what_it_missed_from_its_cursor_on(site: Site, ids: Any, alice: Socket) -> None:
    site.do("for n in range(5): factories.make_activity(session)")
    frames = alice.follow(**{f"session_{ids['session']}": 3})
    assert [entry["rev"] for entry in entries(frames)] == [4, 5]
    assert next(frame["from"] for frame in frames if "from" in frame) == 3


def test_a_page_that_missed_a_lot_is_told_to_fetch(site: Site, ids: Any, alice: Socket) -> None:
    site.do("for n in range(60): factories.make_activity(session)")
    frames = alice.follow(**{f"session_{ids['session']}": 0})
    assert {"topic": f"session-{ids['session']}", "from": 0, "to": 60} in frames


def test_an_entry_too_long_for_a_frame_is_only_named(site: Site, ids: Any, alice: Socket) -> None:
    alice.follow(**{f"session_{ids['session']}": 0})
    site.do(
        "factories.make_activity(session, text='a')\n"
        "factories.make_activity(session, text='\"' * 15000)\n"
        "factories.make_activity(session, text='z')"
    )
    frames = [frame for frame in alice.until(lambda frame: frame.get("to") == 3) if "to" in frame]
    long = [frame for frame in frames if "entries" not in frame]
    assert [(frame["from"], frame["to"]) for frame in long] == [(1, 2)]
    assert [entry["rev"] for entry in entries(frames)] == [1, 3]


def test_an_entry_that_was_taken_back_goes(site: Site, ids: Any, alice: Socket) -> None:
    alice.follow(**{f"session_{ids['session']}": 0})
    pk = site.do(
        "entry = factories.make_activity(session); answer = entry.pk\n"
        "task.note('session.entry_removed', session_id=session.pk, entry=entry.pk); entry.delete()"
    )
    frame = alice.until(lambda frame: "gone" in frame)[-1]
    assert frame == {"topic": f"session-{ids['session']}", "gone": [f"activity-{pk}"]}


def test_a_board_gets_the_card_in_its_new_column_with_the_counts(site: Site, ids: Any, alice: Socket) -> None:
    alice.follow(**{f"project_{ids['project']}": ids["event"]})
    event = site.do("task.execute(); answer = Event.objects.filter(name='task.status_changed').last().pk")
    card = alice.until(lambda frame: frame.get("card", {}).get("rev", 0) >= event)[-1]
    assert card["topic"] == f"project-{ids['project']}"
    assert card["card"]["id"] == f"task-{ids['task']}"
    assert card["card"]["column"] == "Plan"
    assert "Say hello" in card["card"]["html"]
    assert card["counts"] == {"To do": 1, "Plan": 1, "Build": 0, "Review": 0, "Done": 0}


def test_a_board_sees_what_the_agent_does_between_two_events(site: Site, ids: Any, alice: Socket) -> None:
    alice.follow(**{f"project_{ids['project']}": ids["event"]})
    name = site.do("answer = f'task-{session.attempt.task_id}'; factories.make_activity(session)")
    alice.until(lambda frame: frame.get("card", {}).get("id") == name)
    site.do("factories.make_activity(session)")
    alice.until(lambda frame: frame.get("card", {}).get("id") == name)


def test_a_task_page_and_the_needs_you_count_are_rung(site: Site, ids: Any, alice: Socket) -> None:
    alice.follow(**{f"task_{ids['task']}": ids["event"], "me": ids["event"]})
    site.do("task.execute()")
    rung: set[str] = set()
    while rung != {f"task-{ids['task']}", "me"}:
        rung |= set(alice.hear().get("ring", []))


def test_what_happened_before_the_page_followed_is_rung_and_what_it_has_seen_is_not(
    site: Site, ids: Any, alice: Socket
) -> None:
    name = f"task-{ids['task']}"
    assert {"ring": [name]} in alice.follow(**{f"task_{ids['task']}": ids["event"] - 2})
    alice.until(lambda frame: frame.get("tick", {}).get("event", 0) >= ids["event"])
    seen = alice.follow(**{f"task_{ids['task']}": ids["event"]})
    assert [frame for frame in seen if "tick" not in frame] == []


def test_bursts_reach_a_board_at_most_twice_a_second(site: Site, ids: Any, alice: Socket) -> None:
    alice.follow(**{f"project_{ids['project']}": ids["event"]})
    last = site.do("for n in range(300): task.note('task.updated')\nanswer = Event.objects.last().pk")
    cards = alice.until(lambda frame: frame.get("card", {}).get("rev") == last)
    assert sum("card" in frame for frame in cards) <= 8


def test_ticks_say_how_far_the_events_are(site: Site, ids: Any, alice: Socket) -> None:
    alice.follow(**{f"task_{ids['task']}": ids["event"]})
    last = site.do("answer = task.note('task.updated').pk")
    heard = alice.until(lambda frame: frame.get("tick", {}).get("event", 0) >= last)
    assert {"ring": [f"task-{ids['task']}"]} in heard[:-1], "the tick comes after what it speaks of"


def test_what_is_followed_no_more_is_silent(site: Site, ids: Any, alice: Socket) -> None:
    alice.follow(**{f"session_{ids['session']}": 0})
    alice.follow(**{f"task_{ids['task']}": ids["event"]})
    site.do("factories.make_activity(session); task.note('task.updated')")
    assert not any("entries" in frame for frame in alice.until(lambda frame: "ring" in frame))


def test_the_relay_goes_on_after_a_database_that_failed(site: Site, ids: Any, alice: Socket) -> None:
    alice.follow(**{f"session_{ids['session']}": 0})
    rename = "from django.db import connection; connection.cursor().execute('ALTER TABLE {} RENAME TO {}')"
    site.do(rename.format("tasks_event", "elsewhere") + "; factories.make_activity(session)")
    for _ in range(2):
        alice.until(lambda frame: "tick" in frame)
    site.do(rename.format("elsewhere", "tasks_event"))
    site.do("factories.make_activity(session)")
    frames = alice.until(lambda frame: frame.get("to") == 2)
    assert [entry["rev"] for entry in entries(frames)] == [1, 2]


# --- who may ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        "http://127.0.0.1:5173",
        "http://127.0.0.1",
        "https://127.0.0.1:{port}",
        "http://localhost:{port}",
        "http://evil.example",
        "http://evil.example:{port}",
        "http://127.0.0.1.evil.example:{port}",
        "http://evil@127.0.0.1:{port}",
        "http://127.0.0.1:{port}/page",
        "http://127.0.0.1:{port}0",
        "null",
        "file://",
        "",
        "127.0.0.1:{port}",
        "http://127.0.0.1:{port} http://evil.example",
    ],
)
def test_a_foreign_page_is_refused(site: Site, origin: str) -> None:
    with pytest.raises(Refused):
        Socket(site, cookie=site.cookie("alice"), origins=(origin.format(port=site.port),))


def test_a_page_without_an_origin_is_refused(site: Site) -> None:
    with pytest.raises(Refused):
        Socket(site, cookie=site.cookie("alice"), origins=())


def test_a_foreign_name_for_this_machine_is_refused(site: Site) -> None:
    host = f"evil.example:{site.port}"
    with pytest.raises(Refused):
        Socket(site, cookie=site.cookie("alice"), origins=(f"http://{host}",), host=host)


@pytest.mark.parametrize("origin", ["http://127.0.0.1:{port}", "HTTP://127.0.0.1:{port}"])
def test_the_own_page_is_let_in(site: Site, origin: str) -> None:
    socket = Socket(site, cookie=site.cookie("alice"), origins=(origin.format(port=site.port),))
    assert "tick" in socket.follow()[-1]
    socket.close()


def test_another_of_our_names_is_let_in_with_itself_as_host(site: Site) -> None:
    host = f"localhost:{site.port}"
    socket = Socket(site, cookie=site.cookie("alice"), origins=(f"http://{host}",), host=host)
    socket.close()


def closed_with(socket: Socket) -> int:
    with pytest.raises(Closed) as closed:
        socket.until(lambda frame: False)
    socket.close()
    return closed.value.args[0]


def test_nobody_is_turned_away_with_4401(site: Site) -> None:
    assert closed_with(Socket(site)) == 4401


@pytest.mark.parametrize("topic", ["project", "task", "session"])
def test_what_a_person_may_not_see_closes_with_4403(site: Site, ids: Any, topic: str) -> None:
    socket = Socket(site, cookie=site.cookie("charlie"))
    socket.send({"follow": {f"{topic}-{ids[topic]}": 0}})
    assert closed_with(socket) == 4403


@pytest.mark.parametrize(
    "name", ["task-999999", "task-", "task-x", "user-1", "me-1", "events", "task-1-2", ""]
)
def test_what_is_not_there_closes_with_4403(site: Site, alice: Socket, name: str) -> None:
    alice.send({"follow": {name: 0}})
    assert closed_with(alice) == 4403


@pytest.mark.parametrize(
    "message",
    [
        "hello",
        "[]",
        "{}",
        '{"follow": []}',
        '{"follow": {"me": "0"}}',
        '{"follow": {"me": -1}}',
        '{"follow": {"me": true}}',
        '{"follow": {"me": 1.5}}',
        '{"follow": {}, "say": "hello"}',
        json.dumps({"follow": {f"task-{n}": 0 for n in range(101)}}),
        json.dumps({"follow": {"x" * 17_000: 0}}),
        "[" * 10_000,
    ],
)
def test_anything_but_topics_closes_with_4400(site: Site, alice: Socket, message: str) -> None:
    alice.send(message)
    assert closed_with(alice) == 4400


def test_a_person_who_is_deactivated_is_closed(site: Site, ids: Any) -> None:
    site.do("dora = factories.make_user('dora'); Membership.objects.create(project=project, user=dora)")
    socket = Socket(site, cookie=site.cookie("dora"))
    socket.follow(**{f"task_{ids['task']}": 0})
    site.do("dora.is_active = False; dora.save()")
    assert closed_with(socket) == 4401


def test_a_person_who_signs_out_is_closed(site: Site, ids: Any) -> None:
    socket = Socket(site, cookie=site.cookie("alice"))
    socket.follow(**{f"task_{ids['task']}": 0})
    site.do("client.logout()")
    assert closed_with(socket) == 4401


def test_a_person_who_leaves_the_project_is_closed(site: Site, ids: Any) -> None:
    site.do("erik = factories.make_user('erik'); Membership.objects.create(project=project, user=erik)")
    socket = Socket(site, cookie=site.cookie("erik"))
    socket.follow(**{f"session_{ids['session']}": 0})
    site.do("Membership.objects.filter(user=erik).delete()")
    assert closed_with(socket) == 4403


def test_a_project_joined_later_rings_without_a_reload(site: Site, ids: Any) -> None:
    site.do("fay = factories.make_user('fay')")
    socket = Socket(site, cookie=site.cookie("fay"))
    socket.follow(me=ids["event"])
    site.do("Membership.objects.create(project=project, user=fay); task.execute()")
    assert {"ring": ["me"]} in socket.until(lambda frame: "ring" in frame)
    socket.close()
