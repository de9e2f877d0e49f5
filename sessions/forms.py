"""What people answer to an agent, validated."""

from typing import Any

from django import forms
from django.http import QueryDict

from sessions.landing import MESSAGE_LIMIT
from sessions.models import Request
from sessions.models.pause import Running
from studio.errors import Invalid
from tasks.models.project import MergeStrategy

REPLIES = {"once", "always", "reject"}
OWN_WORDS = "own"
LONGEST = 4000


class MergeForm(forms.Form):
    """How a change lands; what is left empty is as the project has it."""

    strategy = forms.ChoiceField(label="How", choices=MergeStrategy.choices, required=False)
    target = forms.CharField(
        label="Into", max_length=200, required=False, help_text="The branch, which has to exist."
    )
    message = forms.CharField(
        max_length=MESSAGE_LIMIT,
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "class": "mono"}),
        help_text="A rebase keeps the messages of its commits.",
    )


class PauseForm(forms.Form):
    """Why work is paused, and what becomes of what runs."""

    reason = forms.CharField(
        label="Why", max_length=200, required=False, help_text="Everybody who can see it reads this."
    )
    running = forms.ChoiceField(
        label="What runs now", choices=Running.choices, initial=Running.FINISH, widget=forms.RadioSelect
    )


class AnswerForm(forms.Form):
    """The answer to a permission (`reply`, `message`) or to questions (`question-0`, `own-0`, …; `reply=reject` for none)."""

    reply = forms.ChoiceField(choices=[(reply, reply) for reply in sorted(REPLIES)], required=False)
    message = forms.CharField(max_length=LONGEST, required=False)

    def __init__(self, data: QueryDict, *, asked: Request) -> None:
        super().__init__(data)
        self.asked = asked
        self.given = data
        self.answer: dict[str, Any] = {}

    def clean(self) -> dict[str, Any]:
        """Put the answer together as `Request.give_answer` takes it."""
        data = super().clean() or {}
        if not self.errors:
            self.answer = (
                self._permission(data) if self.asked.kind == Request.Kind.PERMISSION else self._question(data)
            )
        return data

    def _permission(self, data: dict[str, Any]) -> dict[str, Any]:
        if not data["reply"]:
            raise forms.ValidationError("Choose whether to allow or to refuse it.")
        return {"reply": data["reply"], "message": data["message"]}

    def _question(self, data: dict[str, Any]) -> dict[str, Any]:
        if data["reply"] == "reject":
            return {"reject": True}
        questions = self.asked.body.get("questions") or []
        answers = [self._labels(number, question) for number, question in enumerate(questions)]
        if not all(answers):
            raise forms.ValidationError("Answer every question, or refuse to answer.")
        return {"answers": answers}

    def _labels(self, number: int, question: dict[str, Any]) -> list[str]:
        """The chosen labels, and what the person wrote in their own words."""
        offered = {str(option.get("label")) for option in question.get("options") or []}
        chosen = [label for label in self.given.getlist(f"question-{number}") if label in offered]
        own = self.given.get(f"{OWN_WORDS}-{number}", "").strip()[:LONGEST]
        return [*chosen, own] if own else chosen


class LineCommentForm(forms.Form):
    """A comment on lines of a file of the change."""

    body = forms.CharField(label="Comment", max_length=100_000, widget=forms.Textarea(attrs={"rows": 3}))
    path = forms.CharField(max_length=1000, widget=forms.HiddenInput, required=False)
    line = forms.IntegerField(label="From line", min_value=1, max_value=2**31 - 1, required=False)
    end_line = forms.IntegerField(label="to line", min_value=1, max_value=2**31 - 1, required=False)

    def refuse(self, wrong: Invalid) -> None:
        """Say at its fields what is wrong."""
        for name, sentence in (wrong.fields or {"body": wrong.message}).items():
            self.add_error(name if name in self.fields else "body", sentence)


class ViewedForm(forms.Form):
    """A file of the diff with git's id of its content, none to take the mark away, and its place on the page."""

    path = forms.CharField(max_length=1000, strip=False)
    content = forms.CharField(max_length=64, required=False)
    number = forms.IntegerField(min_value=1, required=False)
