"""Prompts followed to their end, on the real OpenCode with the demo model."""

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest

from sessions.opencode import config
from sessions.opencode.client import Client, OpenCodeError
from sessions.opencode.limits import Limits
from sessions.opencode.parts import snapshot
from sessions.opencode.transcript import WRITE_SECONDS
from sessions.reasons import Reason
from tests.sessions.opencode_run import Agent, assert_equals_opencodes_own_list

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    agent = Agent(tmp_path_factory.mktemp("opencode"))
    yield agent
    agent.close()


@pytest.fixture(autouse=True)
def clean_workspace(agent: Agent) -> None:
    subprocess.run(["git", "checkout", "-q", "."], cwd=agent.workspace, check=True)
    subprocess.run(["git", "clean", "-fdq"], cwd=agent.workspace, check=True)


def test_a_plan_and_its_implementation_are_handed_on_as_opencode_lists_them(agent: Agent) -> None:
    plan = agent.run("Plan it. DEMO-1", agent=config.PLAN_AGENT)
    assert plan.outcome.is_completed
    assert plan.outcome.text.startswith("## Summary")
    assert plan.tools() == ["glob", "read", "read"]
    assert_equals_opencodes_own_list(agent, plan)

    build = agent.run("Phase: implementation\nDo it. DEMO-1", session_id=plan.session_id)
    assert build.outcome.is_completed
    assert build.tools() == ["todowrite", "read", "bash", "edit", "bash", "todowrite"]
    assert "0s" in (agent.workspace / "durations" / "text.py").read_text()
    assert {part.message_id for part in build.recorded}.isdisjoint(part.message_id for part in plan.recorded)
    assert build.outcome.tokens["input"] > 1000
    assert build.statuses[-1].activity == "idle"
    assert [todo["status"] for todo in build.statuses[-1].todos] == ["completed"] * 3
    truth = snapshot(agent.client, build.session_id, build.message_id)
    assert build.recorded == truth
    assert truth[0].role == "user"
    assert plan.recorded == snapshot(agent.client, plan.session_id, plan.message_id), (
        "a later prompt is not the earlier one's"
    )


def test_a_sub_agents_work_belongs_to_the_prompt_that_caused_it(agent: Agent) -> None:
    steps = [{"tool": "read", "args": {"filePath": "{cwd}/README.md"}}, {"text": "It is about durations."}]
    run = agent.run(
        "Ask around.",
        implementation=[{"task": {"prompt": "What is it about?", "steps": steps}}, {"text": "Asked."}],
    )
    assert run.outcome.text == "Asked."
    below = [part for part in run.recorded if part.depth == 1]
    assert [part.tool for part in below if part.kind == "tool"] == ["read"]
    assert {part.parent_session_id for part in below} == {run.session_id}
    assert_equals_opencodes_own_list(agent, run)
    again = agent.run("And again.", session_id=run.session_id, implementation=[{"text": "No need."}])
    assert {part.depth for part in again.recorded} == {0}


def test_text_arrives_while_it_is_written_and_no_part_more_than_four_times_a_second(agent: Agent) -> None:
    run = agent.run("Talk.", implementation=[{"text": "word " * 120, "chunk_delay": 0.05}])
    [part] = [part for part in run.recorded if part.kind == "message" and part.role == "assistant"]
    times = [at for at, name in run.writes if name == part.part_id]
    assert len(times) >= 3
    assert all(later - earlier >= WRITE_SECONDS * 0.9 for earlier, later in pairwise(times))
    assert part.text.strip() == run.outcome.text
    assert_equals_opencodes_own_list(agent, run)


def test_what_is_handed_on_survives_a_cut_stream(agent: Agent) -> None:
    cut = threading.Event()

    def cut_once() -> None:
        if agent.model.log and not cut.is_set() and agent.received("Cut me."):
            cut.set()
            agent.stream.close()
            agent.stream.queue = agent.new_stream().queue  # all that came between is lost

    run = agent.run("Cut me.", tick=cut_once)
    agent.stream = agent.new_stream()
    assert cut.is_set()
    assert run.outcome.is_completed
    assert_equals_opencodes_own_list(agent, run)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ({"error": 400}, Reason.PROVIDER_REFUSED),
        ({"error": 401}, Reason.PROVIDER_LOGIN),
        ({"error": 429, "retry_after": 1}, Reason.PROVIDER_LIMITED),
        ({"error": 500}, Reason.PROVIDER_ERROR),
        ({"malformed": True}, Reason.MALFORMED_ANSWER),
        ({"text": "cut o", "finish": "length"}, Reason.OUTPUT_LIMIT),
        ({"text": "", "finish": "content_filter"}, Reason.CONTENT_FILTER),
        ({"text": ""}, Reason.EMPTY_ANSWER),
    ],
    ids=lambda value: value if isinstance(value, str) else json.dumps(value),
)
def test_a_provider_that_fails_ends_the_run_with_a_named_reason(
    agent: Agent, step: dict[str, object], reason: Reason
) -> None:
    run = agent.run("Try.", limits=Limits(retries=1, poll_seconds=1, total_seconds=60), implementation=[step])
    assert (run.outcome.kind, run.outcome.reason) == ("failed", reason)
    assert run.outcome.detail
    assert run.session_id not in agent.client.status()
    assert run.recorded == snapshot(agent.client, run.session_id, run.message_id)


