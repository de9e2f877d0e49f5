"""Pushing an attempt's branch to the project's remote: what a person asks for, and the job that does it, safe to repeat."""

import logging
import time
from typing import Any

from sessions import places, pull_requests
from sessions.models import Attempt, Push
from sessions.redaction import Redactor, secrets
from sessions.workspaces import remote as git_remote
from sessions.workspaces.remote import PushFailed, PushTrouble
from studio import drain
from studio.errors import Conflict, Refusal
from tasks.lifecycle import Status
from tasks.models import Remote, Task

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5


class Cut(Exception):
    """Studio stops, or another job has the push."""


def ask(task: Task, *, by: Any) -> Push:
    """Have the change pushed to the project's remote, as a branch of the attempt's own. Conflict says why it cannot be."""
    attempt = Attempt.objects.current_of(task)
    if task.status not in {Status.REVIEW, Status.DONE} or attempt is None:
        raise Conflict(
            f"{task.key} is in “{task.get_status_display().lower()}”; a change is pushed in review."
        )
    if not attempt.head_oid or attempt.head_oid == attempt.base_oid:
        raise Conflict(f"{task.key} has no change to push.", code="nothing_to_push")
    remote = Remote.of(task.project)
    try:
        url = git_remote.address(places.repository(attempt).path, remote.name)
    except PushFailed as failed:
        raise git_remote.refuse(failed) from failed
    branch = f"studio/{attempt.key}"
    return Push.ask(
        attempt,
        by=by,
        remote=remote.name,
        branch=branch,
        base=task.target,
        url=git_remote.without_login(url),
        compare_url=remote.compare(url, task.target, branch),
    )


def work() -> None:
    """Push what waits, one after another, until nothing does; then ask the forges."""
    while not drain.has_begun() and (push := Push.claim()):
        carry(push)
    pull_requests.work()


def carry(push: Push) -> None:
    """Push it, then say so. Whoever does it again finds the branch where it should be."""
    redactor = Redactor(secrets(push.task.project))
    try:
        source = places.repository(push.attempt).path
        url = git_remote.address(source, push.remote)
        git_remote.push(source, url, push.oid, push.branch, tick=Tick(push))
        push.finish(place=pull_requests.wanted_at(push, url))
    except Cut:
        push.hand_back()
    except PushFailed as failed:
        push.fail(failed.trouble, redactor.text(failed.detail))
    except (Refusal, OSError) as error:
        push.fail(PushTrouble.REFUSED, redactor.text(git_remote.without_login(str(error))))
    except Exception:
        log.exception("push %s", push.pk)
        push.fail(PushTrouble.REFUSED, "A defect of Studio's own; the log has the details.")


class Tick:
    """Looks for a reason to stop, twice a second. Raises Cut."""

    def __init__(self, push: Push) -> None:
        self.push = push
        self.looked = 0.0

    def __call__(self) -> None:
        if time.monotonic() - self.looked < LOOK_SECONDS:
            return
        self.looked = time.monotonic()
        if drain.has_begun() or not self.push.held.exists():
            raise Cut
