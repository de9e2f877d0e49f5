"""The main job, by API, on the real parts: from a task to a merged change, with no browser open."""

import hashlib
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import factories
from tests.running import Studio, until
from tests.sessions.clones import jj, make_source, needs_jj

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


def writes(name: str, text: str) -> dict[str, Any]:
    return {"tool": "write", "args": {"filePath": f"{{cwd}}/{name}", "content": text}}


def runs(command: str) -> dict[str, Any]:
    return {"tool": "bash", "args": {"command": command, "description": "Runs it"}}


APPROVED = [{"verdict": {"verdict": "approved", "summary": "Good.", "findings": []}}]
PLAN = [{"text": "## Summary\n\nWrite the file."}]


def script(name: str, **phases: Any) -> dict[str, Any]:
    """A script that writes one file and is approved."""
    usual = {
        "planning": PLAN,
        "implementation": [writes(name, f"{name}\n"), {"text": f"Wrote {name}."}],
        "review": APPROVED,
    }
    return usual | phases


def checkout_sum(repository: Path) -> str:
    """A sum over every file of the person's checkout, outside .git."""
    files = sorted(path for path in repository.rglob("*") if path.is_file() and ".git" not in path.parts)
    return hashlib.sha256(b"".join(str(file).encode() + file.read_bytes() for file in files)).hexdigest()


def start(
    studio: Studio, repository: Path, key: str, script: dict[str, Any], **fields: Any
) -> tuple[int, dict[str, Any]]:
    """A project with one task, executed; the task's id and the answer of execute."""
    task = studio.file(studio.make_project(repository, key, **fields), "Write a file", script)
    return task, studio.post(f"/tasks/{task}/execute")


def worker_of(studio: Studio, task: int) -> int:
    """The process that holds the task's attempt; 0 while none does."""
    with sqlite3.connect(f"file:{studio.home / 'studio.sqlite3'}?mode=ro", uri=True) as database:
        row = database.execute(
            "SELECT pid FROM agent_sessions_attempt WHERE task_id = ? AND lease = 'claimed'", [task]
        )
        return int((row.fetchone() or [0])[0])


def test_a_task_goes_from_the_board_to_a_merged_change(studio: Studio, fresh_repository: Path) -> None:
    journey(studio, fresh_repository)


@needs_jj
def test_a_task_in_a_repository_of_jj_goes_to_a_moved_bookmark(studio: Studio, tmp_path: Path) -> None:
    source = make_source(tmp_path / "kept-by-jj", "jj alone", {"README.md": "# Kept by jj\n"})
    (source / "mine.txt").write_text("what I work on\n")
    log, bookmarks = jj(source, "log", "-r", "all()"), jj(source, "bookmark", "list", "--all")
    project = studio.make_project(source, "JJJ", planning=False, ai_review=False, target_branch="")
    shown = studio.get(f"/projects/{project}")
    assert (shown["backend"], shown["target_branch"]) == ("jj", "main")
    task = studio.file(project, "Write a file", script("new.txt"))
    studio.post(f"/tasks/{task}/execute")
    studio.wait_for(task, "review")
    assert [file["path"] for file in studio.get(f"/tasks/{task}/diff")["files"]] == ["new.txt"]
    # nothing of ours is in the person's log until they say so
    assert jj(source, "log", "-r", "all()") == log
    assert jj(source, "bookmark", "list", "--all") == bookmarks
    standing = jj(source, "--ignore-working-copy", "log", "--no-graph", "-r", "@", "-T", "commit_id")
    studio.post(f"/tasks/{task}/merge", expect=200)
    assert studio.status(task) == "done"
    assert jj(source, "file", "show", "-r", "main", "new.txt") == "new.txt"
    assert jj(source, "log", "--no-graph", "-r", "@", "-T", "commit_id") == standing
    assert (source / "mine.txt").read_text() == "what I work on\n"
    assert not (source / "new.txt").exists()
    assert jj(source, "workspace", "list").count("\n") == 0
    jj(source, "undo")
    assert jj(source, "log", "-r", "all()") == log


@pytest.mark.postgresql
def test_the_same_journey_on_postgresql(tmp_path: Path, fresh_repository: Path, postgresql_url: str) -> None:
    studio = Studio(tmp_path / "home", DATABASE_URL=postgresql_url)
    studio.start()
    try:
        journey(studio, fresh_repository)
    finally:
        studio.stop()
    assert not (studio.home / "studio.sqlite3").exists()


