"""A forge of our own making: a bare repository behind git's own HTTP server, and the APIs of GitHub, GitLab and Gitea, with
their states, refusals and ways to fail.
"""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

REPOSITORY = "team/shop"
HEADERS = {
    "github": ("Authorization", "Bearer {}"),
    "gitlab": ("PRIVATE-TOKEN", "{}"),
    "gitea": ("Authorization", "token {}"),
}
ROOTS = {
    "github": f"/api/v3/repos/{REPOSITORY}/pulls",
    "gitlab": "/api/v4/projects/team%2Fshop/merge_requests",
    "gitea": f"/api/v1/repos/{REPOSITORY}/pulls",
}


class Forge(ThreadingHTTPServer):
    """`fail` takes the place of the next answers of its API, one each: a function of the handler. `asked` has each request of
    the API as method, path and headers.
    """

    daemon_threads = True

    def __init__(self, kind: str, folder: Path, token: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.kind, self.folder, self.token = kind, folder, token
        self.pulls: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.fail: list[Callable[[Handler], None]] = []
        self.drop_next_answer = False  # to a POST, once it is done
        bare = folder / f"{REPOSITORY}.git"
        subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(bare)], check=True)
        subprocess.run(["git", "-C", str(bare), "config", "http.receivepack", "true"], check=True)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def home(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        """The repository's address, for git."""
        return f"{self.home}/{REPOSITORY}.git"

    @property
    def calls(self) -> list[str]:
        return [method for method, _, _ in self.asked]

    def oid(self, branch: str) -> str:
        bare = self.folder / f"{REPOSITORY}.git"
        command = ["git", "-C", str(bare), "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    def add(
        self, head: str, base: str, *, state: str = "open", fork: bool = False, **more: Any
    ) -> dict[str, Any]:
        """A pull request that somebody has opened."""
        pull = {"number": len(self.pulls) + 1, "head": head, "base": base, "state": state, "fork": fork}
        self.pulls.append(pull | {"oid": self.oid(head), **more})
        return self.pulls[-1]

    def shown(self, pull: dict[str, Any]) -> dict[str, Any]:
        """In the words of its kind."""
        number, state = pull["number"], pull["state"]
        if self.kind == "gitlab":
            return {
                "id": 9000 + number, "iid": number, "web_url": f"{self.home}/{REPOSITORY}/-/merge_requests/{number}",
                "state": {"open": "opened"}.get(state, state), "sha": pull["oid"],
                "source_branch": pull["head"], "target_branch": pull["base"],
                "source_project_id": 8 if pull["fork"] else 7, "target_project_id": 7,
            }  # fmt: skip
        owner = "stranger/shop" if pull["fork"] else REPOSITORY
        shown = {
            "id": 9000 + number, "number": number, "html_url": f"{self.home}/{REPOSITORY}/pull/{number}",
            "state": "open" if state == "open" else "closed", "merged_at": "2026-01-01T00:00:00Z" if state == "merged" else None,
            "head": {"ref": pull["head"], "sha": pull["oid"], "repo": {"full_name": owner}},
            "base": {"ref": pull["base"], "repo": {"full_name": REPOSITORY}},
        }  # fmt: skip
        return shown | ({"merged": state == "merged"} if self.kind == "gitea" else {})


class Handler(BaseHTTPRequestHandler):
    server: Forge
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def answer(self) -> None:
        self.parts = urlsplit(self.path)
        if self.parts.path.startswith(f"/{REPOSITORY}.git/"):
            self.git()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, dict(self.headers)))
        root = ROOTS[self.server.kind]
        name, form = HEADERS[self.server.kind]
        if self.server.fail:
            self.server.fail.pop(0)(self)
        elif not self.parts.path.startswith(root):
            self.say(404, {"message": "Not Found"})
        elif self.headers.get(name) != form.format(self.server.token):
            self.say(401, {"message": "Bad credentials"})
        elif self.command == "POST":
            self.open(json.loads(body))
        elif self.parts.path == root:
            self.list()
        else:
            self.say(200, self.server.shown(self.server.pulls[int(self.parts.path.rpartition("/")[2]) - 1]))

    def list(self) -> None:
        query = {name: values[0] for name, values in parse_qs(self.parts.query).items()}
        assert query["state"] == "all"
        found = list(reversed(self.server.pulls))
        if self.server.kind == "gitlab":
            names = (query["source_branch"], query["target_branch"])
            found = [each for each in found if (each["head"], each["base"]) == names]
        elif self.server.kind == "gitea":
            size = int(query["limit"])
            found = found[(int(query["page"]) - 1) * size :][:size]
        elif not query["head"].startswith("team:"):
            found = []
        self.say(200, [self.server.shown(each) for each in found])

    def open(self, asked: dict[str, str]) -> None:
        gitlab = self.server.kind == "gitlab"
        head, base = (
            asked["source_branch" if gitlab else "head"],
            asked["target_branch" if gitlab else "base"],
        )
        same = [
            each
            for each in self.server.pulls
            if (each["head"], each["base"], each["state"]) == (head, base, "open") and not each["fork"]
        ]
        if same:
            known = "Another open merge request already exists for this source branch: !1"
            said = {"message": [known]} if gitlab else {"message": "Validation Failed", "errors": [{"message": f"A pull request already exists for team:{head}."}]}  # fmt: skip
            self.say(422 if self.server.kind == "github" else 409, said)
        elif self.server.oid(head) == self.server.oid(base):
            errors = [{"message": f"No commits between {base} and {head}"}]
            self.say(422, {"message": "Validation Failed", "errors": errors})
        else:
            pull = self.server.add(
                head, base, title=asked["title"], body=asked["description" if gitlab else "body"]
            )
            if self.server.drop_next_answer:
                self.server.drop_next_answer = False
                self.close_connection = True
                return
            self.say(201, self.server.shown(pull))

    def say(self, status: int, body: Any = None, *, raw: bytes | None = None, **headers: str) -> None:
        """Answer with JSON, or with these very bytes."""
        text = json.dumps(body).encode() if raw is None else raw
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def git(self) -> None:
        """By git's own CGI program."""
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
        else:
            body = self.rfile.read(length)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": unquote(self.parts.path),
            "QUERY_STRING": self.parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "studio",
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=True
        )
        head, _, text = done.stdout.partition(b"\r\n\r\n")
        lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(lines.pop("Status", "200 OK").split()[0])
        self.say(status, raw=text, **lines)


def status(code: int, body: Any = None, **headers: str) -> Callable[[Handler], None]:
    """An answer of that status."""
    return lambda handler: handler.say(code, body, **headers)


def raw(text: bytes) -> Callable[[Handler], None]:
    """An answer of these very bytes."""
    return lambda handler: handler.say(200, raw=text)


def hang(seconds: float) -> Callable[[Handler], None]:
    """No answer for so long."""

    def wait(handler: Handler) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return wait


def drop(handler: Handler) -> None:
    """The connection ends without an answer."""
    handler.close_connection = True
