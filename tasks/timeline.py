"""A task's events in words: each as the end of a sentence that begins with who did it."""

from collections.abc import Callable
from typing import Any

Data = dict[str, Any]

PHASES = {
    "implementation": "the implementation",
    "checks": "the checks",
    "review": "the AI review",
    "fix": "the fix",
}
WAYS = {"top": "to the top", "up": "up", "down": "down"}
# What is for machines: it says that something goes on, which the page shows elsewhere.
QUIET = ("session.queued", "session.running", "session.progressed", "session.entry_removed", "check.started")


def in_words(name: str, data: Data) -> str:
    """What the event says; its name where nobody has put it into words."""
    return SENTENCES[name](data) if name in SENTENCES else name


def _phase(data: Data) -> str:
    return PHASES.get(str(data.get("phase")), str(data.get("phase", "a session")))


def _plain(text: Any) -> str:
    return str(text or "").replace("_", " ")


def _ended(data: Data) -> str:
    if data.get("state") == "completed":
        return f"finished {_phase(data)}"
    why = f", {_plain(data['reason'])}" if data.get("reason") not in ("", None, data.get("state")) else ""
    return f"ended {_phase(data)}: {data.get('state', '')}{why}"


def _moved(data: Data) -> str:
    return f"moved it from {_plain(data.get('from'))} to {_plain(data.get('to'))}"


def _reviewed(data: Data) -> str:
    count = int(data.get("findings", 0))
    findings = {0: "nothing found", 1: "1 finding"}.get(count, f"{count} findings")
    return f"had it reviewed: {_plain(data.get('verdict'))}, {findings}"


def _answer(data: Data) -> str:
    answer = data.get("answer") or {}
    words = {"once": "allowed once", "always": "allowed for this attempt", "reject": "refused"}
    said = words.get(str(answer.get("reply"))) or ("declined" if answer.get("reject") else "")
    return f": {said}" if said else ""


def _removed(data: Data) -> str:
    kept = f", keeping its work as {data['recovery_ref']}" if data.get("recovery_ref") else ""
    return f"removed the workspace of attempt {data.get('attempt')}{kept}"


def _scope(data: Data) -> str:
    return "all projects" if data.get("all") else "the project"


def _step(data: Data) -> str:
    return f"phase {data.get('number', '')} of the plan, “{data.get('title', '')}”"


def _because(data: Data) -> str:
    return f": {data['reason']}" if data.get("reason") else ""


def _on_lines(data: Data) -> str:
    count = data.get("comments")
    return f", with {count} comment{'' if count == 1 else 's'} on lines" if count else ""


