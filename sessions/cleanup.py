"""The clean-up that Studio does by itself: old workspaces into the trash, the trash emptied, folders that belong to nobody."""

import logging
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from sessions import places, removal
from sessions.models import Attempt
from sessions.workspaces.git import discard
from sessions.workspaces.plumbing import SourceGit
from studio.errors import Refusal
from tasks.models import Attachment, Project, attachment

log = logging.getLogger(__name__)

MOST_SECONDS = 300  # of one run; the next goes on
ATTEMPT = re.compile(r"^(\d+)-([A-Z][A-Z0-9]*-\d+-\d+)$")
REMOVED = re.compile(r"^((\d+)-([A-Z][A-Z0-9]*-\d+-\d+))-(\d{8}T\d{6})$")
CLONE = re.compile(r"^clone-\d+-(\d{8}T\d{6})$")
RECOVERY = re.compile(r"^refs/studio/recovery/([A-Z][A-Z0-9]*-\d+-\d+)-(\d{8})-[0-9a-f]+$")


def clean_up() -> list[str]:
    """The daily job: everything below, in this order. What it did, in sentences."""
    return [
        sentence
        for sentence in (move_orphans(), remove_old(), empty_trash(), drop_refs(), sweep_files())
        if sentence
    ]


def remove_old() -> str:
    """Remove the workspaces of attempts that ended STUDIO_CLEANUP_DAYS ago; what is refused stays for the next time. 0 days: never."""
    if settings.STUDIO_CLEANUP_DAYS <= 0:
        return ""
    ended_before = timezone.now() - timedelta(days=settings.STUDIO_CLEANUP_DAYS)
    old = Attempt.objects.filter(ended_at__lt=ended_before, pk__in=[pk for pk, _ in on_disk()], trash="")
    done = 0
    for attempt in _in_time(old.select_related("task__project")):
        try:
            removal.remove(attempt)
            done += 1
        except (Refusal, OSError) as reason:
            log.warning("the workspace of %s stays: %s", attempt.key, reason)
    return counted(done, "workspace", "of old attempts went to the trash")


def empty_trash() -> str:
    """Delete for good what went to the trash STUDIO_TRASH_DAYS ago, and what an earlier run left half deleted."""
    before = timezone.now() - timedelta(days=settings.STUDIO_TRASH_DAYS)
    done = 0
    for attempt in _in_time(Attempt.objects.exclude(trash="").filter(removed_at__lt=before)):
        try:
            removal.purge(attempt)
            done += 1
        except (Refusal, OSError) as reason:
            log.warning("the trash of %s stays: %s", attempt.key, reason)
    held = set(Attempt.objects.exclude(trash="").values_list("trash", flat=True))
    clones = [(each, found[1]) for each in _folders(places.trash()) if (found := CLONE.match(each.name))]
    for folder, stamp in [*((each, found[4]) for each, found in in_trash()), *clones]:
        since = datetime.strptime(stamp, removal.STAMP).replace(tzinfo=UTC)
        if since < before and folder.name not in held:
            try:
                discard(folder)
                done += 1
            except (Refusal, OSError) as reason:
                log.warning("%s stays: %s", folder, reason)
    return counted(done, "folder", "of the trash were deleted for good")


def drop_refs() -> str:
    """Delete the recovery refs of attempts whose trash is emptied, a day after the trash was due."""
    due = (timezone.now() - timedelta(days=settings.STUDIO_TRASH_DAYS + 1)).strftime("%Y%m%d")
    done = 0
    for project in Project.objects.all():
        git = SourceGit(Path(project.path))
        mine = Attempt.objects.filter(task__project=project).select_related("task__project")
        known = {attempt.key: attempt.recovery_ref if attempt.trash else "" for attempt in mine}
        try:
            refs = git("for-each-ref", "--format=%(refname)", "refs/studio/recovery/").decode().split()
            for ref in refs:
                found = RECOVERY.match(ref)
                if found and found[2] < due and found[1] in known and known[found[1]] != ref:
                    git("update-ref", "-d", ref)
                    done += 1
        except (Refusal, OSError) as reason:
            log.warning("the recovery refs of %s stay: %s", project.key, reason)
    return counted(done, "recovery ref", "were deleted")


def sweep_files() -> str:
    """Delete the files of a day ago that are nobody's attachment: a row that was never written, or has been deleted since."""
    before = time.time() - 86400
    tokens = {token for task in _folders(attachment.root()) for token in _folders(task)}
    old = [each for each in tokens if each.stat().st_mtime < before]
    known = set(Attachment.objects.values_list("token", flat=True))
    lost = [each for each in old if each.name not in known or each.parent.name == attachment.INCOMING]
    for each in lost:
        shutil.rmtree(each, ignore_errors=True)
    return counted(len(lost), "attachment", "were swept")


def move_orphans() -> str:
    """Move folders of attempts that the database does not know to the trash: of deleted tasks, or of another database."""
    found = list(on_disk())
    known = {attempt.pk: attempt.key for attempt in _attempts(pk for pk, _ in found)}
    done = 0
    for pk, folder in found:
        if known.get(pk) != folder.name.partition("-")[2]:
            removal.move(folder, places.trash() / f"{folder.name}-{removal.stamp()}")
            done += 1
    return counted(done, "folder", "of attempts that the database does not know went to the trash")


def take_back_known() -> str:
    """Take out of the trash what lies there of attempts that miss it: the database knows them again, or a removal was cut."""
    found = list(in_trash())
    rows = {attempt.pk: attempt for attempt in _attempts(int(match[2]) for _, match in found)}
    done = 0
    for folder, match in sorted(found, key=lambda each: each[1][4], reverse=True):
        attempt = rows.get(int(match[2]))
        if attempt is not None and attempt.key == match[3] and _is_missed(attempt):
            removal.move(folder, places.folder(attempt))
            done += 1
    return counted(done, "folder", "came back from the trash, as their attempts miss them")


def _is_missed(attempt: Attempt) -> bool:
    return not attempt.trash and not attempt.purged_at and not places.folder(attempt).exists()


def on_disk() -> Iterator[tuple[int, Path]]:
    """The folders of attempts, with the attempt's id; what has another name is none of Studio's."""
    for folder in _folders(places.trash().with_name("attempts")):
        if found := ATTEMPT.match(folder.name):
            yield int(found[1]), folder


def in_trash() -> Iterator[tuple[Path, re.Match[str]]]:
    """The folders in the trash, with their names taken apart."""
    for folder in _folders(places.trash()):
        if found := REMOVED.match(folder.name):
            yield folder, found


def _folders(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    return [path for path in sorted(place.iterdir()) if path.is_dir() and not path.is_symlink()]


def _attempts(ids: Iterator[int]) -> list[Attempt]:
    return list(Attempt.objects.filter(pk__in=list(ids)).select_related("task__project"))


def _in_time(attempts: Iterable[Attempt]) -> Iterator[Attempt]:
    started = time.monotonic()
    for attempt in attempts:
        if time.monotonic() - started > MOST_SECONDS:
            return
        yield attempt


def counted(number: int, noun: str, rest: str) -> str:
    """A sentence with a number in it; empty for none."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    verbs = rest.replace("were ", "was ", 1) if number == 1 else rest
    return f"{number} {noun if number == 1 else plural} {verbs}." if number else ""
