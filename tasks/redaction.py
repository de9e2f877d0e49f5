"""Takes a project's secrets out of what people write, before it is stored: the app of the sessions, which knows them all, hands its way in."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, ClassVar

from django.db import models

SHORTEST = 8  # characters: what is shorter holds no secret


def _as_it_is(project: Any, value: Any) -> Any:
    """Until the hand-over nothing is known to be a secret."""
    return value


hand: dict[str, Callable[[Any, Any], Any]] = {"redact": _as_it_is}


def redact(project: Any, value: Any) -> Any:
    """The text, or the texts in a dict or list, with `[redacted: NAME]` for each secret of the project."""
    return hand["redact"](project, value) if _may_hold_one(value) else value


def _may_hold_one(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_may_hold_one(each) for each in value.values())
    if isinstance(value, (list, tuple)):
        return any(_may_hold_one(each) for each in value)
    return isinstance(value, str) and len(value) >= SHORTEST


class Redacted(models.Model):
    """Its `TEXTS` are saved without the secrets of its `PROJECT`, which is where an attribute says. What is written by `update` is not seen here."""

    TEXTS: ClassVar[tuple[str, ...]] = ()
    PROJECT: ClassVar[str] = "task.project"

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save it, and have in its texts what was saved."""
        stored = kwargs.get("update_fields")
        names = [name for name in self.TEXTS if stored is None or name in stored]
        texts = {name: text for name in names if _may_hold_one(text := getattr(self, name))}
        if texts:
            for name, text in redact(attrgetter(self.PROJECT)(self), texts).items():
                longest = getattr(self._meta.get_field(name), "max_length", None)
                setattr(self, name, text[:longest] if longest else text)
        super().save(*args, **kwargs)
