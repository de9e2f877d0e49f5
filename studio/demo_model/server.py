"""The demo model's HTTP server: `POST /v1/chat/completions` (streamed), `GET /v1/models`, `GET /health`, `GET /_log?n=`."""

import json
import os
import socket
import threading
import time
from collections import Counter, deque
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from studio.demo_model.reply import Reply, chunks
from studio.demo_model.story import next_step
from studio.demo_model.turn import Turn, understand

MODEL = "demo"
KEPT_REQUESTS = 300
FAULTS = {"error", "times", "hang", "hang_mid", "drop", "drop_mid", "malformed", "no_done"}  # keys of a step


class DemoModel(ThreadingHTTPServer):
    """The server. `pace` multiplies its small pauses (0: none). Only what a directive asks to fail `times` times is remembered."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, pace: float | None = None) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.pace = float(os.environ.get("STUDIO_DEMO_PACE", "") or 1) if pace is None else pace
        self.log: deque[dict[str, Any]] = deque(maxlen=KEPT_REQUESTS)
        self.failures: Counter[str] = Counter()
        self.stopping = threading.Event()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """The base URL that OpenCode is given."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def shutdown(self) -> None:
        self.stopping.set()
        super().shutdown()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away in the middle is no error here: OpenCode does it at every abort."""

    def reply_to(self, body: dict[str, Any], headers: dict[str, str]) -> Reply:
        """The answer to one request, with the request kept for `GET /_log`."""
        turn = understand(body)
        step = next_step(turn)
        with self.lock:
            self.log.append(
                {"turn": asdict(turn), "step": step, "headers": headers, "body": body, "at": time.time()}
            )
            if "times" in step:
                step = self._fail_a_few_times(turn, step, headers.get("x-session-id", ""))
        return Reply.of(step, turn, prompt_tokens=len(json.dumps(body)) // 4)

    def _fail_a_few_times(self, turn: Turn, step: dict[str, Any], session: str) -> dict[str, Any]:
        key = f"{session}/{turn.phase}/{turn.step}/{json.dumps(step)}"  # in whichever round: a retry is another one
        self.failures[key] += 1
        if self.failures[key] <= step["times"]:
            return step
        return {name: value for name, value in step.items() if name not in FAULTS} or {
            "text": "It worked in the end."
        }


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: DemoModel
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """No access log: `GET /_log` has more."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/health":
            self._send_json(200, {"ok": True, "model": MODEL, "ai": False})
        elif url.path == "/v1/models":
            self._send_json(
                200, {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "studio"}]}
            )
        elif url.path == "/_log":
            count = int(parse_qs(url.query).get("n", ["20"])[0])
            with self.server.lock:
                self._send_json(200, list(self.server.log)[-count:])
        else:
            self._send_json(404, {"error": {"message": "There is no such page."}})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        if urlsplit(self.path).path != "/v1/chat/completions":
            return self._send_json(404, {"error": {"message": "There is no such page."}})
        try:
            body = json.loads(raw)
        except ValueError:
            return self._send_json(400, {"error": {"message": "The body is no JSON."}})
        reply = self.server.reply_to(body, {name.lower(): value for name, value in self.headers.items()})
        self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        self._pause(reply.sleep if reply.sleep is not None else 0.2 * self.server.pace)
        if reply.hang:
            self._hang()
        elif reply.drop:
            self._drop()
        elif reply.error:
            self._send_error(reply)
        else:
            self._stream(reply)

    def _stream(self, reply: Reply) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")  # so that an end too early can be told from the end
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if reply.malformed:
            self._send_piece(b"data: {this is no JSON\n\n")
            return self._send_piece(b"")
        delay = reply.chunk_delay if reply.chunk_delay is not None else 0.02 * self.server.pace
        for chunk in chunks(reply):
            self._send_piece(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            self._pause(delay)
        if reply.hang_mid:
            return self._hang()
        if reply.drop_mid:
            return self._drop()
        if not reply.no_done:
            self._send_piece(b"data: [DONE]\n\n")
        return self._send_piece(b"")

    def _send_piece(self, piece: bytes) -> None:
        """One chunk of the answer; an empty one ends it."""
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def _send_error(self, reply: Reply) -> None:
        code = reply.error_code or f"demo_{reply.error}"
        self._send_json(
            reply.error,
            {"error": {"message": reply.error_message, "type": "demo", "code": code}},
            retry_after=reply.retry_after,
        )

    def _send_json(self, status: int, value: Any, retry_after: float | None = None) -> None:
        raw = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if retry_after is not None:
            self.send_header("Retry-After", f"{retry_after:g}")
        self.end_headers()
        self.wfile.write(raw)

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self.server.stopping.wait(seconds)

    def _hang(self) -> None:
        """Say nothing until the client goes away or the server stops."""
        self.close_connection = True
        self.connection.settimeout(0.5)
        while not self.server.stopping.is_set():
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
