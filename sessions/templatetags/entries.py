"""An activity entry as one line, and what opens below it."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from sessions.models import Activity
from studio.templatetags.texts import duration

register = template.Library()

INLINE_PATCH_LINES = 24
TAIL_LINES = 8
FOLD_TEXT = 600  # characters of a prompt or a thought that are put into the page itself
SHOWN_TEXT = 12_000  # characters of a message: a frame of the live stream is at most 16 kB
SHOWN_OUTPUT = 200_000
ARGUMENTS = ("command", "filePath", "pattern", "url", "description", "query", "name", "path")
COMMANDS = {"check", "setup"}  # Studio's own: what they print shows while they run
FILE_TOOLS = {"read", "edit", "write", "patch", "apply_patch", "multiedit", "list"}


@dataclass(frozen=True)
class Line:
    """What a tool call says in one line, and whether it went well: ok, bad or run."""

    state: str
    name: str
    argument: str
    end: str
    additions: int = 0
    deletions: int = 0
    patch: str = ""
    tail: str = ""


@register.filter
def line(entry: Activity) -> Line:
    """The tool call as one line."""
    additions, deletions, patch = _change(entry)
    return Line(
        state=_state(entry),
        name=(entry.tool in COMMANDS and entry.title) or entry.tool or "tool",
        argument=argument(entry),
        end=_end(entry),
        additions=additions,
        deletions=deletions,
        patch=patch if patch and len(patch.splitlines()) <= INLINE_PATCH_LINES else "",
        tail=_tail(entry),
    )


def argument(entry: Activity) -> str:
    """The main argument of a tool call, on one line."""
    given = _given(entry)
    if entry.tool in FILE_TOOLS and (entry.title or given.get("filePath")):
        return str(entry.title or _short_path(str(given["filePath"])))
    if entry.tool == "todowrite":
        return "the to-do list"
    named = [given[name] for name in ARGUMENTS if given.get(name)]
    rest = [value for value in given.values() if isinstance(value, str | int | float)]
    return " ".join(str((named or rest or [entry.title])[0]).split())[:300]


def _short_path(path: str) -> str:
    parts = PurePosixPath(path).parts
    return path if len(parts) < 5 else str(PurePosixPath("…", *parts[-3:]))


def _exit_code(entry: Activity) -> int | None:
    code = _metadata(entry).get("exit")
    return code if isinstance(code, int) else None


def _given(entry: Activity) -> dict[str, Any]:
    return entry.input if isinstance(entry.input, dict) else {}


def _metadata(entry: Activity) -> dict[str, Any]:
    return entry.metadata if isinstance(entry.metadata, dict) else {}


def _state(entry: Activity) -> str:
    if entry.state in {"pending", "running"} and entry.ended_at is None:
        return "run"
    return "bad" if entry.state == "error" or _exit_code(entry) else "ok"


def _change(entry: Activity) -> tuple[int, int, str]:
    """Lines added and removed, and the patch, of a tool call that changed a file."""
    metadata = _metadata(entry)
    changed = metadata.get("filediff")
    changed = changed if isinstance(changed, dict) else {}
    patch = str(changed.get("patch") or metadata.get("diff") or "")
    lines = [text for text in patch.splitlines() if not text.startswith(("+++", "---"))]
    added, removed = (sum(text.startswith(sign) for text in lines) for sign in "+-")
    if entry.tool == "write" and not patch:
        added = len(str(_given(entry).get("content", "")).splitlines())
    return added, removed, patch


def _end(entry: Activity) -> str:
    """What came of it, in two or three words."""
    seconds = (
        (entry.ended_at - entry.started_at).total_seconds() if entry.started_at and entry.ended_at else None
    )
    took = duration(seconds) if seconds is not None and seconds >= 1 else ""
    code = _exit_code(entry)
    found = {
        **dict.fromkeys(("bash", *COMMANDS), "" if code is None else f"exit {code}"),
        "read": f"{len(entry.output.splitlines())} lines" if entry.output else "",
        "todowrite": _done_of(entry),
    }.get(entry.tool, "")
    return " · ".join(part for part in ("error" if entry.state == "error" else found, took) if part)


def _done_of(entry: Activity) -> str:
    todos = _given(entry).get("todos")
    todos = [todo for todo in todos if isinstance(todo, dict)] if isinstance(todos, list) else []
    return f"{sum(todo.get('status') == 'completed' for todo in todos)} of {len(todos)} done"


def _tail(entry: Activity) -> str:
    """The end of what a call that went wrong has printed, or one of Studio's own that runs."""
    if _state(entry) != "bad" and not (entry.tool in COMMANDS and _state(entry) == "run"):
        return ""
    return "\n".join(entry.output.strip().splitlines()[-TAIL_LINES:])[-2000:]


@register.filter
def coloured(patch: str) -> SafeString:
    """A unified diff, each line with its colour; file headers are left out."""
    lines = [text for text in patch.splitlines() if not text.startswith(("Index: ", "====", "--- ", "+++ "))]
    kinds = {"+": "plus", "-": "minus", "@": "place"}
    spans = format_html_join(
        "", '<span class="{}">{}</span>', ((kinds.get(text[:1], ""), text) for text in lines)
    )
    return format_html('<div class="patch" tabindex="0">{}</div>', spans)


@register.filter
def whole_patch(entry: Activity) -> str:
    """The patch of a tool call, whatever its length."""
    return _change(entry)[2][:SHOWN_OUTPUT]


@register.filter
def arguments(entry: Activity) -> list[tuple[str, str]]:
    """The arguments of a tool call as names and texts."""
    return [
        (str(name), value if isinstance(value, str) else repr(value)) for name, value in _given(entry).items()
    ]


@register.filter
def is_long(entry: Activity) -> bool:
    """Whether its text is fetched when it is opened."""
    return len(entry.text) > FOLD_TEXT


@register.filter
def shown(text: str) -> str:
    """As much of a message as goes into a page."""
    return text if len(text) <= SHOWN_TEXT else text[:SHOWN_TEXT] + "\n\n…"


@register.filter
def cut(output: str) -> str:
    """The end of an output, as much as a page can bear."""
    return output if len(output) <= SHOWN_OUTPUT else "…" + output[-SHOWN_OUTPUT:]


@register.filter
def file_names(entry: Activity) -> str:
    """The files of a patch entry."""
    files = _metadata(entry).get("files") or []
    names = [_short_path(str(name)) for name in files] if isinstance(files, list) else []
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


@register.simple_tag
def at(table: Any, key: str) -> Any:
    """What the table has for the key; empty where it has nothing."""
    return table.get(key, "") if isinstance(table, dict) else ""


@register.simple_tag
def remarks_at(remarks: dict[tuple[str, int], list[Any]], path: str, number: int | None) -> list[Any]:
    """What stands at a line of the new file; at 0, what is about the file as a whole."""
    return [] if number is None else remarks.get((path, number), [])
