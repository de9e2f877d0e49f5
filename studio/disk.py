"""Room on the disk: below a floor nothing new starts, and far below it what runs is put aside until there is room again."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from studio.errors import Refusal

MEGABYTE = 1024 * 1024
LAST_PART = 4  # what runs may use the room below the floor, but for its last fourth
SIGNS = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), "disk is full", "ENOSPC")


class NoSpace(Refusal):
    """Nothing may be started for want of disk space: HTTP 507, with `free_mb` and `needed_mb`."""

    status = 507
    code = "disk_full"


@dataclass(frozen=True)
class Shortage:
    """A folder whose file system has fewer than `needed` megabytes free."""

    folder: Path
    free: int
    needed: int

    @property
    def sentence(self) -> str:
        """What people read."""
        return (
            f"The disk of {self.folder} is nearly full: {self.free} MB are free, and Studio starts nothing "
            f"below {self.needed} MB. It goes on by itself once there is room."
        )


def shortage(*more: Path | str) -> Shortage | None:
    """The first file system below STUDIO_DISK_FLOOR, of the data folder and of `more` folders; None where there is room."""
    return _below(settings.STUDIO_DISK_FLOOR, *more)


def is_full(*more: Path | str) -> bool:
    """Whether one of them is so far below the floor that what runs has to stop."""
    return _below(settings.STUDIO_DISK_FLOOR / LAST_PART, *more) is not None


def require(*more: Path | str) -> None:
    """Refuse where there is no room to start something. Raises NoSpace."""
    if lack := shortage(*more):
        raise NoSpace(lack.sentence, free_mb=lack.free, needed_mb=lack.needed)


def says_full(text: str) -> bool:
    """Whether the words of a program, or of the system, are about a full disk."""
    return any(sign in text for sign in SIGNS)


def _below(floor: float, *more: Path | str) -> Shortage | None:
    for folder in (settings.STUDIO_HOME, *more):
        free = free_megabytes(Path(folder))
        if free is not None and free < floor:
            return Shortage(Path(folder), int(free), int(floor))
    return None


def free_megabytes(folder: Path) -> float | None:
    """What Studio's user may still write there; None where nobody can tell."""
    try:
        room = os.statvfs(folder)
    except OSError:
        return None
    return room.f_bavail * room.f_frsize / MEGABYTE