def test_a_retry_is_told_while_it_lasts_and_its_success_is_success(agent: Agent) -> None:
    run = agent.run(
        "Try.", implementation=[{"error": 503, "times": 1, "retry_after": 1, "text": "It worked."}]
    )
    assert run.outcome.text == "It worked."
    assert [status.retry.attempt for status in run.statuses if status.retry] == [1]
    assert run.statuses[-1].retry is None


@pytest.mark.parametrize(
    "step", [{"hang": True}, {"text": "Well, ", "hang_mid": True}], ids=["silent", "in the middle"]
)
def test_a_model_that_hangs_ends_as_stalled_and_is_let_go(agent: Agent, step: dict[str, object]) -> None:
    run = agent.run("Try.", limits=Limits(progress_seconds=2, poll_seconds=1), implementation=[step])
    assert run.outcome.reason == Reason.STALLED
    assert run.session_id not in agent.client.status()
    assert not any(part.state in {"pending", "running"} for part in run.recorded)


def test_a_provider_that_fails_while_nothing_comes_is_the_reason_and_not_the_silence(agent: Agent) -> None:
    run = agent.run(
        "Try.", limits=Limits(progress_seconds=3, poll_seconds=1), implementation=[{"error": 500}]
    )
    assert run.outcome.reason == Reason.PROVIDER_ERROR


def test_an_answer_that_is_torn_off_is_asked_for_again(agent: Agent) -> None:
    torn = {"drop_mid": True, "times": 1, "text": "Well, I "}
    run = agent.run("Try.", implementation=[torn, {"text": "The next step."}])
    assert run.outcome.text.strip() == "Well, I"


def test_a_quiet_tool_is_not_a_stalled_model_and_a_deadline_ends_it(agent: Agent) -> None:
    slow = {"tool": "bash", "args": {"command": "sleep 30", "description": "Takes its time"}}
    run = agent.run(
        "Wait.", limits=Limits(progress_seconds=1, total_seconds=4, poll_seconds=1), implementation=[slow]
    )
    assert run.outcome.reason == Reason.DEADLINE
    assert [part.state for part in run.recorded if part.tool == "bash"] != ["running"]


def test_an_aborted_run_is_no_success(agent: Agent) -> None:
    aborted = threading.Event()

    def abort_once() -> None:
        if not aborted.is_set() and agent.received("Stop me."):
            aborted.set()
            session_id = next(iter(agent.client.status()))
            agent.client.abort(session_id)

    run = agent.run("Stop me.", tick=abort_once, implementation=[{"hang": True}])
    assert (run.outcome.kind, run.outcome.reason) == ("failed", Reason.ABORTED)
    assert [part.title for part in run.recorded if part.kind == "error"] == ["MessageAbortedError"]


def test_an_abort_during_a_retry_is_no_success_either(agent: Agent) -> None:
    aborted = threading.Event()

    def abort_retry() -> None:
        entry = next(iter(agent.client.status().items()), None)
        if entry and entry[1]["type"] == "retry" and not aborted.is_set():
            aborted.set()
            agent.client.abort(entry[0])

    run = agent.run("Try.", tick=abort_retry, implementation=[{"error": 500}])
    assert aborted.is_set()
    assert run.outcome.kind == "failed"


def test_a_model_that_is_not_there_and_an_agent_that_is_not_there_are_named(agent: Agent) -> None:
    assert agent.run("Try.", model="demo/nope").outcome.reason == Reason.MODEL_MISSING
    assert agent.run("Try.", agent="nope").outcome.reason == Reason.NO_START


def test_a_full_context_is_compacted_and_the_run_goes_on(agent: Agent) -> None:
    overflow = {
        "error": 400,
        "code": "context_length_exceeded",
        "message": "context_length_exceeded",
        "times": 1,
    }
    run = agent.run("Try.", implementation=[overflow])
    assert run.outcome.is_completed
    assert "compaction" in Counter(part.kind for part in run.recorded)
    assert_equals_opencodes_own_list(agent, run)


def test_what_tick_raises_passes_through_and_leaves_the_run_alone(agent: Agent) -> None:
    def cancel() -> None:
        if agent.received("Cancel me."):
            raise KeyError("cancelled")

    with pytest.raises(KeyError):
        agent.run("Cancel me.", tick=cancel, implementation=[{"hang": True}])
    [session_id] = agent.client.status()
    agent.client.abort(session_id)


def test_calls_that_fail_say_in_which_way(agent: Agent) -> None:
    with pytest.raises(OpenCodeError) as unknown:
        agent.client.session("ses_unknown")
    assert (unknown.value.kind, unknown.value.status) == ("not_found", 404)
    with pytest.raises(OpenCodeError) as page:
        agent.client._get("/no-such-endpoint")
    assert page.value.kind == "not_json"
    stranger = Client(agent.server.base_url, "wrong", str(agent.workspace))
    with pytest.raises(OpenCodeError) as login:
        stranger.status()
    assert login.value.kind == "unauthorized"


def test_a_repeated_message_id_is_not_run_again(agent: Agent) -> None:
    run = agent.run("Once.", implementation=[{"text": "Only once."}])
    agent.client.prompt_async(run.session_id, run.message_id, config.BUILD_AGENT, "demo/demo", "Once.")
    deadline = time.monotonic() + 10
    while agent.client.status() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(agent.received("Only once.")) == 1
