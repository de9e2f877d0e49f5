"""Cloning a repository from an address: which addresses are taken, and git at work on one, bounded and watched."""

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import models

from sessions.workspaces.loss import size_of
from sessions.workspaces.plumbing import end_group, environment
from sessions.workspaces.processes import Completed, capture, giving_way, keeping
from studio import disk
from studio.errors import Invalid

LONGEST_URL = 1000
SIZE_SECONDS = 5  # between two looks at how large it has become
SCP = re.compile(r"^(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?!/)[^\s:]+$")
STEP = re.compile(rb"([A-Z][a-z]+ing [a-z]+): +(\d+)%")
LOGIN_IN_TEXT = re.compile(r"//[^/@\s]+@")
SSH = "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -oConnectTimeout=20"
# git's own remedies against an address that leads elsewhere than it says, and against asking anybody for anything.
ISOLATED = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "SSH_ASKPASS": "/bin/false",
    "GIT_SSH_COMMAND": SSH,
    "GIT_LFS_SKIP_SMUDGE": "1",
    "LC_ALL": "C",
}


class Trouble(models.TextChoices):
    """Why a clone came to nothing. The label is what people read, without its full stop."""

    NOT_FOUND = "not_found", "There is no repository at that address, or it is not for Studio to see"
    LOGIN = "login", "The server asks for a login, and Studio has none to give over https"
    SSH_KEY = "ssh_key", "The server takes no ssh key of Studio's user"
    HOST_KEY = "host_key", "The server's ssh key is not known on this machine, or has changed"
    HOST_UNKNOWN = "host_unknown", "The name of the server is not known on this machine"
    UNREACHABLE = "unreachable", "The server does not answer"
    CERTIFICATE = "certificate", "The server's certificate is not trusted on this machine"
    TOO_LARGE = "too_large", "The repository is larger than Studio clones"
    DISK_FULL = "disk_full", "The disk is nearly full"
    DEADLINE = "deadline", "It took longer than a clone may"
    UNUSABLE = "unusable", "Studio cannot work on this repository"
    CANCELLED = "cancelled", "Cancelled by a person"
    REFUSED = "refused", "git could not clone it"

    @property
    def advice(self) -> str:
        """What to do, as a sentence."""
        return ADVICE.get(self, "Set that right, then try again.")


