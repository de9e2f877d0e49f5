"""Git as Studio calls it: on a person's repository directly, on a workspace only inside its sandbox."""

import os
import re
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from sessions.workspaces.processes import Completed, Tick, capture
from sessions.workspaces.sandbox import IDENTITY, Sandbox
from studio.errors import Conflict

LIMIT = 64_000_000
# Nothing that a configuration names is to run, and nothing is to go on in the background.
QUIET = (
    *("-c", "core.fsmonitor=false", "-c", "core.pager=cat", "-c", "diff.external=", "-c", "core.editor=true"),
    *(
        "-c",
        "commit.gpgSign=false",
        "-c",
        "tag.gpgSign=false",
        "-c",
        "log.showSignature=false",
    ),
    *(
        "-c",
        "gc.auto=0",
        "-c",
        "maintenance.auto=false",
        "-c",
        "core.quotePath=true",
        "-c",
        "submodule.recurse=false",
    ),
    *(
        "-c",
        "core.filesRefLockTimeout=5000",
        "-c",
        "core.packedRefsTimeout=5000",
        "-c",
        "protocol.ext.allow=never",
    ),
)
NO_CREDENTIALS = ("-c", "credential.helper=")
NO_HOOKS = ("-c", "core.hooksPath=/dev/null")
# An agent could make the index lie about what has changed.
HONEST = (
    "-c",
    "core.untrackedCache=false",
    "-c",
    "core.trustctime=true",
    "-c",
    "core.checkStat=default",
    "-c",
    "core.excludesFile=/dev/null",
)
PLAIN = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_ASKPASS": "true",
    "SSH_ASKPASS": "true",
    "LC_ALL": "C.UTF-8",
}
SECRETS = re.compile(r"^(GIT_|STUDIO_|DJANGO_|DATABASE_URL$|REDIS_URL$)")
OID = re.compile(r"^([0-9a-f]{40}|[0-9a-f]{64})$")


class GitError(Conflict):
    """git refused or took too long (`code` git_failed or git_timeout). `exit_code` and `stderr` are git's."""

    code = "git_failed"

    def __init__(
        self, message: str, *, code: str = "", exit_code: int | None = None, stderr: str = ""
    ) -> None:
        super().__init__(message, code=code)
        self.exit_code = exit_code
        self.stderr = stderr


@dataclass(frozen=True)
class Command:
    """One git command: its words, what it reads, what is added to its environment, and how much of its output is kept."""

    args: tuple[str, ...]
    input: bytes | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    limit: int = LIMIT
    head_only: bool = False
    into: IO[bytes] | None = None


class Git(ABC):
    """Runs one git command and gives its output; see `SourceGit` and `WorkspaceGit`."""

    def __call__(
        self,
        *args: str,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        ok: tuple[int, ...] = (0,),
        limit: int = LIMIT,
        head_only: bool = False,
        into: IO[bytes] | None = None,
    ) -> bytes:
        """`ok` are the exit codes that count as success. More than `limit` bytes of output is an error, or cut with `head_only`."""
        return _answer(
            args, self._run(Command(args, input, env or {}, limit, head_only, into)), ok, head_only
        )

    @abstractmethod
    def _run(self, command: Command) -> Completed: ...


