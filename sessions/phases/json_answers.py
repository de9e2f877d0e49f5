"""The JSON objects in an agent's answer. What is torn, said twice or nested beyond reason is refused, never repaired."""

import json
import re
from collections.abc import Iterator
from typing import Any

LONGEST_ANSWER = 2_000_000  # characters
FENCE = re.compile(r"[ \t]*(?:[-*>][ \t]*)?(`{3,}|~{3,})[ \t]*([\w+-]*)[ \t]*")
OPENING = re.compile(r"[{\[]")
OBJECT = re.compile(r'\{\s*["\']')
LIST_OF_OBJECTS = re.compile(r"\[\s*\{")


class Unreadable(ValueError):
    """The answer does not hold what was asked for; the message says what is wrong with it."""


def objects(answer: str, key: str) -> list[dict[str, Any]]:
    """The objects with that key, in order, from fenced blocks and from prose alike. Raises Unreadable where a part that names the key
    cannot be read whole, as what was meant there is anybody's guess."""
    if len(answer) > LONGEST_ANSWER:
        raise Unreadable(f"it is longer than {LONGEST_ANSWER} characters")
    named = f'"{key}"'
    found = [value for part in _parts(answer) if named in part for value in _values(part)]
    if any(key not in value and named in json.dumps(value) for value in found):
        raise Unreadable(f"“{key}” stands inside of something else")
    return [value for value in found if key in value]


def _parts(answer: str) -> Iterator[str]:
    """The fenced blocks and what is between them."""
    lines: list[str] = []
    fence = ""
    for line in answer.replace("\ufeff", "").splitlines():
        mark = FENCE.fullmatch(line)
        closes = mark and fence and mark[1].startswith(fence) and not mark[2]
        if mark and (closes or not fence):
            yield "\n".join(lines)
            lines, fence = [], "" if closes else mark[1]
        else:
            lines.append(line)
    yield "\n".join(lines)


def _values(part: str) -> Iterator[dict[str, Any]]:
    """The outermost objects in the text. What stands in a list stands inside of something else."""
    at = 0
    while (start := OPENING.search(part, at)) is not None:
        at = start.start()
        if not OBJECT.match(part, at) and not LIST_OF_OBJECTS.match(part, at):
            at += 1
            continue
        value, at = _decode(part, at)
        yield value if isinstance(value, dict) else {"": value}


def _decode(part: str, at: int) -> tuple[Any, int]:
    try:
        return DECODER.raw_decode(part, at)
    except RecursionError as error:
        raise Unreadable("it is nested too deeply") from error
    except ValueError as error:  # also a number with thousands of digits
        raise Unreadable(f"it is not JSON ({error})") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key stands there twice")
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")


DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse)
