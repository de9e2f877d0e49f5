"""docs/reliability.md: every fault test with its last result. The machine's copy is results.json beside this file."""

import json
import re
import subprocess
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).with_name("results.json")
PAGE = ROOT / "docs" / "reliability.md"
INTRODUCTION = Path(__file__).with_name("introduction.md")
NOT_RUN = "not run"
REASONS = (
    "reasons"  # the property of a test's report that holds why sessions ended in it without their result
)

Row = dict[str, Any]


class Report:
    """A pytest plugin: it notes each test's result, and at the end writes both files."""

    def __init__(self, lane: str) -> None:
        self.lane = lane
        self.rows: dict[str, Row] = {}
        self.seconds: Counter[str] = Counter()
        self.results: dict[str, str] = {}
        self.reasons: dict[str, str] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Any:
        """Before any is left out: every test has a row."""
        for item in items:
            mark = item.get_closest_marker("fault")
            self.rows[identity(item.nodeid)] = {
                "number": mark.args[0] if mark else "?",
                "test": sentence(item.name),
                "sample": bool(mark and mark.kwargs.get("sample")),
            }
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        key = identity(report.nodeid)
        self.seconds[key] += report.duration
        if report.failed:
            self.results[key] = "fail"
        elif report.when == "call" and report.passed:
            self.results.setdefault(key, "pass")
        for name, value in report.user_properties:
            if name == REASONS:
                self.reasons[key] = ", ".join(value)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A process of several that run the tests (pytest-xdist) has ended: only those know the rows."""
        self.rows |= getattr(node, "workeroutput", {}).get("rows", {})

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if (output := getattr(session.config, "workeroutput", None)) is not None:
            output["rows"] = self.rows
            return
        if not self.rows or (session.testsfailed and not self.results):  # it could not be collected
            return
        asked_by_name = any("::" in each or each.endswith(".py") for each in session.config.args)
        kept = known() if asked_by_name else {}  # the others were not collected, and still are tests
        table = kept | merged(known(), self.rows, self.results, self.seconds, self.reasons)
        try:
            RESULTS.write_text(json.dumps(table, indent=0, sort_keys=True) + "\n")
            PAGE.write_text(page(table))
        except OSError as error:  # CI may have the repository read-only
            print(f"\nNot written: {error}")


def identity(nodeid: str) -> str:
    return nodeid.removeprefix("tests/faults/")


def sentence(name: str) -> str:
    """`test_a_worker_dies[idle-2]` as "A worker dies (idle-2)"."""
    words, _, case = name.partition("[")
    text = words.removeprefix("test_").replace("_", " ")
    return text[:1].upper() + text[1:] + (f" ({case.removesuffix(']')})" if case else "")


def known() -> dict[str, Row]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def merged(
    before: dict[str, Row],
    rows: dict[str, Row],
    results: dict[str, str],
    seconds: Counter[str],
    reasons: dict[str, str],
) -> dict[str, Row]:
    """What ran has its new result, what did not keeps its own, and what is no test any more goes."""
    stamp = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "commit": commit()}
    table = {}
    for key, row in rows.items():
        old = {
            name: before.get(key, {}).get(name, "")
            for name in ("result", REASONS, "seconds", "date", "commit")
        }
        old["result"] = old["result"] or NOT_RUN
        table[key] = row | old
        if key in results:
            spent = round(seconds[key], 1)
            table[key] |= {"result": results[key], REASONS: reasons.get(key, ""), "seconds": spent, **stamp}
    return table


def commit() -> str:
    """What was tested; with a plus where files were changed that are not committed."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip()

    own = [f":!{file.relative_to(ROOT)}" for file in (RESULTS, PAGE)]
    return git("rev-parse", "--short", "HEAD") + (
        "+" if git("status", "--porcelain", "--", ".", *own) else ""
    )


# --- the page --------------------------------------------------------------------------------------------------------


def page(table: dict[str, Row]) -> str:
    rows = sorted(table.items(), key=lambda entry: (entry[1]["number"], entry[0]))
    counts = Counter(row["result"] for _, row in rows)
    said = ", ".join(f"{counts[name]} {name}" for name in ("pass", "fail", NOT_RUN) if counts[name])
    lines = [INTRODUCTION.read_text().rstrip(), "", "## Results", "", f"{len(rows)} tests: {said}.", ""]
    failing = [row for _, row in rows if row["result"] == "fail"]
    if failing:
        lines += ["Failing now:", "", *(f"- **{row['number']}** {row['test']}" for row in failing), ""]
    lines += [
        "| number | test | lane | result | reasons | seconds | date | commit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [cells(row) for _, row in rows]
    return "\n".join(lines) + "\n"


def cells(row: Row) -> str:
    result = "**FAIL**" if row["result"] == "fail" else row["result"]
    test = re.sub(r"[|`]", " ", row["test"])
    lane = "sample" if row["sample"] else "full"
    return f"| {row['number']} | {test} | {lane} | {result} | {row['reasons']} | {row['seconds']} | {row['date']} | {row['commit']} |"
