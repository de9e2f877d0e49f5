"""A claimed attempt carried through its phases in this process, on the real OpenCode in the real sandbox."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from sessions import ledger, places, run
from sessions.models import Activity, Session
from sessions.opencode import config, provider
from sessions.opencode.parts import PartSnapshot, snapshot
from sessions.opencode.server import Server
from sessions.recorder import CONTENT, _content
from sessions.remarks import write_comment
from sessions.workspaces.sandbox import Availability
from studio.demo_model.server import DemoModel
from tasks.models import Task
from tests import factories

pytestmark = [pytest.mark.real, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

WRITE = {"tool": "write", "args": {"filePath": "{cwd}/new.txt", "content": "new\n"}}
APPROVED = [{"verdict": {"verdict": "approved", "summary": "Good.", "findings": []}}]


def scripted(repository: Path, script: dict[str, Any], **fields: Any) -> Task:
    """A task of a new project whose agent follows the script."""
    usual = {"checks": [{"name": "file", "command": "test -f new.txt", "timeout": 20, "required": True}]}
    project = factories.make_project(repository, **(usual | fields))
    return factories.make_task(project, title="Write", description=f"```demo\n{json.dumps(script)}\n```")


def carried(task: Task, verb: str = "execute", **arguments: Any) -> list[Session]:
    """Do what the verb starts, to its end; all sessions of the task."""
    getattr(task, verb)(**arguments)
    claim = ledger.claim()
    assert claim is not None
    run.carry(claim)
    task.refresh_from_db()
    return list(Session.objects.filter(attempt__task=task))


def said_by_opencode(session: Session) -> list[PartSnapshot]:
    """What OpenCode itself has of a session, asked from a new server on the attempt's data."""
    attempt = session.attempt
    sandbox = places.workspace(attempt).sandbox
    setup = provider.current()
    data = places.opencode_data(attempt)
    server = Server(
        workspace=sandbox.workspace,
        data=data,
        provider=setup,
        config=config.build(setup, workspace=sandbox.workspace, data=data),
        launch=lambda argv, env: sandbox.popen(argv, network=True, env=env),
    )
    server.start(lambda: None)
    try:
        client = server.client()
        return [
            part
            for each in session.prompt_ids
            for part in snapshot(client, session.opencode_session_id, each)
        ]
    finally:
        server.stop()


def test_a_sessions_activity_equals_what_opencode_has_sub_agents_included(
    model: DemoModel, repository: Path
) -> None:
    helper = {"task": {"description": "Look", "prompt": "Look around", "subagent_type": "general"}}
    steps = [{"reasoning": "Hm.", **WRITE}, helper, {"text": "Written."}]
    task = scripted(repository, {"implementation": steps}, planning=False, ai_review=False)
    session = carried(task)[0]
    theirs = [_content(part) for part in said_by_opencode(session)]
    rows = list(session.activity.order_by("seq"))
    ours = [{name: getattr(row, name) for name in CONTENT} for row in rows]
    for row in ours:
        row["cost"] = float(row["cost"])
    assert ours == theirs
    assert {row.depth for row in rows} == {0, 1}
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert session.rev == max(row.rev for row in rows)


def test_a_plan_agent_that_writes_is_undone(model: DemoModel, repository: Path) -> None:
    sneak = {"tool": "bash", "args": {"command": "echo x > sneaked.txt", "description": "Sneaks"}}
    task = scripted(repository, {"planning": [sneak, WRITE, {"text": "A plan."}]})
    carried(task)
    assert task.status == "planning_review"
    workspace = places.folder(task.current_attempt) / "workspace"
    assert sorted(path.name for path in workspace.iterdir()) == [".git", "README.md", "sample.py"]


def test_a_red_check_goes_to_the_agent_and_then_to_a_person(model: DemoModel, repository: Path) -> None:
    red = [{"name": "never", "command": "echo no; exit 3", "timeout": 20, "required": True}]
    task = scripted(
        repository, {"implementation": [WRITE, {"text": "Done."}], "fix": [{"text": "I cannot."}]},
        planning=False, checks=red, max_fix_rounds=1,
    )  # fmt: skip
    sessions = carried(task)
    assert [session.phase for session in sessions] == ["implementation", "checks", "fix", "checks"]
    assert task.status == "review"
    result = sessions[-1].check_results.get()
    assert (result.state, result.exit_code, result.output) == ("failed", 3, "no\n")


def test_a_review_without_a_readable_verdict_is_asked_again_and_then_left_to_a_person(
    model: DemoModel, repository: Path
) -> None:
    steps = {
        "implementation": [WRITE, {"text": "Done."}],
        "review": [[{"text": "Looks fine to me!"}], [{"text": "Really."}]],
    }
    task = scripted(repository, steps, planning=False)
    review = carried(task)[-1]
    assert review.result["verdict"] == "inconclusive"
    assert len(review.prompt_ids) == 2
    assert task.status == "review"
    assert not task.findings.exists()


