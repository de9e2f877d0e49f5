"""Files of a person's checkout that git does not keep, brought into a workspace: read without following a link, written inside the sandbox."""

import os
import stat
from pathlib import Path

from sessions.workspaces.git import Workspace
from sessions.workspaces.processes import Tick
from studio.errors import Invalid

MOST_BYTES = 20_000_000  # of one file
WRITE = 'umask 077; mkdir -p -- "$(dirname -- "$1")" && rm -f -- "$1" && cat > "$1"'
LEAVE_OUT = 'mkdir -p .git/info && for path; do printf "/%s\\n" "$path"; done >> .git/info/exclude'


def copy_in(checkout: Path, workspace: Workspace, paths: list[str], tick: Tick | None = None) -> None:
    """Copy each, over what stands there, so that git does not see it. Raises Invalid with the sentence that says what is wrong."""
    if kept := workspace.tracked(paths):
        raise Invalid(f"{kept[0]} is kept in git, so that a workspace has it anyway: take it off the list.")
    for path in paths:
        content = read(checkout, path)
        done = workspace.sandbox.run(
            ["sh", "-c", WRITE, "sh", f"./{path}"], timeout=60, tick=tick, input=content
        )
        if done.exit_code:
            raise Invalid(f"{path} could not be written in the workspace: {done.output.strip()[:500]}")
    workspace.sandbox.run(["sh", "-c", LEAVE_OUT, "sh", *paths], timeout=60, tick=tick)


def read(checkout: Path, path: str) -> bytes:
    """The file's content. No part of the path may be a link: what an agent has had merged could lead it anywhere."""
    *folders, name = path.split("/")
    place = os.open(checkout, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in folders:
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = inner
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    except OSError as error:
        raise Invalid(
            f"{path} cannot be read in {checkout} ({error.strerror}): it has to be a file, with no link on its way."
        ) from error
    finally:
        os.close(place)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Invalid(f"{path} in {checkout} is no file.")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise Invalid(f"{path} has more than {MOST_BYTES // 1_000_000} MB.")
    return content
