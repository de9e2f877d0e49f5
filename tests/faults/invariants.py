"""What has to hold after every fault, by the numbers of reliability.md: each raises AssertionError with what broke it."""

import contextlib
import re
import subprocess
import time
from pathlib import Path
from typing import Any

from studio import processes
from tests import factories
from tests.faults.studio import CANARIES, ENDED, LIVE, PROJECT_SECRET, Studio, checkout_sum

SETTLE_SECONDS = 15  # a run and all that it started is gone by then
PAGE_SECONDS = 2

SESSIONS = """
    SELECT s.id, s.state, s.reason, s.ended_at, s.rev, a.lease, a.pid, a.pid_started, a.id AS attempt
    FROM agent_sessions_session s JOIN agent_sessions_attempt a ON a.id = s.attempt_id
"""


def i01_what_was_accepted_has_ended_or_waits_or_has_a_living_owner(studio: Studio) -> None:
    """Nothing is lost, and no card says "running" over a dead agent."""
    known = {row["id"]: row for row in studio.rows(SESSIONS)}
    assert studio.accepted <= known.keys(), f"lost: {studio.accepted - known.keys()}"
    for row in known.values():
        assert row["state"] in (*LIVE, *ENDED), row
        owned = row["lease"] == "claimed" and (
            not row["pid"] or processes.is_alive(row["pid"], row["pid_started"])
        )
        if row["state"] == "queued":
            assert row["lease"] == "claimable" or owned, f"nobody would run it: {row}"
        elif row["state"] in ("starting", "running"):
            assert owned, f"nobody runs it: {row}"


def i02_an_attempt_has_one_live_session_and_a_session_one_owner(studio: Studio) -> None:
    """Nothing runs twice: of each session's life there is one beginning, whoever claimed it."""
    twice = f"SELECT attempt_id FROM agent_sessions_session WHERE state IN {LIVE} GROUP BY attempt_id HAVING COUNT(*) > 1"
    assert not studio.rows(twice)
    begun = "SELECT session_id FROM tasks_event WHERE name = 'session.started' GROUP BY session_id HAVING COUNT(*) > 1"
    assert not studio.rows(begun)


def i03_activity_is_complete_and_in_order(studio: Studio) -> None:
    """`seq` counts from 1 without a gap, no part is there twice, and no `rev` is above its session's or used twice."""
    broken = """
        SELECT s.id, s.rev, COUNT(*) AS entries, MAX(a.seq) AS last, COUNT(DISTINCT a.seq) AS places,
               COUNT(DISTINCT a.part_id) AS parts, MAX(a.rev) AS newest, COUNT(DISTINCT a.rev) AS revs
        FROM agent_sessions_activity a JOIN agent_sessions_session s ON s.id = a.session_id GROUP BY s.id, s.rev
        HAVING COUNT(*) <> MAX(a.seq) OR COUNT(*) <> COUNT(DISTINCT a.seq) OR COUNT(*) <> COUNT(DISTINCT a.part_id)
            OR MAX(a.rev) > s.rev OR COUNT(*) <> COUNT(DISTINCT a.rev)
    """
    assert not studio.rows(broken), studio.rows(broken)
    doubled = """
        SELECT a.part_id FROM agent_sessions_activity a JOIN agent_sessions_session s ON s.id = a.session_id
        GROUP BY s.attempt_id, a.part_id HAVING COUNT(*) > 1
    """
    assert not studio.rows(doubled), studio.rows(doubled)
    open_still = f"""
        SELECT a.id, a.state, s.state AS session FROM agent_sessions_activity a
        JOIN agent_sessions_session s ON s.id = a.session_id
        WHERE s.state IN {ENDED} AND a.state IN ('pending', 'running')
    """
    assert not studio.rows(open_still), f"under way in a session that ended: {studio.rows(open_still)}"


def i04_a_final_state_never_changes(studio: Studio) -> None:
    """By what was seen after earlier tests, and by the events: one end each, nothing after it, and it says what the row says."""
    rows = studio.rows(
        f"SELECT id, state, reason, ended_at FROM agent_sessions_session WHERE state IN {ENDED}"
    )
    final = {row["id"]: (row["state"], row["reason"], str(row["ended_at"])) for row in rows}
    changed = {pk: (was, final.get(pk)) for pk, was in studio.seen.items() if final.get(pk) != was}
    assert not changed, f"was, is: {changed}"
    studio.seen = dict(final)
    moves = "SELECT session_id, name FROM tasks_event WHERE name IN ('session.started', 'session.running', 'session.waiting', 'session.ended') ORDER BY id"
    ended: set[int] = set()
    for event in studio.rows(moves):
        assert event["session_id"] not in ended, f"moved after its end: {event}"
        if event["name"] == "session.ended":
            ended.add(event["session_id"])
    assert ended == final.keys(), (
        f"an end without its event, or an event without an end: {ended ^ final.keys()}"
    )


def every_end_has_a_name(studio: Studio) -> None:
    """Whatever was broken, a session that ended without its result says why: `unknown` is a fault that nobody thought of."""
    nameless = "SELECT id, state, reason, detail FROM agent_sessions_session WHERE state IN ('failed', 'interrupted', 'cancelled') AND reason IN ('', 'unknown')"
    assert not studio.rows(nameless), studio.rows(nameless)


def i05_no_process_of_an_attempt_that_nobody_has(studio: Studio) -> None:
    """Nothing is left behind: what carries an attempt's mark belongs to one that is claimed."""
    claimed = {
        row["id"] for row in studio.rows("SELECT id FROM agent_sessions_attempt WHERE lease = 'claimed'")
    }
    strays = {pid: owner for pid, owner in studio.tagged().items() if owner not in claimed}
    assert not strays, {pid: Path(f"/proc/{pid}/cmdline").read_bytes()[:200] for pid in strays if _there(pid)}


