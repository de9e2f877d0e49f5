"""What a person says of a project that is cloned, validated."""

import re
from typing import Any

from django import forms

from sessions.workspaces import cloning
from studio.errors import Invalid
from tasks.forms import ChecksField, free_key
from tasks.models import Project

KEY = Project._meta.get_field("key")


class CloneForm(forms.Form):
    """Name and key are proposed from the address where they are left empty."""

    url = forms.CharField(
        label="Address",
        max_length=cloning.LONGEST_URL,
        help_text="https://…, ssh://… or git@host:owner/name.git, without a login in it.",
    )
    name = forms.CharField(max_length=100, required=False)
    key = forms.CharField(
        max_length=10,
        required=False,
        help_text="Two to ten capital letters and digits: tasks are called KEY-1, KEY-2, …",
    )
    target_branch = forms.CharField(
        max_length=200,
        required=False,
        help_text="Where finished work is merged. Left empty: the branch that the repository names.",
    )
    checks = ChecksField(
        required=False,
        help_text="One a line, as name: command. Studio runs them after the agent, in its workspace.",
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono", "placeholder": "tests: pytest -q"}),
    )

    def clean_url(self) -> str:
        """An address that Studio clones from."""
        try:
            return cloning.checked(self.cleaned_data["url"])
        except Invalid as wrong:
            raise forms.ValidationError(wrong.message) from wrong

    def clean_key(self) -> str:
        """One that nobody has, where one is given."""
        key: str = self.cleaned_data["key"].upper()
        if key:
            KEY.run_validators(key)
            if Project.objects.filter(key=key).exists():
                raise forms.ValidationError("Another project has this key.")
        return key

    def clean(self) -> dict[str, Any]:
        """Fill in what the address says."""
        data = super().clean() or {}
        named = name_of(data.get("url", ""))
        data["name"] = data.get("name") or named
        if not self.errors:
            data["key"] = data.get("key") or free_key(named)
        return data


def name_of(url: str) -> str:
    """What the repository at that address is called."""
    last = re.split(r"[/:]", url.rstrip("/"))[-1]
    return last.removesuffix(".git")[:100] or "Project"
