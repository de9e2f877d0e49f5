"""In OpenCode's place: the real one behind a proxy that spoils every answer while a file says how.

    python3 opencode_proxy.py REAL MODE serve --port N --hostname 127.0.0.1

MODE is a file. Empty or absent: everything passes. `401` or `garbage`: every connection is cut, and every further request gets that.
"""

import contextlib
import socket
import subprocess
import sys
import threading
from pathlib import Path

REAL, MODE = sys.argv[1], Path(sys.argv[2])
ARGUMENTS = sys.argv[3:]
ANSWERS = {
    "401": b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "garbage": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\nConnection: close\r\n\r\n\xff\x00{[not js",
}


def mode() -> str:
    return MODE.read_text().strip() if MODE.exists() else ""


def serve(client: socket.socket, port: int) -> None:
    with contextlib.suppress(OSError), client:
        if spoilt := mode():
            client.recv(65536)
            client.sendall(ANSWERS[spoilt])
            return
        with socket.create_connection(("127.0.0.1", port)) as server:
            threading.Thread(target=pump, args=(server, client), daemon=True).start()
            pump(client, server)


def pump(source: socket.socket, target: socket.socket) -> None:
    source.settimeout(0.5)
    with contextlib.suppress(OSError):
        while not mode():
            with contextlib.suppress(TimeoutError):
                chunk = source.recv(65536)
                if not chunk:
                    break
                target.sendall(chunk)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def main() -> None:
    own = int(ARGUMENTS[ARGUMENTS.index("--port") + 1])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    listener = socket.create_server(("127.0.0.1", own))
    arguments = [str(port) if word == str(own) else word for word in ARGUMENTS]
    process = subprocess.Popen([REAL, *arguments])
    threading.Thread(target=accept, args=(listener, port), daemon=True).start()
    sys.exit(process.wait())


def accept(listener: socket.socket, port: int) -> None:
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, port), daemon=True).start()


main()
