"""What people type, validated."""

import re
from pathlib import Path
from typing import Any, ClassVar

from django import forms
from django.contrib.auth import get_user_model
from django.db import transaction

from studio import queue
from studio.errors import Invalid
from studio.roles import Role
from tasks import offers, repositories
from tasks import permissions as classes
from tasks.attachment_form import FilesField
from tasks.models import Blocker, Event, Membership, Project, Task
from tasks.models.evidence import NOTE_LIMIT
from tasks.models.task import DESCRIPTION_LIMIT
from tasks.plan_text import LONGEST_LINE

CHECK_SECONDS = 600
MOST_LABELS, LABEL_LENGTH = 10, 40
MOST_BLOCKERS = 50
TASK_NUMBER = re.compile(r"[0-9]{1,9}\Z")  # what a database takes
CHECK_LINE = re.compile(r"^(?P<name>[^:]{1,100}?)\s*(?P<optional>\(optional\))?\s*:\s*(?P<command>.+)$")
MODELS = ["planning_model", "implementation_model", "review_model", "fix_model"]
POLICIES = [
    "planning",
    "plan_approval",
    "ai_review",
    "max_fix_rounds",
    "human_review",
    "checks_required",
    "approval_required",
]


class LabelsField(forms.CharField):
    """Labels as a list; people write them with commas between."""

    def prepare_value(self, value: Any) -> Any:
        """The labels that are set, as text."""
        return ", ".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        """Each once, in the order given, whatever its case."""
        words = [" ".join(label.split()) for label in (super().clean(value) or "").split(",")]
        labels = list({label.casefold(): label for label in words if label}.values())
        if len(labels) > MOST_LABELS or any(len(label) > LABEL_LENGTH for label in labels):
            raise forms.ValidationError(
                f"At most {MOST_LABELS} labels of at most {LABEL_LENGTH} characters each."
            )
        return labels


