"""Pause: nothing is started in a project, or in none, until a person resumes it. What is drained is not kept: it is seen."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce

from studio import queue
from studio.errors import Conflict, Forbidden
from studio.roles import Role
from tasks.models import Event, Project
from tasks.redaction import redact


class Running(models.TextChoices):
    """What becomes of a session that runs when the pause begins."""

    FINISH = "finish", "It finishes its session, and what follows waits"
    INTERRUPT = "interrupt", "It is interrupted at once, and goes on from there afterwards"


class PauseQuerySet(models.QuerySet["Pause"]):
    def visible_to(self, user: Any) -> "PauseQuerySet":
        """That of everything, and those of the projects that the person may see."""
        return self.filter(Q(project=None) | Q(project__in=Project.objects.visible_to(user)))

    def over(self, project: int) -> "PauseQuerySet":
        """Those that hold a project: its own, and that of everything."""
        return self.filter(Q(project=None) | Q(project=project))


class Pause(models.Model):
    """A row is there as long as the pause. `project` is None where it is of all projects, `by` where an operator's command made it."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, null=True, related_name="pauses")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    since = models.DateTimeField(auto_now_add=True)
    reason = models.CharField(max_length=200, blank=True)
    running = models.CharField(max_length=10, choices=Running.choices, default=Running.FINISH)

    objects = PauseQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = [F("project").asc(nulls_first=True)]
        constraints: ClassVar = [
            models.UniqueConstraint(
                Coalesce(F("project"), Value(0), output_field=models.BigIntegerField()),
                name="one_pause_each",
            )
        ]

    def __str__(self) -> str:
        return f"{self.project or 'everything'} is paused"

    @property
    def title(self) -> str:
        """What is paused, by whom: a sentence without its full stop."""
        what = f"{self.project.name} is paused" if self.project else "All projects are paused"
        return f"{what} by {self.by or 'an operator'}"

    @property
    def says(self) -> str:
        """By whom and why, for who sees what it holds."""
        scope = "" if self.project_id else "all projects, "
        return f"{scope}by {self.by or 'an operator'}" + (f": {self.reason}" if self.reason else "")

    @staticmethod
    def require(user: Any, project: Project | None) -> None:
        """Raise `Forbidden` where the person may not pause and resume it: a project is its maintainers', everything an admin's."""
        if project is not None:
            project.require(user, Role.MAINTAINER)
        elif not user.is_superuser:
            raise Forbidden("Only an admin of this Studio pauses and resumes all projects.")

    # --- verbs ----------------------------------------------------------------------------------------------------

    @classmethod
    def begin(
        cls, project: Project | None, *, by: Any = None, reason: str = "", running: str = Running.FINISH
    ) -> "Pause":
        """Pause the project, or with None all of them. Raises `Conflict` where it is paused already, but for one that now interrupts."""
        reason = redact(project, reason)[:200] if project else reason
        with transaction.atomic():
            mine = cls.objects.filter(project=project)
            stricter = mine.filter(running=Running.FINISH) if running == Running.INTERRUPT else mine.none()
            if not stricter.update(running=running):
                cls._insert(project, by, reason, running)
            pause = mine.get()
            pause._note("project.paused", by, reason=reason, running=str(running))
        return pause

    @classmethod
    def _insert(cls, project: Project | None, by: Any, reason: str, running: str) -> None:
        try:
            with transaction.atomic():
                cls.objects.create(project=project, by=by, reason=reason, running=running)
        except IntegrityError as error:
            known = cls.objects.select_related("project", "by").filter(project=project).first()
            raise Conflict(f"{known.title if known else 'It is paused'} already.", code="paused") from error

    @classmethod
    def resume(cls, project: Project | None, *, by: Any = None) -> None:
        """Go on. Raises `Conflict` where it is not paused. What waits is claimed at once, unless another pause holds it."""
        with transaction.atomic():
            pause = cls.objects.filter(project=project).first()
            if pause is None or not cls.objects.filter(pk=pause.pk).delete()[0]:
                what = project.name if project else "Studio"
                raise Conflict(f"{what} is not paused.", code="not_paused")
            pause._note("project.resumed", by)
            queue.ring_for_all()

    def _note(self, name: str, by: Any, **data: Any) -> None:
        """One event for each project that it concerns."""
        concerned = [self.project] if self.project else list(Project.objects.all())
        data["all"] = self.project is None
        Event.objects.bulk_create(Event(name=name, project=each, by=by, data=data) for each in concerned)
