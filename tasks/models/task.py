"""Task: a unit of work that a person files, and the verbs that move it through its lifecycle."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.core.validators import MaxLengthValidator
from django.db import models, transaction
from django.urls import reverse
from django.utils import timezone

from studio import crash, disk
from studio.errors import Conflict, Invalid
from tasks import lifecycle
from tasks.lifecycle import Status
from tasks.models import attachment
from tasks.models.event import Event
from tasks.models.order import Blocker, Priority
from tasks.models.plan import Plan
from tasks.models.project import Policy, Project
from tasks.redaction import Redacted, redact

if TYPE_CHECKING:
    from sessions.models import Attempt, Session

DESCRIPTION_LIMIT = 100_000  # characters


class TaskQuerySet(models.QuerySet["Task"]):
    def visible_to(self, user: Any) -> "TaskQuerySet":
        """The tasks of the projects that the person may see."""
        if user.is_superuser:
            return self
        return self.filter(project__memberships__user_id=user.pk) if user.is_authenticated else self.none()


class Task(Redacted):
    """`status` follows the current attempt; only the verbs below change it."""

    TEXTS = ("title", "description")
    PROJECT = "project"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="tasks")
    number = models.PositiveIntegerField(editable=False)
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True, validators=[MaxLengthValidator(DESCRIPTION_LIMIT)])
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.TODO, editable=False)
    status_changed_at = models.DateTimeField(default=timezone.now, editable=False)
    policies = models.JSONField(
        default=dict, blank=True, help_text="Parts of the project's policy that differ here."
    )
    priority = models.PositiveSmallIntegerField(choices=Priority.choices, default=Priority.NORMAL)
    labels = models.JSONField(default=list, blank=True)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    start_when_unblocked = models.BooleanField(
        default=False, help_text="Start by itself once all that it waits for has landed."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    target_branch = models.CharField(
        max_length=200, blank=True, help_text="Where it is merged; left empty: as the project says."
    )
    merged_oid = models.CharField(max_length=64, blank=True, editable=False)

    objects = TaskQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "number"], name="one_task_per_number"),
            models.CheckConstraint(condition=models.Q(status__in=Status.values), name="task_status_is_known"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["project", "status", "-status_changed_at"], name="task_by_column")
        ]

    def __str__(self) -> str:
        return self.key

    def get_absolute_url(self) -> str:
        return reverse("tasks:detail", args=[self.pk])

    @property
    def key(self) -> str:
        """What people call it: `DEMO-12`."""
        return f"{self.project.key}-{self.number}"

    @property
    def target(self) -> str:
        """The branch that it lands on: its own, else the project's."""
        return self.target_branch or self.project.target_branch

    @property
    def policy(self) -> Policy:
        """The project's policy with this task's own parts."""
        return self.project.policy.changed_by(self.policies)

    @property
    def current_attempt(self) -> "Attempt | None":
        """The attempt that the task follows."""
        attempt: Attempt | None = self.attempts.filter(is_current=True).first()
        return attempt

    @property
    def plan(self) -> Plan | None:
        """The newest version of the plan."""
        return self.plans.order_by("-version").first()

    @property
    def waits_for(self) -> "list[Task]":
        """The tasks that have to land before this one may start."""
        return Blocker.open_of(self)

    # --- filing -----------------------------------------------------------------------------------------------

    @classmethod
    def file(
        cls, project: Project, *, title: str, description: str = "", by: Any = None, **fields: Any
    ) -> "Task":
        """File a task; its fields have been validated by a form. `blocked_by` are the tasks that it waits for, `attached` what people upload."""
        blockers, drafts = fields.pop("blocked_by", []), attachment.stage(fields.pop("attached", []))
        with transaction.atomic():
            number = project.next_number()
            task = cls.objects.create(
                project=project, number=number, title=title, description=description, created_by=by, **fields
            )
            if blockers:
                Blocker.objects.replace(task, blockers)
            task.note("task.created", by=by, title=task.title)
            task.attachments.keep(task, drafts, by=by)
        return task

    def edit(self, *, by: Any, **fields: Any) -> None:
        """Change title, description, policies, target branch, or its place in the order: priority, labels, assignee, `blocked_by`; add what is `attached`."""
        drafts = attachment.stage(fields.pop("attached", []))
        stored = {name: value for name, value in fields.items() if name != "blocked_by"}
        with transaction.atomic():
            for name, value in stored.items():
                setattr(self, name, value)
            self.save(update_fields=[*stored, "updated_at"])
            if "blocked_by" in fields:
                Blocker.objects.replace(self, fields["blocked_by"])
            self.note("task.updated", by=by, fields=sorted(fields))
            self.attachments.keep(self, drafts, by=by)

    def note(self, name: str, /, *, by: Any = None, session_id: int | None = None, **data: Any) -> Event:
        """Append an event about this task."""
        return Event.objects.create(
            name=name, project_id=self.project_id, task=self, session_id=session_id, by=by, data=data
        )

    # --- starting ---------------------------------------------------------------------------------------------

    def execute(self, *, by: Any = None) -> "Session":
        """Start what the state calls for: the first phase of a task to do, or the phase again that ended without result.

        Never skips a human gate. Raises `Conflict` (with `session_id` where one is running, as `blocked` where it waits for
        other tasks), or `NoSpace`.
        """
        self._refuse_while_running()  # without the lock: most repeats need no more
        disk.require(self.project.path)
        with transaction.atomic():
            self.lock()
            self._refuse_while_running()
            attempt = self.current_attempt
            if self.status != Status.TODO:
                return self._again(attempt, by)
            Blocker.refuse_start(self)
            planned = self.policy.planning
            self.move("execute", Status.PLANNING if planned else Status.IN_PROGRESS, by=by)
            phase = "planning" if planned else "implementation"
            if attempt is not None and attempt.ended_at is None:  # it was put back to do
                return attempt.begin(phase, by=by)
            return self._start_attempt(attempt, phase, by)

    def retry(self, *, by: Any = None) -> "Session":
        """Run the phase again whose last session failed or was interrupted, in the same workspace and conversation."""
        self._refuse_while_running()
        disk.require(self.project.path)
        with transaction.atomic():
            self.lock()
            self._refuse_while_running()
            attempt = self.current_attempt
            return self._again(attempt, by)

    def _again(self, attempt: "Attempt | None", by: Any) -> "Session":
        waits = {
            Status.TODO: "It has not been started yet.",
            Status.PLANNING_REVIEW: "Its plan waits for a person: approve it, or request changes.",
            Status.REVIEW: "It waits for review: merge it, or request changes.",
            Status.DONE: "It is done; reopen it first.",
            Status.CANCELLED: "It is cancelled; reopen it first.",
        }
        if self.status in waits:
            raise Conflict(
                f"{self.key} cannot be run now. {waits[Status(self.status)]}", status_now=self.status
            )
        assert attempt is not None  # every started task has one
        return attempt.begin(attempt.phase, by=by, again=True)

    def _start_attempt(self, last: "Attempt | None", phase: str, by: Any) -> "Session":
        """The first session of a new attempt, in the state that the task has moved to."""
        if last is not None:
            self.attempts.filter(is_current=True).update(is_current=False)
        number = self.attempts.count() + 1 if last else 1
        session: Session = self.attempts.start(self, number, phase, by=by)
        return session

    def _refuse_while_running(self) -> None:
        for session_id, phase in self.attempts.running():
            raise Conflict(
                f"{self.key} is running already: session {session_id}, {phase.lower()}.",
                code="already_running",
                session_id=session_id,
            )

    # --- gates ------------------------------------------------------------------------------------------------

    def approve_plan(self, *, by: Any) -> "Session":
        """Accept the newest plan and let the implementation begin."""
        with transaction.atomic():
            self.lock()
            self.move("approve-plan", Status.IN_PROGRESS, by=by)
            plan = self.plan
            assert plan is not None  # plan review is reached with a plan only
            plan.approve(by=by)
            return self._begin("implementation", by=by)

    def request_plan_changes(self, comment: str, *, by: Any) -> "Session":
        """Send the plan back with what should change: the comment, and what the person wrote on its lines. Raises Invalid where that is nothing."""
        comment = redact(self.project, comment)
        with transaction.atomic():
            self.lock()
            self.move("request-plan-changes", Status.PLANNING, by=by)
            plan = self.plan
            assert plan is not None
            remarks = plan.send_back(comment, by=by)
            return self._begin("planning", by=by, comment=comment, plan_comments=remarks)

    def request_changes(self, comment: str, *, by: Any) -> "Session":
        """Send the change back to the agent, in the same conversation, with the comment and every comment that it has not answered.

        The person's drafts are sent with it. Raises Invalid where there is nothing to say.
        """
        comment = redact(self.project, comment)
        with transaction.atomic():
            self.lock()
            self.move("request-changes", Status.FIX, by=by)
            attempt = self.current_attempt
            assert attempt is not None
            if comment:
                self.comments.create(body=comment, by=by, attempt_number=attempt.number)
            for draft in self.comments.drafts_of(by):
                draft.send(by=by)
            asked = self.comments.filter(state="open", answered_at=None, attempt_number=attempt.number)
            comments = [each.pk for each in asked]
            if not comments:
                raise Invalid("Say what should change.", fields={"comment": "Write it, or comment on lines."})
            self.approvals.all().delete()
            attempt.reset_rounds()
            return self._begin("fix", by=by, comment=comment, comments=comments)

    def fix_findings(self, chosen: "list[int] | None" = None, *, by: Any) -> "Session":
        """Send these open findings to the agent, and none else; by None all that are open. Raises Invalid where one is not open."""
        with transaction.atomic():
            self.lock()
            self.move("fix-findings", Status.FIX, by=by)
            attempt = self.current_attempt
            assert attempt is not None
            known = self.findings.filter(state="open", attempt_number=attempt.number)
            findings = [each.pk for each in known if chosen is None or each.pk in chosen]
            if not findings or set(findings) < set(chosen or []):
                raise Invalid(
                    "Choose open findings.", fields={"findings": "Not open, or not of this attempt."}
                )
            attempt.reset_rounds()
            return self._begin("fix", by=by, findings=findings)

    def resolve_conflicts(self, files: list[str], target_oid: str, *, by: Any) -> "Session":
        """Let the agent bring its change onto `target_oid`, with which these files are in conflict."""
        with transaction.atomic():
            self.lock()
            self.move("resolve-conflicts", Status.FIX, by=by)
            attempt = self.current_attempt
            assert attempt is not None
            self.note("conflicts.sent", by=by, files=files, target_oid=target_oid)
            attempt.reset_rounds()
            return self._begin("fix", by=by, conflicts=files, target_oid=target_oid, target=self.target)

    def merged(self, oid: str, *, by: Any = None, **how: str) -> None:
        """The change has landed as commit `oid` on the target branch; `how` is its strategy and branch."""
        with transaction.atomic():
            self.lock()
            self.move("merge", Status.DONE, by=by, oid=oid, **how)
            Task.objects.filter(pk=self.pk).update(merged_oid=oid)
            self._end_attempt()
            Blocker.objects.landed(self)

    def merge_undone(self, oid: str, *, by: Any) -> None:
        """The target branch stands on `oid` again, without the change."""
        with transaction.atomic():
            self.lock()
            self.attempts.filter(is_current=True).update(ended_at=None)
            self.move("undo-merge", Status.REVIEW, by=by, oid=oid)
            Task.objects.filter(pk=self.pk).update(merged_oid="")
            self.merged_oid = ""

    def mark_done(self, *, by: Any) -> None:
        """Finish without a merge; the branch stays."""
        with transaction.atomic():
            self.lock()
            self._refuse_while_running()
            self.move("mark-done", Status.DONE, by=by)
            self._end_attempt()
            Blocker.objects.landed(self)

    # --- stopping ---------------------------------------------------------------------------------------------

    def cancel(self, *, by: Any) -> bool:
        """Give the task up. True when it is cancelled now, False while a running agent is being stopped."""
        cancelled = self._stop("cancel", Status.CANCELLED, by)
        crash.point("cancel-committed")
        return cancelled

    def back_to_todo(self, *, by: Any) -> bool:
        """Put it back to do, keeping the attempt. True when it is there now, False while an agent is being stopped."""
        return self._stop("back-to-todo", Status.TODO, by)

    def _stop(self, verb: str, target: Status, by: Any) -> bool:
        with transaction.atomic():
            self.lock()
            if self.status not in lifecycle.sources(verb, target):
                raise Conflict(
                    f"{self.key} is {self.get_status_display().lower()} already.", status_now=self.status
                )
            attempt = self.current_attempt
            if attempt is not None and attempt.request_stop(verb, by=by):
                return False
            self.stopped(verb, by=by)
            return True

    def stopped(self, verb: str, *, by: Any = None) -> None:
        """Nothing runs any more: make the move that `cancel` or `back-to-todo` asked for, unless the change has landed before."""
        if self.status == Status.DONE:
            return
        with transaction.atomic():
            self.move(verb, Status.CANCELLED if verb == "cancel" else Status.TODO, by=by)
            if verb == "cancel":
                self._end_attempt()

    def reopen(self, *, by: Any) -> None:
        """Put a finished task back to do; the next execute makes a new attempt."""
        with transaction.atomic():
            self.lock()
            self.move("reopen", Status.TODO, by=by)

    # --- the primitive ----------------------------------------------------------------------------------------

    def lock(self) -> None:
        """Hold the row until the transaction ends, and read it afresh: the verbs of one task run one after another."""
        row = Task.objects.select_for_update(no_key=True).values_list("status", "status_changed_at")
        self.status, self.status_changed_at = row.get(pk=self.pk)

    def move(self, by_verb: str, target: Status, *, by: Any = None, **data: Any) -> None:
        """Compare-and-swap the status, here and on the current attempt, with its event. Raises `Conflict`.

        What is compared is the status that `lock` has read.
        """
        allowed = lifecycle.sources(by_verb, target)
        before = self.status
        now = timezone.now()
        swapped = before in allowed and Task.objects.filter(pk=self.pk, status=before).update(
            status=target, status_changed_at=now, updated_at=now
        )
        if not swapped:
            before = Task.objects.values_list("status", flat=True).get(pk=self.pk)
            label = Status(before).label.lower()
            raise Conflict(
                f"{self.key} is in “{label}”, which does not allow “{by_verb}”.", status_now=before
            )
        self.attempts.filter(is_current=True, ended_at=None).update(status=target)
        self.status, self.status_changed_at = target, now
        self.note("task.status_changed", by=by, **{"from": before, "to": target, "verb": by_verb, **data})

    def _begin(self, phase: str, *, by: Any, **inputs: Any) -> "Session":
        disk.require(self.project.path)
        attempt = self.current_attempt
        assert attempt is not None  # the states that lead here have one
        return attempt.begin(phase, by=by, **inputs)

    def _end_attempt(self) -> None:
        ending = self.attempts.filter(is_current=True, ended_at=None)
        for attempt in ending:
            # One that was being sent when its worker was lost, too: nobody will find out any more whether OpenCode had it.
            attempt.follow_ups.filter(state__in=["queued", "sending"]).update(state="withdrawn")
        ending.update(ended_at=timezone.now())
