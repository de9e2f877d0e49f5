"""What is known of the connection below a consumer."""

from typing import Any

LONGEST_BACKLOG = 1024 * 1024  # bytes that may wait for a client that does not read


def backlog(send: Any) -> int:
    """Bytes handed to daphne that the client has not taken; 0 under a server that does not say.

    Daphne has no back-pressure: one client that stops reading would grow the process without end.
    """
    protocol = next(iter(getattr(send, "args", ())), None)
    transport = getattr(protocol, "transport", None) or getattr(
        getattr(protocol, "channel", None), "transport", None
    )
    waiting = getattr(transport, "_tempDataLen", 0) + len(getattr(transport, "dataBuffer", b""))
    return int(waiting - getattr(transport, "offset", 0))
