"""What the demo model answers when nobody told it otherwise: a small, complete story about the demo project."""

import json
import re
from typing import Any

from studio.demo_model.project import (
    BUG,
    EDGE_TEST,
    EDGE_TEST_ANCHOR,
    FIX,
    PACKAGE_FILE,
    TEST_COMMAND,
    TEST_FILE,
)
from studio.demo_model.turn import Turn

Step = dict[str, Any]
COMMENT = re.compile(r"^Comment (\d+): a person writes", re.MULTILINE)
NO_AI = "(The demo model wrote this from a script. It is no AI: connect a provider to have real work done.)"


def next_step(turn: Turn) -> Step:
    """The step of the story that this turn has come to."""
    if turn.phase == "title":
        return {"text": "Demo conversation"}
    if turn.phase in turn.directives:
        return directed(turn)
    tell = {"planning": planning, "implementation": implementation, "review": review, "fix": fix}.get(
        turn.phase
    )
    steps = tell(turn) if tell else [{"text": f"Nothing was asked of this sub-agent. {NO_AI}"}]
    return steps[min(turn.step, len(steps) - 1)]


def directed(turn: Turn) -> Step:
    """The step that a ```demo directive in the prompts asks for: a list of steps, or a list of such lists, one for each round."""
    steps = turn.directives[turn.phase]
    if steps and isinstance(steps[0], list):
        steps = steps[min(turn.round, len(steps)) - 1]
    if turn.step < len(steps):
        return dict(steps[turn.step])
    return {"text": "Done, as the script says."}


def planning(turn: Turn) -> list[Step]:
    """Look around, then a plan."""
    return [
        {
            "reasoning": "First I look at what is here.",
            "tool": "glob",
            "args": {"pattern": "**/*.py", "path": "{cwd}"},
        },
        read("README.md"),
        read(PACKAGE_FILE),
        {"text": plan(turn)},
    ]


def plan(turn: Turn) -> str:
    """The plan, in Markdown. From the second round on it says what changed."""
    again = (
        "\nThe comments on the last plan are taken in: the edge cases get a test of their own.\n"
        if turn.round > 1
        else ""
    )
    if not knows_project(turn):
        return f"## Summary\n\nThe task is noted in `{note_path(turn)}`.\n{again}\n## Steps\n\n1. Write the note.\n\n{NO_AI}"
    return f"""## Summary

A duration of zero seconds reads as an empty text, and should read `0s`. One test says so and fails.
{again}
## Files to change

- `{PACKAGE_FILE}`: `as_text` falls back to `0s` when no part is left.

## Steps

1. Run the tests and see the failure.
2. Give `as_text` its fallback.
3. Run the tests again.

## Test plan

`{TEST_COMMAND}` passes, with `test_nothing_is_zero_seconds` among them.

{NO_AI}"""


def implementation(turn: Turn) -> list[Step]:
    """Mend the bug and prove it; where there is none (any more), leave a note instead."""
    start = [
        todos("See the tests fail", "Mend the code", "See the tests pass", done=0),
        read(PACKAGE_FILE),
        run_tests(),
    ]
    if turn.step >= 3 and f"{BUG}\n" not in f"{output(turn, 1)}\n":
        return [
            *start,
            write_note(turn),
            {"text": f"There was nothing to mend here, so I left a note in `{note_path(turn)}`. {NO_AI}"},
        ]
    return [
        *start,
        edit(PACKAGE_FILE, BUG, FIX),
        run_tests(),
        todos("See the tests fail", "Mend the code", "See the tests pass", done=3),
        {
            "text": f"`as_text(0)` now reads `0s`, and all tests pass.\n\nChanged: `{PACKAGE_FILE}`, one line. {NO_AI}"
        },
    ]


def review(turn: Turn) -> list[Step]:
    """Read the change and the tests; one warning while the whole-hours test is missing, else approval."""
    look = [
        {"tool": "bash", "args": {"command": "git diff HEAD", "description": "Shows the change"}},
        read(TEST_FILE),
    ]
    tests = output(turn, 1)
    if EDGE_TEST_ANCHOR.splitlines()[0].strip() not in tests or "test_whole_hours" in tests:
        return [
            *look,
            {
                "verdict": {
                    "verdict": "approved",
                    "summary": f"The change does what the task asks. {NO_AI}",
                    "findings": [],
                }
            },
        ]
    return [*look, {"verdict": warning(tests)}]


