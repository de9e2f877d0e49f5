"""Pull requests on a project's forge: the job that opens one after a push and looks how it stands, safe to repeat."""

import logging
import re
from pathlib import Path
from typing import Any

from sessions import forges, messages
from sessions.forges import Answers, ForgeFailed, ForgeTrouble, Found
from sessions.models import PullRequest, Push
from sessions.models.pull_request import newest_open_first
from sessions.redaction import Redactor, secrets
from sessions.workspaces import remote as git_remote
from sessions.workspaces.remote import PushFailed
from sessions.workspaces.repository import inspect
from studio import crash, drain
from studio.errors import Conflict, Refusal
from tasks.models import Project, Remote, Task
from tasks.models.remote import known

log = logging.getLogger(__name__)

LONGEST_TITLE = 250  # characters that every forge takes


class Cut(Exception):
    """Studio stops, or another job has it."""


def set_remote(project: Project, *, by: Any, token: str | None = None, **fields: Any) -> Remote:
    """Choose the project's remote, its forge and the token for it. As `Remote.put`."""
    chosen = Remote(project=project, **fields)
    place = chosen.place(_address(project, chosen.name))
    return Remote.put(project, by=by, place=place, token=token, **fields)


def _address(project: Project, name: str) -> str:
    """The remote's address in the repository; empty where it has none."""
    try:
        return git_remote.address(inspect(Path(project.path), project.target_branch).path, name)
    except (PushFailed, Refusal, OSError):
        return ""


def wanted_at(push: Push, url: str) -> str:
    """Where a pull request is to be opened once the branch is pushed to that address; empty without a token or a forge."""
    remote = Remote.of(push.task.project)
    return remote.place(url) or remote.token_for if remote.has_token else ""


def of(task: Task) -> PullRequest | None:
    """That of the task's current attempt."""
    return PullRequest.objects.filter(task=task, attempt__is_current=True).first()


def refresh(task: Task) -> PullRequest:
    """Have the forge asked how the task's pull request stands. Conflict where there is none."""
    if (pull := of(task)) is None:
        raise Conflict(f"{task.key} has no pull request: push its branch.", code="no_pull_request")
    pull.refresh()
    pull.refresh_from_db()
    return pull


def work() -> None:
    """Ask what waits, one after another, until nothing does."""
    while not drain.has_begun() and (pull := PullRequest.claim()):
        carry(pull)


def carry(pull: PullRequest) -> None:
    """Have it as the forge has it. Whoever does it again finds the one that was opened."""
    redactor = Redactor(secrets(pull.task.project))
    try:
        pull.keep(settle(pull, redactor))
    except Cut:
        pull.hand_back()
    except ForgeFailed as failed:
        pull.fail(failed, redactor.text(failed.detail))
    except Exception:
        log.exception("pull request %s", pull.pk)
        pull.fail(ForgeFailed(ForgeTrouble.DEFECT), "")


def settle(pull: PullRequest, redactor: Redactor) -> Found:
    """The pull request at the forge: the one that is known, that is found, or that is opened now. Raises ForgeFailed and Cut."""
    there = connect(pull)
    if not pull.wanted and pull.number is not None:
        return there.read(pull.number)
    found = newest_open_first(there.find(pull.branch, pull.base), pull.oid)
    if found is None:
        title, body = (redactor.text(part) for part in words(pull))
        found = _open(there, pull, title, body)
        crash.point("pull-request-opened")
    return found


def connect(pull: PullRequest) -> forges.PullRequests:
    """The forge with the project's token, if that was given for this very place."""
    remote = Remote.of(pull.task.project)
    url = _address(pull.task.project, pull.remote)
    fits = remote.name == pull.remote and remote.place(url) == pull.place == remote.token_for
    if not remote.has_token or not fits:
        raise ForgeFailed(ForgeTrouble.TOKEN_AGAIN)
    try:
        token = remote.token
    except Conflict as error:
        raise ForgeFailed(ForgeTrouble.TOKEN_LOST) from error
    forge = str(remote.forge or known(url))
    answers = Answers(pull.place, forges.header(forge, token), tick=lambda: _look_around(pull))
    return forges.at(forge, answers)


def words(pull: PullRequest) -> tuple[str, str]:
    """Title and body: the task's title, how the accepted plan begins, and the trailers that lead back."""
    title, _, body = messages.proposed(pull.attempt).partition("\n")
    trailers = messages.trailers(pull.attempt, by=None)
    return title[:LONGEST_TITLE], messages.whole(body, trailers).strip()


def _open(there: forges.PullRequests, pull: PullRequest, title: str, body: str) -> Found:
    try:
        return there.open(pull.branch, pull.base, title, body)
    except ForgeFailed as failed:
        if failed.trouble != ForgeTrouble.INVALID:
            raise
        if re.search("already exists", failed.detail, re.IGNORECASE):
            if found := newest_open_first(there.find(pull.branch, pull.base), pull.oid):
                return found
            raise ForgeFailed(ForgeTrouble.BUSY, failed.detail, status=failed.status) from failed
        if re.search("no commits between", failed.detail, re.IGNORECASE):
            raise ForgeFailed(ForgeTrouble.NOTHING, failed.detail, status=failed.status) from failed
        raise


def _look_around(pull: PullRequest) -> None:
    if drain.has_begun() or not pull.held.exists():
        raise Cut
