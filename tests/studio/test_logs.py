"""Logs have an end, also those of a process that runs for months."""

import io
import os
from pathlib import Path

import pytest

from sessions.opencode import server
from studio import supervisor


def test_a_long_log_is_set_aside_and_goes_on_while_its_process_holds_it_open(tmp_path: Path) -> None:
    child = supervisor.Child(supervisor.Program("web", ["true"]), tmp_path)
    child.log.parent.mkdir()
    with child.log.open("ab", buffering=0) as held:
        held.write(b"short\n")
        child.bound_log()
        assert child.log.read_bytes() == b"short\n"
        os.truncate(held.fileno(), supervisor.LONGEST_LOG + 1)
        child.bound_log()
        held.write(b"later\n")
    assert child.log.read_bytes() == b"later\n"
    assert child.log.with_suffix(".log.1").stat().st_size == supervisor.LONGEST_LOG + 1


def test_what_an_agents_server_prints_is_read_to_its_end_and_kept_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LONGEST_LOG", 100)
    log = tmp_path / "opencode.log"
    server.drain(io.BytesIO(b"a line of twenty odd\n" * 50 + b"the last"), log)
    assert log.read_bytes().endswith(b"the last")
    assert log.stat().st_size < 200


def test_what_cannot_be_written_is_read_all_the_same(tmp_path: Path) -> None:
    """A pipe that nobody reads would stop the server."""
    pipe = io.BytesIO(b"one\ntwo\n")
    server.drain(pipe, tmp_path / "nowhere" / "opencode.log")
    assert pipe.read() == b""
