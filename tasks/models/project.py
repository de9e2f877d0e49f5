"""Project: a repository that tasks are filed against, with its checks and policies."""

from typing import Any, ClassVar, NamedTuple

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone

from studio import queue
from studio.errors import Conflict, Forbidden, Invalid
from studio.roles import Role
from tasks import permissions, repositories
from tasks.models.scripts import Scripts

MODEL_NAME = RegexValidator(r"\A[^\s/]+/\S+\Z", "Give a model as provider/model, without spaces.")


# Tasks that something works on: a session without an end is live, and a claimed attempt may be merging or cleaning up.
AT_WORK = Q(attempts__sessions__isnull=False, attempts__sessions__ended_at=None) | Q(
    attempts__lease="claimed"
)


class Policy(NamedTuple):
    """How a task goes through its lifecycle. A project sets it; a task may override each part."""

    planning: bool
    plan_approval: bool
    ai_review: bool
    max_fix_rounds: int
    human_review: bool
    checks_required: bool
    approval_required: bool
    permissions: dict[str, str]

    def changed_by(self, parts: dict[str, Any]) -> "Policy":
        """With a task's own parts; of the permissions, those that it names."""
        own = permissions.complete(self.permissions, parts.get("permissions", {}))
        return self._replace(**{**parts, "permissions": own})


class MergeStrategy(models.TextChoices):
    """What a landing puts on the target branch."""

    MERGE = "merge", "Merge commit"
    SQUASH = "squash", "Squash into one commit"
    REBASE = "rebase", "Rebase: each commit on top"


class ProjectQuerySet(models.QuerySet["Project"]):
    def visible_to(self, user: Any) -> "ProjectQuerySet":
        """The projects that the person may see."""
        if user.is_superuser:
            return self
        return self.filter(memberships__user_id=user.pk) if user.is_authenticated else self.none()

    def where(self, user: Any, role: Role) -> "ProjectQuerySet":
        """The projects where the person's role covers that one."""
        if user.is_superuser:
            return self
        return self.filter(
            memberships__user_id=user.pk, memberships__role__in=[each for each in Role if each.covers(role)]
        )

    def open(self) -> "ProjectQuerySet":
        """Those that are worked on: not archived."""
        return self.filter(archived_at=None)

    def deleting(self) -> "ProjectQuerySet":
        """Those that a job deletes, or is stuck with."""
        return self.exclude(deleting_at=None).order_by("pk")

    def archived(self) -> "ProjectQuerySet":
        """Those that are only kept, the last archived first."""
        return self.exclude(archived_at=None).order_by("-archived_at")


