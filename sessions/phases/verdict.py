"""A review's verdict: JSON in the answer's text, validated here, never guessed from prose. What is unclear is no approval."""

import posixpath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from sessions.phases.json_answers import Unreadable, objects
from tasks.plan_text import MOST_CRITERIA

__all__ = ["FoundProblem", "Unreadable", "Verdict", "merged", "read"]

MOST_FINDINGS = 200  # of one review, the worst
WORST_FIRST = ("error", "warning", "info")
LAST_LINE = 10_000_000


def _plain(value: Any) -> Any:
    """As a database takes it: without NUL and lone surrogates."""
    return (
        value.replace("\x00", "").encode("utf-8", "replace").decode().strip()
        if isinstance(value, str)
        else value
    )


def _cut(longest: int) -> BeforeValidator:
    def cut(value: Any) -> Any:
        value = _plain(value)
        return value[:longest] if isinstance(value, str) else value

    return BeforeValidator(cut)


def _numbers(value: Any) -> Any:
    """Those of a list that can be numbers of criteria: what is wrong in it never costs the verdict."""
    listed = value if isinstance(value, list) else []
    return sorted({each for each in listed if type(each) is int and 0 < each <= MOST_CRITERIA})


def _word(value: Any) -> Any:
    return _plain(value).lower() if isinstance(value, str) else value


class FoundProblem(BaseModel):
    """One finding, as the review agent is told to write it. Without a path it is about the whole change."""

    model_config = ConfigDict(extra="ignore", strict=True)

    severity: Annotated[Literal["error", "warning", "info"], BeforeValidator(_word)]
    title: Annotated[str, _cut(300)] = Field(min_length=1)
    body: Annotated[str, _cut(10_000)] = ""
    path: Annotated[str, BeforeValidator(_plain)] = ""
    line: int | None = None
    end_line: int | None = None

    @model_validator(mode="after")
    def place(self) -> "FoundProblem":
        """A place that cannot be is left out, and the finding stays."""
        self.path = _inside(self.path)
        if not self.path or self.line is None or not 0 < self.line <= LAST_LINE:
            self.line = None
        if self.line is None or self.end_line is None or not self.line <= self.end_line <= LAST_LINE:
            self.end_line = self.line
        return self


class Verdict(BaseModel):
    """The whole answer of a review."""

    model_config = ConfigDict(extra="ignore", strict=True)

    verdict: Annotated[Literal["approved", "changes_requested"], BeforeValidator(_word)]
    summary: Annotated[str, _cut(10_000)] = ""
    findings: list[FoundProblem] = Field(default_factory=list)
    criteria_met: Annotated[list[int], BeforeValidator(_numbers)] = Field(default_factory=list)

    @model_validator(mode="after")
    def weigh(self) -> "Verdict":
        """An error is no approval, whatever the verdict says. Of very many findings the worst are kept, and the summary says so."""
        if any(finding.severity == "error" for finding in self.findings):
            self.verdict = "changes_requested"
        self.findings.sort(key=lambda finding: WORST_FIRST.index(finding.severity))
        if more := self.findings[MOST_FINDINGS:]:
            self.findings = self.findings[:MOST_FINDINGS]
            self.summary = f"{self.summary}\n\n{len(more)} more findings were left out.".strip()
        return self


def read(answer: str) -> Verdict:
    """The verdict in the answer, fenced or not. Raises Unreadable where there is none, or more than one opinion."""
    said = objects(answer, "verdict")
    if not said:
        raise Unreadable("there is no JSON object with a verdict in it")
    verdicts = [_validated(each) for each in said]
    if len({each.verdict for each in verdicts}) > 1:
        raise Unreadable("there are several verdicts in it, and they differ")
    return verdicts[-1]


def merged(parts: list[Verdict]) -> Verdict:
    """One verdict of those on the parts of a change: the worst, with all their findings."""
    worst = any(part.verdict == "changes_requested" for part in parts)
    found = {(each.path, each.line, each.title): each for part in parts for each in part.findings}
    return Verdict(
        verdict="changes_requested" if worst else "approved",
        summary="\n\n".join(part.summary for part in parts if part.summary),
        findings=list(found.values()),
        criteria_met=sorted({number for part in parts for number in part.criteria_met}),
    )


def _validated(value: dict[str, Any]) -> Verdict:
    try:
        return Verdict.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the block"
        raise Unreadable(f"{where}: {first['msg']}") from error


def _inside(path: str) -> str:
    """The path from the root of the workspace; empty where it leads out of it or is none."""
    clean = posixpath.normpath(path) if path else ""
    out = clean.startswith(("/", "../")) or clean in {"", ".", ".."} or len(clean) > 1000
    return "" if out or not clean.isprintable() else clean
