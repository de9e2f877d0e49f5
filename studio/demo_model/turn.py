"""What one request to the demo model asks for: its phase, its round and its step, read from the messages alone."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

PHASES = ("planning", "implementation", "review", "fix")
PHASE_LINE = re.compile(rf"^\W*(?:studio )?phase\W+({'|'.join(PHASES)})\b", re.IGNORECASE | re.MULTILINE)
ROUND_LINE = re.compile(r"^\W*(?:\w+ )?round\W+(\d+)", re.IGNORECASE | re.MULTILINE)
DIRECTORY_LINE = re.compile(r"Working directory: (\S.*)")
TASK_KEY = re.compile(r"\b[A-Z][A-Z0-9]+-\d+\b")
DIRECTIVE = "```demo"

AGENT_PHASES = {
    "You are Studio's planning agent": "planning",
    "You are Studio's review agent": "review",
    "You are Studio's implementation agent": "implementation",
}


@dataclass(frozen=True)
class Turn:
    """One request, understood. `phase` is one of PHASES, `subagent`, or `title` (a request without tools).

    `round` counts from 1, `step` from 0 (answers given since the last prompt), and `outputs` are the tool results since then.
    """

    phase: str
    round: int
    step: int
    prompt: str
    directory: str
    task_key: str
    outputs: list[str] = field(default_factory=list)
    directives: dict[str, Any] = field(default_factory=dict)


def understand(body: dict[str, Any]) -> Turn:
    """The turn that the body of `POST /v1/chat/completions` stands for."""
    messages = [
        (str(message.get("role")), text_of(message.get("content"))) for message in body.get("messages", [])
    ]
    system = "\n".join(text for role, text in messages if role == "system")
    prompts = [text for role, text in messages if role == "user"]
    last = max((index for index, (role, _) in enumerate(messages) if role == "user"), default=-1)
    since = messages[last + 1 :]
    phases = phases_of(system, prompts)
    everything = "\n".join(prompts)
    key = TASK_KEY.search(everything)
    directory = DIRECTORY_LINE.search(system)
    prompt = prompts[-1] if prompts else ""
    return Turn(
        phase="title" if not body.get("tools") else phases[-1] if phases else "implementation",
        round=round_of(prompt, phases),
        step=sum(role == "assistant" for role, _ in since),
        prompt=prompt,
        directory=directory[1].strip() if directory else ".",
        task_key=key[0] if key else "task",
        outputs=[text for role, text in since if role == "tool"],
        directives=directives_in(everything),
    )


def phases_of(system: str, prompts: list[str]) -> list[str]:
    """The phase of every prompt: what its own `Phase:` line says, else what its agent does (a builder fixes from its second prompt)."""
    usual = next((phase for mark, phase in AGENT_PHASES.items() if mark in system), "subagent")
    phases: list[str] = []
    for prompt in prompts:
        line = PHASE_LINE.search(prompt) if usual != "subagent" else None
        second = "fix" if usual == "implementation" and phases else usual
        phases.append(line[1].lower() if line else second)
    return phases


def round_of(prompt: str, phases: list[str]) -> int:
    """The round that the prompt names, else how many prompts of this phase the conversation has had."""
    line = ROUND_LINE.search(prompt)
    return max(1, int(line[1])) if line else max(1, phases.count(phases[-1]) if phases else 1)


def directives_in(text: str) -> dict[str, Any]:
    """The keys of every ```demo {…} block in the text; a later block wins. What is no JSON object is passed over."""
    found: dict[str, Any] = {}
    decoder = json.JSONDecoder(strict=False)
    for block in text.split(DIRECTIVE)[1:]:
        try:
            value, _ = decoder.raw_decode(block[block.index("{") :])
        except ValueError:
            continue
        found.update(value)
    return found


def text_of(content: Any) -> str:
    """A message's content as text: OpenAI's is a string, or a list of parts."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")