SENTENCES: dict[str, Callable[[Data], str]] = {
    "task.created": lambda data: "filed the task",
    "task.updated": lambda data: f"changed {', '.join(map(_plain, data.get('fields', [])))}",
    "task.status_changed": _moved,
    "task.unblocked": lambda data: f"unblocked it: {data.get('blocker', 'what it waited for')} has landed",
    "task.not_started": lambda data: f"could not start it: {data.get('message', '')}",
    "task.stopping": lambda data: "asked the agent to stop",
    "task.attended": lambda data: "looks at it",
    "task.left": lambda data: "no longer looks at it",
    "task.moved": lambda data: f"moved it {WAYS.get(data.get('to', ''), '')} in the queue",
    "attachment.added": lambda data: f"attached {data.get('name', 'a file')}",
    "attachment.removed": lambda data: f"removed {data.get('name', 'an attached file')}",
    "task.deleted": lambda data: f"deleted {data.get('key', 'the task')}",
    "plan.written": lambda data: f"wrote version {data.get('version')} of the plan",
    "plan.approved": lambda data: f"approved version {data.get('version')} of the plan",
    "plan.changes_requested": lambda data: (
        f"asked for changes to the plan{_on_lines(data)}: {data.get('comment', '')}".rstrip(": ")
    ),
    "criterion.met": lambda data: f"said that a criterion is met: {data.get('criterion', '')}",
    "criterion.unmet": lambda data: f"said that a criterion is not met: {data.get('criterion', '')}",
    "comment.created": lambda data: f"commented: {data.get('comment') or data.get('body', '')}",
    "steps.begun": lambda data: (
        f"began to build by the {data.get('steps', '')} phases of plan version {data.get('version')}"
    ),
    "step.completed": lambda data: (
        f"completed {_step(data)}" + (f" at {data['oid'][:7]}" if data.get("oid") else ", changing nothing")
    ),
    "step.paused": lambda data: f"rests after {_step(data)}",
    "step.pause_asked": lambda data: f"asked for a pause after {_step(data)}",
    "step.pause_lifted": lambda data: f"lifted the pause after {_step(data)}",
    "step.skipped": lambda data: f"skipped {_step(data)}{_because(data)}",
    "step.retried": lambda data: f"had {_step(data)} run again",
    "session.started": lambda data: f"began {_phase(data)}",
    "session.waiting": lambda data: f"waits for a person in {_phase(data)}",
    "session.parked": lambda data: f"stopped the agent in {_phase(data)} until the answer comes",
    "session.resumed": lambda data: f"went on with {_phase(data)}",
    "session.ended": _ended,
    "session.stalled": lambda data: f"heard nothing from {_phase(data)} for too long",
    "provider.paused": lambda data: (
        f"paused the provider {data.get('provider', '')}: {_plain(data.get('reason'))}"
    ),
    "provider.tried": lambda data: f"had the provider {data.get('provider', '')} tried again",
    "provider.resumed": lambda data: f"went on with the provider {data.get('provider', '')}",
    "check.ended": lambda data: f"ran the check “{data.get('check', '')}”: {_plain(data.get('state'))}",
    "review.completed": _reviewed,
    "review.approved": lambda data: f"approved the change at {str(data.get('oid', ''))[:7]}",
    "review.overridden": lambda data: (
        f"let {str(data.get('oid', ''))[:7]} be merged in spite of the policy: {data.get('reason', '')}"
    ),
    "finding.waived": lambda data: f"waived “{data.get('title', '')}”: {data.get('reason', '')}",
    "finding.reopened": lambda data: f"reopened “{data.get('title', '')}”",
    "comment.answered": lambda data: f"answered the comment: {data.get('comment', '')}",
    "comment.resolved": lambda data: f"resolved the comment: {data.get('comment', '')}",
    "comment.reopened": lambda data: f"reopened the comment: {data.get('comment', '')}",
    "request.opened": lambda data: "passed on a request of the agent",
    "request.answered": lambda data: f"answered the agent{_answer(data)}",
    "request.withdrawn": lambda data: "closed a request that the agent gave up",
    "follow_up.queued": lambda data: f"wrote to the agent: {data.get('text', '')}",
    "follow_up.interrupted": lambda data: "interrupted the agent for a message",
    "follow_up.edited": lambda data: f"changed a queued message to: {data.get('text', '')}",
    "follow_up.moved": lambda data: f"moved a queued message to place {data.get('place')}",
    "follow_up.withdrawn": lambda data: f"deleted a queued message: {data.get('text', '')}",
    "follow_up.sent": lambda data: f"handed a message to the agent: {data.get('text', '')}",
    "conflicts.sent": lambda data: (
        f"had the agent resolve conflicts in {', '.join(data.get('files', [])[:5])}"
    ),
    "workspace.removed": _removed,
    "workspace.restored": lambda data: f"restored the workspace of attempt {data.get('attempt')}",
    "workspace.purged": lambda data: f"deleted the workspace of attempt {data.get('attempt')} for good",
    "attempt.begun": lambda data: (
        f"began attempt {data.get('attempt')} from scratch, beside attempt {data.get('beside')}"
    ),
    "attempt.chosen": lambda data: (
        f"went back to attempt {data.get('attempt')} from attempt {data.get('instead')}"
    ),
    "attempt.restored": lambda data: (
        "restored it from a backup" + ("" if data.get("workspace") else ", without its workspace")
    ),
    "merge.refused": lambda data: f"could not merge: {data.get('message', '')}",
    "push.queued": lambda data: f"had {data.get('branch', '')} pushed to {data.get('remote', '')}",
    "push.completed": lambda data: (
        f"pushed {data.get('branch', '')} to {data.get('remote', '')} at {str(data.get('oid', ''))[:7]}"
    ),
    "push.failed": lambda data: f"could not push {data.get('branch', '')}: {data.get('message', '')}",
    "pull_request.opened": lambda data: (
        f"has pull request #{data.get('number')} open for {data.get('branch', '')}"
    ),
    "pull_request.merged": lambda data: f"saw pull request #{data.get('number')} merged at the forge",
    "pull_request.closed": lambda data: f"saw pull request #{data.get('number')} closed at the forge",
    "pull_request.failed": lambda data: (
        f"got no pull request for {data.get('branch', '')}: {data.get('message', '')}"
    ),
    "project.paused": lambda data: f"paused {_scope(data)}{_because(data)}",
    "project.resumed": lambda data: f"resumed {_scope(data)}",
    "project.variable_set": lambda data: f"set {data.get('name', '')} in the environment",
    "project.variable_removed": lambda data: f"removed {data.get('name', '')} from the environment",
    "project.instructed": lambda data: (
        f"wrote version {data.get('version')} of the instructions to agents"
        if data.get("characters")
        else "took the instructions to agents back"
    ),
    "project.archived": lambda data: "archived the project",
    "project.deleting": lambda data: "had the project deleted",
    "project.restored": lambda data: "restored the project",
    "project.created": lambda data: "added the project",
    "project.updated": lambda data: (
        f"changed {', '.join(map(_plain, data.get('fields', [])))} of the project"
    ),
}
