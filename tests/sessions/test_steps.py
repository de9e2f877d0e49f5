"""A plan with numbered phases is carried out phase by phase: each its own session, its own commit, a hand-over to the next."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from sessions import ledger
from sessions.ledger import Claim
from sessions.models import Attempt, Session, Step
from sessions.models.attempt import Lease
from sessions.models.session import Phase, State
from sessions.phases import prompts
from sessions.progress import change_completed, planning_completed
from sessions.reasons import Reason
from studio import crash
from studio.demo_model.server import DemoModel
from tasks.models import Event, Task
from tests import factories
from tests.scripts import Script, assert_error
from tests.sessions.workers import carry, carry_and_die, die

pytestmark = pytest.mark.django_db(transaction=True)

PLAN = """# A basket

## Phases

### Phase 1: The rows
Make the table.

### Phase 2: The page
Show the table.

### Phase 3: The words
Write the guide.
"""
WHOLE = "# A basket\n\nWrite it all at once.\n"
HANDED = "The table is `basket`.\n\nIts key is the person.\n\n- Left: the page."


@pytest.fixture
def building(task: Task, alice: Any) -> Task:
    """A task whose plan of three phases was accepted, with the first queued."""
    task.execute(by=alice)
    _plan(PLAN)
    return _accepted(task, alice)


def _plan(body: str) -> None:
    claim = ledger.claim()
    assert claim is not None
    with claim.write():
        planning_completed(_begun(claim), body)
    _leave(claim)


def _accepted(task: Task, by: Any) -> Task:
    task = Task.objects.get(pk=task.pk)
    task.approve_plan(by=by)
    return Task.objects.get(pk=task.pk)


def _begun(claim: Claim) -> Session:
    session = claim.next_session()
    assert session is not None
    session.state = State.RUNNING
    session.save()
    return session


def _leave(claim: Claim) -> None:
    """Leave what is left to another worker."""
    if not claim.release():
        Attempt.objects.filter(pk=claim.attempt.pk).update(lease=Lease.CLAIMABLE, owner="", pid=0)


def work(head: str = "a" * 40, said: str = HANDED) -> Session:
    """What a worker does with the queued session, its change standing at the commit `head`."""
    claim = ledger.claim()
    assert claim is not None
    session = _begun(claim)
    with claim.write():
        change_completed(session, head, said)
    _leave(claim)
    return Session.objects.get(pk=session.pk)


def fail() -> None:
    """What a worker does with a session that comes to nothing."""
    claim = ledger.claim()
    assert claim is not None
    session = _begun(claim)
    with claim.write():
        session.end(State.FAILED, Reason.STALLED)
    _leave(claim)


def queued(task: Task) -> Session:
    """The session that waits for a worker."""
    return Session.objects.get(attempt__task=task, state=State.QUEUED)


def steps(task: Task) -> list[Step]:
    return list(
        Step.objects.filter(attempt__task=task, attempt__is_current=True).order_by("plan_version", "number")
    )


def standings(task: Task) -> list[str]:
    return [step.standing for step in steps(task)]


# --- one after the other ----------------------------------------------------------------------------------------------


def test_each_phase_is_a_session_of_its_own_and_then_the_checks_run(building: Task) -> None:
    assert standings(building) == ["queued", "open", "open"]
    ran = [work(each * 40) for each in "abc"]
    assert [session.step.number for session in ran if session.step] == [1, 2, 3]
    assert standings(building) == ["completed"] * 3
    assert [step.commit for step in steps(building)] == ["a" * 40, "b" * 40, "c" * 40]
    assert [each.resumes_id for each in ran] == [None] * 3
    assert queued(building).phase == Phase.CHECKS
    assert Event.objects.filter(name="step.completed").count() == 3


def test_the_next_phase_hears_the_whole_hand_over_and_its_own_words(building: Task) -> None:
    work()
    told = prompts.implementation(queued(building))
    assert HANDED in told
    for words in (
        "phase 2 of 3",
        "Show the table.",
        "1. The rows: completed",
        "2. The page: yours",
        "3. The words: not begun",
    ):
        assert words in told


def test_a_phase_that_changed_nothing_has_no_commit(building: Task) -> None:
    work("a" * 40)
    work("a" * 40)
    assert [step.commit for step in steps(building)] == ["a" * 40, "", ""]


def test_a_plan_without_phases_is_carried_out_whole(task: Task, alice: Any) -> None:
    task.execute(by=alice)
    _plan(WHOLE)
    task = _accepted(task, alice)
    assert steps(task) == []
    assert work().step is None
    assert queued(task).phase == Phase.CHECKS


def test_a_phase_that_failed_goes_on_in_its_conversation(building: Task, alice: Any) -> None:
    work()
    fail()
    assert standings(building) == ["completed", "failed", "open"]
    building.retry(by=alice)
    session = queued(building)
    assert session.step == steps(building)[1]
    assert session.resumes is not None
    assert standings(building) == ["completed", "queued", "open"]


def test_a_new_plan_starts_the_phases_anew(building: Task, alice: Any) -> None:
    steps(building)[0].pause(by=alice)
    work()
    task = Task.objects.get(pk=building.pk)
    task.back_to_todo(by=alice)
    task.execute(by=alice)
    _plan(PLAN.replace("### Phase 3: The words\nWrite the guide.\n", ""))
    task = _accepted(task, alice)
    assert standings(task) == ["completed", "replaced", "replaced", "queued", "open"]
    assert queued(task).step == steps(task)[3]


def test_going_back_to_an_attempt_goes_on_with_the_phase_that_is_left(building: Task, alice: Any) -> None:
    steps(building)[0].pause(by=alice)
    work()
    first = Attempt.objects.get(task=building)
    Attempt.anew(Task.objects.get(pk=building.pk), by=alice)
    _plan(WHOLE)
    task = Task.objects.get(pk=building.pk)
    first.task.refresh_from_db()
    first.choose(by=alice)
    Task.objects.get(pk=task.pk).execute(by=alice)
    assert standings(task) == ["completed", "queued", "open"]
    assert "1. The rows: completed" in prompts.implementation(queued(task))


# --- people steer them ------------------------------------------------------------------------------------------------


def test_the_work_rests_after_a_phase_until_somebody_lets_it_go_on(
    building: Task, alice: Any, client: Client
) -> None:
    script, first = Script(alice), steps(building)[0]
    assert script.post(f"/api/steps/{first.pk}/pause").json()["pause_after"] is True
    assert_error(script.post(f"/api/steps/{first.pk}/pause"), 409)
    work()
    assert not Session.objects.filter(state=State.QUEUED).exists()
    assert ledger.repair() == 0
    client.force_login(alice)
    assert "Rests after phase 1 of 3" in client.get(f"/tasks/{building.pk}/").content.decode()
    page = client.get(f"/tasks/{building.pk}/steps/").content.decode()
    assert "paused here" in page
    assert client.post(f"/steps/{first.pk}/go-on/").status_code == 302
    assert queued(building).step == steps(building)[1]
    assert_error(script.post(f"/api/steps/{first.pk}/go-on"), 409)


def test_execute_goes_on_after_a_pause_too(building: Task, alice: Any) -> None:
    steps(building)[0].pause(by=alice)
    work()
    assert Script(alice).post(f"/api/tasks/{building.pk}/execute").status_code == 202
    assert queued(building).step == steps(building)[1]


def test_a_skipped_phase_is_left_out_and_its_reason_is_told(building: Task, alice: Any) -> None:
    second = steps(building)[1]
    address = f"/api/steps/{second.pk}/skip"
    assert_error(Script(alice).send("post", address, {"reason": " "}), 422)
    assert (
        Script(alice).send("post", address, {"reason": "Another task has it."}).json()["state"] == "skipped"
    )
    assert_error(Script(alice).send("post", address, {"reason": "Again."}), 409)
    work()
    session = queued(building)
    assert session.step == steps(building)[2]
    assert "2. The page: skipped (Another task has it.)" in prompts.implementation(session)


def test_skipping_the_phase_that_failed_lets_the_task_go_on_with_the_next(building: Task, alice: Any) -> None:
    work()
    fail()
    steps(building)[1].skip("Not needed.", by=alice)
    Task.objects.get(pk=building.pk).retry(by=alice)
    assert queued(building).step == steps(building)[2]


def test_what_runs_is_not_skipped_and_not_all_is(building: Task, alice: Any, client: Client) -> None:
    script, (first, second, third) = Script(alice), steps(building)
    assert_error(script.send("post", f"/api/steps/{first.pk}/skip", {"reason": "No."}), 409)
    fail()
    for step in (second, third):
        step.skip("No.", by=alice)
    refused = assert_error(script.send("post", f"/api/steps/{first.pk}/skip", {"reason": "No."}), 409)
    assert "Nothing would be left" in refused["message"]


def test_a_completed_phase_is_run_again_on_what_there_is(building: Task, alice: Any) -> None:
    steps(building)[0].pause(by=alice)
    work("a" * 40)
    first = steps(building)[0]
    assert Script(alice).post(f"/api/steps/{first.pk}/retry").json()["state"] == "queued"
    assert queued(building).resumes is None
    work("b" * 40)
    first = steps(building)[0]
    assert (first.standing, first.commit, len(first.runs)) == ("completed", "b" * 40, 2)
    assert first.rests_after  # the pause that was asked for holds for the second time too


def test_no_phase_is_run_again_before_one_that_comes_first(building: Task, alice: Any) -> None:
    third = steps(building)[2]
    third.skip("Later.", by=alice)
    fail()
    refused = assert_error(Script(alice).post(f"/api/steps/{third.pk}/retry"), 409)
    assert refused["message"] == "Phase 1 comes first."
    assert standings(building) == ["failed", "open", "skipped"]


def test_others_see_the_phases_and_only_members_steer(
    building: Task, bob: Any, charlie: Any, client: Client
) -> None:
    first = steps(building)[0]
    listed = Script(bob).get(f"/api/tasks/{building.pk}/steps").json()["items"]
    assert [each["title"] for each in listed] == ["The rows", "The page", "The words"]
    for person, status in ((bob, 403), (charlie, 404)):
        assert_error(Script(person).post(f"/api/steps/{first.pk}/pause"), status)
        client.force_login(person)
        assert client.post(f"/steps/{first.pk}/pause/").status_code == status
    assert Script(charlie).get(f"/api/tasks/{building.pk}/steps").status_code == 404


def test_a_reason_to_skip_is_asked_for_on_the_page(building: Task, alice: Any, client: Client) -> None:
    second = steps(building)[1]
    client.force_login(alice)
    assert client.post(f"/steps/{second.pk}/skip/", {"reason": ""}).status_code == 422
    page = client.post(f"/steps/{second.pk}/skip/", {"reason": "Later"}, headers={"hx-request": "true"})
    assert "skipped it: Later" in page.content.decode()


# --- on the real OpenCode -----------------------------------------------------------------------------------------------


SCRIPT = """```demo
{"planning": [{"text": "# Two files\\n\\n## Phases\\n\\n### Phase 1: First\\nWrite a.\\n\\n### Phase 2: Second\\nWrite b.\\n"}],
 "implementation": [[{"tool": "write", "args": {"filePath": "{cwd}/a.txt", "content": "a"}}, {"text": "Wrote a.\\n\\nb is left."}],
 [{"tool": "write", "args": {"filePath": "{cwd}/b.txt", "content": "b"}}, {"text": "Wrote b."}]]}
```"""


@pytest.mark.real
@pytest.mark.timeout(300)
def test_the_agent_builds_phase_by_phase_and_a_lost_worker_is_made_up_for(
    model: DemoModel, repository: Path, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = factories.make_project(repository, plan_approval=False, ai_review=False)
    task = factories.make_task(project, description=SCRIPT)
    task.execute(by=alice)
    points: list[str] = []

    def point(name: str) -> None:
        points.append(name)
        if name == "session-queued" and points.count(name) == 2:
            die()  # between the end of phase 1 and the beginning of phase 2: neither is written then

    monkeypatch.setattr(crash, "point", point)
    carry_and_die(task)
    assert [step.state for step in steps(task)] == ["open", "open"]
    carry()
    assert Task.objects.get(pk=task.pk).status == "review"
    first, second = steps(task)
    assert (first.standing, second.standing) == ("completed", "completed")
    assert first.summary.endswith("Wrote a.\n\nb is left.")
    changed = [
        factories.git(repository, "show", "--format=", "--name-only", step.commit) for step in (first, second)
    ]
    assert changed == ["a.txt", "b.txt"]
    assert len({session.opencode_session_id for session in second.runs + first.runs}) == 2
