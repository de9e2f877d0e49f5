"""The recorder: activity is complete and in order, whatever OpenCode adds, repeats and takes back."""

from dataclasses import replace
from typing import Any

import pytest

from sessions import ledger
from sessions.models import Session
from sessions.models.attempt import Lease
from sessions.opencode.parts import PartSnapshot
from sessions.recorder import Recorder
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def recorder() -> Recorder:
    """Of a session that this process has claimed."""
    session = factories.make_session(factories.make_attempt(lease=Lease.CLAIMABLE), state="running")
    claim = ledger.claim("")
    assert claim is not None
    return Recorder(claim, session)


def part(number: int, **fields: Any) -> PartSnapshot:
    made = PartSnapshot(
        part_id=f"prt_{number}",
        message_id="msg_1",
        opencode_session_id="ses_1",
        parent_session_id="",
        depth=0,
        role="assistant",
        kind="message",
        state="completed",
        text=f"Part {number}",
    )
    return replace(made, **fields)


def entries(session: Session) -> list[tuple[int, str]]:
    return [(row.seq, row.text) for row in session.activity.order_by("seq")]


def test_what_follows_a_part_that_was_taken_back_moves_up(recorder: Recorder) -> None:
    recorder.write([part(1), part(2), part(3), part(4)])
    recorder.write([part(2, removed=True)])
    assert entries(recorder.session) == [(1, "Part 1"), (2, "Part 3"), (3, "Part 4")]
    revs = list(recorder.session.activity.order_by("rev").values_list("text", "rev"))
    recorder.session.refresh_from_db(fields=["rev"])
    assert revs == [("Part 1", 1), ("Part 3", 5), ("Part 4", 6)]
    assert recorder.session.rev == 6
    recorder.write([part(2), part(5)])
    assert [seq for seq, _ in entries(recorder.session)] == [1, 2, 3, 4, 5]


def test_a_part_that_comes_and_is_taken_back_in_one_breath_leaves_no_trace(recorder: Recorder) -> None:
    recorder.write([part(1), part(2), part(2, removed=True), part(3), part(3, text="Part three")])
    assert entries(recorder.session) == [(1, "Part 1"), (2, "Part three")]


def test_what_opencode_does_not_have_any_more_goes_when_all_is_settled(recorder: Recorder) -> None:
    recorder.write([part(1), part(2), part(3)])
    recorder.settle([part(1), part(3)])
    assert entries(recorder.session) == [(1, "Part 1"), (2, "Part 3")]
