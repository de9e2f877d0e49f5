"""The streams for scripts, on the real daphne, with another process that writes."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent, connect_sse

from tests.studio import live_site
from tests.studio.live_site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: Any) -> Iterator[Site]:
    shrunk = {"CHECK_SECONDS": 0.3, "HEARTBEAT_SECONDS": 0.2, "SLOW_SECONDS": 0.5}
    with live_site.site(tmp_path_factory.mktemp("site"), **shrunk) as made:
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
def token(site: Site) -> str:
    return token_of(site, "alice")


def token_of(site: Site, name: str) -> str:
    return site.do(f"answer = ApiToken.issue(factories.make_user({name!r}))")


def read(site: Site, path: str, token: str, count: int = 1000, **headers: str) -> list[ServerSentEvent]:
    """The events until the stream ends, or `count` of them."""
    headers["Authorization"] = f"Bearer {token}"
    with (
        httpx.Client(timeout=10) as client,
        connect_sse(client, "GET", site.url + path, headers=headers) as source,
    ):
        events = []
        for event in source.iter_sse():
            events.append(event)
            if len(events) == count:
                break
        return events


def test_events_come_as_they_happen_with_their_ids(site: Site, ids: Any, token: str) -> None:
    site.do("task.execute()")
    events = read(site, f"/api/events?after={ids['event']}", token, 2)
    assert [event.event for event in events] == ["task.status_changed", "session.queued"]
    assert [int(event.id) for event in events] == [ids["event"] + 1, ids["event"] + 2]
    assert events[0].json()["data"]["to"] == "planning"
    assert events[0].json()["task"] == ids["task"]


def test_500_quick_events_come_in_order_and_none_is_lost(site: Site, ids: Any, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    with (
        httpx.Client(timeout=10) as client,
        connect_sse(client, "GET", f"{site.url}/api/events?after={ids['event']}", headers=headers) as source,
    ):
        stream = source.iter_sse()
        site.do("for n in range(500): task.note('task.updated', n=n)")
        numbers = [next(stream).json()["data"]["n"] for _ in range(500)]
    assert numbers == list(range(500))


def test_without_a_cursor_a_script_hears_what_comes_from_now_on(site: Site, ids: Any, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    with (
        httpx.Client(timeout=10) as client,
        connect_sse(client, "GET", f"{site.url}/api/events", headers=headers) as source,
    ):
        lines = source.response.iter_lines()
        while next(lines) != ": alive":
            pass
        new = site.do("answer = task.note('task.updated').pk")
        assert next(line for line in lines if line.startswith("id:")) == f"id: {new}"


def test_a_script_that_comes_back_after_a_restart_goes_on_where_it_was(
    site: Site, ids: Any, token: str
) -> None:
    site.do("for n in range(10): task.note('task.updated', n=n)")
    first = read(site, f"/api/events?after={ids['event']}", token, 4)
    site.restart()
    # The header wins over the address, which a client sends again unchanged.
    rest = read(site, f"/api/events?after={ids['event']}", token, 6, **{"Last-Event-ID": first[-1].id})
    assert [event.json()["data"]["n"] for event in first + rest] == list(range(10))


def test_a_person_hears_only_of_their_own_projects(site: Site, ids: Any, token: str) -> None:
    site.do(
        "other = factories.make_task(factories.make_project(roles={factories.make_user('charlie'): 'member'}))\n"
        "task.note('task.updated')"
    )
    for_charlie = read(site, f"/api/events?after={ids['event']}", token_of(site, "charlie"), 1)
    for_alice = read(site, f"/api/events?after={ids['event']}", token, 1)
    assert for_alice[0].json()["task"] == ids["task"]
    assert for_charlie[0].json()["task"] != ids["task"]


def test_activity_comes_to_its_end(site: Site, ids: Any, token: str) -> None:
    path = f"/api/sessions/{ids['session']}/activity"
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    with (
        httpx.Client(timeout=10) as client,
        connect_sse(client, "GET", site.url + path, headers=headers) as source,
    ):
        stream = source.iter_sse()
        site.do("factories.make_activity(session, text='one')")
        assert next(stream).json()["text"] == "one"
        site.do("factories.make_activity(session, text='two'); session.end('completed')")
        last = list(stream)
    assert [(event.event, event.id) for event in last] == [("activity", "2"), ("end", "2")]
    again = read(site, f"{path}?after=1", token, Accept="text/event-stream")
    assert [event.event for event in again] == ["activity", "end"]


def test_activity_as_json_is_left_to_django(site: Site, ids: Any, token: str) -> None:
    answer = httpx.get(
        f"{site.url}/api/sessions/{ids['session']}/activity", headers={"Accept": "application/json"}
    )
    assert answer.json() == {"django": ids["session"]}


def test_a_signed_in_browser_needs_no_token(site: Site, ids: Any) -> None:
    url = f"{site.url}/api/events?after={ids['event'] - 1}"
    with httpx.stream("GET", url, headers={"Cookie": site.cookie("alice")}) as answer:
        assert answer.status_code == 200
        assert any(line.startswith("id: ") for line in answer.iter_lines())


@pytest.mark.parametrize("authorization", [None, "Bearer studio_wrong", "Bearer", "Basic YTpi"])
def test_a_stranger_gets_401_in_the_usual_shape(site: Site, authorization: str | None) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    answer = httpx.get(f"{site.url}/api/events", headers=headers)
    assert answer.status_code == 401
    assert answer.json().keys() == {"error", "message", "fields"}


@pytest.mark.parametrize("name", ["session", "missing"])
def test_what_is_unknown_or_not_theirs_is_404(site: Site, ids: Any, name: str) -> None:
    headers = {"Authorization": f"Bearer {token_of(site, 'charlie')}", "Accept": "text/event-stream"}
    answer = httpx.get(f"{site.url}/api/sessions/{ids.get(name, 999999)}/activity", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "9" * 30])
def test_a_cursor_that_is_no_number_is_422(site: Site, token: str, after: str) -> None:
    answer = httpx.get(f"{site.url}/api/events?after={after}", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 422
    assert "after" in answer.json()["fields"]


def test_a_token_that_is_revoked_ends_the_stream(site: Site, ids: Any) -> None:
    token = token_of(site, "alice")
    headers = {"Authorization": f"Bearer {token}"}
    address = f"{site.url}/api/events?after={ids['event']}"  # else what was just written may still come
    with httpx.stream("GET", address, headers=headers, timeout=10) as answer:
        lines = answer.iter_lines()
        next(lines)
        site.do("ApiToken.objects.all().delete()")
        assert all(line.startswith(":") for line in lines if line)


def test_a_client_that_does_not_read_is_let_go(site: Site, ids: Any, token: str) -> None:
    """Daphne buffers without limit: the server must stop by itself, having kept little."""
    site.do("for n in range(300): task.note('task.updated', text='x' * 100_000)")
    with socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect(("127.0.0.1", site.port))
        request = f"GET /api/events?after={ids['event']} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
        stalled.sendall(request.encode())
        stalled.recv(100)
        time.sleep(1.5)  # three times as long as the server waits for a client
        stalled.settimeout(5)
        got = 0
        while chunk := stalled.recv(1_000_000):
            got += len(chunk)
            if chunk.endswith(b"0\r\n\r\n"):
                break
    assert got < 20_000_000, "it had 30 MB to send"


def test_the_streams_data_is_one_line(site: Site, ids: Any, token: str) -> None:
    site.do("task.note('task.updated', text='a\\nid: 1\\n\\ndata: b')")
    events = read(site, f"/api/events?after={ids['event']}", token, 1)
    assert json.loads(events[0].data)["data"]["text"] == "a\nid: 1\n\ndata: b"
