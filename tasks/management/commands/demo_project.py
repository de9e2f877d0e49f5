"""`manage.py demo_project`: makes the project that a newcomer finds, with a repository of its own in the data folder."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from studio.demo_model.project import TEST_COMMAND, files
from tasks.models import Event, Project, Task

CHECKS = [{"name": "tests", "command": TEST_COMMAND, "timeout": 120, "required": True}]
TITLE = "Fix the failing test: zero seconds should read 0s"
DESCRIPTION = """`python3 -m unittest -q` fails: `as_text(0)` in `durations/text.py` gives an empty text.

A duration of zero seconds should read `0s`. Everything else stays as it is.
"""
# Nothing of the person's own set-up: no identity, signing, hooks or templates.
PLAIN = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TEMPLATE_DIR": "",
    **{f"GIT_{who}_NAME": "Studio" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "studio@localhost" for who in ("AUTHOR", "COMMITTER")},
}


class Command(BaseCommand):
    help = "Makes the demo project, unless there is a project already."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        if Project.objects.exists():
            self.stdout.write("There is a project already; no demo project was made.")
            return
        folder = settings.STUDIO_HOME / "demo" / "repository"
        make_repository(folder)
        with transaction.atomic():
            project = Project.objects.create(
                key="DEMO", name="Demo", path=str(folder), target_branch="main", checks=CHECKS, demo=True
            )
            Event.objects.create(name="project.created", project=project, data={"key": project.key})
            Task.file(project, title=TITLE, description=DESCRIPTION)
        self.stdout.write(f"Made the demo project in {folder}.")


def make_repository(folder: Path) -> None:
    """A git repository with the demo's files as one commit on main; one that is whole is left as it is."""
    if _is_whole(folder):
        return
    # Made beside its place and then moved there, so that what stands at its place is whole, whatever interrupts this.
    making = folder.with_name("repository.making")
    for leftover in (folder, making):
        shutil.rmtree(leftover, ignore_errors=True)
    for name, text in files().items():
        path = making / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    _git(making, "init", "--quiet", "--initial-branch=main")
    _git(making, "add", "--all")
    _git(making, "commit", "--quiet", "--message=Durations as people read them")
    making.rename(folder)


def _is_whole(folder: Path) -> bool:
    try:
        _git(folder, "rev-parse", "--quiet", "--verify", "refs/heads/main^{commit}")
    except (CommandError, OSError):
        return False
    return (folder / ".git").is_dir()


def _git(folder: Path, *arguments: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=inherited | PLAIN, capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        raise CommandError(f"git {arguments[0]} failed in {folder}: {done.stderr.strip()}")
