"""Takes secrets out of what agents, checks and providers say, before it is stored: `[redacted: NAME]` stands in their place.

What is not known to be a secret stays: a secret that a command takes apart, enciphers or spells otherwise is not found.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast
from urllib.parse import quote

from django.conf import settings

from sessions.opencode import provider
from sessions.opencode.provider import Provider
from studio.errors import Conflict
from studio.models import TOKEN_PREFIX
from tasks.models import Project, Remote

T = TypeVar("T")

SHORTEST = 8  # characters of a form that is looked for
SHORTEST_LINE = 12  # of one line of a secret with several
SHORTEST_BEGINNING = 4  # of a secret that may be going on in what comes next
UNFINISHED = {"pending", "running", "interrupted"}
TOKEN = re.compile(rf"(?<![\w-]){TOKEN_PREFIX}[\w-]{{43}}(?![\w-])", re.ASCII)
LEFT_OUT = re.compile(r"(\n\[… \d+ bytes left out …\]\n)")


class Redactor:
    """Knows secrets by their values, and finds them as they are, by line, quoted for JSON or an address, and within base64."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        known = {form: name for value, name in secrets.items() for form in _forms(value)}
        self._forms = sorted(known.items(), key=lambda pair: -len(pair[0]))

    def text(self, text: str, *, goes_on: bool = False, began: bool = True) -> str:
        """The text without secrets. Where it `goes_on`, or its beginning was cut off, what may be a part of a secret there is held back."""
        for form, name in self._forms:
            if form in text:
                text = text.replace(form, f"[redacted: {name}]")
        if TOKEN_PREFIX in text:
            text = TOKEN.sub("[redacted: API token]", text)
        if goes_on:
            text = text[: len(text) - max((_ending(text, form) for form, _ in self._forms), default=0)]
        if not began:
            text = text[max((_beginning(text, form) for form, _ in self._forms), default=0) :]
        return text

    def pieces(self, text: str, *, goes_on: bool = False) -> str:
        """What is left of an output whose middle was left out: a secret may lie across the cut."""
        parts = LEFT_OUT.split(text)
        last = len(parts) - 1
        return "".join(
            part if number % 2 else self.text(part, goes_on=goes_on or number < last, began=number == 0)
            for number, part in enumerate(parts)
        )

    def value(self, value: T, *, goes_on: bool = False) -> T:
        """The same for all the texts in a value: a dataclass, a dict with its keys, a list. One with an unfinished `state` goes on."""
        made: Any = value
        if type(made) is str:
            made = self.text(made, goes_on=goes_on)
        elif isinstance(value, dict):
            made = {self.value(key): self.value(each, goes_on=goes_on) for key, each in value.items()}
        elif type(value) in (list, tuple):
            made = type(value)(self.value(each, goes_on=goes_on) for each in value)  # type: ignore[attr-defined, call-arg]
        elif is_dataclass(value) and not isinstance(value, type):
            open_still = goes_on or getattr(value, "state", "") in UNFINISHED
            found = {each.name: getattr(value, each.name) for each in fields(value) if each.init}
            made = replace(
                value, **{name: self.value(each, goes_on=open_still) for name, each in found.items()}
            )
        return cast(T, made)


def redact(project: Project, value: T) -> T:
    """What people write for the project, without its secrets and the keys of its provider."""
    try:
        setup: Provider | None = provider.current()
    except provider.ProviderProblem:
        setup = None
    return Redactor(secrets(project, setup)).value(value)


def secrets(project: Project, setup: Provider | None = None) -> dict[str, str]:
    """What must not be stored where work for this project says it: the names by the values. One that cannot be unsealed reaches no process."""
    found = dict(_of_studio())
    found |= {value: name for name, value in _of_provider(setup)} if setup else {}
    for variable in project.variables.filter(is_secret=True):
        try:
            found[variable.value] = variable.name
        except Conflict:
            continue
    with suppress(Conflict):
        if token := Remote.of(project).token:
            found[token] = "token of the remote"
    return found


def _of_studio() -> Iterator[tuple[str, str]]:
    yield settings.SECRET_KEY, "STUDIO_SECRET_KEY"
    yield settings.STUDIO_VAULT_KEY, "STUDIO_VAULT_KEY"
    yield str(settings.DATABASES["default"].get("PASSWORD", "")), "DATABASE_URL"


def _of_provider(setup: Provider) -> Iterator[tuple[str, str]]:
    """The keys of the model's provider, which OpenCode has in the sandbox too."""
    yield from setup.environment.items()
    for name, entry in setup.auth.items():
        for value in _texts(entry):
            yield f"key of {name}", value
    for name, entry in setup.config.get("provider", {}).items():
        options = entry.get("options", {}) if isinstance(entry, dict) else {}
        for value in _texts([options.get("apiKey"), options.get("headers")]):
            if not value.startswith("{env:"):
                yield f"key of {name}", value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _forms(value: str) -> set[str]:
    """The ways in which a secret is often spelt."""
    plain = {value, value.strip()}
    lines = value.splitlines()
    if len(lines) > 1:
        plain |= {
            line.strip()
            for line in lines
            if len(line.strip()) >= SHORTEST_LINE and not line.startswith("-----")
        }
        plain.add("\r\n".join(lines))
    spelt = set(plain)
    for each in plain:
        spelt |= {json.dumps(each)[1:-1], json.dumps(each, ensure_ascii=False)[1:-1], quote(each, safe="")}
        spelt |= set(_within_base64(each.encode()))
    return {form for form in spelt if len(form) >= SHORTEST}


def _within_base64(value: bytes) -> Iterator[str]:
    """What the value looks like in the middle of something in base64: three ways, by where in it the value begins."""
    for shift in range(3):
        letters = base64.b64encode(bytes(shift) + value).decode().rstrip("=")
        whole = (shift + len(value)) * 8 // 6  # letters that depend on nothing that follows
        inner = letters[-(-shift * 8 // 6) : whole]
        yield inner
        yield inner.translate(str.maketrans("+/", "-_"))


def _ending(text: str, form: str) -> int:
    """How many characters at the text's end may be the beginning of the form."""
    head, start = form[:SHORTEST_BEGINNING], max(0, len(text) - len(form) + 1)
    while (start := text.find(head, start)) >= 0:
        if form.startswith(text[start:]):
            return len(text) - start
        start += 1
    return 0


def _beginning(text: str, form: str) -> int:
    """How many characters at the text's beginning may be the end of the form."""
    return _ending(text[: len(form) - 1][::-1], form[::-1])
