"""Where findings and comments stand: at lines of a commit, and moved on with the lines when the change goes on."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from sessions import places, redaction
from sessions.models import Attempt
from sessions.workspaces.diff import FileDiff, diff
from sessions.workspaces.plumbing import GitError, SourceGit
from tasks.models import Comment, Finding
from tasks.models.review import Place

BLOB_BYTES = 5_000_000
QUOTE_LINES = 20
QUOTE_CHARACTERS = 2_000
GIT_SECONDS = 20
OUTDATED = {"outdated": True}  # its commit and its lines stay what they were


def anchor(attempt: Attempt, remarks: Iterable[Place]) -> None:
    """Tie remarks that are not saved yet to the attempt's last commit. A place that is not there becomes the nearest that is:
    the file, or the whole change."""
    oid = attempt.head_oid
    git = SourceGit(places.repository(attempt).path, timeout=GIT_SECONDS) if oid else None
    redactor = redaction.Redactor(redaction.secrets(attempt.task.project))
    texts: dict[str, list[str] | None] = {}
    for remark in remarks:
        remark.found_oid = remark.oid = oid
        if git is None or not remark.path:
            continue
        if remark.path not in texts:
            texts[remark.path] = _lines(git, oid, remark.path)
        lines = texts[remark.path]
        if lines is None or (remark.line or 1) > max(len(lines), 1):
            remark.line = remark.end_line = None
        elif remark.line:
            remark.end_line = min(max(remark.end_line or remark.line, remark.line), max(len(lines), 1))
            quoted = lines[remark.line - 1 : remark.end_line][:QUOTE_LINES]
            remark.quote = redactor.text("\n".join(quoted).replace("\x00", ""))[:QUOTE_CHARACTERS]


class Shift(NamedTuple):
    """One remark's way to a later commit."""

    remark: Finding | Comment
    fields: dict[str, Any]

    def take(self) -> None:
        """Write it, unless somebody has by now; in a transaction under the attempt's claim."""
        type(self.remark).objects.filter(pk=self.remark.pk, oid=self.remark.oid).update(**self.fields)


def shifts(attempt: Attempt, head: str) -> list[Shift]:
    """How the attempt's remarks come to the commit `head`: with their lines, or outdated where those were changed."""
    found = []
    kinds: tuple[type[Finding] | type[Comment], ...] = (Finding, Comment)
    for kind in kinds:
        rows = kind.objects.filter(task=attempt.task_id, attempt_number=attempt.number, outdated=False)
        behind: Any = rows.exclude(oid__in=["", head]).exclude(path="").order_by("oid")
        for oid, remarks in groupby(behind, key=lambda remark: remark.oid):
            files = _changed(places.repository(attempt).path, oid, head)
            for remark in remarks:
                place = OUTDATED if files is None else place_after(remark, files)
                found.append(Shift(remark, place if place is OUTDATED else {"oid": head} | place))
    return found


def place_after(remark: Place, files: dict[str, FileDiff]) -> dict[str, Any]:
    """What changes of its place by a change of these files (by their old paths)."""
    file = files.get(remark.path)
    if file is None:
        return {}
    if file.status == "deleted":
        return OUTDATED
    if remark.line is None:
        return {"path": file.path}
    end = remark.end_line or remark.line
    line, last = moved(file, remark.line), moved(file, end)
    untouched = all(moved(file, number) for number in range(remark.line, min(end, remark.line + 10_000) + 1))
    if line is None or last is None or last - line != end - remark.line or not untouched:
        return OUTDATED
    return {"path": file.path, "line": line, "end_line": last}


def moved(file: FileDiff, number: int) -> int | None:
    """The line's number after the change of its file; None where it was changed, or nobody can say."""
    if file.too_large or file.binary:
        return None
    shift = 0
    for hunk in file.hunks:
        for line in hunk.lines:
            if line.old_no == number:
                return line.new_no
            if line.old_no is not None and line.old_no > number:
                return number + shift
            shift += (line.kind == "+") - (line.kind == "-")
    return number + shift


def _changed(source: Path, before: str, after: str) -> dict[str, FileDiff] | None:
    """The files that differ, by their old paths; None where the old commit is gone."""
    try:
        return {file.old_path: file for file in diff(source, before, after, timeout=GIT_SECONDS).files}
    except GitError:
        return None


def _lines(git: SourceGit, oid: str, path: str) -> list[str] | None:
    """The file's lines in that commit; None where it is not there, or no text."""
    try:
        blob = git("cat-file", "blob", f"{oid}:{path}", limit=BLOB_BYTES, head_only=True)
    except GitError:
        return None
    return None if b"\x00" in blob[:8000] else blob.decode(errors="replace").split("\n")
