"""Variable: one name in the environment of what Studio runs for a project, its value kept sealed where it is a secret."""

import re
from typing import Any, ClassVar

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models, transaction

from studio import vault
from studio.errors import Invalid
from tasks.models.event import Event
from tasks.models.project import Project

NAME = re.compile(r"\A[A-Z_][A-Z0-9_]{0,99}\Z")
# Studio's own, and what would act on the programs that isolate and drive the agent rather than on the project's.
RESERVED = re.compile(
    r"(PATH|HOME|LANG|TMPDIR|SHELL|USER|PWD|IFS|ENV|BASH_ENV|(LD|GLIBC|GIT|OPENCODE|STUDIO|XDG|BUN)_.*)"
)
SHORTEST_SECRET = 8  # characters: a shorter one would be redacted out of everything else
LONGEST_VALUE = 32_768
MOST_VARIABLES = 100


class Audience(models.TextChoices):
    """Whose environment has it."""

    CHECKS = "checks", "Checks and setup only"
    AGENTS = "agents", "Agents too"


class Variable(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="variables")
    name = models.CharField(max_length=100, validators=[RegexValidator(NAME)])
    is_secret = models.BooleanField(default=True)
    stored = models.TextField(help_text="The value; that of a secret as studio/vault.py seals it.")
    audience = models.CharField(max_length=10, choices=Audience.choices, default=Audience.CHECKS)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "name"], name="one_value_per_variable")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def value(self) -> str:
        """Of a secret: for processes and for redaction, never for a page. Raises `Conflict` where it cannot be unsealed."""
        return vault.unseal(self.stored) if self.is_secret else self.stored

    @property
    def shown(self) -> str | None:
        """What people may see of the value: None of a secret."""
        return None if self.is_secret else self.stored

    # --- verbs ----------------------------------------------------------------------------------------------------

    @classmethod
    def put(
        cls, project: Project, name: str, value: str | None, *, is_secret: bool, audience: str, by: Any
    ) -> "Variable":
        """Set it; None leaves the value that it has. What runs goes on with the old one. Raises `Invalid`."""
        with transaction.atomic():
            Project.objects.select_for_update(no_key=True).get(pk=project.pk)
            known = project.variables.filter(name=name).first()
            _refuse_name(name)
            if value is None:
                value = _kept(known, is_secret)
            _refuse_value(value, is_secret)
            if known is None and project.variables.count() >= MOST_VARIABLES:
                raise _wrong("name", f"A project has {MOST_VARIABLES} variables at most.")
            stored = vault.seal(value) if is_secret else value
            fields = {"is_secret": is_secret, "stored": stored, "audience": audience, "changed_by": by}
            made, _ = cls.objects.update_or_create(project=project, name=name, defaults=fields)
            made._note("project.variable_set", by)
        return made

    def remove(self, *, by: Any) -> None:
        """Forget it."""
        with transaction.atomic():
            if Variable.objects.filter(pk=self.pk).delete()[0]:
                self._note("project.variable_removed", by)

    def _note(self, name: str, by: Any) -> None:
        data = {"name": self.name, "is_secret": self.is_secret, "audience": str(self.audience)}
        Event.objects.create(name=name, project=self.project, by=by, data=data)


def _kept(known: Variable | None, is_secret: bool) -> str:
    if known is None:
        raise _wrong("value", "Give it a value.")
    if known.is_secret and not is_secret:
        raise _wrong("value", "Give the value once more: what was a secret is not shown.")
    return known.value


def _refuse_name(name: str) -> None:
    if not NAME.match(name):
        raise _wrong("name", "Capital letters, digits and underscores, no digit first.")
    if RESERVED.fullmatch(name):
        raise _wrong("name", f"{name} is set by Studio, or would act on Studio's own programs.")


def _refuse_value(value: str, is_secret: bool) -> None:
    if "\0" in value or len(value) > LONGEST_VALUE:
        raise _wrong("value", f"At most {LONGEST_VALUE} characters, and no NUL among them.")
    if is_secret and len(value.strip()) < SHORTEST_SECRET:
        raise _wrong(
            "value",
            f"A secret has {SHORTEST_SECRET} characters at least: a shorter one could not be taken out of texts.",
        )


def _wrong(field: str, sentence: str) -> Invalid:
    return Invalid(sentence, fields={field: sentence})
