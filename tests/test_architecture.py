"""The rules of the house that a reader could break without noticing."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APPS = ("studio", "tasks", "sessions")
MAY_IMPORT = {"studio": {"studio"}, "tasks": {"tasks", "studio"}, "sessions": {"sessions", "tasks", "studio"}}
WIRING = {"studio/urls.py", "studio/asgi.py"}
LONGEST = 400
LONGEST_TEST = 600


def sources(*patterns: str) -> list[Path]:
    """The files of the working tree that git knows or would take, migrations left out."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    files = [ROOT / name for name in listed.stdout.splitlines() if "/migrations/" not in name]
    return [file for file in files if file.exists()]


def code() -> list[Path]:
    """The Python files of the three apps."""
    return sources(*(f"{app}/**/*.py" for app in APPS), *(f"{app}/*.py" for app in APPS))


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def imports(tree: ast.Module) -> Iterator[str]:
    """The modules that run-time code imports, also inside functions; what stands under TYPE_CHECKING does not count."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""
        waiting += ast.iter_child_nodes(node)


@pytest.mark.parametrize("file", code(), ids=name)
def test_an_app_imports_only_what_it_may(file: Path) -> None:
    app = name(file).split("/")[0]
    if name(file) in WIRING:
        return
    used = {module.split(".")[0] for module in imports(ast.parse(file.read_text()))} & set(APPS)
    assert used <= MAY_IMPORT[app]


def breaches(pattern: str, *allowed: str) -> list[str]:
    """Lines of the apps that match, outside of the allowed files (or, with a slash at the end, folders)."""
    return [
        f"{name(file)}:{number}: {line.strip()}"
        for file in code()
        if not any(
            name(file) == place or (place.endswith("/") and name(file).startswith(place)) for place in allowed
        )
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if re.search(pattern, line)
    ]


def test_a_status_is_changed_by_the_models_and_the_ledger_only() -> None:
    places = ("tasks/models/", "sessions/models/", "studio/models.py", "sessions/ledger.py")
    assert not breaches(r"(?<!\bself)\.status = |\.update\([^)]*\bstatus=", *places)


def test_jobs_are_queued_at_one_place() -> None:
    assert not breaches(r"\basync_task\b", "studio/queue.py")


def test_the_word_session_is_ours() -> None:
    """Django's own is reached by auth and messages only: the socket's look at who is signed in is auth."""
    assert not breaches(r"\brequest\.session\b", "studio/live/people.py")


def test_the_label_of_the_app_is_not_djangos() -> None:
    assert 'label = "agent_sessions"' in (ROOT / "sessions/apps.py").read_text()


@pytest.mark.parametrize("file", sources("*.py", "*.js", "*.css"), ids=name)
def test_no_file_is_longer_than_a_reader_can_hold(file: Path) -> None:
    limit = LONGEST_TEST if name(file).startswith("tests/") else LONGEST
    assert len(file.read_text().splitlines()) <= limit


def test_no_page_names_another_host() -> None:
    pages = sources("templates/**/*.html", "static/**/*.js", "static/**/*.css")
    loads = re.compile(
        r"""(?:src|href|action)=["'](?:https?:)?//|url\(["']?(?:https?:)?//|@import ["'](?:https?:)?//"""
    )
    assert not [name(file) for file in pages if loads.search(file.read_text())]


def test_no_page_has_a_script_or_style_in_it() -> None:
    inline = re.compile(r"<script(?![^>]*\b(?:src|type=\"application/json\"))[^>]*>|<style|\son\w+=|\sstyle=")
    assert not [name(file) for file in sources("templates/**/*.html") if inline.search(file.read_text())]


def test_every_part_of_a_page_that_is_rung_has_an_id() -> None:
    """By it static/js/live-apply.js finds what took a part's place."""
    rung = re.compile(r"<\w+ [^>]*data-ring=[^>]*>")
    parts = [part for file in sources("templates/**/*.html") for part in rung.findall(file.read_text())]
    assert len(parts) > 10
    assert not [part for part in parts if not re.search(r'\sid="', part)]
