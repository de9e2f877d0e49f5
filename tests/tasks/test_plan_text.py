"""The fields that are read from a plan's text."""

import time

import pytest

from tasks import plan_text
from tests.tasks.plans import PLANS, Written


@pytest.mark.parametrize("written", PLANS.values(), ids=PLANS)
def test_the_fields_of_a_plan(written: Written) -> None:
    plan = plan_text.read(written.text)
    assert plan.complexity == written.complexity
    assert [phase.title for phase in plan.phases] == written.phases
    assert [phase.number for phase in plan.phases] == list(range(1, len(written.phases) + 1))
    assert [file.path for file in plan.files] == written.files
    assert list(plan.criteria) == written.criteria
    assert written.risks in plan.risks
    assert written.test_plan in plan.test_plan
    assert [bool(plan.risks), bool(plan.test_plan)] == [bool(written.risks), bool(written.test_plan)]


def test_a_phase_has_what_stands_under_it_and_nothing_of_the_next() -> None:
    first, second = plan_text.read(
        "# P\n\n## Phase 1: A\n\nOne.\n\n### Why\n\nSo.\n\n## Phase 2: B\n\nTwo."
    ).phases
    assert (first.body, second.body) == ("One.\n\n### Why\n\nSo.", "Two.")


def test_what_a_plan_says_of_a_file_is_kept() -> None:
    first, second = plan_text.read("## Files\n\n- `a.py`: greets\n  loudly\n\n| `b.py` | ends |").files
    assert (first.what, second.what) == ("greets loudly", "ends")


def test_a_plan_that_is_too_long_has_no_fields() -> None:
    assert plan_text.read("## Phase 1: A\n" + "x" * plan_text.LONGEST) == plan_text.PlanText()


@pytest.mark.parametrize(
    "unit",
    ["*", "_", "`", "[", "#", "# ", "- ", "> ", "|", "| a ", "\n", "## Phase 1: A\n", "**a", "- `a.py`\n", "1. x\n", "phase ", "Complexity: "],
)  # fmt: skip
def test_the_time_grows_with_the_length_and_not_with_its_square(unit: str) -> None:
    """Four times the text takes four times as long; sixteen times would be a square. The shortest of three, against noise."""

    def seconds(length: int) -> float:
        text = "## Files\n\n" + unit * (length // len(unit))
        took = []
        for _ in range(3):
            began = time.process_time()
            plan_text.read(text)
            took.append(time.process_time() - began)
        return min(took)

    short, long = seconds(8_000), seconds(32_000)
    assert long <= 10 * short + 0.05
