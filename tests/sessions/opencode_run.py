"""A real OpenCode beside a demo model, for tests: one server, and prompts followed to their end."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.test import override_settings

from sessions.opencode import config
from sessions.opencode.client import Client, message_id
from sessions.opencode.follow import follow
from sessions.opencode.limits import Limits
from sessions.opencode.outcome import Outcome
from sessions.opencode.parts import PartSnapshot, snapshot
from sessions.opencode.provider import demo
from sessions.opencode.server import Server
from sessions.opencode.status import Status
from sessions.opencode.stream import EventStream
from sessions.workspaces.processes import keeping
from studio.demo_model.project import files
from studio.demo_model.server import DemoModel

QUICK = Limits(total_seconds=60, poll_seconds=1)


def launch(argv: list[str], env: dict[str, str], cwd: Path) -> subprocess.Popen[bytes]:
    """Start a server without a sandbox, in a process group of its own. It ends with the thread that starts it, or with pytest."""
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **env}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [*keeping(os.getpid()), *argv]
    return subprocess.Popen(command, env=environment, cwd=cwd, start_new_session=True, **pipes)


def make_workspace(root: Path) -> Path:
    """A git repository with the demo project in it."""
    for path, text in files().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        [*identity, "commit", "-q", "--allow-empty", "-m", "Start"],
    ):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


@dataclass
class Run:
    """What a followed prompt left behind: the last snapshot of each part as a recorder would hold it, and every status."""

    session_id: str
    message_id: str
    outcome: Outcome
    parts: dict[str, PartSnapshot] = field(default_factory=dict)
    statuses: list[Status] = field(default_factory=list)
    writes: list[tuple[float, str]] = field(default_factory=list)

    @property
    def recorded(self) -> list[PartSnapshot]:
        return sorted(self.parts.values(), key=lambda part: part.order)

    def tools(self) -> list[str]:
        return [part.tool for part in self.recorded if part.kind == "tool"]


class Agent:
    """A demo model, an OpenCode server that uses it, and a workspace."""

    def __init__(
        self,
        folder: Path,
        *,
        rules: dict[str, Any] | None = None,
        is_trusted: bool = False,
        permissions: dict[str, str] | None = None,
    ) -> None:
        self.model = DemoModel(0, pace=0)
        threading.Thread(target=self.model.serve_forever, daemon=True).start()
        self.workspace = make_workspace(folder / "workspace")
        with override_settings(STUDIO_DEMO_MODEL_PORT=self.model.server_address[1]):
            self.provider = demo([])
        data = folder / "opencode"
        built = config.build(
            self.provider,
            workspace=self.workspace,
            data=data,
            rules=rules,
            is_trusted=is_trusted,
            permissions=permissions,
        )
        self.server = Server(
            workspace=self.workspace,
            data=data,
            provider=self.provider,
            config=built,
            launch=lambda argv, env: launch(argv, env, self.workspace),
            is_trusted=is_trusted,
        )
        self.server.start(lambda: None)
        self.client: Client = self.server.client(timeout=30)
        self.stream = self.new_stream()

    def new_stream(self) -> EventStream:
        stream = EventStream(self.server.base_url, self.server.password, str(self.workspace))
        stream.open()
        return stream

    def close(self) -> None:
        self.stream.close()
        self.client.close()
        self.server.stop()
        self.model.shutdown()
        self.model.server_close()

    def run(
        self,
        text: str,
        *,
        agent: str = config.BUILD_AGENT,
        session_id: str = "",
        model: str = "demo/demo",
        limits: Limits = QUICK,
        tick: Callable[[], None] = lambda: None,
        on_status: Callable[[Status], None] = lambda status: None,
        **directive: Any,
    ) -> Run:
        """Send one prompt, with a directive for the demo model where phases are given, and follow it to its end."""
        session_id = session_id or self.client.create_session("A test", {"session": 1})
        run = Run(session_id, message_id(), Outcome("failed"))
        block = f"\n\n```demo\n{json.dumps(directive)}\n```" if directive else ""

        def record(parts: list[PartSnapshot]) -> None:
            run.writes += [(time.monotonic(), part.part_id) for part in parts]
            for part in parts:
                run.parts[part.part_id] = part
                if part.removed:
                    del run.parts[part.part_id]

        def tell(status: Status) -> None:
            run.statuses.append(status)
            on_status(status)

        self.stream.clear()
        self.client.prompt_async(session_id, run.message_id, agent, model, text + block)
        run.outcome = follow(
            self.client,
            self.stream,
            session_id,
            run.message_id,
            tick=tick,
            on_change=record,
            on_status=tell,
            limits=limits,
        )
        return run

    def received(self, text: str) -> list[dict[str, Any]]:
        """The requests to the model whose messages hold this text."""
        return [
            entry["body"] for entry in list(self.model.log) if text in json.dumps(entry["body"]["messages"])
        ]


def assert_equals_opencodes_own_list(agent: Agent, run: Run) -> None:
    """The parts handed on are those that OpenCode lists for the prompt, its sub-agents' included: read here without our own reader."""
    listed: list[tuple[str, str, str]] = []
    for session in [{"id": run.session_id}, *agent.client.children(run.session_id)]:
        for message in agent.client.messages(session["id"]):
            if message["info"]["id"] >= run.message_id:
                listed += [
                    (message["info"]["id"], part["id"], part.get("text", "")) for part in message["parts"]
                ]
    handed_on = [(part.message_id, part.part_id, part.text) for part in run.recorded if part.kind != "error"]
    assert handed_on == sorted(listed)
    assert run.recorded == snapshot(agent.client, run.session_id, run.message_id)
