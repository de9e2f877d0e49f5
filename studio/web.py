"""`python -m studio.web --fd N APPLICATION`: daphne, as one of several processes that accept from one socket."""

import importlib
import os
import socket
import time
from typing import Any

import django
from daphne.cli import CommandLineInterface  # first: it chooses the reactor
from django.conf import settings
from twisted.internet import reactor, tcp

Port: Any = tcp.Port  # most of its methods have no types
GATE_SECONDS = 0.02
PAUSE_SECONDS = 0.003  # after a connection was taken, for the other processes to take the next


class SharedPort(Port):
    """Takes one connection at a time. Twisted takes all that wait: of twenty that come at once and stay, one process gets every one."""

    def doRead(self) -> None:
        """Accept; who got none in the race with the others listens on."""
        taken = self.sessionno
        self.numberAccepts = 1
        super().doRead()
        if self.sessionno > taken:
            self.stopReading()
            self.reactor.callLater(PAUSE_SECONDS, self._listen_on)

    def _listen_on(self) -> None:
        if self.connected and not self.disconnecting:
            self.startReading()


def adopt(descriptor: int, family: int, factory: Any) -> Any:
    """The reactor's `adoptStreamPort`. The socket knows its own family: daphne says IPv4 of every one."""
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        family = listener.family
    port = SharedPort._fromListeningDescriptor(reactor, descriptor, family, factory)
    port.startListening()
    return port


def wait_at_gate() -> None:
    """Import what pages need while Studio prepares itself, and serve none before it has: it takes `run/gate` away then."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "studio.settings")
    gate = settings.STUDIO_HOME / "run" / "gate"
    if gate.exists():
        django.setup()
        importlib.import_module(settings.ROOT_URLCONF)
    while gate.exists():
        time.sleep(GATE_SECONDS)


if __name__ == "__main__":
    wait_at_gate()
    reactor.adoptStreamPort = adopt
    CommandLineInterface.entrypoint()