ADVICE = {
    Trouble.NOT_FOUND: "Check the address. For a private repository use its ssh address, with a key of Studio's user.",
    Trouble.LOGIN: "Use the ssh address with a key of Studio's user, or clone it by hand and add the folder.",
    Trouble.SSH_KEY: "Give Studio's user a key that the server knows, or clone it by hand and add the folder.",
    Trouble.HOST_KEY: "Connect to it once by hand as Studio's user, then try again.",
    Trouble.TOO_LARGE: "Raise STUDIO_CLONE_MEGABYTES, or clone it by hand and add the folder.",
    Trouble.DEADLINE: "Raise STUDIO_CLONE_SECONDS, or clone it by hand and add the folder.",
    Trouble.DISK_FULL: "Make room on the disk, then try again.",
    Trouble.UNREACHABLE: "Check the address and the network, then try again.",
    Trouble.CANCELLED: "Try again whenever you like.",
}
SIGNS = [
    (Trouble.LOGIN, r"could not read (Username|Password)|Authentication failed|terminal prompts disabled"),
    (Trouble.HOST_KEY, r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED"),
    (Trouble.SSH_KEY, r"Permission denied \("),
    (Trouble.HOST_UNKNOWN, r"Could not resolve host"),
    (Trouble.CERTIFICATE, r"certificate|SSL"),
    (Trouble.UNREACHABLE, r"Connection (refused|timed out|reset)|Failed to connect|Couldn't connect|No route to host|Network is unreachable|Operation timed out|kex_exchange"),
    (Trouble.NOT_FOUND, r"[Rr]epository .*not found|does not appear to be a git repository|does not exist|returned error: 40[34]|not valid: is this a git repository"),
]  # fmt: skip


class CloneFailed(Exception):
    """`trouble` is stable, `detail` what git or Studio says to it."""

    def __init__(self, trouble: Trouble, detail: str = "") -> None:
        super().__init__(f"{trouble.label}. {detail}".strip())
        self.trouble = trouble
        self.detail = detail


def checked(text: str) -> str:
    """The address, where Studio clones from such a one: https, or ssh. Invalid with field `url` says what is wrong with another."""
    url = text.strip()
    if not url or len(url) > LONGEST_URL or re.search(r"[\s\x00-\x1f\x7f\\]", url) or url.startswith("-"):
        raise _invalid("Give the address of a Git repository, as https://host/owner/name.git.")
    if "://" not in url:
        if SCP.match(url):
            return url
        raise _invalid("Give the whole address: https://…, ssh://… or git@host:owner/name.git.")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise _invalid("This is no address.") from error
    if parts.scheme == "file" and settings.STUDIO_CLONE_FILES:
        return url
    if parts.scheme not in ("https", "ssh"):
        raise _invalid("Studio clones over https and ssh only.")
    if parts.password is not None or (parts.username is not None and parts.scheme == "https"):
        raise _invalid(
            "Leave the login out of the address: Studio would keep it where others read it. Use ssh and a key."
        )
    if not host or host.startswith("-") or not parts.path.strip("/") or parts.query or parts.fragment:
        raise _invalid("The address needs a server and a path, and nothing after them.")
    return url


def clone(url: str, place: Path, *, tick: Callable[[str], None]) -> None:
    """Clone it whole into `place`, which is not there yet. Calls `tick` with what git does now, about ten times a second; what
    that raises ends git and passes. Raises CloneFailed.
    """
    started, sized, step = time.monotonic(), 0.0, "Connecting"

    def heard(output: bytes) -> None:
        nonlocal step
        if found := STEP.findall(output):
            step = f"{found[-1][0].decode()}: {found[-1][1].decode()} %"

    def look() -> None:
        nonlocal sized
        tick(step)
        if time.monotonic() - sized > SIZE_SECONDS:
            sized = time.monotonic()
            _bound(place)

    process = subprocess.Popen(
        [*keeping(os.getpid()), *giving_way(command(url, place))],
        env=environment() | ISOLATED,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    done = capture(
        process,
        lambda: end_group(process),
        timeout=max(1.0, settings.STUDIO_CLONE_SECONDS - (time.monotonic() - started)),
        tick=look,
        limit=20_000,
        on_output=heard,
    )
    _judge(done)
    _bound(place)


def command(url: str, place: Path) -> list[str]:
    """What is run: no protocol but https and ssh (wherever a redirect leads), no template with hooks, no helper."""
    allowed = ["https", "ssh", *(["file"] if settings.STUDIO_CLONE_FILES else [])]
    protocols = ["protocol.allow=never", *(f"protocol.{name}.allow=always" for name in allowed)]
    options = [*protocols, "credential.helper=", "core.askPass=/bin/false", "submodule.recurse=false"]
    return [
        "git", *(word for option in options for word in ("-c", option)),
        "clone", "--no-local", "--no-hardlinks", "--template=", "--progress", "--origin=origin", "--", url, str(place),
    ]  # fmt: skip


def _judge(done: Completed) -> None:
    if done.exit_code == 0:
        return
    if done.timed_out:
        raise CloneFailed(Trouble.DEADLINE, f"It was ended after {settings.STUDIO_CLONE_SECONDS:g} s.")
    lines = [line for line in re.split(r"[\r\n]+", done.output) if line and not STEP.search(line.encode())]
    words = LOGIN_IN_TEXT.sub("//", " ".join(lines[-6:]))[:600]
    if disk.says_full(words):
        raise CloneFailed(Trouble.DISK_FULL, words)
    trouble = next((trouble for trouble, sign in SIGNS if re.search(sign, words)), Trouble.REFUSED)
    raise CloneFailed(trouble, words)


def _bound(place: Path) -> None:
    if lack := disk.shortage():
        raise CloneFailed(Trouble.DISK_FULL, lack.sentence)
    limit = settings.STUDIO_CLONE_MEGABYTES
    if limit and size_of(place) > limit * disk.MEGABYTE:
        raise CloneFailed(Trouble.TOO_LARGE, f"It is larger than {limit:g} MB.")


def _invalid(sentence: str) -> Invalid:
    return Invalid(sentence, fields={"url": sentence})
