"""README and docs say what the code says."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from sessions.reasons import HANDLING
from tasks.lifecycle import MOVES
from tasks.models.project import Policy

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
LONGEST_README = 120
TESTS_ONLY = "More are for tests"  # what follows in docs/configuration.md is no setting
OWN_FOLDERS = r"(?:studio|tasks|sessions|templates|static|tests|docs|\.ci)/"
# Set by Studio for the processes that it starts, or an answer of the machine's: nobody sets these.
NO_SETTINGS = {"STUDIO_ATTEMPT", "STUDIO_RUN", "STUDIO_STOPPED", "STUDIO_CI_CAPPED"}


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def text(path: str) -> str:
    return (ROOT / path).read_text()


def rows(page: str, columns: int) -> list[list[str]]:
    """The cells of the tables with that many columns, without their heads."""
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in page.splitlines()
        if line[:1] == "|"
    ]
    return [row for row in cells if len(row) == columns and not set("".join(row)) <= set("-|")]


def code(*patterns: str) -> Iterable[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--", *patterns], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return (text(file) for file in listed.stdout.splitlines() if (ROOT / file).exists())


def test_the_readme_is_read_in_one_sitting() -> None:
    assert len(README.read_text().splitlines()) <= LONGEST_README


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_and_picture_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text())
    assert not [link for link in links if not re.match(r"\w+:", link) and not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_target_of_make_is_there(page: Path) -> None:
    told = re.findall(r"\bmake ([a-z][a-z-]*)\b(?=`|$| ARGS| LOAD|\n)", "\n".join(spans(page.read_text())))
    there = re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE)
    assert set(told) <= set(there)


def spans(page: str) -> list[str]:
    """What stands as code: in fences, line by line, and between backticks."""
    fenced = re.findall(r"^```.*?\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [*"\n".join(fenced).splitlines(), *(f"{span}`" for span in re.findall(r"`([^`\n]+)`", page))]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_file_and_function_that_is_named_is_there(page: Path) -> None:
    for path, function in re.findall(rf"`({OWN_FOLDERS}[\w./-]*)(?::(\w+))?`", page.read_text()):
        assert (ROOT / path).exists(), f"{name(page)} names {path}"
        if function:
            made = re.search(rf"\b(?:def|class|function)\s+{function}\b", text(path))
            assert made, f"{name(page)} names {function} of {path}"


def test_the_lifecycle_is_the_one_of_the_code() -> None:
    told = {
        (source, target, by)
        for sources, target, by in rows(text("docs/lifecycle.md"), 3)
        for source in sources.split(", ")
        if by not in {"by", "meaning"} and not sources.startswith("`")
    }
    assert told == {(str(move.source), str(move.target), move.by) for move in MOVES}


def test_the_reasons_are_the_ones_of_the_code() -> None:
    code = [
        [
            f"`{reason.value}`",
            reason.label,
            each.again.label,
            "a fresh one" if each.is_fresh else "the same",
            each.advice,
        ]
        for reason, each in HANDLING.items()
    ]
    assert rows(text("docs/lifecycle.md"), 5)[1:] == code


def test_every_policy_is_told() -> None:
    policies = text("docs/lifecycle.md").partition("## Policies")[2]
    told = re.findall(r"^\| `(\w+)` \|", policies, re.MULTILINE)
    assert tuple(told) == Policy._fields


def test_the_settings_are_the_ones_of_the_code() -> None:
    page = text("docs/configuration.md").partition(TESTS_ONLY)[0]
    told = [row[0].strip("`") for row in rows(page, 3) if row[0].startswith("`")]
    assert len(told) == len(set(told))
    read = set(
        re.findall(
            r"""(?:env_bool|env_number|env_path|environ\.get|env\.get)\(\s*"(\w+)\"""",
            "\n".join(code("studio/*.py", "tasks/*.py", "sessions/*.py")),
        )
    )
    mine = {
        variable
        for variable in read
        if variable.startswith("STUDIO_") or variable in {"DATABASE_URL", "REDIS_URL"}
    }
    assert set(told) == mine


def test_the_defaults_of_numbers_are_the_ones_of_the_code() -> None:
    told = {row[0].strip("`"): row[1] for row in rows(text("docs/configuration.md"), 3)}
    numbers = re.findall(r'env_number\(\s*"(\w+)", ([\d *]+)\)', text("studio/settings.py"))
    assert numbers
    for variable, default in numbers:
        value = 1
        for factor in default.split("*"):
            value *= int(factor)
        assert told[variable].startswith(f"`{value}`"), variable


def test_no_page_speaks_of_a_variable_that_is_not_read() -> None:
    known = "\n".join(code("studio/*.py", "sessions/*.py", "tasks/*.py", "tests/*.py", "Makefile", ".ci/run"))
    for page in PAGES:
        for variable in set(re.findall(r"\bSTUDIO_[A-Z_]+\b", page.read_text())) - NO_SETTINGS:
            assert f'"{variable}"' in known or f"{variable}=" in known, f"{name(page)} names {variable}"


def test_the_steps_of_the_demo_model_are_the_ones_of_the_code() -> None:
    source = text("studio/demo_model/reply.py") + text("studio/demo_model/server.py")
    read = re.findall(r'\bstep(?:\.get\(|\[)"(\w+)"|"(\w+)" in step|\bcall(?:\.get\(|\[)"(\w+)"', source)
    told = re.findall(r"^\| (`.*?`) \| [^`]", text("docs/development.md"), re.MULTILINE)
    assert {key for cell in told for key in re.findall(r"`(\w+)`", cell)} == {
        key for keys in read for key in keys if key
    }