def test_with_the_rollback_switch_an_execution_runs_inside_the_request(
    tmp_path: Path, fresh_repository: Path
) -> None:
    studio = Studio(tmp_path / "home", STUDIO_SYNC="1")
    studio.start()
    try:
        task, answer = start(
            studio, fresh_repository, "SYNC", script("now.txt"), planning=False, ai_review=False
        )
        assert studio.status(task) == "review"
        assert studio.get(f"/sessions/{answer['session_id']}")["state"] == "completed"
        assert not (studio.home / "run" / "web_2.pid").exists()  # one process, which is the worker too
        assert "STUDIO_SYNC=1" in httpx.get(f"{studio.url}/sign-in/").text
    finally:
        studio.stop()


def journey(studio: Studio, fresh_repository: Path) -> None:
    """A plan sent back, accepted, built, checked, reviewed, fixed, sent back by a person, fixed again, merged."""
    wanted = {
        "severity": "error",
        "path": "hello.txt",
        "line": 1,
        "end_line": 1,
        "title": "Too curt",
        "body": "Say more.",
    }
    rounds = [
        [{"verdict": {"verdict": "changes_requested", "summary": "Nearly.", "findings": [wanted]}}],
        APPROVED,
    ]
    fixes = [
        [writes("more.txt", "more\n"), {"text": "Said more."}],
        [writes("asked.txt", "asked\n"), {"text": "As asked."}],
    ]
    plans = [PLAN, [{"text": "## Summary\n\nWrite the file, and say more."}]]
    task, answer = start(
        studio, fresh_repository, "JOUR", script("hello.txt", planning=plans, review=rounds, fix=fixes)
    )
    assert answer["status"] == "execution_started"
    assert answer["task_id"] == task

    studio.wait_for(task, "planning_review")
    assert studio.get("/models")["models"] == ["demo/demo"]
    studio.post(f"/tasks/{task}/request-plan-changes", {"comment": "Say more."})
    until(lambda: studio.get(f"/tasks/{task}/plan")["version"] == 2, 60, "the second version of the plan")
    studio.wait_for(task, "planning_review")
    studio.post(f"/tasks/{task}/approve-plan")
    studio.wait_for(task, "review")
    assert [session["phase"] for session in studio.sessions(task)] == [
        "planning", "planning", "implementation", "checks", "review", "fix", "checks", "review",
    ]  # fmt: skip
    assert [finding["state"] for finding in studio.get(f"/tasks/{task}/findings")["items"]] == ["fixed"]

    before = checkout_sum(fresh_repository)
    studio.post(f"/tasks/{task}/request-changes", {"comment": "One more file, please."})
    until(
        lambda: studio.sessions(task)[-1]["phase"] == "review" and studio.status(task) == "review",
        120,
        "the review",
    )
    files = {file["path"]: file["status"] for file in studio.get(f"/tasks/{task}/diff")["files"]}
    assert files == {"hello.txt": "added", "more.txt": "added", "asked.txt": "added"}
    assert checkout_sum(fresh_repository) == before

    builds = [
        session["opencode_session_id"]
        for session in studio.sessions(task)
        if session["phase"] in ("implementation", "fix")
    ]
    assert len(set(builds)) == 1, "a fix goes on in the conversation of the implementation"
    merged = studio.api("POST", f"/tasks/{task}/merge")
    assert merged.status_code in (200, 202), merged.text
    assert studio.status(task) == "done"
    assert (fresh_repository / "hello.txt").read_text() == "hello.txt\n"
    assert factories.git(fresh_repository, "status", "--porcelain") == ""


def test_execute_answers_while_the_agent_has_thirty_seconds_to_go(
    studio: Studio, fresh_repository: Path
) -> None:
    slow = script("slow.txt", planning=[{"sleep": 30, **PLAN[0]}])
    task, answer = start(studio, fresh_repository, "SLOW", slow, plan_approval=False)
    assert studio.get(f"/tasks/{task}/execution")["session_id"] == answer["session_id"]
    assert studio.status(task) == "planning"
    assert studio.sessions(task)[0]["ended_at"] is None
    again = studio.api("POST", f"/tasks/{task}/execute")
    assert again.status_code == 409
    assert again.json()["session_id"] == answer["session_id"]
    until(lambda: studio.activity(answer["session_id"]), 60, "the first activity")
    assert studio.sessions(task)[0]["state"] == "running"
    assert studio.wait_for(task, "review") == "review"
    for session in studio.sessions(task):
        assert session["state"] == "completed"
        if session["phase"] != "checks":
            assert studio.activity(session["id"])


