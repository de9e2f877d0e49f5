"""Projects, tasks and what belongs to them in Django admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from pydantic import TypeAdapter, ValidationError

from studio.admin import Kept, Shown
from studio.errors import Invalid
from tasks import repositories, schemas
from tasks.models import (
    Approval,
    Comment,
    Event,
    Evidence,
    Finding,
    Instructions,
    Membership,
    Plan,
    PlanComment,
    Project,
    Remote,
    Task,
)


class ProjectForm(forms.ModelForm):
    """Holds what an operator types against the repository and against what a check is."""

    def clean_checks(self) -> Any:
        """The checks, each as the API takes it."""
        return _fitting(list[schemas.CheckIn], self.cleaned_data["checks"] or [])

    def clean_readable_paths(self) -> Any:
        """The folders, none of which shows the data folder."""
        return _fitting(list[schemas.ReadableFolder], self.cleaned_data["readable_paths"] or [])

    def clean_permissions(self) -> Any:
        """Actions by class, as the API takes them."""
        return _fitting(schemas.PermissionsIn, self.cleaned_data["permissions"] or {}, said_only=True)

    def clean(self) -> dict[str, Any]:
        """Look at the repository."""
        data = super().clean() or {}
        path = data.get("path") or self.instance.path
        if path and not self.errors:
            try:
                repositories.inspect(path, data.get("target_branch", ""))
            except Invalid as wrong:
                for name, sentence in (wrong.fields or {"path": wrong.message}).items():
                    self.add_error(name if name in self.fields else None, sentence)
        return data


def _fitting(kind: Any, value: Any, *, said_only: bool = False) -> Any:
    """`value` as plain JSON of that kind (`said_only`: without defaults), or what is wrong with it."""
    adapter = TypeAdapter(kind)
    try:
        return adapter.dump_python(adapter.validate_python(value), exclude_unset=said_only)
    except ValidationError as wrong:
        errors = [f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in wrong.errors()]
        raise forms.ValidationError(errors) from wrong


class MembershipInline(admin.TabularInline):
    model = Membership
    autocomplete_fields = ["user"]
    extra = 0


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    """Key and path stay, since branches, refs and workspaces are named and made after them."""

    form = ProjectForm
    inlines = [MembershipInline]
    list_display = ["key", "name", "path", "target_branch", "trusted", "demo", "created_at"]
    list_filter = ["demo", "trusted", "planning", "ai_review", "human_review"]
    search_fields = ["key", "name", "path"]
    readonly_fields = ["demo", "last_number", "created_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Project | None = None) -> list[str]:
        return ["key", "path", *self.readonly_fields] if obj else list(self.readonly_fields)

    def save_model(self, request: HttpRequest, obj: Project, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        name = "project.updated" if change else "project.created"
        data = {"fields": sorted(form.changed_data)} if change else {"key": obj.key}
        Event.objects.create(name=name, project=obj, by_id=request.user.pk, data=data)

    def has_delete_permission(self, request: HttpRequest, obj: Project | None = None) -> bool:
        return False


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):
    list_display = ["user", "project", "role"]
    list_filter = ["role", "project"]
    list_select_related = ["user", "project"]
    search_fields = ["user__username", "project__key", "project__name"]
    autocomplete_fields = ["user", "project"]


@admin.register(Task)
class TaskAdmin(Kept):
    """Words can be mended here; a task's state changes by its verbs only."""

    list_display = ["key", "title", "status", "status_changed_at", "created_by", "created_at"]
    list_filter = ["status", "project"]
    list_select_related = ["project", "created_by"]
    search_fields = ["title", "description", "project__key", "=number"]
    date_hierarchy = "created_at"
    readonly_fields = ["key", "status", "status_changed_at", "policies", "merged_oid"]
    readonly_fields += ["created_by", "created_at", "updated_at"]
    fields = ["title", "description", *readonly_fields]

    def save_model(self, request: HttpRequest, obj: Task, form: Any, change: bool) -> None:
        if form.changed_data:
            obj.edit(by=request.user, **{name: form.cleaned_data[name] for name in form.changed_data})


@admin.register(Event)
class EventAdmin(Shown):
    list_display = ["id", "name", "task", "session_id", "by", "at"]
    list_filter = ["name", "project"]
    list_select_related = ["task__project", "by"]
    search_fields = ["name", "task__title", "=task__number", "=session_id", "by__username"]
    date_hierarchy = "at"
    ordering = ["-id"]


@admin.register(Plan)
class PlanAdmin(Shown):
    list_display = ["task", "version", "by", "created_at", "approved_at", "approved_by"]
    list_filter = ["task__project"]
    list_select_related = ["task__project", "by", "approved_by"]
    search_fields = ["body", "task__title", "=task__number"]
    date_hierarchy = "created_at"


@admin.register(PlanComment)
class PlanCommentAdmin(Shown):
    list_display = ["__str__", "plan", "by", "line", "end_line", "created_at", "sent_at"]
    list_filter = ["plan__task__project"]
    list_select_related = ["plan__task__project", "by"]
    search_fields = ["body", "by__username", "plan__task__title", "=plan__task__number"]
    date_hierarchy = "created_at"


@admin.register(Evidence)
class EvidenceAdmin(Shown):
    list_display = ["__str__", "task", "by", "session_id", "at"]
    list_filter = ["task__project"]
    list_select_related = ["task__project", "by"]
    search_fields = ["criterion", "by__username", "task__title", "=task__number"]
    date_hierarchy = "at"


@admin.register(Finding)
class FindingAdmin(Shown):
    list_display = ["title", "task", "severity", "state", "path", "line", "created_at"]
    list_filter = ["severity", "state", "task__project"]
    list_select_related = ["task__project"]
    search_fields = ["title", "body", "path", "task__title", "=task__number"]
    date_hierarchy = "created_at"


@admin.register(Instructions)
class InstructionsAdmin(Shown):
    list_display = ["project", "version", "by", "at"]
    list_filter = ["project"]
    list_select_related = ["project", "by"]
    search_fields = ["text", "by__username", "project__key"]
    date_hierarchy = "at"


@admin.register(Approval)
class ApprovalAdmin(Shown):
    list_display = ["task", "oid", "by", "reason", "created_at"]
    list_filter = ["task__project"]
    list_select_related = ["task__project", "by"]
    search_fields = ["oid", "reason", "by__username", "task__title", "=task__number"]
    date_hierarchy = "created_at"


@admin.register(Comment)
class CommentAdmin(Shown):
    list_display = ["__str__", "task", "by", "state", "path", "line", "created_at", "sent_at"]
    list_filter = ["state", "task__project"]
    list_select_related = ["task__project", "by"]
    search_fields = ["body", "path", "by__username", "task__title", "=task__number"]
    date_hierarchy = "created_at"


@admin.register(Remote)
class RemoteAdmin(Shown):
    """Set at the project's own page; the token is shown nowhere, sealed or not."""

    list_display = ["project", "name", "forge", "api_url", "token_for", "token_by"]
    list_filter = ["forge"]
    list_select_related = ["project", "token_by"]
    search_fields = ["project__key", "name", "api_url"]
    exclude = ["sealed_token"]
