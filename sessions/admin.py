"""Attempts, sessions and what happened in them in Django admin: all shown, nothing changed by hand but where workspaces lie."""

from collections.abc import Callable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from sessions import removal
from sessions.models import (
    Activity,
    Attempt,
    Breaker,
    CheckResult,
    FollowUp,
    Pause,
    PullRequest,
    Push,
    Request,
    Session,
    Step,
)
from studio.admin import Shown
from studio.errors import Refusal
from studio.roles import Role

OF_SESSION = "session__attempt__task"


@admin.register(Attempt)
class AttemptAdmin(Shown):
    list_display = ["key", "is_current", "status", "phase", "lease", "owner", "runner", "tries", "created_at"]
    list_filter = ["lease", "status", "phase", "is_current", "runner", "task__project"]
    list_select_related = ["task__project"]
    search_fields = ["task__title", "=task__number", "task__project__key", "owner", "base_oid", "head_oid"]
    date_hierarchy = "created_at"
    ordering = ["-pk"]
    actions = ["remove_workspaces", "restore_workspaces"]

    @admin.action(description="Remove the workspaces (into the trash)")
    def remove_workspaces(self, request: HttpRequest, chosen: QuerySet[Attempt]) -> None:
        """What is refused stays, with its reason."""
        self._do(request, chosen, removal.remove, "removed")

    @admin.action(description="Restore the workspaces (from the trash)")
    def restore_workspaces(self, request: HttpRequest, chosen: QuerySet[Attempt]) -> None:
        """Undo removals."""
        self._do(request, chosen, removal.restore, "restored")

    def _do(
        self, request: HttpRequest, chosen: QuerySet[Attempt], verb: Callable[..., None], word: str
    ) -> None:
        for attempt in chosen.select_related("task__project"):
            try:
                attempt.task.project.require(request.user, Role.MEMBER)
                verb(attempt, by=request.user)
                self.message_user(request, f"{attempt.key}: {word}.")
            except Refusal as refusal:
                self.message_user(request, f"{attempt.key}: {refusal.message}", messages.WARNING)


@admin.register(Session)
class SessionAdmin(Shown):
    list_display = ["id", "attempt", "phase", "state", "reason", "model", "cost", "started_at", "ended_at"]
    list_filter = ["state", "phase", "reason", "attempt__task__project"]
    list_select_related = ["attempt__task__project"]
    search_fields = ["=id", "attempt__task__title", "=attempt__task__number", "opencode_session_id", "detail"]
    date_hierarchy = "created_at"
    ordering = ["-pk"]


@admin.register(Activity)
class ActivityAdmin(Shown):
    list_display = ["session", "seq", "rev", "kind", "tool", "state", "depth", "started_at", "ended_at"]
    list_filter = ["kind", "state", "tool"]
    list_select_related = ["session"]
    search_fields = ["=session__id", "part_id", "message_id", "tool", "title"]
    date_hierarchy = "started_at"
    ordering = ["-pk"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Activity]:
        """A list without the long parts, which can be megabytes."""
        return super().get_queryset(request).defer("text", "output", "input", "metadata")


@admin.register(Request)
class RequestAdmin(Shown):
    list_display = ["__str__", "session", "state", "answered_by", "opened_at", "answered_at", "delivered_at"]
    list_filter = ["state", "kind", f"{OF_SESSION}__project"]
    list_select_related = ["session", "answered_by"]
    search_fields = ["=session__id", "opencode_id", f"{OF_SESSION}__title", "answered_by__username"]
    date_hierarchy = "opened_at"
    ordering = ["-pk"]


@admin.register(FollowUp)
class FollowUpAdmin(Shown):
    list_display = ["__str__", "attempt", "by", "state", "position", "created_at", "sent_at", "session"]
    list_filter = ["state", "attempt__task__project"]
    list_select_related = ["attempt__task__project", "by", "session"]
    search_fields = ["=session__id", "text", "message_id", "attempt__task__title", "by__username"]
    date_hierarchy = "created_at"
    ordering = ["-pk"]


@admin.register(Step)
class StepAdmin(Shown):
    list_display = ["__str__", "attempt", "state", "pause_after", "commit", "ended_at", "by"]
    list_filter = ["state", "attempt__task__project"]
    list_select_related = ["attempt__task__project", "by"]
    search_fields = ["title", "commit", "attempt__task__title"]
    ordering = ["-pk"]


@admin.register(CheckResult)
class CheckResultAdmin(Shown):
    list_display = ["name", "session", "state", "required", "exit_code", "seconds", "started_at"]
    list_filter = ["state", "required", f"{OF_SESSION}__project"]
    list_select_related = ["session"]
    search_fields = ["=session__id", "name", "command", f"{OF_SESSION}__title"]
    date_hierarchy = "started_at"
    ordering = ["-pk"]


@admin.register(Pause)
class PauseAdmin(Shown):
    list_display = ["__str__", "by", "since", "reason", "running"]
    list_filter = ["running", "project"]
    list_select_related = ["project", "by"]
    search_fields = ["reason", "project__key"]
    date_hierarchy = "since"


@admin.register(Breaker)
class BreakerAdmin(Shown):
    list_display = ["name", "state", "reason", "failures", "tries", "opened_at", "try_at"]
    list_filter = ["state", "reason"]
    search_fields = ["name", "detail"]
    date_hierarchy = "opened_at"
    ordering = ["name"]
    actions = ["try_again"]

    @admin.action(description="Try again now", permissions=["view"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[Breaker]) -> None:
        """Let the next session try each of them."""
        for breaker in queryset:
            breaker.try_again(by=request.user)


@admin.register(Push)
class PushAdmin(Shown):
    list_display = ["__str__", "attempt", "state", "reason", "by", "created_at", "ended_at"]
    list_filter = ["state", "reason", "task__project"]
    list_select_related = ["attempt__task__project", "by"]
    search_fields = ["branch", "oid", "task__title", "by__username"]
    date_hierarchy = "created_at"
    ordering = ["-pk"]


@admin.register(PullRequest)
class PullRequestAdmin(Shown):
    list_display = ["__str__", "attempt", "state", "work", "reason", "tries", "looked_at", "created_at"]
    list_filter = ["state", "work", "reason", "task__project"]
    list_select_related = ["attempt__task__project"]
    search_fields = ["=number", "branch", "url", "task__title"]
    date_hierarchy = "created_at"
    ordering = ["-pk"]
