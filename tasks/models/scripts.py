"""What a project has done in each workspace besides its checks, and which of its checkout's files a workspace gets."""

import re
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

MOST_COPIED = 50
# Names that need no quoting in git's exclude file, and lead to no other folder.
COPIED = re.compile(r"\A(?!\.{1,2}(/|\Z)|\.git(/|\Z))[\w.@+-]+(/(?!\.{1,2}(/|\Z)|\.git(/|\Z))[\w.@+-]+)*\Z")
LONGEST_COMMAND = 10_000


def validate_copied(paths: Any) -> None:
    """Raise `ValidationError` for what is no list of paths below the checkout."""
    if not isinstance(paths, list) or len(paths) > MOST_COPIED:
        raise ValidationError(f"A list of {MOST_COPIED} paths at most.")
    for path in paths:
        if not isinstance(path, str) or len(path) > 500 or not COPIED.match(path):
            raise ValidationError(
                f"“{str(path)[:100]}” is no path of a file below the checkout: names of letters, digits and . _ @ + -, no “..”."
            )
    if len(set(paths)) < len(paths):
        raise ValidationError("Each file once.")


class Scripts(models.Model):
    """Run in the sandbox with the project's variables. A setup may come again in the same workspace, after a crash."""

    setup_command = models.TextField(blank=True, max_length=LONGEST_COMMAND)
    setup_seconds = models.PositiveIntegerField(
        default=600, validators=[MinValueValidator(1), MaxValueValidator(7200)]
    )
    cleanup_command = models.TextField(blank=True, max_length=LONGEST_COMMAND)
    copied_files = models.JSONField(default=list, blank=True, validators=[validate_copied])

    class Meta:
        abstract = True
