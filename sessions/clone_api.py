"""The API of projects by their repository's address."""

from typing import Annotated, Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema
from ninja.responses import Status as Reply
from pydantic import AfterValidator, StringConstraints

from sessions.clone_form import KEY, name_of
from sessions.models import Clone
from sessions.models.clone import CloneState
from sessions.workspaces import cloning
from studio.api import Cursor, FilledText, Input, Limit, Page, Text, Timestamp, page, responses
from studio.errors import Forbidden, Invalid
from studio.repeat import DOCUMENTED, repeatable
from tasks.forms import free_key
from tasks.models import Project
from tasks.schemas import CheckIn, distinct

clones = Router(tags=["Projects"])


class CloneIn(Input):
    """A repository to clone, and the project to make of it. Name and key are proposed from the address."""

    url: Annotated[FilledText, StringConstraints(max_length=cloning.LONGEST_URL)] = Field(
        description="https or ssh, without a login in it."
    )
    name: Annotated[Text, StringConstraints(max_length=100)] = ""
    key: Annotated[Text, StringConstraints(pattern="^([A-Z][A-Z0-9]{1,9})?$")] = ""
    target_branch: Annotated[Text, StringConstraints(max_length=200)] = Field(
        "", description="Empty: the branch that the repository names."
    )
    checks: Annotated[list[CheckIn], Field(max_length=50), AfterValidator(distinct)] = Field(
        default_factory=list
    )


class CloneOut(Schema):
    """`project` is there once `state` is `done`. A failure has a stable `reason`, and a `message` that says what to do."""

    id: int
    url: str
    state: CloneState
    stopping: bool
    progress: str
    reason: str
    message: str
    detail: str
    project: int | None
    created_at: Timestamp
    ended_at: Timestamp | None


@clones.get("", response=responses({200: Page[CloneOut]}))
def list_clones(request: HttpRequest, cursor: Cursor = 0, limit: Limit = 50) -> Any:
    """Those that you asked for, newest first; for admins of this Studio, all."""
    rows = Clone.objects.visible_to(request.user).order_by("-pk")
    return page(rows.filter(pk__lt=cursor) if cursor else rows, show_clone, limit)


@clones.post("", response=responses({202: CloneOut}), openapi_extra=DOCUMENTED)
@repeatable
def create_clone(request: HttpRequest, new: CloneIn) -> Any:
    """Clone a repository, and add it as a project. Only staff may. It works in the background: ask for the clone."""
    if not request.user.is_staff:
        raise Forbidden("Only staff may add a project: agents then work on it on this machine.")
    fields = new.dict()
    fields["url"] = cloning.checked(new.url)
    if new.key and Project.objects.filter(key=new.key).exists():
        raise Invalid("The key is taken.", fields={"key": "Another project has it."})
    fields["name"] = new.name or name_of(fields["url"])
    fields["key"] = new.key or free_key(fields["name"])
    KEY.run_validators(fields["key"])
    return Reply(202, show_clone(Clone.ask(by=request.user, **fields)))


@clones.get("/{int:clone_id}", response=responses({200: CloneOut}))
def get_clone(request: HttpRequest, clone_id: int) -> Any:
    """How far it is."""
    return show_clone(_clone(request, clone_id))


@clones.post("/{int:clone_id}/cancel", response=responses({202: CloneOut}, 409))
def cancel_clone(request: HttpRequest, clone_id: int) -> Any:
    """Stop it, and delete what there is. 409 (`ended`) once it has ended."""
    _clone(request, clone_id).cancel()
    return Reply(202, show_clone(_clone(request, clone_id)))


@clones.post("/{int:clone_id}/retry", response=responses({202: CloneOut}, 409))
def retry_clone(request: HttpRequest, clone_id: int) -> Any:
    """Begin one that has failed again. 409 (`not_failed`) for another."""
    _clone(request, clone_id).retry()
    return Reply(202, show_clone(_clone(request, clone_id)))


def show_clone(clone: Clone) -> dict[str, Any]:
    """As `CloneOut`."""
    plain = ["url", "state", "progress", "reason", "detail"]
    return {name: getattr(clone, name) for name in plain} | {
        "id": clone.pk,
        "stopping": clone.is_stopping,
        "message": f"{clone.get_reason_display()}. {clone.advice}" if clone.reason else "",
        "project": clone.project_id,
        "created_at": clone.created_at.isoformat(),
        "ended_at": clone.ended_at and clone.ended_at.isoformat(),
    }


def _clone(request: HttpRequest, clone_id: int) -> Clone:
    found: Clone = get_object_or_404(Clone.objects.visible_to(request.user), pk=clone_id)
    return found
