"""Removing workspaces: what would be lost is said, nothing is lost, and all of it can be undone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from sessions import cleanup, ledger, places, reconcile, removal
from sessions.hold import held
from sessions.models import Attempt
from sessions.models.attempt import Lease
from sessions.phases.bench import Bench
from studio.errors import Conflict
from tasks.models import Event, Task
from tests import factories
from tests.scripts import Script


@pytest.fixture(autouse=True)
def _data_folder(tmp_path: Path, settings: Any) -> None:
    settings.STUDIO_HOME = tmp_path / "home"
    settings.STUDIO_HOME.mkdir()


@pytest.fixture
def attempt(project: Any) -> Attempt:
    """Of a cancelled task, with a workspace that has a change nobody has, and a conversation."""
    task = factories.make_task(project, status="cancelled")
    made = factories.make_attempt(task, ended_at=timezone.now())
    base = places.workspace(made).create("main")
    made.record(base_oid=base)
    (workspace(made) / "new.txt").write_text("new\n")
    (places.opencode_data(made) / "conversation").write_text("hello\n")
    return Attempt.objects.select_related("task__project").get(pk=made.pk)


@pytest.fixture
def process_in_it(attempt: Attempt) -> Iterator[subprocess.Popen[bytes]]:
    """Something that an attempt left running."""
    mark = {**os.environ, "STUDIO_ATTEMPT": places.marker(attempt)}
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=mark)
    yield started
    started.kill()
    started.wait()


def workspace(attempt: Attempt) -> Path:
    return places.folder(attempt) / "workspace"


def fresh(attempt: Attempt) -> Attempt:
    return Attempt.objects.select_related("task__project").get(pk=attempt.pk)


def events(attempt: Attempt) -> list[str]:
    return list(
        Event.objects.filter(task=attempt.task, name__startswith="workspace").values_list("name", flat=True)
    )


def long_ago(attempt: Attempt, **days: int) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(
        **{field: timezone.now() - timedelta(days=number) for field, number in days.items()}
    )


# --- at the doors ----------------------------------------------------------------------------------------------------


def test_a_person_sees_what_would_be_lost_removes_it_and_undoes_that(
    client: Client, alice: Any, attempt: Attempt
) -> None:
    client.force_login(alice)
    listed = client.get(f"/tasks/{attempt.task_id}/attempts/").content.decode()
    assert "Remove workspace" in listed
    assert "KB" in listed
    asked = client.get(f"/attempts/{attempt.pk}/remove-workspace/").content.decode()
    assert "new.txt" in asked
    assert workspace(attempt).is_dir()
    assert client.post(f"/attempts/{attempt.pk}/remove-workspace/").status_code == 302
    assert not places.folder(attempt).exists()
    ref = fresh(attempt).recovery_ref
    assert factories.git(Path(attempt.task.project.path), "show", f"{ref}:new.txt") == "new"
    listed = client.get(f"/tasks/{attempt.task_id}/attempts/").content.decode()
    assert "Restore workspace" in listed
    assert ref in listed
    assert client.post(f"/attempts/{attempt.pk}/restore-workspace/").status_code == 302
    assert (workspace(attempt) / "new.txt").read_text() == "new\n"
    assert (places.opencode_data(attempt) / "conversation").read_text() == "hello\n"
    assert events(attempt) == ["workspace.removed", "workspace.restored"]
    told = client.get(f"/tasks/{attempt.task_id}/timeline/").content.decode()
    assert f"removed the workspace of attempt 1, keeping its work as {ref}" in told


def test_a_script_does_the_same(alice: Any, attempt: Attempt) -> None:
    script = Script(alice)
    (listed,) = script.send("get", f"/api/tasks/{attempt.task_id}/attempts").json()["items"]
    assert (listed["workspace"], listed["recovery_ref"]) == ("here", "")
    assert listed["bytes"] > 0
    seen = script.send("get", f"/api/attempts/{attempt.pk}/loss").json()
    assert seen == {"changed": [], "untracked": ["new.txt"], "commits": 0, "left_out": [], "is_kept": False}
    removed = script.send("post", f"/api/attempts/{attempt.pk}/remove-workspace").json()
    assert removed["workspace"] == "removed"
    assert removed["recovery_ref"].startswith("refs/studio/recovery/")
    again = script.send("post", f"/api/attempts/{attempt.pk}/remove-workspace")
    assert (again.status_code, again.json()["error"]) == (409, "removed_already")
    assert script.send("post", f"/api/attempts/{attempt.pk}/restore-workspace").json()["workspace"] == "here"
    assert script.send("post", f"/api/attempts/{attempt.pk}/restore-workspace").status_code == 409


@pytest.mark.parametrize("verb", ["remove-workspace", "restore-workspace"])
def test_who_may_only_look_removes_nothing(
    client: Client, bob: Any, charlie: Any, attempt: Attempt, verb: str
) -> None:
    for person, status in ((bob, 403), (charlie, 404)):
        client.force_login(person)
        assert client.post(f"/attempts/{attempt.pk}/{verb}/").status_code == status
        assert Script(person).send("post", f"/api/attempts/{attempt.pk}/{verb}").status_code == status
    assert workspace(attempt).is_dir()


def test_an_operator_removes_and_restores_in_admin(client: Client, admin: Any, attempt: Attempt) -> None:
    client.force_login(admin)
    for action, there in (
        ("remove_workspaces", False),
        ("remove_workspaces", False),
        ("restore_workspaces", True),
    ):
        body = {"action": action, "_selected_action": [attempt.pk]}
        assert client.post("/admin/agent_sessions/attempt/", body).status_code == 302
        assert workspace(attempt).is_dir() is there


# --- it fails closed -------------------------------------------------------------------------------------------------


def test_what_is_in_use_is_refused_with_the_reason(attempt: Attempt, process_in_it: Any) -> None:
    with pytest.raises(Conflict, match=f"processes that still run: {process_in_it.pid}"):
        removal.remove(attempt)
    process_in_it.kill()
    process_in_it.wait()
    with held(attempt, "merge"), pytest.raises(Conflict, match="worked on right now"):
        removal.remove(attempt)
    session = factories.make_session(attempt, state="waiting")
    with pytest.raises(Conflict, match="stop its session first"):
        removal.remove(attempt)
    session.end("cancelled")
    removal.remove(attempt)
    assert not places.folder(attempt).exists()


@pytest.mark.parametrize("harm", ["rm -rf .git", "rm -rf .git/objects", "git init -q inner"])
def test_what_cannot_be_read_or_kept_stays(attempt: Attempt, harm: str) -> None:
    subprocess.run(["sh", "-ec", harm], cwd=workspace(attempt), check=True)
    with pytest.raises(Conflict):
        removal.remove(attempt)
    assert (workspace(attempt) / "new.txt").read_text() == "new\n"
    assert (fresh(attempt).lease, fresh(attempt).trash, events(attempt)) == (Lease.IDLE, "", [])


def test_a_workspace_that_was_replaced_by_a_link_stays(attempt: Attempt, repository: Path) -> None:
    workspace(attempt).rename(workspace(attempt).with_name("aside"))
    workspace(attempt).symlink_to(repository)
    with pytest.raises(Conflict, match="replaced by a link"):
        removal.remove(attempt)
    assert (repository / "README.md").exists()


def test_a_repository_that_is_away_keeps_the_workspace(attempt: Attempt, repository: Path) -> None:
    repository.rename(repository.with_name("away"))
    with pytest.raises(Exception, match="does not exist"):
        removal.remove(attempt)
    assert fresh(attempt).lease == Lease.IDLE
    repository.with_name("away").rename(repository)
    removal.remove(fresh(attempt))


def test_a_folder_that_cannot_be_moved_stays_and_says_so(attempt: Attempt) -> None:
    places.trash().write_text("in the way")
    with pytest.raises(Conflict, match="could not be moved"):
        removal.remove(attempt)
    assert (workspace(attempt) / "new.txt").exists()
    assert fresh(attempt).trash == ""


# --- going on with it ------------------------------------------------------------------------------------------------


def work_again(attempt: Attempt, alice: Any) -> Bench:
    """What a worker does first with an attempt that is started again."""
    Task.objects.filter(pk=attempt.task_id).update(status="in_progress")
    Attempt.objects.filter(pk=attempt.pk).update(phase="implementation", ended_at=None)
    factories.make_session(attempt, phase="implementation", state="failed", opencode_session_id="ses_1")
    Task.objects.get(pk=attempt.task_id).retry(by=alice)
    claim = ledger.claim()
    assert claim is not None
    return Bench(claim)


def test_a_retry_takes_the_workspace_back_from_the_trash(attempt: Attempt, alice: Any) -> None:
    removal.remove(attempt)
    bench = work_again(attempt, alice)
    assert (bench.workspace.path / "new.txt").read_text() == "new\n"
    assert (places.opencode_data(attempt) / "conversation").exists()
    assert events(attempt) == ["workspace.removed", "workspace.restored"]


def test_a_retry_makes_it_of_the_recovery_ref_where_the_trash_was_emptied_by_hand(
    attempt: Attempt, alice: Any
) -> None:
    removal.remove(attempt)
    subprocess.run(["rm", "-rf", str(places.trash())], check=True)
    bench = work_again(attempt, alice)
    assert (bench.workspace.path / "new.txt").read_text() == "new\n"


def test_a_retry_after_the_purge_goes_on_from_what_was_exported_in_a_new_conversation(
    attempt: Attempt, alice: Any
) -> None:
    made = places.workspace(attempt)
    oid = made.commit("work")
    made.export(oid)
    attempt.record(head_oid=oid)
    factories.make_session(attempt, phase="implementation", state="failed", opencode_session_id="ses_0")
    removal.remove(attempt)
    long_ago(attempt, removed_at=15)
    cleanup.clean_up()
    Task.objects.filter(pk=attempt.task_id).update(status="in_progress")
    assert Task.objects.get(pk=attempt.task_id).retry(by=alice).opencode_session_id == ""
    claim = ledger.claim()
    assert claim is not None
    assert (Bench(claim).workspace.path / "new.txt").read_text() == "new\n"


def test_a_retry_is_refused_where_nothing_is_left_to_go_on_from(
    attempt: Attempt, alice: Any, repository: Path
) -> None:
    removal.remove(attempt)
    subprocess.run(["rm", "-rf", str(places.trash())], check=True)
    factories.git(repository, "update-ref", "-d", fresh(attempt).recovery_ref)
    with pytest.raises(Exception, match=r"is not in .* any more"):
        assert work_again(attempt, alice).workspace


# --- by itself -------------------------------------------------------------------------------------------------------


def test_old_workspaces_of_finished_tasks_go_to_the_trash_and_after_it_for_good(
    attempt: Attempt, repository: Path
) -> None:
    long_ago(attempt, ended_at=29)
    assert cleanup.clean_up() == []
    long_ago(attempt, ended_at=31)
    assert cleanup.clean_up() == ["1 workspace of old attempts went to the trash."]
    assert fresh(attempt).recovery_ref
    assert cleanup.clean_up() == []
    long_ago(attempt, removed_at=15)
    assert cleanup.clean_up() == ["1 folder of the trash was deleted for good."]
    assert list(places.trash().iterdir()) == []
    assert events(attempt) == ["workspace.removed", "workspace.purged"]
    with pytest.raises(Conflict, match="deleted for good"):
        removal.restore(fresh(attempt))


def test_the_recovery_ref_goes_after_the_trash(attempt: Attempt, repository: Path, settings: Any) -> None:
    old, young = (f"refs/studio/recovery/{attempt.key}-{day}-0123abcd" for day in ("20200101", "29990101"))
    other = "refs/studio/recovery/OTHER-1-1-20200101-0123abcd"
    for ref in (old, young, other):
        factories.git(repository, "update-ref", ref, "main")
    Attempt.objects.filter(pk=attempt.pk).update(trash="x", removed_at=timezone.now(), recovery_ref=old)
    assert cleanup.drop_refs() == ""
    Attempt.objects.filter(pk=attempt.pk).update(trash="")
    assert cleanup.drop_refs() == "1 recovery ref was deleted."
    left = factories.git(repository, "for-each-ref", "--format=%(refname)", "refs/studio/recovery").split()
    assert left == sorted([young, other])


def test_clean_up_can_be_off_and_leaves_what_is_refused(attempt: Attempt, settings: Any) -> None:
    long_ago(attempt, ended_at=400)
    subprocess.run(["rm", "-rf", str(workspace(attempt) / ".git")], check=True)
    assert cleanup.clean_up() == []
    settings.STUDIO_CLEANUP_DAYS = 0
    assert cleanup.remove_old() == ""
    assert (workspace(attempt) / "new.txt").exists()


def test_folders_that_belong_to_no_attempt_go_to_the_trash_and_back_when_it_is_known_again(
    attempt: Attempt,
) -> None:
    strange = places.folder(attempt).with_name("notes")
    strange.mkdir()
    row = Attempt.objects.filter(pk=attempt.pk).values().get()
    Attempt.objects.filter(pk=attempt.pk).delete()
    assert cleanup.move_orphans() == "1 folder of attempts that the database does not know went to the trash."
    assert strange.exists()
    Attempt.objects.create(**row)
    assert cleanup.take_back_known().startswith("1 folder came back")
    assert (workspace(attempt) / "new.txt").exists()


# --- a start with a mess ---------------------------------------------------------------------------------------------


def test_a_removal_that_was_cut_leaves_the_workspace_where_it_is(attempt: Attempt) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(trash="never-moved", removed_at=timezone.now())
    assert reconcile.finish_cut_removals()
    assert (fresh(attempt).trash, workspace(attempt).is_dir()) == ("", True)


def test_leftover_processes_end_and_those_of_living_workers_stay(
    attempt: Attempt, process_in_it: Any
) -> None:
    mine = {"lease": Lease.CLAIMED, "pid": os.getpid(), "pid_started": ledger.processes.started(os.getpid())}
    Attempt.objects.filter(pk=attempt.pk).update(**mine)
    assert reconcile.end_leftover_processes() == ""
    assert process_in_it.poll() is None
    Attempt.objects.filter(pk=attempt.pk).update(lease=Lease.IDLE)
    assert reconcile.end_leftover_processes() == "1 process of earlier attempts was ended."
    process_in_it.wait(5)


def test_a_step_that_fails_keeps_no_other_from_its_work(attempt: Attempt, settings: Any) -> None:
    places.trash().write_text("in the way")
    Attempt.objects.filter(pk=attempt.pk).delete()
    (settings.STUDIO_HOME / "run").mkdir()
    (settings.STUDIO_HOME / "run" / "drain").touch()
    said = reconcile.reconcile()
    assert said[0] == "Removed what an earlier Studio left in run/: drain."
    assert said[-1].startswith("Move orphans could not be done")
