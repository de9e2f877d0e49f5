"""What an agent may do, by OpenCode's own classes of permission: allowed, asked of a person, or refused."""

from collections.abc import Mapping
from typing import NamedTuple

from django.db import models


class Action(models.TextChoices):
    ALLOW = "allow", "Allowed"
    ASK = "ask", "A person is asked"
    DENY = "deny", "Refused"


class PermissionClass(NamedTuple):
    """One class: what it is in words, what holds where a project says nothing, and what can be said."""

    label: str
    default: Action
    choices: tuple[Action, ...] = tuple(Action)


# What stays inside the sandboxed workspace is allowed; what reaches outside, or shows secrets, is asked for.
CLASSES: dict[str, PermissionClass] = {
    "bash": PermissionClass("Run commands", Action.ALLOW),
    "edit": PermissionClass("Change files", Action.ALLOW),
    "task": PermissionClass("Start sub-agents", Action.ALLOW),
    "read": PermissionClass("Read .env files", Action.ASK),
    "webfetch": PermissionClass("Fetch web pages", Action.ASK),
    "external_directory": PermissionClass("Look outside of the workspace", Action.ASK),
    "doom_loop": PermissionClass("Repeat the same call again and again", Action.ASK),
    "question": PermissionClass("Ask questions", Action.ASK, (Action.ASK, Action.DENY)),
}


def complete(*layers: Mapping[str, str]) -> dict[str, str]:
    """An action for every class: the defaults, with each layer over the one before."""
    result = {name: str(each.default) for name, each in CLASSES.items()}
    for layer in layers:
        result |= {name: str(action) for name, action in layer.items() if name in CLASSES}
    return result
