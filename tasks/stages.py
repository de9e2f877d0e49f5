"""The stages of a task's way, from plan to merge: which are behind it, which is now, and what each took."""

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from tasks.lifecycle import Status

if TYPE_CHECKING:
    from tasks.standing import Standing

HUES = {"plan": "plan", "build": "build", "checks": "build", "ai_review": "review", "review": "call"}
PHASES = {
    "plan": ("planning",),
    "build": ("implementation", "fix"),
    "checks": ("checks",),
    "ai_review": ("review",),
}
NAMES = {
    "plan": "Plan",
    "build": "Build",
    "checks": "Checks",
    "ai_review": "AI review",
    "review": "Review",
    "merge": "Merge",
}


@dataclass(frozen=True)
class Stage:
    """One stage of the task's way, with the time and money that it has taken."""

    name: str
    state: str  # done, now, bad, skipped or empty
    hue: str
    seconds: float | None = None
    cost: Decimal | None = None
    note: str = ""


def place(standing: "Standing") -> str:
    """The stage that the task is in; empty where it is in none."""
    status = standing.task.status
    if status in {Status.PLANNING, Status.PLANNING_REVIEW}:
        return "plan"
    if status in {Status.IN_PROGRESS, Status.FIX}:
        return "checks" if standing.attempt is not None and standing.attempt.phase == "checks" else "build"
    return {Status.AI_REVIEW: "ai_review", Status.REVIEW: "review"}.get(Status(status), "")


def of(standing: "Standing") -> list[Stage]:
    """The six stages of the task."""
    return [_stage(standing, name) for name in NAMES]


def _stage(standing: "Standing", name: str) -> Stage:
    sessions = [session for session in standing.sessions if session.phase in PHASES.get(name, ())]
    lengths = [session.seconds for session in sessions if session.seconds is not None]
    return Stage(
        NAMES[name],
        _state(standing, name, bool(sessions)),
        HUES.get(name, "good"),
        sum(lengths) if lengths else None,
        sum((session.cost for session in sessions), Decimal(0)),
        _note(standing, name),
    )


def _state(standing: "Standing", name: str, ran: bool) -> str:
    names = list(NAMES)
    if standing.task.status == Status.DONE:
        happened = bool(standing.task.merged_oid) if name == "merge" else ran or name not in PHASES
        return "done" if happened else "skipped"
    if name == standing.place:
        return "bad" if standing.failure is not None else "now"
    if standing.place and names.index(name) < names.index(standing.place):
        return "done" if ran else "skipped"
    policy = standing.task.policy
    off = {"plan": not policy.planning, "ai_review": not policy.ai_review, "review": not policy.human_review}
    return "skipped" if off.get(name) else ""


def _note(standing: "Standing", name: str) -> str:
    policy, project = standing.task.policy, standing.task.project
    match name:
        case "plan":
            return "by the agent" if policy.planning else "off"
        case "build":
            return "by the agent"
        case "checks":
            return ", ".join(check["name"] for check in project.checks) or "none"
        case "ai_review":
            return f"up to {policy.max_fix_rounds} fixes" if policy.ai_review else "off"
        case "review":
            return "by a person" if policy.human_review else "off"
        case "merge":
            return f"into {standing.task.target}"
    return ""
