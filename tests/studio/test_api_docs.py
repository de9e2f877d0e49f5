"""docs/api.md and the API say the same."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.scripts import Script

PAGE = (Path(__file__).resolve().parents[2] / "docs/api.md").read_text()
CALL = re.compile(r"^\| `(GET|POST|PUT|PATCH|DELETE) (/api/[^`]*)` \| (.*) \|$", re.MULTILINE)


def test_every_operation_has_its_line_and_every_line_an_operation(client: Client, db: None) -> None:
    schema = client.get("/api/openapi.json").json()
    told = {(method, path) for method, path, _ in CALL.findall(PAGE)}
    there = {(method.upper(), path) for path, methods in schema["paths"].items() for method in methods}
    assert told == there


@pytest.mark.parametrize(("method", "path", "example"), CALL.findall(PAGE))
def test_an_example_calls_what_it_stands_beside(method: str, path: str, example: str) -> None:
    call = re.search(r'`(?:call|curl -H "Authorization: Bearer \$TOKEN") ([^`]*)`', example)
    assert call, example
    address = re.search(r"\$STUDIO(/api/[^\s\"?]*)", call[1])
    assert address
    assert re.fullmatch(re.sub(r"\{\w+\}", r"\\d+", path), address[1])
    stated = re.search(r"-X (\w+)", call[1])
    assert method == (stated[1] if stated else "POST" if re.search(" -[dF] |^-F ", call[1]) else "GET")


@pytest.mark.parametrize(("method", "path", "example"), CALL.findall(PAGE))
def test_an_example_is_answered_by_its_operation(alice: Any, method: str, path: str, example: str) -> None:
    """Nothing is there, so 404 or 403 is right; 405 or a complaint about the body would mean that the example is wrong."""
    body = re.search(r"-d '(\{.*?\})'`", example)
    address = re.search(r"\$STUDIO(/api/[^\s\"`']*)", example)
    assert address
    reply = Script(alice).send(method.lower(), address[1], body and body[1])
    if reply.status_code == 422:
        assert reply.json()["fields"].keys() <= {"project", *re.findall(r"-F (\w+)=", example)}
    else:
        assert reply.status_code in (200, 403, 404)
        assert reply.status_code == 200 or "no /api/" not in reply.json()["message"]
