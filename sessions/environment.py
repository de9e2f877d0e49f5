"""What a project gives to the processes that Studio runs for it: the variables that its maintainers have set."""

from sessions.reasons import Failed, Reason
from studio.errors import Conflict
from tasks.models import Audience, Project


def for_commands(project: Project) -> dict[str, str]:
    """The variables of its checks, its setup and its clean-up: all of them. Raises Failed."""
    return _values(project, [*Audience])


def for_agents(project: Project) -> dict[str, str]:
    """The variables that its agents have too. Raises Failed."""
    return _values(project, [Audience.AGENTS])


def _values(project: Project, audiences: list[Audience]) -> dict[str, str]:
    values = {}
    for variable in project.variables.filter(audience__in=audiences):
        try:
            values[variable.name] = variable.value
        except Conflict as conflict:
            raise Failed(Reason.VAULT, f"{variable.name}: {conflict.message}") from conflict
    return values
