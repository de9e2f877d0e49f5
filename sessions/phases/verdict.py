"""A review's verdict: JSON in the answer's text, validated here, never guessed from prose."""

import json
import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

BLOCK = re.compile(r"```(?:json)?\s*\n(.*?)\n\s*```", re.DOTALL)


class FoundProblem(BaseModel):
    """One finding, as the review agent is told to write it."""

    model_config = ConfigDict(extra="ignore")

    severity: Literal["error", "warning", "info"]
    title: str = Field(min_length=1, max_length=300)
    body: str = Field(default="", max_length=10_000)
    path: str = Field(default="", max_length=1000)
    line: int | None = Field(default=None, ge=1, le=10_000_000)
    end_line: int | None = Field(default=None, ge=1, le=10_000_000)


class Verdict(BaseModel):
    """The whole answer of a review."""

    model_config = ConfigDict(extra="ignore")

    verdict: Literal["approved", "changes_requested"]
    summary: str = Field(default="", max_length=10_000)
    findings: list[FoundProblem] = Field(default_factory=list, max_length=200)


class Unreadable(ValueError):
    """The answer holds no valid verdict; the message says what is wrong with it."""


def read(answer: str) -> Verdict:
    """The verdict in the answer: its last fenced block, or the whole text where it is bare JSON."""
    blocks = BLOCK.findall(answer) or [answer]
    try:
        return Verdict.model_validate(json.loads(blocks[-1]))
    except json.JSONDecodeError as error:
        raise Unreadable(f"it is not JSON ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the block"
        raise Unreadable(f"{where}: {first['msg']}") from error
