"""What is people's own, which nothing that Studio does may touch, and rows of the tests that hold it to that."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio.errors import Refusal
from tests.factories import git

FILES = {"a.txt": "one\ntwo\nthree\n", "sub/b.txt": "b\n", ".gitignore": "*.log\n"}
# Where git keeps what Studio may add to: objects, and refs, which `belongings` asks git for.
ADDED_TO = re.compile(
    r"(^|/)(\.git|[^/]+\.git)/(objects|refs|packed-refs|logs/refs/heads/studio|logs/refs/studio)(/|$)"
)


def belongings(people: Path) -> dict[str, str]:
    """All that people have: every file by content and mode, index, HEAD, config, hooks, reflogs, and refs that are not Studio's."""
    found = {}
    for path in sorted(people.rglob("*")):
        name = path.relative_to(people).as_posix()
        if path.is_dir() and not path.is_symlink():
            if (path / "HEAD").is_file() and (path / "objects").is_dir():
                refs = git(path, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
                own = [ref for ref in refs if not ref.startswith(("refs/studio/", "refs/heads/studio/"))]
                found[f"{name} refs"] = "\n".join(own)
        elif not ADDED_TO.search(name):
            content = (
                os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
            )
            found[name] = f"{path.lstat().st_mode} {content}"
    return found


def attempted(act: Callable[[], Any]) -> tuple[Any, str]:
    """What an act returns, and the sentence that refused it."""
    try:
        return act(), ""
    except Refusal as refusal:
        return None, refusal.message


def rows(names: Any, number: str, sample: tuple[str, ...]) -> list[Any]:
    return [
        pytest.param(name, marks=pytest.mark.fault(number, sample=name in sample), id=name) for name in names
    ]
