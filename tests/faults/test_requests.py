"""What agents ask of people: shown soon, answered once, kept through every death, and no worker held while nobody answers."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests import factories
from tests.faults.conftest import running
from tests.faults.studio import WRITES, Studio, kill
from tests.running import until

SHOWN_SECONDS = 10
PARK_SECONDS = 6
GREEN = "review"  # where a task of one phase comes to rest


def bash(command: str) -> dict[str, Any]:
    return {"tool": "bash", "args": {"command": command, "description": "Does it"}}


def ask(text: str) -> dict[str, Any]:
    options = [{"label": "Red", "description": "Warm"}, {"label": "Blue", "description": "Cold"}]
    return {
        "tool": "question",
        "args": {"questions": [{"question": text, "header": "Colour", "options": options}]},
    }


# Of each class what the agent does, and what of it the request has to show.
WISHES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "bash": ([bash("touch asked.txt")], "touch asked.txt"),
    "edit": ([WRITES], "made.txt"),
    "read": ([{"tool": "read", "args": {"filePath": "{cwd}/local.env"}}], "local.env"),
    "webfetch": (
        [{"tool": "webfetch", "args": {"url": "http://127.0.0.1:9/page", "format": "text"}}],
        "127.0.0.1:9/page",
    ),
    "external_directory": ([{"tool": "read", "args": {"filePath": "/etc/hostname"}}], "/etc/hostname"),
    "doom_loop": ([{"tools": [bash("true")] * 3}], "bash"),
    "task": ([{"task": {"steps": [{"text": "Looked."}]}}], "general"),
    "question": ([ask("Which colour?")], "Which colour?"),
}
CLASSES = list(WISHES)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A Studio that parks after seconds, with four workers."""
    home = tmp_path_factory.mktemp("requests") / "home"
    clocks = {"STUDIO_PARK_SECONDS": str(PARK_SECONDS), "STUDIO_PROGRESS_SECONDS": "120"}
    yield from running(Studio(home, STUDIO_FAULTS="1", **clocks))


@pytest.fixture
def start(studio: Studio, fresh_repository: Path) -> Callable[..., int]:
    """Starts a task whose agent takes these steps, and others when it goes on after it was stopped; the task's id."""
    (fresh_repository / "local.env").write_text("SECRET=1\n")
    factories.git(fresh_repository, "add", "--all")
    factories.git(fresh_repository, "commit", "--quiet", "--message", "Settings")

    def started(*steps: dict[str, Any], then: list[dict[str, Any]] | None = None, **actions: str) -> int:
        work = [bash("touch made.txt") if "edit" in actions else WRITES, {"text": "Written."}]
        script = {"implementation": [[*steps, *work], [*(steps if then is None else then), *work]]}
        return studio.started(fresh_repository, f"ASK{next(numbers)}", script, permissions=actions)

    return started


@pytest.fixture
def wish(start: Callable[..., int]) -> Callable[..., int]:
    """Starts a task whose agent wants something of that class. Going on after it was stopped, it does what it was given leave
    for (`again`), and does not ask again what was answered in words."""

    def started(kind: str, *, again: bool = True) -> int:
        steps, _ = WISHES[kind]
        asks = {} if kind == "question" else {kind: "ask"}
        return start(*steps, then=None if again and asks else [], **asks)

    return started


numbers = iter(range(1, 1000))


def requests(studio: Studio, task: int, state: str = "open") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = studio.get(f"/requests?task={task}&state={state}")["items"]
    return found


def asked(studio: Studio, task: int) -> dict[str, Any]:
    """The one request that is open, once it is there."""
    until(lambda: requests(studio, task), 120, f"a request of task {task}: {studio.log('runs')}")
    (found,) = requests(studio, task)
    return found


def yes(request: dict[str, Any]) -> dict[str, Any]:
    return {"answers": [["Blue"]]} if request["kind"] == "question" else {"reply": "once"}