def test_five_tasks_at_once_end_in_five_right_results(studio: Studio, fresh_repository: Path) -> None:
    project = studio.make_project(fresh_repository, "FIVE", planning=False, ai_review=False)
    names = [f"file-{number}.txt" for number in range(5)]
    tasks = [studio.file(project, f"Write {name}", script(name)) for name in names]
    for task in tasks:
        studio.post(f"/tasks/{task}/execute")
    for task in tasks:
        studio.wait_for(task, "review", within=240)
    for name, task in zip(names, tasks, strict=True):
        diff = studio.get(f"/tasks/{task}/diff")
        assert [file["path"] for file in diff["files"]] == [name]
        assert len({entry["seq"] for entry in studio.activity(studio.sessions(task)[0]["id"])}) > 3


def test_a_killed_worker_is_noticed_and_the_work_goes_on_in_the_same_workspace(
    studio: Studio, fresh_repository: Path
) -> None:
    work = [
        writes("first.txt", "1\n"),
        runs("sleep 8"),
        writes("second.txt", "2\n"),
        {"text": "Both written."},
    ]
    task, _ = start(
        studio, fresh_repository, "KILL", script("", implementation=work), planning=False, ai_review=False
    )
    session = studio.sessions(task)[0]
    until(lambda: any(entry["tool"] == "bash" for entry in studio.activity(session["id"])), 90, "the sleep")
    os.kill(worker_of(studio, task), signal.SIGKILL)
    until(lambda: studio.sessions(task)[0]["state"] == "interrupted", 60, "the interruption")
    assert studio.sessions(task)[0]["reason"] == "worker_died"
    studio.wait_for(task, "review", within=150)
    first, second, *_ = studio.sessions(task)
    assert second["opencode_session_id"] == first["opencode_session_id"]
    assert {file["path"] for file in studio.get(f"/tasks/{task}/diff")["files"]} == {
        "first.txt",
        "second.txt",
    }
    for session in (first, second):
        entries = studio.activity(session["id"])
        assert len({entry["id"] for entry in entries}) == len(entries) > 0
        assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert not {entry["id"] for entry in studio.activity(first["id"])} & {
        entry["id"] for entry in studio.activity(second["id"])
    }


def test_cancelling_stops_the_agent_and_its_whole_process_tree(
    studio: Studio, fresh_repository: Path
) -> None:
    spawn = "setsid sleep 7171 & nohup sleep 7171 >/dev/null 2>&1 & (trap '' TERM; sleep 7171) & echo started; sleep 7171"
    task, _ = start(
        studio, fresh_repository, "STOP", script("", implementation=[runs(spawn)]), planning=False
    )
    until(lambda: sum("sleep 7171" in line for line in studio.processes().values()) >= 4, 90, "the processes")
    studio.post(f"/tasks/{task}/cancel")
    until(lambda: studio.status(task) == "cancelled", 20, "the cancellation")
    assert studio.sessions(task)[-1]["state"] == "cancelled"
    assert not [line for line in studio.processes().values() if "7171" in line or "opencode" in line]
    studio.post(f"/tasks/{task}/reopen", expect=200)
    assert studio.status(task) == "todo"


@pytest.mark.parametrize(
    ("fault", "state", "reason"),
    [({"error": 500}, "interrupted", "provider_error"), ({"hang": True}, "failed", "stalled")],
)
def test_a_provider_that_fails_ends_the_session_with_its_reason(
    studio: Studio, fresh_repository: Path, fault: dict[str, Any], state: str, reason: str
) -> None:
    key = reason[:4].upper()
    task, answer = start(studio, fresh_repository, key, script("x", planning=[fault] * 50))
    until(lambda: studio.sessions(task)[0]["ended_at"], 120, "the end")
    session = studio.get(f"/sessions/{answer['session_id']}")
    assert (session["state"], session["reason"]) == (state, reason)
    assert studio.status(task) == "planning"
    assert studio.api("POST", f"/tasks/{task}/cancel").status_code in (
        200,
        202,
    )  # its worker may be still there
    until(lambda: studio.status(task) == "cancelled", 20, "the cancellation")


def test_stopping_studio_interrupts_and_the_next_start_goes_on(
    tmp_path: Path, fresh_repository: Path
) -> None:
    studio = Studio(tmp_path / "home")
    studio.start()
    try:
        work = [writes("first.txt", "1\n"), runs("sleep 7"), {"text": "Done."}]
        task, _ = start(
            studio, fresh_repository, "REST", script("", implementation=work), planning=False, ai_review=False
        )
        session = studio.sessions(task)[0]["id"]
        until(lambda: any(entry["tool"] == "bash" for entry in studio.activity(session)), 90, "the sleep")
        studio.stop(signal.SIGINT)
        assert not studio.processes()
        studio.start()
        assert studio.sessions(task)[0]["reason"] == "studio_stopped"
        studio.wait_for(task, "review", within=120)
    finally:
        studio.stop()