def i06_every_workspace_belongs_to_an_attempt(studio: Studio) -> None:
    """Or lies in the trash."""
    known = {row["id"] for row in studio.rows("SELECT id FROM agent_sessions_attempt")}
    folders = [path.name for path in (studio.home / "attempts").glob("*")]
    assert not [name for name in folders if int(name.partition("-")[0]) not in known]


def i07_peoples_checkouts_are_as_they_were(studio: Studio) -> None:
    """Studio touches no file of a person's own, unless the test merges (`studio.may_change`)."""
    for repository, before in studio.checkouts.items():
        if repository.exists():
            now = checkout_sum(repository)
            assert before in ("", now), f"{repository} is not what it was"
            studio.checkouts[repository] = now


def i08_the_database_and_the_repositories_are_whole(studio: Studio) -> None:
    if not studio.environment.get("DATABASE_URL"):
        assert studio.row("PRAGMA integrity_check") == {"integrity_check": "ok"}
        assert not studio.rows("PRAGMA foreign_key_check")
    for repository in studio.checkouts:
        if (repository / ".git").exists():
            factories.git(repository, "fsck", "--no-dangling", "--no-progress")


def i09_no_secret_is_anywhere_but_in_its_own_place(studio: Studio) -> None:
    """Not what the environment of whoever started Studio has, not Studio's keys, no one's token, no project's secret: not in a file of
    Studio's, the database and the workspaces among them, not in a repository, and not in what an agent's processes can see of
    themselves, where a check has its project's secrets alone. A restore sets the keys aside with all that they open."""
    names = ("secret_key", "vault_key")
    keys = [studio.home / name for name in names]
    aside = [file for name in names for file in studio.home.glob(f"before-restore-*/{name}")]
    secrets = [
        *CANARIES.values(),
        *(key.read_text().strip() for key in [*keys, *aside]),
        *filter(None, [studio.token]),
    ]
    words = [part for secret in [*secrets, PROJECT_SECRET] for part in ("-e", secret)]
    places = [str(place) for place in (studio.home, *studio.checkouts) if place.exists()]
    found = subprocess.run(
        ["grep", "--recursive", "--files-with-matches", "--text", "--fixed-strings", *words, *places],
        capture_output=True, text=True, check=False,
    ).stdout.splitlines()  # fmt: skip
    assert sorted(found) == sorted(map(str, [*keys, *aside])), found
    assert not [key for key in [*keys, *aside] if key.stat().st_mode & 0o077], "others can read a key"
    for pid in studio.tagged():
        with contextlib.suppress(OSError):
            told = Path(f"/proc/{pid}/environ").read_text(errors="replace")
            assert not [secret for secret in secrets if secret in told], f"process {pid} has a secret"


def i10_the_board_shows_what_the_database_has(studio: Studio) -> None:
    """Every card, by its state and the number of its last event; what is beyond a column's window is not there."""
    for project in studio.rows("SELECT id, key FROM tasks_project"):
        page = studio.page(f"/projects/{project['key']}/")
        assert page.status_code == 200, page.text
        cards = re.findall(r'id="task-(\d+)" data-rev="(\d+)" data-status="(\w+)"', page.text)
        shown = {int(pk): (int(rev), status) for pk, rev, status in cards}
        query = """
            SELECT t.id, t.status, (SELECT MAX(e.id) FROM tasks_event e WHERE e.task_id = t.id) AS rev
            FROM tasks_task t WHERE t.project_id = ? AND t.status <> 'cancelled'
        """
        rows = {row["id"]: (row["rev"], row["status"]) for row in studio.rows(query, project["id"])}
        assert shown.items() <= rows.items(), {
            pk: (shown[pk], rows.get(pk)) for pk in shown if shown[pk] != rows.get(pk)
        }
        missing = [pk for pk, (_, status) in rows.items() if pk not in shown and status != "done"]
        assert len(rows) > 100 or not missing, f"not on the board: {missing}"


# Each with the seconds that it may need to become true once more.
INVARIANTS: list[tuple[Any, float]] = [
    (i01_what_was_accepted_has_ended_or_waits_or_has_a_living_owner, SETTLE_SECONDS),
    (i02_an_attempt_has_one_live_session_and_a_session_one_owner, 0),
    (i03_activity_is_complete_and_in_order, 0),
    (i04_a_final_state_never_changes, 0),
    (every_end_has_a_name, 0),
    (i05_no_process_of_an_attempt_that_nobody_has, SETTLE_SECONDS),
    (i06_every_workspace_belongs_to_an_attempt, 0),
    (i07_peoples_checkouts_are_as_they_were, 0),
    (i08_the_database_and_the_repositories_are_whole, 0),
    (i09_no_secret_is_anywhere_but_in_its_own_place, 0),
    (i10_the_board_shows_what_the_database_has, PAGE_SECONDS),
]
OF_A_LIVING_STUDIO = (
    i01_what_was_accepted_has_ended_or_waits_or_has_a_living_owner,
    i10_the_board_shows_what_the_database_has,
)


def check(studio: Studio) -> None:
    """All of them; of a Studio that is down, those that hold then too."""
    for invariant, seconds in INVARIANTS:
        if studio.is_up or invariant not in OF_A_LIVING_STUDIO:
            _holds(invariant, studio, seconds)


def _holds(invariant: Any, studio: Studio, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return invariant(studio)
        except (AssertionError, OSError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def _there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
