"""ModelList: the models that an OpenCode server said it has, as a runner read them last."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

MOST_MODELS = 5000
LONGEST_NAME = 200  # as in a project's settings


class ModelList(models.Model):
    """Ids alone, as provider/model: what else OpenCode says of a provider holds keys. `setup` is a hash of the set-up that it was of."""

    runner = models.CharField(max_length=100, unique=True)
    setup = models.CharField(max_length=64)
    names = models.JSONField(default=list)
    read_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-read_at"]

    def __str__(self) -> str:
        return f"{len(self.names)} models of {self.runner}"

    @classmethod
    def note(cls, setup: str, known: Mapping[str, list[str]]) -> None:
        """Keep what a server has said just now, by provider. Nothing is written where nothing has changed."""
        named = sorted(f"{provider}/{model}" for provider, ids in known.items() for model in ids)
        names = [name for name in named if len(name) <= LONGEST_NAME][:MOST_MODELS]
        fields: dict[str, Any] = {"setup": setup, "names": names}
        mine = cls.objects.filter(runner=settings.STUDIO_RUNNER)
        if not mine.filter(**fields).exists():
            cls.objects.update_or_create(
                runner=settings.STUDIO_RUNNER, defaults={**fields, "read_at": timezone.now()}
            )