def warning(tests: str) -> dict[str, Any]:
    """The verdict that asks for the missing test, at the line of the test it should follow."""
    numbered = [line for line in tests.splitlines() if "test_nothing_is_zero_seconds" in line]
    digits = "".join(letter for letter in numbered[0].split("def")[0] if letter.isdigit())
    line = int(digits) if digits else 1
    finding = {
        "severity": "warning",
        "path": TEST_FILE,
        "line": line,
        "end_line": line + 1,
        "title": "No test for whole hours",
        "body": "Zero parts are left out, but no test shows it for a duration of whole hours. Add one beside this test.",
    }
    summary = f"The code is right; one edge case has no test. {NO_AI}"
    return {"verdict": "changes_requested", "summary": summary, "findings": [finding]}


def fix(turn: Turn) -> list[Step]:
    """Add the test that the review missed; when it is there, leave a note that the comment was read."""
    tests = output(turn, 0)
    known = EDGE_TEST_ANCHOR.splitlines()[0].strip() in tests
    if turn.step >= 1 and (not known or "test_whole_hours" in tests):
        return [
            read(TEST_FILE),
            write_note(turn),
            {"text": f"I noted the comments in `{note_path(turn)}`. {NO_AI}{answers(turn)}"},
        ]
    return [
        read(TEST_FILE),
        edit(TEST_FILE, EDGE_TEST_ANCHOR, EDGE_TEST_ANCHOR + EDGE_TEST),
        run_tests(),
        {"text": f"Whole hours have a test now, and all tests pass. {NO_AI}{answers(turn)}"},
    ]


def answers(turn: Turn) -> str:
    """An answer to each of the comments in the prompt, as the prompt asks for it; nothing where there are none."""
    said = dict.fromkeys(COMMENT.findall(turn.prompt), "I have read it, and that is all a demo can do.")
    return f"\n\n```json\n{json.dumps({'answers': said})}\n```" if said else ""


def read(path: str) -> Step:
    return {"tool": "read", "args": {"filePath": f"{{cwd}}/{path}"}}


def edit(path: str, old: str, new: str) -> Step:
    return {"tool": "edit", "args": {"filePath": f"{{cwd}}/{path}", "oldString": old, "newString": new}}


def run_tests() -> Step:
    return {"tool": "bash", "args": {"command": TEST_COMMAND, "description": "Runs the tests"}}


def todos(*contents: str, done: int) -> Step:
    """The todo list with its first `done` entries completed and the next one in progress."""
    states = ["completed"] * done + ["in_progress"] + ["pending"] * len(contents)
    entries = [
        {"content": text, "status": state, "priority": "medium"}
        for text, state in zip(contents, states, strict=False)
    ]
    return {"tool": "todowrite", "args": {"todos": entries}}


def write_note(turn: Turn) -> Step:
    text = f"# {turn.task_key}\n\nThe demo model was here (round {turn.round}), and had nothing to mend.\n"
    return {"tool": "write", "args": {"filePath": f"{{cwd}}/{note_path(turn)}", "content": text}}


def note_path(turn: Turn) -> str:
    """A note of its own for each prompt: OpenCode refuses to overwrite a file that the conversation has not read."""
    suffix = f"-fix-{turn.round}" if turn.phase == "fix" else ""
    return f"notes/{turn.task_key}{suffix}.md"


def output(turn: Turn, index: int) -> str:
    """What the tool call number `index` of this turn gave back; empty before it has."""
    return turn.outputs[index] if index < len(turn.outputs) else ""


def knows_project(turn: Turn) -> bool:
    return any("def as_text" in output for output in turn.outputs)


def verdict_text(verdict: dict[str, Any]) -> str:
    """A review's answer: the verdict as one fenced JSON block."""
    return f"```json\n{json.dumps(verdict, indent=2)}\n```"