class Project(Scripts):
    key = models.CharField(
        max_length=10,
        unique=True,
        validators=[
            RegexValidator(r"^[A-Z][A-Z0-9]{1,9}$", "Two to ten capital letters and digits, a letter first.")
        ],
    )
    name = models.CharField(max_length=100)
    path = models.CharField(max_length=1000, help_text="The folder of the git repository on this machine.")
    target_branch = models.CharField(max_length=200, help_text="Where finished work is merged.")
    merge_strategy = models.CharField(
        max_length=10, choices=MergeStrategy.choices, default=MergeStrategy.MERGE
    )
    checks = models.JSONField(
        default=list,
        blank=True,
        help_text='[{"name": …, "command": …, "timeout": seconds, "required": true}]',
    )
    model = models.CharField(
        max_length=200,
        blank=True,
        validators=[MODEL_NAME],
        help_text="provider/model; empty means the default.",
    )
    planning_model = models.CharField(max_length=200, blank=True, validators=[MODEL_NAME])
    implementation_model = models.CharField(max_length=200, blank=True, validators=[MODEL_NAME])
    review_model = models.CharField(max_length=200, blank=True, validators=[MODEL_NAME])
    fix_model = models.CharField(max_length=200, blank=True, validators=[MODEL_NAME])
    trusted = models.BooleanField(
        default=False, help_text="Let the repository's own OpenCode configuration take effect."
    )
    readable_paths = models.JSONField(
        default=list, blank=True, help_text="Further folders that the agent may read."
    )
    planning = models.BooleanField(default=True)
    plan_approval = models.BooleanField(default=True)
    ai_review = models.BooleanField("AI review", default=True)
    max_fix_rounds = models.PositiveSmallIntegerField(default=3, validators=[MaxValueValidator(20)])
    human_review = models.BooleanField(default=True)
    checks_required = models.BooleanField(default=True, help_text="Required checks must be green to merge.")
    approval_required = models.BooleanField(
        default=False, help_text="A person must have approved the very commit that is merged."
    )
    permissions = models.JSONField(
        default=dict,
        blank=True,
        help_text='What agents may do, where it is not the usual: {"bash": "allow" | "ask" | "deny", …}',
    )
    most_sessions = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="How many of its tasks are worked on at a time; left empty: as many as there are workers.",
    )
    demo = models.BooleanField(default=False, editable=False)
    archived_at = models.DateTimeField(null=True, editable=False)
    deleting_at = models.DateTimeField(null=True, editable=False)
    delete_trouble = models.TextField(blank=True, editable=False, help_text="Why it cannot be deleted whole.")
    last_number = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.key

    def role_of(self, user: Any) -> Role | None:
        """The person's role here, None for none."""
        if user.is_superuser:
            return Role.ADMIN
        membership = self.memberships.filter(user_id=user.pk).first()
        return Role(membership.role) if membership else None

    def require(self, user: Any, role: Role, *, archived: bool = False) -> None:
        """Raise `Forbidden` where the person's role does not cover `role`, and `Conflict` where it is archived: that is for readers
        only, but for what is done to archived projects too (`archived`).
        """
        own = self.role_of(user)
        if own is None or not own.covers(role):
            raise Forbidden(f"That takes the role “{role.value}” in {self.name}; yours is “{own or 'none'}”.")
        if self.archived_at and role != Role.VIEWER and not archived:
            raise self._archived()

    def require_open(self) -> None:
        """Raise `Conflict` where it is archived by now; for a transaction that begins something."""
        if not Project.objects.open().filter(pk=self.pk).exists():
            raise self._archived()

    def _archived(self) -> Conflict:
        if self.deleting_at:
            return Conflict(f"{self.name} is being deleted.", code="deleting")
        return Conflict(f"{self.name} is archived: restore it first.", code="archived")

    @property
    def at_work(self) -> "models.QuerySet[Any]":
        """Its tasks that something works on now."""
        found: models.QuerySet[Any] = self.tasks.filter(AT_WORK).order_by("pk").distinct()
        return found

    # --- verbs ----------------------------------------------------------------------------------------------------

    def archive(self, *, by: Any) -> None:
        """Keep it for reading only, out of the lists. Raises `Conflict` while something works on a task of it, naming those."""
        with transaction.atomic():
            self._refuse_while_at_work()
            self._put(archived_at=timezone.now())
            self.events.create(name="project.archived", by=by)

    def restore(self, *, by: Any) -> None:
        """Work on it again. Raises `Conflict` where it is not archived."""
        with transaction.atomic():
            self._put(archived_at=None)
            self.events.create(name="project.restored", by=by)

    def begin_delete(self, confirm: str, *, by: Any) -> None:
        """Have it deleted by a job, and archive it until then. Raises `Invalid` where `confirm` is not its key, and `Conflict` while
        something works on a task of it, or a job has it already. One that a job is stuck with is tried again.
        """
        if confirm != self.key:
            raise Invalid(f"Type {self.key} to confirm.", fields={"confirm": f"It has to be {self.key}."})
        with transaction.atomic():
            self._refuse_while_at_work()
            now = timezone.now()
            marked = Project.objects.filter(pk=self.pk).exclude(~Q(deleting_at=None), delete_trouble="")
            times = {"deleting_at": now, "archived_at": self.archived_at or now}
            if not marked.update(**times, delete_trouble=""):
                raise Conflict(f"{self.name} is being deleted.", code="deleting")
            self.deleting_at, self.archived_at, self.delete_trouble = now, times["archived_at"], ""
            self.events.create(name="project.deleting", by=by)
            queue.ring_delete()

    def stick(self, trouble: str) -> None:
        """The job cannot go on, for a reason that a person should read."""
        Project.objects.filter(pk=self.pk).update(delete_trouble=trouble)

    def _refuse_while_at_work(self) -> None:
        list(
            self.tasks.select_for_update(no_key=True).values_list("pk")
        )  # so that nobody starts one meanwhile
        if keys := [task.key for task in self.at_work.select_related("project")]:
            some = ", ".join(keys[:5]) + (" and others" if len(keys) > 5 else "")
            raise Conflict(f"{some} must end first: stop them, or let them end.", code="running", tasks=keys)

    def _put(self, archived_at: Any) -> None:
        if self.deleting_at:
            raise self._archived()
        changed = Project.objects.filter(
            pk=self.pk, deleting_at=None, archived_at__isnull=archived_at is not None
        )
        if not changed.update(archived_at=archived_at):
            state = "archived already" if archived_at else "not archived"
            raise Conflict(f"{self.name} is {state}.", code="archived" if archived_at else "not_archived")
        self.archived_at = archived_at

    def next_number(self) -> int:
        """The number of the next task; call it in the transaction that files the task. Raises `Conflict` where it is archived."""
        if not Project.objects.open().filter(pk=self.pk).update(last_number=F("last_number") + 1):
            raise self._archived()
        return Project.objects.values_list("last_number", flat=True).get(pk=self.pk)

    def model_for(self, phase: str) -> str:
        """The model that it wants for a phase, as provider/model; empty: the default of the OpenCode set-up."""
        return getattr(self, f"{phase}_model", "") or self.model

    @property
    def backend(self) -> str:
        """What keeps its repository: git or jj."""
        return repositories.backend(self.path)[0]

    @property
    def backend_trouble(self) -> str:
        """A sentence where that is not to be had on this machine; else empty."""
        return repositories.backend(self.path)[1]

    @property
    def policy(self) -> Policy:
        """The project's own policy."""
        own = Policy(*(getattr(self, part) for part in Policy._fields))
        return own.changed_by({})


class Membership(models.Model):
    """A person's role in a project."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.MEMBER)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "user"], name="one_role_per_project")
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.role} of {self.project}"