class TaskForm(forms.ModelForm):
    """A task's title and description, and its place in the order of things."""

    attached = FilesField()
    labels = LabelsField(required=False, help_text="With commas between.")
    blocked_by = forms.CharField(
        label="Waits for",
        required=False,
        max_length=1000,
        help_text="Keys of tasks that have to land before this one may start, as DEMO-3, DEMO-4.",
    )

    class Meta:
        model = Task
        fields: ClassVar = [
            "title",
            "description",
            "target_branch",
            "priority",
            "labels",
            "assignee",
            "blocked_by",
            "start_when_unblocked",
        ]
        widgets: ClassVar = {"description": forms.Textarea(attrs={"rows": 6})}
        help_texts: ClassVar = {
            "title": "What should be true when it is done, in one line.",
            "description": "What the agent should know. Markdown is fine.",
            "target_branch": "The branch that it lands on. Left empty: as the project says.",
            "start_when_unblocked": "",
        }
        labels: ClassVar = {
            "target_branch": "Into",
            "start_when_unblocked": "Start by itself once all of that has landed",
        }

    def __init__(self, *arguments: Any, project: Project, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.project = project
        self.fields["priority"].required = False
        members = get_user_model().objects.filter(memberships__project=project, is_active=True)
        self.fields["assignee"].queryset = members  # type: ignore[attr-defined]
        self.fields["assignee"].empty_label = "Nobody"  # type: ignore[attr-defined]
        if self.instance.pk:
            self.initial["blocked_by"] = ", ".join(row.blocker.key for row in self.instance.blockers.all())

    def clean_priority(self) -> int:
        """What it was where none is given."""
        given: int | str = self.cleaned_data["priority"]
        return int(given or self.instance.priority)

    def clean_blocked_by(self) -> list[Task]:
        """The tasks of this project with those keys, of which none waits for this one."""
        keys = [key for key in re.split(r"[\s,]+", self.cleaned_data["blocked_by"].upper()) if key]
        numbers = {key: key.removeprefix(f"{self.project.key}-") for key in keys}
        asked = [int(number) for number in numbers.values() if TASK_NUMBER.match(number)]
        known = {task.number: task for task in self.project.tasks.filter(number__in=asked[:MOST_BLOCKERS])}
        missing = [
            key
            for key, number in numbers.items()
            if not TASK_NUMBER.match(number) or int(number) not in known
        ]
        if missing:
            raise forms.ValidationError(f"There is no {', '.join(missing)[:100]} in {self.project.name}.")
        if self.instance.pk:
            try:
                Blocker.objects.refuse_wrong(self.instance, list(known.values()))
            except Invalid as wrong:
                raise forms.ValidationError(wrong.message) from wrong
        return list(known.values())

    def clean_target_branch(self) -> str:
        """Empty where it is the project's."""
        try:
            return repositories.existing(self.project, self.cleaned_data["target_branch"].strip())
        except Invalid as wrong:
            raise forms.ValidationError(wrong.fields.get("target_branch", wrong.message)) from wrong


class ChangesForm(forms.Form):
    """What a person wants changed; empty where comments on lines say it."""

    comment = forms.CharField(
        label="What should change?",
        max_length=DESCRIPTION_LIMIT,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
    )


class ReasonForm(forms.Form):
    """Why a person decides against what Studio says."""

    reason = forms.CharField(max_length=DESCRIPTION_LIMIT)


class PlanForm(forms.Form):
    """A plan, written by a person."""

    body = forms.CharField(
        label="The plan",
        max_length=DESCRIPTION_LIMIT,
        widget=forms.Textarea(attrs={"rows": 18, "class": "mono"}),
    )
    base = forms.IntegerField(required=False, widget=forms.HiddenInput)


class LinesForm(forms.Form):
    """What a person says about lines of a plan."""

    line = forms.IntegerField(min_value=1, widget=forms.HiddenInput)
    end_line = forms.IntegerField(label="To line", min_value=1, required=False)
    body = forms.CharField(
        label="Comment", max_length=DESCRIPTION_LIMIT, widget=forms.Textarea(attrs={"rows": 3})
    )


class EvidenceForm(forms.Form):
    """Which criterion is met, and what shows it."""

    criterion = forms.CharField(max_length=LONGEST_LINE)
    note = forms.CharField(label="What shows it", max_length=NOTE_LIMIT, required=False)


class ChecksField(forms.CharField):
    """Checks as lines `name: command`; `name (optional): command` for one that does not stand in a merge's way."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        """The lines of the checks that are set."""
        if not isinstance(value, list):
            return value
        marks = {True: "", False: " (optional)"}
        return "\n".join(
            f"{check['name']}{marks[check.get('required', True)]}: {check['command']}" for check in value
        )

    def clean(self, value: Any) -> list[dict[str, Any]]:
        """The checks that the lines describe."""
        lines = [line.strip() for line in super().clean(value).splitlines() if line.strip()]
        checks = [self._check(line) for line in lines]
        if len({check["name"] for check in checks}) < len(checks):
            raise forms.ValidationError("Two checks have the same name.")
        return checks

    def _check(self, line: str) -> dict[str, Any]:
        found = CHECK_LINE.match(line)
        if found is None:
            raise forms.ValidationError(f"“{line[:80]}” is not of the form “name: command”.")
        required = found["optional"] is None
        return {
            "name": found["name"],
            "command": found["command"],
            "timeout": CHECK_SECONDS,
            "required": required,
        }


class _ProjectForm(forms.ModelForm):
    """What adding a project and its settings share: the checks, and a look at the repository."""

    checks = ChecksField(
        required=False,
        help_text="One a line, as name: command. Studio runs them after the agent, in its workspace.",
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono", "placeholder": "tests: pytest -q"}),
    )

    def clean(self) -> dict[str, Any]:
        """Look at the repository, once its path and branch are well-formed."""
        data = super().clean() or {}
        path = data.get("path") or self.instance.path
        if path and not self.errors:
            try:
                found = repositories.inspect(path, data.get("target_branch", ""))
            except Invalid as wrong:
                for name, sentence in (wrong.fields or {"path": wrong.message}).items():
                    self.add_error(name if name in self.fields else None, sentence)
            else:
                self._take_over(data, found)
        return data

    def _take_over(self, data: dict[str, Any], found: Any) -> None:
        if "path" in data:
            data["path"] = str(getattr(found, "path", data["path"]))
        data["target_branch"] = data.get("target_branch") or getattr(found, "target_branch", "main")

    def clean_checks(self) -> list[dict[str, Any]]:
        """The lines' checks with the time limits that were set before."""
        known = {check["name"]: check for check in self.instance.checks or []}
        checks: list[dict[str, Any]] = self.cleaned_data["checks"]
        return [
            {**check, "timeout": known.get(check["name"], {}).get("timeout", CHECK_SECONDS)}
            for check in checks
        ]


class ProjectForm(_ProjectForm):
    """A project to add. Name and key are proposed from the folder's name where they are left empty."""

    class Meta:
        model = Project
        fields: ClassVar = ["path", "name", "key", "target_branch", "checks"]
        help_texts: ClassVar = {
            "key": "Two to ten capital letters and digits: tasks are called KEY-1, KEY-2, …",
            "target_branch": "Where finished work is merged. Left empty: the branch that is checked out.",
        }

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        for name in ("name", "key", "target_branch"):
            self.fields[name].required = False

    def clean_name(self) -> str:
        """The folder's name where none was given."""
        return self.cleaned_data["name"] or Path(self.cleaned_data.get("path", "")).name[:100]

    def clean_key(self) -> str:
        """The folder's first letters where none was given, made unlike the keys there are."""
        key: str = self.cleaned_data["key"].upper()
        return key or free_key(Path(self.cleaned_data.get("path", "")).name)

    def create(self, *, by: Any) -> Project:
        """The project, with the person who added it as its admin."""
        with transaction.atomic():
            project: Project = self.save()
            Membership.objects.create(project=project, user=by, role=Role.ADMIN)
            Event.objects.create(name="project.created", project=project, by=by, data={"key": project.key})
        return project


def free_key(name: str) -> str:
    """A key from a name's first letters, made unlike the keys there are."""
    letters = re.sub(r"[^A-Z0-9]", "", name.upper()).lstrip("0123456789")[:6]
    stem = letters if len(letters) > 1 else "PROJECT"
    taken = set(Project.objects.filter(key__startswith=stem).values_list("key", flat=True))
    return next(key for key in [stem, *(f"{stem}{n}" for n in range(2, 9999))] if key not in taken)


class ProjectSettingsForm(_ProjectForm):
    """What a maintainer may change of a project."""

    class Meta:
        model = Project
        fields: ClassVar = [
            "name",
            "target_branch",
            "merge_strategy",
            "checks",
            "model",
            *MODELS,
            "most_sessions",
            *POLICIES,
        ]
        labels: ClassVar = {
            "model": "For every phase",
            "planning_model": "For planning",
            "implementation_model": "For the implementation",
            "review_model": "For the AI review",
            "fix_model": "For fixes",
            "most_sessions": "At work at a time, at most",
            "planning": "Plan before building",
            "plan_approval": "A person approves the plan",
            "ai_review": "AI review of the change",
            "max_fix_rounds": "Fix rounds at most",
            "human_review": "A person reviews before the merge",
            "checks_required": "Required checks must be green to merge",
            "approval_required": "A person must approve before the merge",
        }
        help_texts: ClassVar = {
            "checks_required": "",
            "approval_required": "",
            "model": "As provider/model. Left empty: the default of your OpenCode set-up.",
        }

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.fields["merge_strategy"].required = False
        self.offer = offers.known()
        for name in ("model", *MODELS):
            self.fields[name].widget.attrs |= {"list": "models", "autocomplete": "off"}
        now = self.instance.policy.permissions
        for name, each in classes.CLASSES.items():
            self.fields[f"permission_{name}"] = forms.ChoiceField(
                label=each.label,
                choices=[(action.value, action.label) for action in each.choices],
                initial=now[name],
                required=False,
            )

    @property
    def doubts(self) -> list[str]:
        """A sentence for each of its models that OpenCode did not name."""
        return self.offer.doubts(getattr(self.instance, name) for name in ("model", *MODELS))

    def clean_merge_strategy(self) -> str:
        """What it was where none is given."""
        return str(self.cleaned_data["merge_strategy"] or self.instance.merge_strategy)

    @property
    def permission_fields(self) -> list[forms.BoundField]:
        """What agents may do, class by class."""
        return [self[f"permission_{name}"] for name in classes.CLASSES]

    def update(self, *, by: Any) -> Project:
        """The changed project. What a script leaves out of the permissions stays."""
        said = {name: self.cleaned_data[f"permission_{name}"] for name in classes.CLASSES}
        with transaction.atomic():
            self.instance.permissions |= {name: action for name, action in said.items() if action}
            project: Project = self.save()
            Event.objects.create(
                name="project.updated", project=project, by=by, data={"fields": self.changed_data}
            )
            if "most_sessions" in self.changed_data:
                queue.ring_for_all()
        return project
