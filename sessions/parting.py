"""The clean-up command of a project, run in a workspace before that is removed. Whatever comes of it, the workspace goes."""

import logging

from sessions import environment, places, redaction
from sessions.ledger import Claim
from sessions.models import CheckResult
from sessions.reasons import Failed
from sessions.workspaces.processes import giving_way
from studio.errors import Refusal

log = logging.getLogger(__name__)

SECONDS = 30  # a removal is a request that somebody waits for
KEPT_BYTES = 200_000


def clean_up(claim: Claim) -> None:
    """Run it where there is one, with the project's variables, and keep what it said beside the attempt's last session."""
    attempt, project = claim.attempt, claim.attempt.task.project
    session = attempt.sessions.order_by("-pk").first()
    if not project.cleanup_command or session is None:
        return
    with claim.record():
        attempt.set_up(done=False)  # what is restored has to be set up again
        session.check_results.filter(kind=CheckResult.Kind.CLEANUP).delete()
        result = session.check_results.create(
            kind=CheckResult.Kind.CLEANUP, name="clean-up", command=project.cleanup_command, required=False
        )
    try:
        done = places.workspace(attempt).sandbox.run(
            giving_way(["sh", "-c", project.cleanup_command]),
            timeout=SECONDS,
            tick=claim.keep_alive,
            network=True,
            env=environment.for_commands(project),
            max_output=KEPT_BYTES,
        )
        said, code, seconds, timed_out = done.output, done.exit_code, done.seconds, done.timed_out
    except (Failed, Refusal, OSError) as error:
        said, code, seconds, timed_out = str(error), None, 0.0, False
    output = redaction.Redactor(redaction.secrets(project)).pieces(said)
    with claim.record():
        result.finish(code, output, seconds, timed_out=timed_out)
        session.task.note("check.ended", session_id=session.pk, check=result.name, state=result.state)
    if result.state != CheckResult.State.PASSED:
        log.warning("the clean-up of %s: %s", attempt.key, result.state)