class SourceGit(Git):
    """git on a person's repository, with their configuration; their hooks run only with `hooks`, their credential helpers
    never. `tick` is called about every 0.1 s.

    `path` is the folder that they named; where jj keeps the git repository inside of its own, git works there.
    """

    def __init__(
        self,
        path: Path,
        *,
        timeout: float = 30,
        hooks: bool = False,
        tick: Tick | None = None,
    ) -> None:
        self.path = path
        self.place = _place(path)
        self.timeout = timeout
        self.hooks = hooks
        self.tick = tick

    def feed(self, stream: IO[bytes], *args: str) -> bytes:
        """Run a command that reads a file."""
        return _answer(args, self._start(Command(args), stream), (0,), False)

    def _run(self, command: Command) -> Completed:
        with tempfile.TemporaryFile() as source:
            source.write(command.input or b"")
            source.seek(0)
            return self._start(command, source)

    def _start(self, command: Command, stdin: IO[bytes]) -> Completed:
        process = subprocess.Popen(
            ["git", *self.place, *self._options(), *command.args],
            env={**environment(), **PLAIN, **command.env},
            stdin=stdin,
            stdout=command.into or subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        end = partial(end_group, process)
        return capture(
            process,
            end,
            timeout=self.timeout,
            tick=self.tick,
            limit=command.limit,
            head_only=command.head_only,
        )

    def _options(self) -> tuple[str, ...]:
        return (*QUIET, *NO_CREDENTIALS, *(() if self.hooks else NO_HOOKS))


class WorkspaceGit(Git):
    """git on a workspace: inside its sandbox, without network, told where the repository is instead of looking for it.

    GitError with the code workspace_broken where the workspace has no repository of its own (any more). Files at the paths `never` are
    left out of all that is taken of the workspace.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        tick: Tick | None = None,
        timeout: float = 600,
        config: tuple[str, ...] = (),
        never: tuple[str, ...] = (),
    ) -> None:
        self.sandbox = sandbox
        self.folder = sandbox.workspace / ".git"
        self.tick = tick
        self.timeout = timeout
        self.config = config
        self.never = never

    def _run(self, command: Command) -> Completed:
        if command.args[0] != "init" and (self.folder.is_symlink() or not self.folder.is_dir()):
            raise broken(self.sandbox.workspace)
        done = self.sandbox.run(
            ["git", *QUIET, *NO_CREDENTIALS, *NO_HOOKS, *HONEST, *self.config, *command.args],
            timeout=self.timeout,
            tick=self.tick,
            env={**self._environment(), **command.env},
            input=command.input,
            max_output=command.limit,
            head_only=command.head_only,
            separate=True,
            stdout=command.into,
        )
        if done.exit_code == 128 and b"not a git repository" in done.stderr:
            raise broken(self.sandbox.workspace)
        return done

    def _environment(self) -> dict[str, str]:
        return {
            **PLAIN,
            "GIT_DIR": str(self.folder),
            "GIT_WORK_TREE": str(self.sandbox.workspace),
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_GRAFT_FILE": "/dev/null",
        }


def broken(workspace: Path) -> GitError:
    return GitError(
        f"The workspace {workspace} has no repository of its own any more: its .git was removed or replaced.",
        code="workspace_broken",
    )


def committer(name: str = IDENTITY["NAME"], email: str = IDENTITY["EMAIL"]) -> dict[str, str]:
    """The environment that makes git sign as this author, and as Studio for the committing."""
    return {
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": email,
        "GIT_COMMITTER_NAME": IDENTITY["NAME"],
        "GIT_COMMITTER_EMAIL": IDENTITY["EMAIL"],
    }


def resolve(git: Git, name: str) -> str:
    """The commit that a full ref name or an object id means, as an object id; empty when there is none."""
    found = (
        git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", ok=(0, 1, 128))
        .decode()
        .strip()
    )
    return found if OID.match(found) else ""


def is_ancestor(git: Git, older: str, newer: str) -> bool:
    """Whether all of `older` (an object id) is contained in `newer`."""
    try:
        git("merge-base", "--is-ancestor", checked(older), checked(newer))
    except GitError as error:
        if error.exit_code == 1:
            return False
        raise
    return True


def checked(oid: str) -> str:
    """The object id itself; ValueError for anything else, so that no name or option passes as one."""
    if not OID.match(oid):
        raise ValueError(f"not an object id: {oid!r}")
    return oid


def _answer(args: tuple[str, ...], done: Completed, ok: tuple[int, ...], head_only: bool) -> bytes:
    words = next((word for word in args if not word.startswith("-") and "=" not in word), "")
    if done.timed_out:
        raise GitError(
            f"git {words} took longer than {done.seconds:.0f} seconds and was stopped.", code="git_timeout"
        )
    if done.exit_code not in ok:
        stderr = done.stderr.decode(errors="replace").strip()
        raise GitError(
            f"git {words} failed: {stderr or f'exit code {done.exit_code}'}",
            exit_code=done.exit_code,
            stderr=stderr,
        )
    if done.cut and not head_only:
        raise GitError(f"git {words} wrote more than Studio reads.", exit_code=done.exit_code)
    return done.stdout


def jj_repository(path: Path) -> Path | None:
    """The `.jj/repo` of the jj workspace in this folder, where it is one: its own, or the one that it names."""
    own = path / ".jj/repo"
    if (path / ".jj").is_symlink() or own.is_symlink():
        return None
    if own.is_file():
        return (path / ".jj" / own.read_text(errors="surrogateescape").strip()).resolve()
    return own if own.is_dir() else None


def is_colocated(path: Path) -> bool:
    """Whether git and jj stand side by side in this folder."""
    return (path / ".git").exists() and (path / ".jj").exists()


def _place(path: Path) -> tuple[str, ...]:
    repository = jj_repository(path)
    if repository is None or (path / ".git").exists():
        return ("-C", str(path))
    named = repository / "store/git_target"
    store = (
        repository
        / "store"
        / (named.read_text(errors="surrogateescape").strip() if named.is_file() else "git")
    )
    return ("--git-dir", str(store.resolve()))


def environment() -> dict[str, str]:
    """Studio's own without its secrets, and without what would lead git elsewhere."""
    return {name: value for name, value in os.environ.items() if not SECRETS.match(name)}


def end_group(process: subprocess.Popen[bytes]) -> None:
    """The whole group: git's own helpers, filters and hooks are in it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    process.wait(10)
