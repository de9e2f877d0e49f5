"""One `opencode serve` process: found, configured, started, watched and stopped."""

import contextlib
import json
import os
import platform
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any

from django.conf import settings

from sessions.opencode.client import Client, OpenCodeError
from sessions.opencode.config import environment
from sessions.opencode.provider import Provider
from sessions.opencode.pulse import Pulse, ServerGone
from studio import crash
from studio.keeper import descendants

Launch = Callable[[list[str], dict[str, str]], subprocess.Popen[bytes]]
Redact = Callable[[str], str]
LONGEST_LOG = 10 * 1024 * 1024  # bytes
LONGEST_LINE = 64 * 1024
FOLDERS = ("home", "data", "config", "cache", "state")


class ServerProblem(Exception):
    """The server did not start. `reason` is stable (`missing`, `exited`, `slow`); the text is for people, `log` the end of its output."""

    def __init__(self, reason: str, message: str, log: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.log = log


class Server:
    """A server for one job, with a data folder of its own, on a free loopback port, behind a password by chance.

    `data` is the attempt's folder for OpenCode (kept between jobs: the conversations are in it) and `workspace` the directory that the
    agent works in, both as the server sees them too. `launch(argv, env)` starts the process: in the sandbox, with stdout and stderr as
    pipes; `instructions` is the text of the file `instructions_file(data)`; `redact` takes out of its log what nobody is to read there. Start it from the main thread: in the sandbox it dies with the thread that started it.
    """

    def __init__(
        self,
        *,
        workspace: Path,
        data: Path,
        provider: Provider,
        config: dict[str, Any],
        launch: Launch,
        instructions: str = "",
        is_trusted: bool = False,
        redact: Redact = str,
    ) -> None:
        self.workspace = workspace.resolve()  # a sandbox has real paths only
        self.data = data.resolve()
        # Beside the data, not in it: the agent can write there, and could lay a link for us to write through.
        self.log_file = self.data.with_name(f"{self.data.name}.log")
        self.config_file = self.data.with_name(f"{self.data.name}.json")
        self.password = secrets.token_urlsafe(24)
        self.port = 0
        self.version = ""
        self._provider = provider
        self._config = config
        self._launch = launch
        self._instructions = instructions
        self._is_trusted = is_trusted
        self._redact = redact
        self._process: subprocess.Popen[bytes] | None = None
        self._pulse: Pulse | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The launched process (the sandbox's, where there is one); 0 before the start."""
        return self._process.pid if self._process else 0

    def client(self, timeout: float = 10) -> Client:
        """A new client for the workspace; `timeout` in seconds."""
        return Client(self.base_url, self.password, str(self.workspace), timeout)

    def start(self, tick: Callable[[], None]) -> None:
        """Start it and return when it answers, within STUDIO_START_SECONDS. Calls `tick` at least once a second; raises ServerProblem.

        Whatever `tick` raises stops the server and goes on to the caller.
        """
        self.port = free_port()
        argv = [str(binary()), "serve", "--port", str(self.port), "--hostname", "127.0.0.1"]
        self._process = self._launch(argv, self._write_files())
        crash.point("server-launched")
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                threading.Thread(target=drain, args=(pipe, self.log_file, self._redact), daemon=True).start()
        try:
            self._wait_until_healthy(tick)
        except BaseException:
            self.stop(grace=2)
            raise
        self._pulse = Pulse(self.client(), self.cpu_seconds)

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def cpu_seconds(self) -> float:
        """What OpenCode itself has used, without its tools; 0 where it is not found."""
        for pid in [self.pid, *descendants(self.pid)]:
            with contextlib.suppress(OSError, ValueError):
                if Path(os.readlink(f"/proc/{pid}/exe")).name == "opencode":
                    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def check(self) -> None:
        """Raises ServerGone where the process has ended, or does not answer any more."""
        if not self.alive():
            code = self._process.returncode if self._process else None
            words = f"OpenCode's process has ended (exit code {code}).\n{self.log_tail(500)}"
            raise ServerGone(words.strip())
        if self._pulse:
            self._pulse.check()

    def stop(self, grace: float = 5) -> None:
        """Stop it and all that it started: dispose, then SIGTERM, after `grace` seconds SIGKILL. Harmless when it is gone already."""
        if self._process is None:
            return
        if self._pulse:
            self._pulse.stop()
        if self.alive():
            self._dispose()
            self._process.terminate()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            kill_group(self._process)
            with contextlib.suppress(subprocess.TimeoutExpired):  # who sweeps afterwards says what is left
                self._process.wait(10)

    def log_tail(self, letters: int = 2000) -> str:
        """The end of what the server printed."""
        try:
            return self.log_file.read_text(errors="replace")[-letters:]
        except FileNotFoundError:
            return ""

    def _write_files(self) -> dict[str, str]:
        """Write the configuration and the keys, readable by their owner only; the environment of the server."""
        own_folder(self.data)
        for name in FOLDERS:
            own_folder(self.data / name)
        keys = own_folder(self.data / "data" / "opencode") / "auth.json"
        write_private(keys, json.dumps(self._provider.auth))
        write_private(self.config_file, json.dumps(self._config, indent=1))
        instructions_file(self.data).unlink(missing_ok=True)
        if self._instructions:
            write_private(instructions_file(self.data), self._instructions)
        skip_plugin_install(own_folder(self.data / "config" / "opencode"))
        return environment(
            self._provider,
            data=self.data,
            config_file=self.config_file,
            password=self.password,
            config=self._config,
            is_trusted=self._is_trusted,
        )

    def _wait_until_healthy(self, tick: Callable[[], None]) -> None:
        deadline = time.monotonic() + settings.STUDIO_START_SECONDS
        client = self.client(timeout=1)
        try:
            while time.monotonic() < deadline:
                tick()
                if not self.alive():
                    raise ServerProblem("exited", "OpenCode ended while it started.", self.log_tail())
                if self._is_healthy(client):
                    return
                time.sleep(0.1)
        finally:
            client.close()
        raise ServerProblem(
            "slow", f"OpenCode did not answer within {settings.STUDIO_START_SECONDS:g} s.", self.log_tail()
        )

    def _is_healthy(self, client: Client) -> bool:
        try:
            self.version = client.health()
        except OpenCodeError:
            return False
        return True

    def _dispose(self) -> None:
        client = self.client(timeout=3)
        try:
            client.dispose()
        except OpenCodeError:
            pass  # it is stopped the hard way then
        finally:
            client.close()


def binary() -> Path:
    """OpenCode itself, of the pinned package: not npm's launcher, which wants Node.js. Raises ServerProblem."""
    modules = settings.BASE_DIR / "node_modules"
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    kinds = [machine] if machine != "x64" or has_avx2() else []
    musl = "-musl" if not platform.libc_ver()[0] else ""
    for kind in [*kinds, f"{machine}-baseline"]:
        file: Path = modules / f"opencode-linux-{kind}{musl}" / "bin" / "opencode"
        if file.is_file():
            return file.resolve()
    raise ServerProblem(
        "missing", f"OpenCode is not installed for this machine below {modules}: run `make run`."
    )


def has_avx2() -> bool:
    try:
        return " avx2" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def free_port() -> int:
    """A loopback port that was free a moment ago. When another process takes it first, the start fails and can be repeated."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def skip_plugin_install(folder: Path) -> None:
    """Keep OpenCode from installing its plugin kit (63 MB from the npm registry) for every attempt: it has no switch for that.

    It leaves a folder alone that has `node_modules` and whose lock file names the package.
    """
    own_folder(folder / "node_modules")
    lock = {"lockfileVersion": 3, "packages": {"": {"dependencies": {"@opencode-ai/plugin": "*"}}}}
    write_private(folder / "package-lock.json", json.dumps(lock))


def own_folder(folder: Path) -> Path:
    """Make a folder that only Studio's user reads. A link that an agent left in its place is removed, not followed."""
    if folder.is_symlink():
        folder.unlink()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def instructions_file(data: Path) -> Path:
    """Where what a project tells its agents lies for a server with this data folder: beside it, where no agent can write."""
    return data.resolve().with_name("instructions.md")


def write_private(file: Path, text: str) -> None:
    """Write a new file that only Studio's user reads, whatever stood there before."""
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)


def drain(pipe: IO[bytes], log_file: Path, redact: Redact = str) -> None:
    """Append what comes out of a pipe to the log, which begins anew beyond LONGEST_LOG.

    All is read, also what a full disk does not take: a full pipe would stop the server.
    """
    for piece in iter(partial(pipe.readline, LONGEST_LINE), b""):
        with contextlib.suppress(OSError), log_file.open("ab", buffering=0) as log:
            if log.tell() > LONGEST_LOG:
                log.truncate(0)
            log.write(redact(piece.decode(errors="replace")).encode())


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the process and, where it leads one, to its group."""
    try:
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    except ProcessLookupError:
        pass
