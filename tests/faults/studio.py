"""A Studio to break: it remembers what it promised, and shows its database, its processes and its pages."""

import contextlib
import hashlib
import os
import re
import signal
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from studio import processes
from tests import running
from tests.running import until

WRITES = {"tool": "write", "args": {"filePath": "{cwd}/made.txt", "content": "made\n"}}
BUILD = {"implementation": [WRITES, {"text": "Written."}]}  # the shortest work with a result
PLAIN = {"planning": False, "ai_review": False}  # policies: one phase of an agent, then the checks
LIVE = ("queued", "starting", "running", "waiting")
ENDED = ("completed", "failed", "cancelled", "interrupted")
# What whoever starts Studio may have in their environment, and Studio has no use for.
CANARIES = {
    name: f"canary-{hashlib.sha256(name.encode()).hexdigest()[:24]}"
    for name in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "NPM_TOKEN")
}

# What every project of these tests gives its checks, which print it: from there it must go nowhere.
PROJECT_SECRET = "canary-of-the-projects-3d1f8a02"


class Studio(running.Studio):
    """`accepted` are the sessions that an answer promised, `seen` what was final, `checkouts` the repositories' own files."""

    def __init__(self, home: Path, **environment: str) -> None:
        super().__init__(home, **(CANARIES | environment))
        self.accepted: set[int] = set()
        self.seen: dict[int, tuple[Any, ...]] = {}
        self.checkouts: dict[Path, str] = {}
        self.cookies = httpx.Cookies()

    # --- what it promises -----------------------------------------------------------------------------------------

    def api(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """As for every Studio; an answer that names a session is a promise."""
        answer = super().api(method, path, body, **headers)
        if method == "POST" and answer.is_success and answer.content:
            found = answer.json()
            if isinstance(found, dict) and isinstance(found.get("session_id"), int):
                self.accepted.add(found["session_id"])
        return answer

    def make_project(self, repository: Path, key: str, **fields: Any) -> int:
        """As for every Studio, with a secret; from here on the repository's own files must not change."""
        prints = {**running.PASSED, "command": "echo $PROJECT_TOKEN; test -f README.md"}
        made = super().make_project(repository, key, **({"checks": [prints]} | fields))
        secret = {"name": "PROJECT_TOKEN", "value": PROJECT_SECRET}
        self.post(f"/projects/{made}/environment", secret, expect=200)
        self.checkouts.setdefault(repository, checkout_sum(repository))
        return made

    def may_change(self, repository: Path) -> None:
        """The test means this checkout to change: what it is at the end of the test counts from then on."""
        self.checkouts[repository] = ""

    # --- what it is ------------------------------------------------------------------------------------------------

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of its database, read beside it; `?` stands for a value."""
        if url := self.environment.get("DATABASE_URL"):
            with psycopg.connect(url, row_factory=dict_row) as server:
                return server.execute(query.replace("?", "%s"), values).fetchall()
        file = f"file:{self.home / 'studio.sqlite3'}?mode=ro"
        with contextlib.closing(sqlite3.connect(file, uri=True, timeout=20)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(query, values)]

    def row(self, query: str, *values: Any) -> dict[str, Any]:
        """The one row."""
        (found,) = self.rows(query, *values)
        return found

    def edit(self, query: str, *values: Any) -> None:
        """Write into its database behind its back, as a clock that jumps would."""
        with contextlib.closing(sqlite3.connect(self.home / "studio.sqlite3", timeout=20)) as database:
            database.execute(query, values)
            database.commit()

    def page(self, path: str) -> httpx.Response:
        """A page as the first account sees it, who came in by the link that the start printed."""
        if not self.cookies:
            self.cookies.update(httpx.get(self.link, timeout=30).cookies)
        return httpx.get(f"{self.url}{path}", cookies=self.cookies, timeout=30)

    @property
    def is_up(self) -> bool:
        """Whether its supervisor runs."""
        return self.process.poll() is None

    # --- its processes ---------------------------------------------------------------------------------------------

    def child(self, name: str) -> int:
        """The pid of a process of the supervisor's; 0 while it is down."""
        pid = re.search(r'"pid": (\d+)', _text(self.home / "run" / f"{name}.pid"))
        return int(pid[1]) if pid else 0

    def worker_of(self, task: int) -> int:
        """The process that holds the task's attempt; 0 while none does."""
        held = self.rows(
            "SELECT pid FROM agent_sessions_attempt WHERE task_id = ? AND lease = 'claimed'", task
        )
        return int(held[0]["pid"]) if held else 0

    def agents(self, task: int) -> list[int]:
        """The processes that carry the mark of the task's attempts: sandbox, OpenCode, shells, checks, git."""
        found = []
        for attempt in self.rows("SELECT id FROM agent_sessions_attempt WHERE task_id = ?", task):
            found += self.marked(attempt["id"])
        return found

    def marked(self, attempt: int) -> list[int]:
        """The processes of an attempt."""
        return [pid for pid, owner in self.tagged().items() if owner == attempt]

    def tagged(self) -> dict[int, int]:
        """Every process that carries the mark of one of this Studio's attempts, with the attempt's id."""
        mine = hashlib.sha256(str(self.home).encode()).hexdigest()[:10]
        mark = re.compile(rf"\0STUDIO_ATTEMPT={mine}-(\d+)\0".encode())
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if owner := mark.search(b"\0" + (folder / "environ").read_bytes() + b"\0"):
                    found[int(folder.name)] = int(owner[1])
        return found

    def family(self, pid: int) -> list[int]:
        """The processes below one, the nearest first."""
        parents = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):  # it has just ended
                parents[int(folder.name)] = int(_text(folder / "stat").rpartition(")")[2].split()[1])
        found = [pid]
        for each in found:
            found += sorted(child for child, parent in parents.items() if parent == each)
        return found[1:]

    def opencode(self, task: int) -> int:
        """The task's OpenCode itself, inside its sandbox; 0 while none runs."""
        for pid in self.agents(task):
            words = _text(Path(f"/proc/{pid}/cmdline")).split("\0")
            if words[0].endswith("/opencode") and "serve" in words:
                return pid
        return 0

    # --- crash points (studio/crash.py); they need STUDIO_FAULTS=1 ----------------------------------------------------

    def arm(self, point: str, how: str = "kill", *, nth: int = 1, then: str = "") -> None:
        """The nth time that one process comes by this point it is killed, or stopped; the next who comes by `then` is killed."""
        (self.home / "run" / "crashed").unlink(missing_ok=True)
        draft = self.home / "run" / "crash.draft"
        draft.write_text(f"{point} {nth} {how}\n" + (f"{then} 1 kill\n" if then else ""))
        draft.rename(self.home / "run" / "crash")

    def fired(self, within: float = 150, *, nth: int = 1) -> int:
        """Wait until the nth armed point was come by; the process that was killed or stopped there."""
        file = self.home / "run" / "crashed"

        def pids() -> list[str]:
            return file.read_text().splitlines() if file.exists() else []

        try:
            until(lambda: len(pids()) >= nth, within, "a process at the armed point")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story()}\n{self.log('runs')}") from None
        return int(pids()[nth - 1])

    def story(self) -> str:
        """The last events, each in a line."""
        rows = self.rows("SELECT at, name, session_id, data FROM tasks_event ORDER BY id DESC LIMIT 15")
        return "\n".join(f"{row['at']} {row['name']} {row['session_id']} {row['data']}" for row in rows[::-1])

    # --- waiting ---------------------------------------------------------------------------------------------------

    def started(self, repository: Path, key: str, script: dict[str, Any] | None = None, **fields: Any) -> int:
        """A project with one task of one phase, executed; the task's id."""
        task = self.file(
            self.make_project(repository, key, **(PLAIN | fields)), "Make a file", script or BUILD
        )
        self.post(f"/tasks/{task}/execute")
        return task

    def insist(self, path: str, body: Any = None, within: float = 60) -> httpx.Response:
        """A POST that is sent again while nobody answers, or the answer is that Studio is busy, as a script does."""

        def send() -> httpx.Response | None:
            try:
                answer = self.api("POST", path, body)
            except httpx.TransportError:
                return None
            busy = answer.status_code == 409 and answer.json().get("error") == "busy"
            return None if busy else answer

        return until(send, within, f"an answer to {path}")

    def execute(self, task: int) -> int:
        """Execute a task, whatever happens to the web process meanwhile; the session that was accepted."""
        answer = self.insist(f"/tasks/{task}/execute")
        assert answer.status_code in (202, 409), answer.text
        return int(answer.json()["session_id"])

    def wait_ended(self, session: int, within: float = 150) -> dict[str, Any]:
        """Wait for a session's end; its row."""
        query = "SELECT * FROM agent_sessions_session WHERE id = ? AND ended_at IS NOT NULL"
        return dict(until(lambda: self.rows(query, session), within, f"the end of session {session}")[0])

    def wait_quiet(self, within: float = 60) -> None:
        """Wait until no session is live and no attempt is claimed."""
        live = f"SELECT id FROM agent_sessions_session WHERE state IN {LIVE}"
        held = "SELECT id FROM agent_sessions_attempt WHERE lease IN ('claimed', 'claimable')"
        until(lambda: not self.rows(live) and not self.rows(held), within, "the end of all sessions")


