"""Keeps Studio's processes running, and takes every one of them and what they started down again."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from studio import processes
from studio.keeper import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, end_all, libc, next_zombie

DRAIN_SECONDS = 10.0  # jobs that see the file `drain` stop within 8
READY_SECONDS = 90.0
STEADY_SECONDS = 30.0  # a process that lived this long starts again without delay
FIRST_DELAY, LONGEST_DELAY = 0.5, 10.0
DEATHS_BEFORE_READY = 3
IMPATIENT_SECONDS = 1.0  # one Ctrl-C can arrive twice: from the terminal, and handed on by make
LONGEST_LOG = 10 * 1024 * 1024  # bytes; as many again are kept of what went before
LOG_SECONDS = 10.0


class StartFailed(Exception):
    """Studio does not come up; the message says which process, and what it said last."""


@dataclass(frozen=True)
class Program:
    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    outlives_others: bool = False
    listener: socket.socket | None = None  # handed to the process, and open for as long as Studio runs


class Child:
    """A program with its process, its log and its pid file."""

    def __init__(self, program: Program, home: Path) -> None:
        self.program = program
        self.log = home / "logs" / f"{program.name}.log"
        self.pid_file = home / "run" / f"{program.name}.pid"
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.start_at = 0.0
        self.deaths = 0

    def start(self) -> None:
        with self._open_log() as log:
            self.process = subprocess.Popen(
                self.program.command,
                env=os.environ | self.program.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[self.program.listener.fileno()] if self.program.listener else [],
                preexec_fn=partial(die_with, os.getpid()),
            )
        self.started_at = time.monotonic()
        self._write_pid_file(self.process.pid)

    def buried(self, status: int) -> float:
        """The process is gone: note it, and when to start it again."""
        if self.process:
            self.process.returncode = os.waitstatus_to_exitcode(status)
        self.process = None
        self.pid_file.unlink(missing_ok=True)
        lived = time.monotonic() - self.started_at
        self.deaths = 1 if lived > STEADY_SECONDS else self.deaths + 1
        delay = min(FIRST_DELAY * 2.0 ** (self.deaths - 1), LONGEST_DELAY)
        self.start_at = time.monotonic() + delay
        return delay

    def terminate(self) -> None:
        """Ask the process itself and none of its group: a cluster's master hangs when its workers are told too."""
        if self.process:
            os.kill(self.process.pid, signal.SIGTERM)  # not reaped yet, so the number is still its own

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace")[-4000:].strip().splitlines()
        return "\n".join(f"    {line}" for line in lines[-8:])

    def bound_log(self) -> None:
        """Set a long log aside and empty it in place: its writers hold it open, for appending. On a full disk it is emptied only."""
        with contextlib.suppress(OSError):
            if self.log.stat().st_size <= LONGEST_LOG:
                return
            with contextlib.suppress(OSError):
                shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
            os.truncate(self.log, 0)

    def _open_log(self) -> IO[bytes]:
        self.bound_log()
        try:
            return self.log.open("ab")
        except OSError:  # a full disk takes no new file, and a process without a log is better than none
            return open(os.devnull, "ab")

    def _write_pid_file(self, pid: int) -> None:
        """Written aside and moved, so that a reader never sees half of it."""
        draft = self.pid_file.with_suffix(".draft")
        with contextlib.suppress(OSError):
            draft.write_text(json.dumps({"pid": pid, "start": processes.started(pid)}))
            draft.replace(self.pid_file)


