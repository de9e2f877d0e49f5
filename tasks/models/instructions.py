"""Instructions: what a project's maintainers tell its agents, in versions of which the newest is in force."""

from typing import Any, ClassVar, Optional

from django.conf import settings
from django.db import models, transaction

from studio.errors import Conflict, Invalid
from tasks.models.project import Project

LONGEST = 20_000  # characters: each prompt carries all of them


class Instructions(models.Model):
    """Versions count from 1 in each project, and stay as they were written; an empty text tells agents nothing more."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="instructions")
    version = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-version"]
        verbose_name_plural = "instructions"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "version"], name="one_text_per_version")
        ]

    def __str__(self) -> str:
        return f"instructions v{self.version} of {self.project}"

    @classmethod
    def write(cls, project: Project, text: str, *, base: int, by: Any) -> Optional["Instructions"]:
        """A new version, made of the version `base` (0: there was none); the newest, where that says the same already.

        Raises Conflict (`old_instructions`) where `base` is not the newest any more, and Invalid.
        """
        text = text.replace("\r\n", "\n").strip()
        if "\0" in text or len(text) > LONGEST:
            said = f"At most {LONGEST:,} characters, and no NUL among them; these are {len(text):,}."
            raise Invalid(said, fields={"text": said})
        with transaction.atomic():
            Project.objects.select_for_update(no_key=True).get(pk=project.pk)
            project.require_open()
            newest = project.instructions.first()
            version = newest.version if newest else 0
            if text == (newest.text if newest else ""):
                return newest
            if base != version:
                raise Conflict(
                    f"The instructions were changed meanwhile: version {version} is the newest.",
                    code="old_instructions",
                    newest=version,
                )
            made = cls.objects.create(project=project, version=version + 1, text=text, by=by)
            data = {"version": made.version, "characters": len(text)}
            project.events.create(name="project.instructed", by=by, data=data)
        return made