def tool_runs(studio: Studio, task: int, within: float = 200) -> None:
    """Wait until the task's agent runs a command, as its newest session shows."""
    query = """
        SELECT y.id FROM agent_sessions_activity y JOIN agent_sessions_session s ON s.id = y.session_id
        JOIN agent_sessions_attempt a ON a.id = s.attempt_id
        WHERE a.task_id = ? AND y.tool = 'bash' AND y.state = 'running' AND s.state = 'running'
    """
    until(lambda: studio.rows(query, task), within, "the agent's command")


def opencode_of(studio: Studio, task: int) -> int:
    """OpenCode itself, inside its sandbox or below its keeper; 0 while there is none."""
    for pid in studio.agents(task):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/exe").endswith("/opencode"):
                return pid
    return 0


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Signal a process that has to be there."""
    assert pid > 1, "no process to kill"
    os.kill(pid, number)


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    return not processes.started(pid)


def checkout_sum(repository: Path) -> str:
    """A sum over all that a person has in the folder: files with their modes, links, and which branch is checked out."""
    digest = hashlib.sha256()
    for path in sorted(repository.rglob("*")):
        place = path.relative_to(repository)
        if place.parts[0] == ".git" and place.as_posix() not in {".git/HEAD", ".git/config"}:
            continue
        kind = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "folder"
        digest.update(f"{place} {path.lstat().st_mode} {kind!r}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
