"""Setup, clean-up and files copied in: before the first phase, before a removal, and never in a commit."""

from pathlib import Path
from typing import Any

import pytest

from sessions import places, removal
from sessions.models import Attempt, CheckResult, Session
from sessions.models.session import Phase, State
from sessions.workspaces.copying import read
from studio.errors import Invalid
from tasks.models import Task
from tests import factories
from tests.scripts import Script, assert_field
from tests.sessions.test_environment import carried, put

pytestmark = pytest.mark.django_db(transaction=True)

COUNTED = 'echo once >> count; test "$(wc -l < count)" = 1'


def begun(repository: Path, check: str = "true", **fields: Any) -> Task:
    """A task whose checks are next, in a project with this setup."""
    checks = [{"name": "one", "command": check, "timeout": 20, "required": True}]
    project = factories.make_project(repository, checks=checks, ai_review=False, max_fix_rounds=0, **fields)
    task = factories.make_task(project, status="in_progress")
    factories.make_attempt(task).begin(Phase.CHECKS)
    return task


def said(task: Task, kind: str) -> CheckResult:
    return CheckResult.objects.get(session__attempt__task=task, kind=kind)


def again(task: Task) -> Session:
    """Its checks once more."""
    Task.objects.filter(pk=task.pk).update(status="in_progress")
    Attempt.objects.get(task=task).begin(Phase.CHECKS)
    return carried(task)


def test_the_setup_runs_once_in_a_workspace_with_the_projects_variables(repository: Path) -> None:
    task = begun(
        repository, "test -f made", setup_command=f'{COUNTED}; test "$TOKEN" = 12345678 && touch made'
    )
    put(task.project, "TOKEN", "12345678")
    assert carried(task).state == State.COMPLETED
    assert (said(task, "setup").state, said(task, "check").state) == ("passed", "passed")
    assert again(task).state == State.COMPLETED
    assert said(task, "setup").state == "passed", "it did not run again"


def test_a_setup_that_fails_ends_the_session_with_what_it_printed_and_a_retry_runs_it_anew(
    repository: Path,
) -> None:
    task = begun(repository, setup_command="echo no such package; exit 3")
    session = carried(task)
    assert (session.state, session.reason) == (State.FAILED, "setup")
    assert session.detail == "exit code 3\nno such package"
    assert not CheckResult.objects.filter(kind="check").exists()
    type(task.project).objects.update(setup_command="true")
    assert again(task).state == State.COMPLETED


def test_a_setup_that_takes_too_long_is_stopped(repository: Path) -> None:
    task = begun(repository, setup_command="echo begun; sleep 60", setup_seconds=1)
    assert carried(task).detail == "it took too long\nbegun"
    assert said(task, "setup").state == "timed_out"


def test_copied_files_are_there_and_in_no_commit_whatever_the_agent_does_with_them(repository: Path) -> None:
    """It un-ignores one, adds another by force and commits it, with work of its own in the same commit."""
    (repository / ".env").write_text("TOKEN=canary\n")
    (repository / "conf").mkdir()
    (repository / "conf/local.ini").write_text("canary\n")
    hostile = (
        "cat .env conf/local.ini > seen; : > .git/info/exclude; echo work > work; git add -f .env work;"
        "git commit -qm hostile; git branch kept; git rm -q --cached .env; git add -f conf/local.ini"
    )
    task = begun(repository, setup_command=hostile, copied_files=[".env", "conf/local.ini"])
    assert carried(task).state == State.COMPLETED
    attempt = Attempt.objects.get()
    workspace = places.workspace(attempt)
    assert (workspace.path / "seen").read_text() == "TOKEN=canary\ncanary\n"
    names = factories.git(
        repository, "log", "--name-only", "--format=", f"{attempt.base_oid}..{attempt.head_oid}"
    )
    assert sorted(names.split()) == ["seen", "work"]
    assert [file.path for file in workspace.diff().files] == ["seen", "work"]
    (workspace.path / "more").write_text("more\n")
    removal.remove(attempt)
    attempt.refresh_from_db()
    kept = factories.git(repository, "rev-list", "--objects", attempt.recovery_ref, f"^{attempt.base_oid}")
    assert "more" in kept
    assert ".env" not in kept
    assert "local.ini" not in kept


def test_a_file_that_is_missing_or_kept_in_git_is_said_before_anything_runs(repository: Path) -> None:
    task = begun(repository, copied_files=[".env"])
    session = carried(task)
    assert (session.reason, ".env cannot be read in" in session.detail) == ("setup", True), session.detail
    type(task.project).objects.update(copied_files=["README.md"])
    assert "README.md is kept in git" in again(task).detail


def test_a_link_in_the_checkout_is_not_followed(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary")
    (repository / "link").symlink_to(tmp_path / "secret")
    (repository / "folder").symlink_to(tmp_path)
    for path in ("link", "folder/secret", "missing", "."):
        with pytest.raises(Invalid):
            read(repository, path)


@pytest.mark.parametrize(
    "path",
    ["../.env", "/etc/passwd", "a/../b", ".git/config", ".git", "a/.git/x", ".", "..", "a//b", "a/", "a b", "a\nb", "*", "",
     "-" * 600],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_refused_by_page_and_call(
    path: str, client: Any, admin: Any, project: Any
) -> None:
    reply = Script(admin).send("patch", f"/api/projects/{project.pk}", {"copied_files": [path]})
    assert_field(reply, "copied_files")
    client.force_login(admin)
    if path.strip() and "\n" not in path:
        form = {"copied_files": path, "setup_seconds": "600"}
        assert client.post(f"/projects/{project.key}/environment/setup/", form).status_code == 422
    project.refresh_from_db()
    assert project.copied_files == []


def test_setup_and_clean_up_are_set_on_the_page_by_maintainers(
    client: Any, alice: Any, admin: Any, project: Any
) -> None:
    form = {
        "copied_files": ".env\nconf/local.ini",
        "setup_command": "npm ci",
        "setup_seconds": "90",
        "cleanup_command": "true",
    }
    address = f"/projects/{project.key}/environment/setup/"
    client.force_login(alice)
    assert client.post(address, form).status_code == 403
    client.force_login(admin)
    assert client.post(address, form).status_code == 302
    told = Script(admin).get(f"/api/projects/{project.pk}").json()
    assert (told["copied_files"], told["setup_command"], told["setup_seconds"]) == (
        [".env", "conf/local.ini"], "npm ci", 90,
    )  # fmt: skip
    assert "npm ci" in client.get(f"/projects/{project.key}/environment/").content.decode()


@pytest.mark.parametrize("command", ["echo bye; exit 1", "exit 0", "rm -rf .git *"])
def test_the_clean_up_runs_before_a_removal_and_cannot_keep_the_workspace(
    repository: Path, command: str
) -> None:
    task = begun(repository, cleanup_command=command)
    carried(task)
    attempt = Attempt.objects.get()
    removal.remove(attempt)
    attempt.refresh_from_db()
    assert attempt.trash
    assert not places.folder(attempt).exists()
    result = said(task, "cleanup")
    assert result.state == ("failed" if "1" in command else "passed")
    assert not result.is_red


def test_what_came_back_from_the_trash_is_set_up_again(repository: Path) -> None:
    task = begun(repository, setup_command="echo again >> count", cleanup_command="true")
    carried(task)
    attempt = Attempt.objects.get()
    removal.remove(attempt)
    removal.restore(attempt)
    assert again(task).state == State.COMPLETED
    assert (places.workspace(attempt).path / "count").read_text() == "again\nagain\n"
