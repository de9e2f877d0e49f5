"""Checks: the project's own commands, run by Studio in the workspace's sandbox."""

from typing import Any

from sessions import anchors, environment
from sessions.models import CheckResult, Session
from sessions.models.session import State
from sessions.phases.bench import Bench, workspace_failures
from sessions.phases.console import Console
from sessions.progress import checks_completed
from sessions.workspaces.processes import giving_way
from studio import crash

DEFAULT_SECONDS = 600
KEPT_BYTES = 200_000


def run(bench: Bench, session: Session) -> None:
    """Commit what is there, run every check on it, and go on by the results."""
    with bench.claim.write():
        session.advance(State.RUNNING)
    head = bench.keep(f"{session.task.key}: {session.task.title}")
    follow(bench, head)
    given = environment.for_commands(session.task.project)
    for check in session.task.project.checks:
        seconds = float(check.get("timeout") or DEFAULT_SECONDS)
        run_command(
            bench, session, check["name"], check["command"], seconds, given,
            required=check.get("required", True), head_oid=head,
        )  # fmt: skip
    crash.point("checks-run")
    with bench.claim.write():
        checks_completed(session)


def follow(bench: Bench, head: str) -> None:
    """Move findings and comments on with their lines to the commit that is checked."""
    with workspace_failures():
        shifts = anchors.shifts(bench.attempt, head)
    if shifts:
        with bench.claim.record():
            for shift in shifts:
                shift.take()


def run_command(
    bench: Bench,
    session: Session,
    name: str,
    command: str,
    seconds: float,
    given: dict[str, str],
    *,
    kind: CheckResult.Kind = CheckResult.Kind.CHECK,
    **about: Any,
) -> CheckResult:
    """Run one command with a shell, for `seconds` at most; its result is stored whatever it is."""
    with bench.claim.record():
        result, _ = session.check_results.get_or_create(
            name=name, kind=kind, defaults={"command": command, **about}
        )
        Session.objects.filter(pk=session.pk).update(doing=f"{kind} {name}"[:200])
        session.task.note("check.started", session_id=session.pk, check=result.name)
    crash.point("check-begun")
    console = Console(bench, session, result)

    def tick() -> None:
        bench.claim.tick()
        console.tick()

    done = bench.workspace.sandbox.run(
        giving_way(["sh", "-c", command]),
        timeout=seconds,
        tick=tick,
        network=True,
        env=given,
        max_output=KEPT_BYTES,
        on_output=console.take,
    )
    crash.point("check-run")
    with bench.claim.record():
        output = bench.redactor.pieces(done.output)
        result.finish(done.exit_code, output, done.seconds, timed_out=done.timed_out)
        session.task.note("check.ended", session_id=session.pk, check=result.name, state=result.state)
        console.end(result)
    return result