def no(request: dict[str, Any]) -> dict[str, Any]:
    return {"reject": True} if request["kind"] == "question" else {"reply": "reject", "message": "Not now."}


def answer(
    studio: Studio, request: dict[str, Any], given: dict[str, Any], expect: int = 200
) -> dict[str, Any]:
    reply: dict[str, Any] = studio.post(f"/requests/{request['id']}/answer", given, expect=expect)
    return reply


def is_parked(studio: Studio, task: int) -> bool:
    """Whether it waits without a worker, and nothing of it runs."""
    row = studio.row("SELECT lease FROM agent_sessions_attempt WHERE task_id = ?", task)
    return row["lease"] == "parked" and not studio.agents(task)


def wait_parked(studio: Studio, task: int, within: float = 90) -> None:
    until(lambda: is_parked(studio, task), within, f"task {task} to park: {studio.log('runs')}")
    (session,) = [each for each in studio.sessions(task) if each["state"] == "waiting"]
    assert not session["ended_at"]


def counts(studio: Studio, task: int) -> list[tuple[str, str]]:
    rows = studio.rows(
        "SELECT r.state, r.kind FROM agent_sessions_request r JOIN agent_sessions_session s ON s.id = r.session_id "
        "JOIN agent_sessions_attempt a ON a.id = s.attempt_id WHERE a.task_id = ? ORDER BY r.id",
        task,
    )
    return [(row["state"], row["kind"]) for row in rows]


def finishes(studio: Studio, task: int, *, asked_once: bool = True) -> None:
    """The task comes to its end in one session of the agent, and was asked for once."""
    studio.wait_for(task, GREEN)
    phases = [session["phase"] for session in studio.sessions(task)]
    assert phases == ["implementation", "checks"], phases
    if asked_once:
        assert [state for state, _ in counts(studio, task)] == ["answered"]


# --- the matrix: what is asked, and what comes between -------------------------------------------------------------


def shown_everywhere(studio: Studio, task: int, request: dict[str, Any], kind: str) -> None:
    """On the card, on the page and in the API, with what exactly is wanted, soon after the agent wanted it."""
    _, words = WISHES[kind]
    page = studio.page(f"/tasks/{task}/").text
    assert f'id="request-{request["id"]}"' in page
    assert words in page
    assert words in str(request["body"])
    key = studio.get(f"/tasks/{task}")["key"].partition("-")[0]
    card = studio.page(f"/projects/{key}/").text.partition(f'id="task-{task}"')[2].partition("</article>")[0]
    assert "card--calls" in studio.page(f"/projects/{key}/").text
    assert words in card
    session = studio.activity(request["session"])
    wanted = [entry["started_at"] for entry in session if entry["kind"] == "tool" and entry["started_at"]][-1]
    late = datetime.fromisoformat(request["opened_at"]) - datetime.fromisoformat(wanted)
    assert late.total_seconds() <= SHOWN_SECONDS


def answered(studio: Studio, wish: Callable[..., int], kind: str) -> None:
    task = wish(kind)
    request = asked(studio, task)
    shown_everywhere(studio, task, request, kind)
    answer(studio, request, yes(request))
    finishes(studio, task)


def answered_twice(studio: Studio, wish: Callable[..., int], kind: str) -> None:
    """Two at once: one wins, and the other hears who it was, as does who comes later, on the page too."""
    task = wish(kind, again=False)
    request = asked(studio, task)
    address = f"/requests/{request['id']}/answer"
    with ThreadPoolExecutor(2) as pool:
        replies = list(
            pool.map(lambda given: studio.api("POST", address, given), (yes(request), no(request)))
        )
    assert sorted(reply.status_code for reply in replies) == [200, 409]
    (first,) = [reply.json() for reply in replies if reply.status_code == 200]
    (second,) = [reply.json() for reply in replies if reply.status_code == 409]
    assert (second["error"], second["answer"]) == ("answered_already", first["answer"])
    assert "by admin" in second["message"]
    assert answer(studio, request, yes(request), expect=409)["answer"] == first["answer"]
    finishes(studio, task)