class Supervisor:
    """`run` returns when it was told to stop and nothing is left of what it started."""

    WATCHED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD}

    def __init__(self, home: Path, programs: list[Program], say: Callable[[str], None]) -> None:
        self.children = [Child(program, home) for program in programs]
        self.folder = home / "run"
        self.drain = self.folder / "drain"
        self.gate = self.folder / "gate"
        self.say = say
        self.serves = any(program.listener for program in programs)
        self.ready = False

    def run(
        self, prepare: Callable[[], None], is_ready: Callable[[], bool], announce: Callable[[], None]
    ) -> None:
        """Prepare, while the first web process does its imports; then keep all of them running. What `prepare` raises ends it."""
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
        try:
            self._clear()
            self._start_behind_gate()
            prepare()
            signal.pthread_sigmask(signal.SIG_BLOCK, self.WATCHED)  # they wait for sigtimedwait
            self.gate.unlink()
            self._keep_running(is_ready, announce)
            self._stop()
        finally:
            if left := end_all():
                self.say(f"These processes cannot be killed: {', '.join(map(str, left))}.")
            self._clear()

    def _start_behind_gate(self) -> None:
        """Let one that serves pages get ready to, and none before all is prepared: see studio/web.py."""
        self.gate.touch()
        for child in [child for child in self.children if child.program.listener][:1]:
            child.start()

    def _keep_running(self, is_ready: Callable[[], bool], announce: Callable[[], None]) -> None:
        give_up_at = time.monotonic() + READY_SECONDS
        logs_at = time.monotonic() + LOG_SECONDS
        self._start_due()
        while not self._told_to_stop(0.5 if self.ready else 0.1):
            self._bury()
            self._start_due()
            if time.monotonic() > logs_at:
                logs_at = time.monotonic() + LOG_SECONDS
                for child in self.children:
                    child.bound_log()
            if not self.ready and is_ready():
                self.ready = True
                self._start_due()
                announce()
            elif not self.ready and time.monotonic() > give_up_at:
                raise StartFailed(
                    f"Studio gave no answer for {READY_SECONDS:.0f} s; the logs are in {self.children[0].log.parent}."
                )

    def _start_due(self) -> None:
        """Who serves pages comes first: at a start the processes take the machine's time from each other."""
        for child in self.children:
            is_due = child.process is None and time.monotonic() >= child.start_at
            if is_due and (self.ready or child.program.listener or not self.serves):
                child.start()

    def _told_to_stop(self, seconds: float) -> bool:
        """Wait for a signal, at most `seconds`; a child's end wakes too."""
        told = signal.sigtimedwait(self.WATCHED, seconds)
        return told is not None and told.si_signo != signal.SIGCHLD

    def _bury(self) -> None:
        """Reap whoever died, and start our own again."""
        for child, status in self._dead():
            delay = child.buried(status)
            how = exit_words(status)
            if not self.ready and child.deaths >= DEATHS_BEFORE_READY:
                raise StartFailed(
                    f"{child.program.name} does not start ({how}):\n{child.last_words()}\n    in {child.log}"
                )
            self.say(
                f"{child.program.name} stopped ({how}) and starts again in {delay:g} s:\n{child.last_words()}\n    in {child.log}"
            )

    def _dead(self) -> Iterator[tuple[Child, int]]:
        by_pid = {child.process.pid: child for child in self.children if child.process}
        while pid := next_zombie():
            if pid in by_pid:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)  # before it is reaped, while the number is still its own
            _, status = os.waitpid(pid, 0)
            if pid in by_pid:
                yield by_pid[pid], status

    def _stop(self) -> None:
        self.drain.touch()
        for child in self.children:
            if child.program.listener:  # or callers would wait in it for a web process that never comes
                child.program.listener.close()
        stopped_at = time.monotonic()
        for last in (False, True):
            wave = [child for child in self.children if child.program.outlives_others is last]
            for child in wave:
                child.terminate()
            if not self._gone(wave, stopped_at):
                return

    def _gone(self, wave: list[Child], stopped_at: float) -> bool:
        """Wait until the wave is gone; False when time or patience is over."""
        while any(child.process for child in wave):
            passed = time.monotonic() - stopped_at
            impatient = self._told_to_stop(0.1) and passed > IMPATIENT_SECONDS
            if impatient or passed > DRAIN_SECONDS:
                return False
            for child, status in self._dead():
                child.buried(status)
        return True

    def _clear(self) -> None:
        """A Studio that was killed leaves these behind."""
        for child in self.children:
            child.log.parent.mkdir(mode=0o700, exist_ok=True)
            child.pid_file.parent.mkdir(mode=0o700, exist_ok=True)
            child.pid_file.unlink(missing_ok=True)
        self.drain.unlink(missing_ok=True)
        self.gate.unlink(missing_ok=True)


def die_with(parent: int) -> None:
    """In a new process: be killed when `parent` is, and take no blocked signals along.

    SIGKILL, since a cluster that is asked politely waits for its runs, for hours, with no supervisor left.
    """
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if os.getppid() != parent:  # it died before the call above
        os._exit(1)


def exit_words(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit {code}" if code >= 0 else signal.Signals(-code).name
