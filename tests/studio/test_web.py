"""A web process, on a socket that it is handed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from studio import preflight

WHO_CALLS = """
import json
async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": json.dumps([scope["client"][0], scope["server"]]).encode()})
"""


@pytest.mark.parametrize(("host", "url"), [("127.0.0.1", "http://127.0.0.1"), ("::1", "http://[::1]")])
def test_it_knows_the_addresses_of_either_family(host: str, url: str, tmp_path: Path) -> None:
    (tmp_path / "who_calls.py").write_text(WHO_CALLS)
    with preflight.listen(host, 0) as listener:
        port = listener.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "studio.web",
            "--fd",
            str(listener.fileno()),
            "who_calls:application",
        ]
        web = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(settings.BASE_DIR)},
            pass_fds=[listener.fileno()],
        )
        try:
            answer = httpx.get(f"{url}:{port}/", timeout=30)  # it waits in the socket until the process is up
            assert json.loads(answer.text) == [host, [host, port]]
        finally:
            web.terminate()
            web.wait(10)


def test_it_serves_no_page_before_studio_is_prepared(tmp_path: Path) -> None:
    (tmp_path / "who_calls.py").write_text(WHO_CALLS)
    gate = tmp_path / "home" / "run" / "gate"
    gate.parent.mkdir(parents=True)
    gate.touch()
    with preflight.listen("127.0.0.1", 0) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        web = subprocess.Popen(
            [sys.executable, "-m", "studio.web", "--fd", str(listener.fileno()), "who_calls:application"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(settings.BASE_DIR), "STUDIO_HOME": str(tmp_path / "home")},
            pass_fds=[listener.fileno()],
        )
        try:
            with pytest.raises(httpx.ReadTimeout):
                httpx.get(address, timeout=4)  # longer than it takes to come up
            gate.unlink()
            assert httpx.get(address, timeout=30).status_code == 200
        finally:
            web.terminate()
            web.wait(10)