def restarted(studio: Studio, wish: Callable[..., int], kind: str) -> None:
    """Studio stops and starts between request and answer."""
    task = wish(kind)
    request = asked(studio, task)
    studio.stop()
    studio.start()
    wait_parked(studio, task)
    assert asked(studio, task) == request
    answer(studio, request, yes(request))
    finishes(studio, task)


def worker_killed(studio: Studio, wish: Callable[..., int], kind: str) -> None:
    task = wish(kind)
    request = asked(studio, task)
    kill(studio.worker_of(task))
    wait_parked(studio, task)
    assert asked(studio, task) == request
    answer(studio, request, yes(request))
    finishes(studio, task)


def parked(studio: Studio, wish: Callable[..., int], kind: str) -> None:
    """What was allowed is not asked for again when the agent goes on."""
    task = wish(kind)
    request = asked(studio, task)
    wait_parked(studio, task)
    shown_everywhere(studio, task, request, kind)
    answer(studio, request, yes(request))
    finishes(studio, task)


def refused(studio: Studio, wish: Callable[..., int], kind: str) -> None:
    """The agent hears it, and goes on; in a prompt of its own where OpenCode ended the run over it."""
    task = wish(kind, again=False)
    request = asked(studio, task)
    answer(studio, request, no(request))
    finishes(studio, task)
    prompts = [entry["text"] for entry in studio.activity(request["session"]) if entry["kind"] == "prompt"]
    assert len(prompts) == (2 if kind == "doom_loop" else 1)
    assert kind != "doom_loop" or "Not now." in prompts[1]


def cancelled(studio: Studio, wish: Callable[..., int], kind: str) -> None:
    task = wish(kind)
    request = asked(studio, task)
    stopping = studio.api("POST", f"/tasks/{task}/cancel")
    assert stopping.status_code in (200, 202)
    until(lambda: studio.status(task) == "cancelled" and not studio.agents(task), 20, "the cancellation")
    assert answer(studio, request, yes(request), expect=409)["error"] == "withdrawn"


BETWEEN = [answered, answered_twice, restarted, worker_killed, parked, refused, cancelled]
SAMPLE = {(answered_twice, "question")}


@pytest.mark.parametrize(
    ("between", "kind"),
    [
        pytest.param(
            between,
            kind,
            id=f"{kind}-{between.__name__}",
            marks=pytest.mark.fault("R18", sample=(between, kind) in SAMPLE),
        )
        for between in BETWEEN
        for kind in CLASSES
    ],
)
def test_a_request_is_answered_once_whatever_comes_between(
    studio: Studio, wish: Callable[..., int], between: Callable[..., None], kind: str
) -> None:
    between(studio, wish, kind)


# --- what else can come between ------------------------------------------------------------------------------------


@pytest.mark.fault("R18")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
@pytest.mark.parametrize("kind", ["bash", "question"])
def test_a_request_outlives_its_opencode(
    studio: Studio, wish: Callable[..., int], kind: str, number: signal.Signals
) -> None:
    task = wish(kind)
    request = asked(studio, task)
    servers = [pid for pid in studio.agents(task) if _runs(pid, b"opencode")]
    assert servers
    for pid in servers:
        with contextlib.suppress(ProcessLookupError):
            kill(pid, number)
    wait_parked(studio, task)
    assert asked(studio, task) == request
    answer(studio, request, yes(request))
    finishes(studio, task)


def _runs(pid: int, name: bytes) -> bool:
    with contextlib.suppress(OSError):
        return name in Path(f"/proc/{pid}/exe").readlink().name.encode()
    return False


@pytest.mark.fault("R18")
def test_a_request_outlives_a_worker_that_dies_while_it_parks(
    studio: Studio, wish: Callable[..., int]
) -> None:
    studio.arm("park-cleared")
    task = wish("bash")
    request = asked(studio, task)
    studio.fired()
    wait_parked(studio, task)
    assert asked(studio, task) == request
    answer(studio, request, yes(request))
    finishes(studio, task)


