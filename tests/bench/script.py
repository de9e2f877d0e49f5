"""The smallest script that has OpenCode do a task: clone, serve, prompt, wait. No sandbox, no record, no board.

It gets the configuration that Studio gives (agents, permissions, what is switched off), so that only the driving differs. Its data
folder stays from run to run, as on a person's machine, where Studio begins with a new one for each attempt.
"""

import json
import os
import subprocess
import time
from pathlib import Path

import httpx
from django.test import override_settings

from sessions.opencode import config, provider
from sessions.opencode.server import FOLDERS, binary, own_folder, skip_plugin_install, write_private
from tests.running import free_port

PASSWORD = "bench"
POLL_SECONDS = 0.05
DEADLINE_SECONDS = 120


def run(repository: Path, workspace: Path, data: Path, prompt: str, model_port: int) -> None:
    """Returns when OpenCode's answer is complete; raises when it does not come in time."""
    subprocess.run(["git", "clone", "--quiet", "--shared", repository, workspace], check=True)
    port = free_port()
    environment = prepare(workspace, data, model_port)
    argv = [str(binary()), "serve", "--port", str(port), "--hostname", "127.0.0.1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(argv, cwd=workspace, env=environment, **quiet)
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            auth=("opencode", PASSWORD),
            params={"directory": str(workspace)},
            timeout=60,
            trust_env=False,
        ) as client:
            drive(client, prompt)
    finally:
        server.terminate()
        server.wait(30)


def prepare(workspace: Path, data: Path, model_port: int) -> dict[str, str]:
    """Write the configuration; the server's environment."""
    for name in FOLDERS:
        own_folder(data / name)
    skip_plugin_install(own_folder(data / "config" / "opencode"))
    with override_settings(STUDIO_DEMO_MODEL_PORT=model_port):
        demo = provider.demo([])
    built = config.build(demo, workspace=workspace, data=data)
    file = data / "opencode.json"
    write_private(file, json.dumps(built))
    switches = config.environment(demo, data=data, config_file=file, password=PASSWORD, config=built)
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **switches}


def drive(client: httpx.Client, prompt: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    wait_until_healthy(client, deadline)
    session = client.post("/session", json={"title": "Bench"}).raise_for_status().json()["id"]
    body = {"agent": config.BUILD_AGENT, "parts": [{"type": "text", "text": prompt}]}
    client.post(f"/session/{session}/prompt_async", json=body).raise_for_status()
    while not is_finished(client, session):
        assert time.monotonic() < deadline, "the script's answer did not come"
        time.sleep(POLL_SECONDS)


def wait_until_healthy(client: httpx.Client, deadline: float) -> None:
    while time.monotonic() < deadline:
        try:
            if client.get("/global/health", timeout=1).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(POLL_SECONDS)
    raise AssertionError("the script's OpenCode did not start")


def is_finished(client: httpx.Client, session: str) -> bool:
    """Idle alone would also be true before it began."""
    if session in client.get("/session/status").raise_for_status().json():
        return False
    messages = client.get(f"/session/{session}/message").raise_for_status().json()
    last = messages[-1]["info"] if messages else {}
    assert not last.get("error"), last
    return last.get("role") == "assistant" and last.get("finish") == "stop"
