"""The field in which people give files."""

from typing import Any

from django import forms

from studio.errors import Invalid
from tasks.models.attachment import LIMITS, check


class FilesInput(forms.ClearableFileInput):
    """A plain file input for several files; static/js/attach.js adds pasting and dropping."""

    allow_multiple_selected = True


class FilesField(forms.FileField):
    """Files that are within the limits, none too."""

    def __init__(self) -> None:
        super().__init__(
            label="Attach", required=False, help_text=LIMITS, widget=FilesInput(attrs={"data-attach": True})
        )

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        """The uploads, as a list."""
        files = data if isinstance(data, list | tuple) else [data] if data else []
        try:
            check(files)
        except Invalid as wrong:
            raise forms.ValidationError(wrong.message) from wrong
        return list(files)
