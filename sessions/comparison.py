"""Attempts of a task beside each other: what each came to, and what two of them did to each file."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import Count, Prefetch

from sessions import landing
from sessions.models import Attempt, CheckResult, Session
from sessions.workspaces.diff import Diff, FileDiff
from sessions.workspaces.plumbing import GitError
from studio.errors import Refusal
from tasks.models import Finding, Task

MOST = 12  # attempts beside each other, the newest


@dataclass
class Account:
    """What an attempt came to. `seconds` its agents and checks worked, `cost` in US dollars, `tokens` in and out; `diff` None where it cannot be read."""

    attempt: Attempt
    sessions: list[Session]
    diff: Diff | None
    findings: dict[str, int] = field(default_factory=dict)

    @property
    def checks(self) -> list[CheckResult]:
        """The results of the last time that its checks ran."""
        ran = [session for session in self.sessions if session.check_results.all()]
        return list(ran[-1].check_results.all()) if ran else []

    @property
    def red(self) -> list[CheckResult]:
        """Those that failed."""
        return [check for check in self.checks if check.is_red]

    @property
    def models(self) -> list[str]:
        """The models that worked on it, in their order."""
        return list(dict.fromkeys(session.model for session in self.sessions if session.model))

    @property
    def seconds(self) -> float:
        return sum(session.seconds or 0 for session in self.sessions)

    @property
    def cost(self) -> Decimal:
        return sum((session.cost for session in self.sessions), Decimal(0))

    @property
    def tokens(self) -> dict[str, int]:
        into, out = ("input", "cache_read", "cache_write"), ("output", "reasoning")
        spent = [session.tokens for session in self.sessions]
        return {
            "input": sum(each.get(name, 0) for each in spent for name in into),
            "output": sum(each.get(name, 0) for each in spent for name in out),
        }


@dataclass(frozen=True)
class Pair:
    """One file in two attempts; None where that one did not change it. `same` where both left it alike."""

    number: int
    path: str
    left: FileDiff | None
    right: FileDiff | None

    @property
    def left_place(self) -> str:
        """What its left side is called on the page."""
        return f"{self.number}-left"

    @property
    def right_place(self) -> str:
        """What its right side is called on the page."""
        return f"{self.number}-right"

    @property
    def same(self) -> bool:
        kinds = [(side.content, side.status == "deleted") for side in (self.left, self.right) if side]
        return len(kinds) == 2 and kinds[0] == kinds[1]


def accounts(task: Task) -> list[Account]:
    """Of each attempt, oldest first; of the newest MOST."""
    checks = CheckResult.objects.filter(kind="check").defer("output").order_by("pk")
    ran = Session.objects.defer("inputs", "prompt_ids").order_by("pk")
    ran = ran.prefetch_related(Prefetch("check_results", checks))
    rows = Attempt.objects.filter(task=task).select_related("task__project").order_by("-number")[:MOST]
    found = list(rows.prefetch_related(Prefetch("sessions", ran)))
    by_attempt = _findings(task)
    return [
        Account(each, list(each.sessions.all()), _diff(each), by_attempt.get(each.number, {}))
        for each in reversed(found)
    ]


def show(account: Account) -> dict[str, Any]:
    """As `AccountOut` of the API."""
    attempt, diff = account.attempt, account.diff
    return {
        "attempt": attempt.pk,
        "number": attempt.number,
        "is_current": attempt.is_current,
        "status": str(attempt.status),
        "checks": {check.name: str(check.state) for check in account.checks},
        "findings": account.findings,
        "files": len(diff.files) if diff else None,
        "additions": diff.additions if diff else None,
        "deletions": diff.deletions if diff else None,
        "seconds": account.seconds,
        "tokens": account.tokens,
        "cost": float(account.cost),
        "models": account.models,
    }


def pairs(left: Diff, right: Diff) -> list[Pair]:
    """Every file that either changed, by its path."""
    here = {file.path: file for file in left.files}
    there = {file.path: file for file in right.files}
    paths = sorted({*here, *there})
    return [Pair(number, path, here.get(path), there.get(path)) for number, path in enumerate(paths, start=1)]


def two_of(found: list[Account], query: Any) -> tuple[Account, Account] | None:
    """The two that `left` and `right` of the query name by number; the current one and the newest other where they name none."""
    if len(found) < 2:
        return None
    named = {str(each.attempt.number): each for each in found}
    current = next((each for each in found if each.attempt.is_current), found[-1])
    right = named.get(query.get("right", ""), current)
    others = [each for each in found if each is not right]
    left = named.get(query.get("left", ""), others[-1])
    return (left if left is not right else others[-1]), right


def _findings(task: Task) -> dict[int, dict[str, int]]:
    """How many are open, by attempt and severity."""
    rows = task.findings.filter(state=Finding.State.OPEN).order_by()
    counted: dict[int, dict[str, int]] = {}
    for number, severity, many in rows.values_list("attempt_number", "severity").annotate(Count("pk")):
        counted.setdefault(number, {})[severity] = many
    return counted


def _diff(attempt: Attempt) -> Diff | None:
    try:
        return landing.attempt_diff(attempt)
    except (GitError, Refusal, OSError):
        return None
