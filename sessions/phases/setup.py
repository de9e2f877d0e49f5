"""Before the first phase in a workspace: files of the checkout are copied in, and the project's setup command runs."""

from pathlib import Path

from sessions import environment
from sessions.models import CheckResult, Session
from sessions.phases import checks
from sessions.phases.bench import Bench, workspace_failures
from sessions.reasons import Failed, Reason
from sessions.workspaces.copying import copy_in
from studio import crash
from studio.errors import Invalid

TOLD = 2000  # characters of what a setup printed that the reason repeats


def run(bench: Bench, session: Session) -> None:
    """Set the workspace up, once. A crash meanwhile has it done again. Raises Failed."""
    project = session.task.project
    if not (project.setup_command or project.copied_files):
        return
    workspace = bench.workspace  # made anew, it has to be set up anew
    if bench.attempt.set_up_at:
        return
    if project.copied_files:
        bench.copies(project.copied_files)
        with workspace_failures():
            try:
                copy_in(Path(project.path), workspace, project.copied_files, bench.claim.tick)
            except Invalid as wrong:
                raise Failed(Reason.SETUP, wrong.message) from wrong
    if project.setup_command:
        given = environment.for_commands(project)
        result = checks.run_command(
            bench, session, "setup", project.setup_command, float(project.setup_seconds), given,
            kind=CheckResult.Kind.SETUP,
        )  # fmt: skip
        if result.is_red:
            how = f"exit code {result.exit_code}" if result.exit_code is not None else "it took too long"
            raise Failed(Reason.SETUP, f"{how}\n{result.output[-TOLD:]}".strip())
    crash.point("set-up")
    with bench.claim.record():
        bench.attempt.set_up(done=True)