@pytest.mark.fault("R18")
@pytest.mark.parametrize("kind", ["bash", "question"])
def test_a_refusal_reaches_a_parked_agent_as_its_next_prompt(
    studio: Studio, wish: Callable[..., int], kind: str
) -> None:
    task = wish(kind, again=False)
    request = asked(studio, task)
    wait_parked(studio, task)
    answer(studio, request, no(request))
    finishes(studio, task)
    prompts = [entry["text"] for entry in studio.activity(request["session"]) if entry["kind"] == "prompt"]
    assert len(prompts) == 2
    assert ("Not now." if kind == "bash" else "declined") in prompts[1]


@pytest.mark.fault("R18")
@pytest.mark.parametrize(("verb", "status"), [("cancel", "cancelled"), ("back-to-todo", "todo")])
def test_a_parked_task_is_stopped_at_once(
    studio: Studio, wish: Callable[..., int], verb: str, status: str
) -> None:
    task = wish("bash")
    request = asked(studio, task)
    wait_parked(studio, task)
    studio.post(f"/tasks/{task}/{verb}", expect=200)
    assert studio.status(task) == status
    assert answer(studio, request, yes(request), expect=409)["error"] == "withdrawn"


@pytest.mark.fault("R18")
@pytest.mark.parametrize("parks", [False, True], ids=["heard", "parked"])
def test_a_sub_agent_asks_as_its_agent_does(studio: Studio, start: Callable[..., int], parks: bool) -> None:
    helper = {"task": {"steps": [bash("touch below.txt"), {"text": "Touched it."}]}}
    task = start(helper, bash="ask")
    request = asked(studio, task)
    assert "A sub-agent asks leave" in studio.page(f"/tasks/{task}/").text
    if parks:
        wait_parked(studio, task)
    answer(studio, request, yes(request))
    finishes(studio, task)
    touched = [entry for entry in studio.activity(request["session"]) if entry["tool"] == "bash"]
    assert (touched[-1]["depth"], touched[-1]["state"]) == (1, "completed")


@pytest.mark.fault("R18")
def test_what_was_allowed_once_is_allowed_no_wider(studio: Studio, start: Callable[..., int]) -> None:
    task = start(bash("touch a*.txt"), then=[bash("touch a*.txt"), bash("touch able.txt")], bash="ask")
    request = asked(studio, task)
    wait_parked(studio, task)
    answer(studio, request, yes(request))
    until(lambda: len(requests(studio, task)), 60, "the next request")
    other = asked(studio, task)
    assert other["body"]["patterns"] == ["touch able.txt"]
    answer(studio, other, yes(other))
    finishes(studio, task, asked_once=False)


@pytest.mark.fault("R18")
def test_what_was_allowed_for_the_attempt_is_not_asked_again(
    studio: Studio, start: Callable[..., int]
) -> None:
    task = start(bash("touch a.txt"), then=[bash("touch a.txt"), bash("touch b.txt")], bash="ask")
    request = asked(studio, task)
    wait_parked(studio, task)
    answer(studio, request, {"reply": "always"})
    finishes(studio, task)


# --- workers ---------------------------------------------------------------------------------------------------------


@pytest.mark.fault("R18", sample=True)
def test_four_questions_without_an_answer_do_not_stop_a_fifth_task(
    studio: Studio, wish: Callable[..., int], start: Callable[..., int]
) -> None:
    waiting = [wish("question") for _ in range(4)]
    fifth = start()
    studio.wait_for(fifth, GREEN, within=180)
    for task in waiting:
        wait_parked(studio, task)
    first, *others = waiting
    request = asked(studio, first)
    answer(studio, request, yes(request))
    for task in others:
        assert requests(studio, task)
        studio.post(f"/tasks/{task}/cancel", expect=200)
    finishes(studio, first)
