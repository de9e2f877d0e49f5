"""The APIs of forges, as far as Studio uses them: finding, opening and reading a pull request."""

from typing import Protocol

from sessions.forges import gitea, github, gitlab
from sessions.forges.client import Answers, ForgeFailed, ForgeTrouble, Found
from tasks.models import Forge


class PullRequests(Protocol):
    """Those of one repository. Each call raises ForgeFailed; `find` is newest first and knows those that have ended too."""

    def find(self, branch: str, base: str) -> list[Found]: ...

    def open(self, branch: str, base: str, title: str, body: str) -> Found: ...

    def read(self, number: int) -> Found: ...


def at(forge: str, answers: Answers) -> PullRequests:
    """The pull requests of that repository, by the kind of forge."""
    makers: dict[str, type[PullRequests]] = {
        Forge.GITHUB: github.PullRequests,
        Forge.GITLAB: gitlab.MergeRequests,
        Forge.GITEA: gitea.PullRequests,
    }
    maker = makers.get(forge)
    if maker is None:
        raise ForgeFailed(ForgeTrouble.TOKEN_AGAIN)
    return maker(answers)  # type: ignore[call-arg]


def header(forge: str, token: str) -> dict[str, str]:
    """How that kind of forge is shown a token."""
    if forge == Forge.GITLAB:
        return {"PRIVATE-TOKEN": token}
    if forge == Forge.GITEA:
        return {"Authorization": f"token {token}"}
    return {
        "Authorization": f"Bearer {token}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }


__all__ = ["Answers", "ForgeFailed", "ForgeTrouble", "Found", "PullRequests", "at", "header"]