def test_a_large_change_is_reviewed_in_parts_and_a_comment_on_it_is_answered(
    model: DemoModel, repository: Path, alice: User, settings: Any
) -> None:
    settings.STUDIO_REVIEW_CHARACTERS = 1_000
    lines = [f"{number} is the number of this line" for number in range(1, 41)]
    write = [
        {"tool": "write", "args": {"filePath": "{cwd}/" + name, "content": "\n".join([*top, *lines])}}
        for name, top in (("a.txt", []), ("b.txt", []), ("a.txt", ["A new first line"]))
    ]
    error = {"severity": "error", "title": "Wrong number", "path": "a.txt", "line": 7}
    steps = {
        "implementation": [*write[:2], {"text": "Done."}],
        "review": [
            [{"verdict": {"verdict": "changes_requested", "summary": "No.", "findings": [error]}}], APPROVED,
        ],
    }  # fmt: skip
    task = scripted(repository, steps, planning=False, checks=[], max_fix_rounds=0)
    review = carried(task)[-1]
    assert (review.result["verdict"], task.status) == ("changes_requested", "review")
    assert review.result["summary"].startswith("Read in 4 parts")
    assert len(review.prompt_ids) == 4
    conversations = review.activity.filter(kind="prompt", depth=0).values_list(
        "opencode_session_id", flat=True
    )
    assert len(set(conversations)) == 4
    finding = task.findings.get()
    assert (finding.line, finding.quote) == (7, lines[6])

    comment = write_comment(task, "Why?", by=alice, path="a.txt", line=7)
    answer = json.dumps({"answers": {comment.pk: "It is a count."}})
    fix = json.dumps({"fix": [write[2], {"text": f"Done.\n\n```json\n{answer}\n```"}]})
    type(comment).objects.update(body=f"Why?\n\n```demo\n{fix}\n```")
    carried(task, "request_changes", comment="", by=alice)
    comment.refresh_from_db()
    finding.refresh_from_db()
    assert comment.answer == "It is a count."
    assert [(each.line, each.outdated) for each in (comment, finding)] == [(8, False), (8, False)]
    assert finding.state == "open", "nobody had it fixed"


def test_without_human_review_studio_merges_by_itself(model: DemoModel, repository: Path) -> None:
    steps = {"implementation": [WRITE, {"text": "Done."}], "review": APPROVED}
    task = scripted(repository, steps, planning=False, human_review=False)
    carried(task)
    assert task.status == "done"
    assert (repository / "new.txt").read_text() == "new\n"


def test_an_agent_that_changes_nothing_fails_with_that_reason(model: DemoModel, repository: Path) -> None:
    task = scripted(repository, {"implementation": [{"text": "Nothing to do."}]}, planning=False)
    session = carried(task)[-1]
    assert (session.state, session.reason) == ("failed", "no_change")
    assert task.status == "in_progress"
    assert session.advice


def test_retry_goes_on_in_the_same_conversation(model: DemoModel, repository: Path, alice: User) -> None:
    task = scripted(repository, {"implementation": [{"text": "Nothing to do."}]}, planning=False)
    first = carried(task)[-1]
    task.edit(by=alice, description="no script")
    second = carried(task, "retry", by=alice)[-1]
    assert second.resumes_id == first.pk
    assert second.opencode_session_id == first.opencode_session_id
    assert not set(second.activity.values_list("part_id", flat=True)) & set(
        first.activity.values_list("part_id", flat=True)
    )


def test_hostile_output_is_stored_as_text_that_every_database_takes(
    model: DemoModel, repository: Path
) -> None:
    nul = {"tool": "bash", "args": {"command": r"printf 'a\000b\377c'", "description": "Prints"}}
    task = scripted(
        repository,
        {"implementation": [nul, WRITE, {"text": "\x00\ud83d done"}]},
        planning=False,
        ai_review=False,
    )
    session = carried(task)[0]
    assert session.state == "completed"
    stored = repr([row.to_dict() for row in Activity.objects.filter(session=session)])
    assert "\\x00" not in stored
    assert "a\N{REPLACEMENT CHARACTER}b" in stored


def test_without_isolation_a_real_provider_is_refused_until_the_operator_says_otherwise(
    repository: Path, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "opencode.json").write_text(
        '{"provider": {"acme": {"options": {"apiKey": "k"}}}, "model": "acme/one"}'
    )
    monkeypatch.setenv("STUDIO_OPENCODE_CONFIG", str(tmp_path / "opencode.json"))
    nowhere = Availability(False, "This machine does not allow namespaces.")
    monkeypatch.setattr("sessions.places.availability", lambda: nowhere)
    monkeypatch.setattr("sessions.phases.bench.availability", lambda: nowhere)
    task = scripted(repository, {}, planning=False)
    session = carried(task)[-1]
    assert (session.state, session.reason) == ("failed", "sandbox")
    assert "namespaces" in session.detail
    settings.STUDIO_SANDBOX = False
    again = carried(task, "retry")[-1]
    assert again.reason != "sandbox"
