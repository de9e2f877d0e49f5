"""`manage.py demo_project`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from studio.demo_model.project import files
from tasks.models import Project, Task
from tests import factories


@pytest.fixture
def folder(settings: Any, tmp_path: Path, db: None) -> Path:
    """Where its repository will be."""
    settings.STUDIO_HOME = tmp_path / "home"
    return settings.STUDIO_HOME / "demo" / "repository"


def test_it_makes_a_project_with_a_failing_test_and_a_task_to_mend_it(folder: Path) -> None:
    call_command("demo_project")
    project = Project.objects.get()
    assert (project.key, project.demo, project.path, project.target_branch) == (
        "DEMO",
        True,
        str(folder),
        "main",
    )
    task = Task.objects.get()
    assert (task.key, task.status) == ("DEMO-1", "todo")
    assert factories.git(folder, "log", "--format=%an <%ae>", "main") == "Studio <studio@localhost>"
    assert factories.git(folder, "status", "--porcelain") == ""
    assert set(factories.git(folder, "ls-files").splitlines()) == set(files())
    (check,) = project.checks
    command = [sys.executable, *check["command"].split()[1:]]
    assert subprocess.run(command, cwd=folder, capture_output=True).returncode == 1


def test_a_second_time_it_does_nothing(folder: Path) -> None:
    call_command("demo_project")
    (folder / "mine.txt").write_text("kept")
    call_command("demo_project")
    assert (Project.objects.count(), Task.objects.count()) == (1, 1)
    assert (folder / "mine.txt").exists()


def test_where_there_is_a_project_it_makes_none(folder: Path) -> None:
    factories.make_project()
    call_command("demo_project")
    assert not Project.objects.filter(demo=True).exists()
    assert not folder.exists()


def test_what_an_interrupted_start_left_is_made_anew(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "half.txt").write_text("half")
    call_command("demo_project")
    assert set(factories.git(folder, "ls-files").splitlines()) == set(files())
    assert not (folder / "half.txt").exists()


def test_a_repository_that_is_whole_is_left_as_it_is(folder: Path) -> None:
    call_command("demo_project")
    head = factories.git(folder, "rev-parse", "main")
    Project.objects.all().delete()
    call_command("demo_project")
    assert factories.git(folder, "rev-parse", "main") == head


def test_nothing_of_the_persons_own_git_takes_part(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n\tname = Me\n[commit]\n\tgpgsign = true\n[core]\n\thooksPath = /nowhere\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Me")
    call_command("demo_project")
    monkeypatch.undo()
    assert factories.git(folder, "log", "--format=%an", "main") == "Studio"


def test_a_failing_git_is_a_clear_error_and_leaves_no_project(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.parent.mkdir(parents=True)
    program = folder.parent / "git"
    program.write_text("#!/bin/sh\necho 'no space left' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder.parent))
    with pytest.raises(CommandError, match="no space left"):
        call_command("demo_project")
    assert not Project.objects.exists()
