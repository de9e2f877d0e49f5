"""One answer of the demo model, and the chunks of OpenAI's stream that carry it."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from studio.demo_model.story import verdict_text
from studio.demo_model.turn import DIRECTIVE, Turn

Chunk = dict[str, Any]
PIECE = 24  # letters in one streamed piece of text


@dataclass(frozen=True)
class Reply:
    """What is answered, or how it fails. `sleep`, `chunk_delay` and `retry_after` are seconds; None means the usual pace."""

    text: str = ""
    reasoning: str = ""
    tools: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    finish: str = ""
    sleep: float | None = None
    chunk_delay: float | None = None
    error: int = 0
    error_message: str = ""
    error_code: str = ""
    retry_after: float | None = None
    hang: bool = False
    hang_mid: bool = False
    drop: bool = False
    drop_mid: bool = False
    no_done: bool = False
    malformed: bool = False
    prompt_tokens: int = 0

    @classmethod
    def of(cls, step: dict[str, Any], turn: Turn, *, prompt_tokens: int) -> "Reply":
        """The reply that a step of the story, or of a directive, describes."""
        text = verdict_text(step["verdict"]) if "verdict" in step else str(step.get("text", ""))
        return cls(
            text=text.replace("{cwd}", turn.directory),
            reasoning=str(step.get("reasoning", "")),
            tools=[(name, placed(arguments, turn.directory)) for name, arguments in tool_calls(step)],
            finish=str(step.get("finish", "")),
            sleep=step.get("sleep"),
            chunk_delay=step.get("chunk_delay"),
            error=int(step.get("error", 0)),
            error_message=str(step.get("message", f"The demo model was told to answer {step.get('error')}.")),
            error_code=str(step.get("code", "")),
            retry_after=step.get("retry_after"),
            hang=bool(step.get("hang")),
            hang_mid=bool(step.get("hang_mid")),
            drop=bool(step.get("drop")),
            drop_mid=bool(step.get("drop_mid")),
            no_done=bool(step.get("no_done")),
            malformed=bool(step.get("malformed")),
            prompt_tokens=prompt_tokens,
        )


def tool_calls(step: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The calls of a step: {"tool", "args"}, {"tools": [those]}, or {"task": {"prompt", "steps"…}} for a sub-agent with its own script."""
    calls = [
        (call["tool"], call.get("args", {})) for call in [step, *step.get("tools", [])] if "tool" in call
    ]
    return [*calls, ("task", sub_agent(step["task"]))] if "task" in step else calls


def sub_agent(task: dict[str, Any]) -> dict[str, Any]:
    """The arguments of OpenCode's `task` tool; the sub-agent's script goes along in its prompt."""
    script = json.dumps({"subagent": task.get("steps", [{"text": "Looked, and found nothing."}])})
    return {
        "description": task.get("description", "Looks into it"),
        "prompt": f"{task.get('prompt', 'Look into it.')}\n\n{DIRECTIVE}\n{script}\n```",
        "subagent_type": task.get("subagent_type", "general"),
    }


def placed(value: Any, directory: str) -> Any:
    """The arguments with {cwd} replaced by the directory that OpenCode works in."""
    if isinstance(value, str):
        return value.replace("{cwd}", directory)
    if isinstance(value, dict):
        return {key: placed(inner, directory) for key, inner in value.items()}
    return [placed(inner, directory) for inner in value] if isinstance(value, list) else value


def chunks(reply: Reply) -> Iterator[Chunk]:
    """OpenAI's stream: reasoning, text, tool calls, the finish, and the usage in tokens."""
    yield chunk({"role": "assistant", "content": ""})
    yield from (chunk({"reasoning_content": piece}) for piece in pieces(reply.reasoning))
    yield from (chunk({"content": piece}) for piece in pieces(reply.text))
    if reply.hang_mid or reply.drop_mid:
        return
    for index, (name, arguments) in enumerate(reply.tools):
        call = {"name": name, "arguments": json.dumps(arguments)}
        identity = f"call_{time.time_ns():x}{index}"
        yield chunk({"tool_calls": [{"index": index, "id": identity, "type": "function", "function": call}]})
    if reply.no_done:
        return
    yield chunk({}, finish=reply.finish or ("tool_calls" if reply.tools else "stop"))
    written = (len(reply.text) + len(reply.reasoning) + len(json.dumps(reply.tools))) // 4
    usage = {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": written,
        "total_tokens": reply.prompt_tokens + written,
    }
    yield {**chunk({}), "choices": [], "usage": usage}


def chunk(delta: dict[str, Any], finish: str | None = None) -> Chunk:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "demo",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": "demo",
        "choices": [choice],
    }


def pieces(text: str) -> Iterator[str]:
    return (text[start : start + PIECE] for start in range(0, len(text), PIECE))
