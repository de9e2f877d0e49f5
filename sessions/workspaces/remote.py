"""A remote of a person's repository: its address, and pushing one commit there as one branch, bounded and watched."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import models

from sessions.workspaces.plumbing import NO_HOOKS, QUIET, GitError, SourceGit, checked, end_group, environment
from sessions.workspaces.processes import capture, keeping
from studio.errors import Conflict

LOGIN = re.compile(r"//[^/@\s]+@")
LONGEST_WORDS = 2000
PROTOCOLS = ("https", "http", "ssh", "file")
# No prompt, nobody's other configuration by way of the environment; ssh and credential helpers are those of Studio's user.
SILENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "SSH_ASKPASS": "/bin/false",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
    "LC_ALL": "C",
}


class PushTrouble(models.TextChoices):
    """Why a push came to nothing. The label is what people read, without its full stop."""

    NO_REMOTE = "no_remote", "The repository has no such remote"
    BEHIND = "behind", "The branch on the remote has commits that this change does not have"
    PROTECTED = "protected", "The remote refuses changes to this branch"
    LOGIN = "login", "The remote takes no login of Studio's user"
    HOST_KEY = "host_key", "The remote's ssh key is not known on this machine, or has changed"
    NOT_FOUND = "not_found", "There is no repository at the remote's address, or it is not for Studio to see"
    UNREACHABLE = "unreachable", "The remote does not answer"
    CERTIFICATE = "certificate", "The remote's certificate is not trusted on this machine"
    DEADLINE = "deadline", "It took longer than a push may"
    REFUSED = "refused", "git could not push it"

    @property
    def advice(self) -> str:
        """What to do, as a sentence."""
        return ADVICE[self]


ADVICE = {
    PushTrouble.NO_REMOTE: "Add it in the repository with git remote add, or name another in the project's settings.",
    PushTrouble.BEHIND: "Studio never overwrites it: merge or delete that branch on the remote, then push again.",
    PushTrouble.PROTECTED: "Allow branches studio/… there for the account that Studio pushes with, then push again.",
    PushTrouble.LOGIN: "Give Studio's user an ssh key or a credential helper that the remote takes, then push again.",
    PushTrouble.HOST_KEY: "Connect to it once by hand as Studio's user, then push again.",
    PushTrouble.NOT_FOUND: "Check the remote's address in the repository, and the rights of the account, then push again.",
    PushTrouble.UNREACHABLE: "Check the address and the network, then push again.",
    PushTrouble.CERTIFICATE: "Have this machine trust it, then push again.",
    PushTrouble.DEADLINE: "Raise STUDIO_PUSH_SECONDS, then push again.",
    PushTrouble.REFUSED: "See what git says, set that right, then push again.",
}
SIGNS = [
    (PushTrouble.BEHIND, r"non-fast-forward|fetch first|stale info"),
    (PushTrouble.PROTECTED, r"protected branch|pre-receive hook declined|hook declined|\[remote rejected\]"),
    (PushTrouble.HOST_KEY, r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED"),
    (PushTrouble.LOGIN, r"could not read (Username|Password)|Authentication failed|terminal prompts disabled|Permission denied|returned error: 40[13]|[Pp]ermission to .* denied"),
    (PushTrouble.CERTIFICATE, r"certificate|SSL"),
    (PushTrouble.UNREACHABLE, r"Could not resolve host|Connection (refused|timed out|reset)|Failed to connect|Couldn't connect|No route to host|Network is unreachable|Operation timed out|kex_exchange"),
    (PushTrouble.NOT_FOUND, r"[Rr]epository .*not found|does not appear to be a git repository|does not exist|returned error: 404"),
]  # fmt: skip


class PushFailed(Exception):
    """`trouble` is stable, `detail` what git says to it, without logins."""

    def __init__(self, trouble: PushTrouble, detail: str = "") -> None:
        super().__init__(f"{trouble.label}. {detail}".strip())
        self.trouble = trouble
        self.detail = detail


def address(source: Path, name: str) -> str:
    """Where git would push to for that remote. Raises PushFailed where there is none."""
    try:
        lines = (
            SourceGit(source)("remote", "get-url", "--push", "--", name).decode(errors="replace").splitlines()
        )
    except GitError as error:
        if error.exit_code == 2:
            raise PushFailed(PushTrouble.NO_REMOTE, f"It has no remote “{name}”.") from error
        raise PushFailed(PushTrouble.REFUSED, error.message) from error
    if not lines or not lines[0].strip():
        raise PushFailed(PushTrouble.NO_REMOTE, f"Its remote “{name}” has no address.")
    return lines[0].strip()


def without_login(text: str) -> str:
    """The text without the logins of the addresses in it; that of an ssh address stays as the name alone."""
    return LOGIN.sub("//", text)


def push(source: Path, url: str, oid: str, branch: str, *, tick: Callable[[], None]) -> None:
    """Have the branch there stand on the commit, never backwards: one that stands on it already is right. What `tick` raises
    ends git and passes. Raises PushFailed.
    """
    process = subprocess.Popen(
        [*keeping(os.getpid()), *command(source, url, oid, branch)],
        env=environment() | SILENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    seconds = settings.STUDIO_PUSH_SECONDS
    done = capture(process, lambda: end_group(process), timeout=seconds, tick=tick, limit=20_000)
    if done.timed_out:
        raise PushFailed(PushTrouble.DEADLINE, f"It was ended after {seconds:g} s.")
    if done.exit_code != 0:
        words = without_login(done.output.strip())[-LONGEST_WORDS:]
        raise PushFailed(trouble_of(words), words)


def trouble_of(words: str) -> PushTrouble:
    """What git's words say that is wrong."""
    return next((trouble for trouble, sign in SIGNS if re.search(sign, words)), PushTrouble.REFUSED)


def command(source: Path, url: str, oid: str, branch: str) -> list[str]:
    """What is run: no hook, no helper program as a protocol, no tags, no submodules, no force."""
    protocols = ["protocol.allow=never", *(f"protocol.{name}.allow=always" for name in PROTOCOLS)]
    options = [
        *protocols,
        "push.followTags=false",
        "push.gpgSign=false",
        "push.recurseSubmodules=no",
        "advice.pushUpdateRejected=false",
    ]
    return [
        "git", *SourceGit(source).place, *QUIET, *NO_HOOKS, *(word for option in options for word in ("-c", option)),
        "push", "--porcelain", "--no-verify", "--", url, f"{checked(oid)}:refs/heads/{branch}",
    ]  # fmt: skip


def refuse(failed: PushFailed) -> Conflict:
    """The same for who has asked just now."""
    words = f"{failed.trouble.label}. {failed.detail} {failed.trouble.advice}"
    return Conflict(" ".join(words.split()), code=failed.trouble.value)
