"""jj (Jujutsu) on a person's repository: where its bookmarks stand, and how one is moved.

The objects are git's, so the workspace of an attempt is a clone of jj's backing git repository, exactly as for git, and jj itself runs on the
person's side only. A jj workspace would be no isolation: it writes into the operation log and the store of the repository that it belongs to.

Each call leaves the person's files and their working-copy commit alone (`--ignore-working-copy`), reads none of their configuration, and
signs its operations as Studio, so that `jj op log` tells them apart and `jj undo` takes them back.
"""

import functools
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sessions.workspaces.plumbing import (
    OID,
    PLAIN,
    GitError,
    SourceGit,
    checked,
    end_group,
    environment,
    is_colocated,
    jj_repository,
    resolve,
)
from sessions.workspaces.processes import capture
from studio.errors import Conflict

OLDEST = (0, 40)
INSTALL = "https://docs.jj-vcs.dev/latest/install-and-setup/"
LIMIT = 16_000_000
MOST_COMMITS = 1_000  # that are asked for at a time: they are words of a command
MOST_OPERATIONS = 200
USER = "Studio"
QUIET = (
    *("--no-pager", "--color=never", "--quiet", "--ignore-working-copy"),
    *("--config", f"operation.username={USER}"),
    # Else an import rewrites what stands upon a branch that is gone, perhaps the person's working copy.
    *("--config", "git.abandon-unreachable-commits=false"),
)
BOOKMARKS = (
    'if(remote, "", json(name) ++ "\\t" ++ if(conflict, "conflicted", '
    'if(normal_target, normal_target.commit_id() ++ if(normal_target.conflict(), "\\tunresolved"))) ++ "\\n")'
)


def trouble() -> str:
    """Why jj cannot be used on this machine, in a sentence; empty where it can."""
    program = shutil.which("jj")
    if program is None:
        return f"jj is not installed here: install it ({INSTALL}) where Studio finds it on its PATH, and start Studio again"
    version = _version(program)
    if version < OLDEST:
        told = ".".join(map(str, version)) or "of an unknown version"
        return f"jj here is {told}, and Studio needs {'.'.join(map(str, OLDEST))} or newer: {INSTALL}"
    return ""


def backend(path: str) -> tuple[str, str]:
    """What keeps the repository in a folder, `git` or `jj`, and a sentence where that cannot be used on this machine."""
    if not path.startswith("/") or jj_repository(Path(path)) is None:
        return "git", ""
    return "jj", f"Its repository is one of jj (Jujutsu). {why}." if (why := trouble()) else ""


@functools.lru_cache
def _version(program: str) -> tuple[int, ...]:
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(r"(\d+)\.(\d+)", told.stdout)
    return (int(found[1]), int(found[2])) if found else ()


def jujutsu(git: SourceGit) -> "Jujutsu | None":
    """jj on the repository that `git` works on, where it is one of jj's. Conflict where it cannot be used."""
    repository = jj_repository(git.path)
    if repository is None:
        return None
    if why := untrusted(git) or trouble():
        raise Conflict(f"{git.path} is a repository of jj. {why}.", code="jj_missing")
    return Jujutsu(git, repository)


def untrusted(git: SourceGit) -> str:
    """Why the .jj there is not the person's own: one that came with a commit could make jj run what it names."""
    if is_colocated(git.path) and git("ls-files", "-z", "--", ":(icase).jj").strip(b"\0"):
        return "Its .jj folder is kept in Git, so that jj is not run there: remove it from Git (git rm -r --cached .jj)"
    return ""


@dataclass(frozen=True)
class Bookmark:
    """A local bookmark and the commit that it names; `trouble` is what a sentence says of one that cannot be worked on."""

    name: str
    oid: str
    trouble: str = ""


@dataclass(frozen=True)
class Jujutsu:
    """jj on one repository. `git` works on its backing git repository; `repository` is its `.jj/repo`."""

    git: SourceGit
    repository: Path

    @property
    def root(self) -> Path:
        """The workspace that git's HEAD follows where .git and .jj stand side by side, else the one that was named."""
        beside = self.repository.parent.parent
        return beside if is_colocated(beside) else self.git.path

    def __call__(self, *words: str) -> str:
        """Run jj and give its output. GitError with the code jj_failed or git_timeout."""
        process = subprocess.Popen(
            ["jj", *QUIET, "-R", str(self.root), *words],
            env={**environment(), **PLAIN, "JJ_CONFIG": "/dev/null"},
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        done = capture(
            process, partial(end_group, process), timeout=self.git.timeout, tick=self.git.tick, limit=LIMIT
        )
        what = " ".join(words[:2])
        if done.timed_out:
            raise GitError(
                f"jj {what} took longer than {done.seconds:.0f} seconds and was stopped.", code="git_timeout"
            )
        if done.exit_code:
            said = done.stderr.decode(errors="replace").strip()
            raise GitError(
                f"jj {what} failed: {said}", code="jj_failed", exit_code=done.exit_code, stderr=said
            )
        return done.stdout.decode(errors="replace")

    def bookmarks(self, operation: str = "") -> dict[str, Bookmark]:
        """Its local bookmarks by name, the newest commit first; with `operation`, as they were after that one."""
        at = ("--at-operation", operation) if operation else ()
        listing = self("bookmark", "list", "--sort", "committer-date-", "-T", BOOKMARKS, *at)
        return {each.name: each for each in map(_bookmark, listing.splitlines()) if each.oid or each.trouble}

    def usual_bookmark(self) -> str:
        """Where work is usually landed: the bookmark of trunk(), else the nearest one below the working copy, else the only one."""
        known = self.bookmarks()
        for revisions in ("trunk()", "heads(::@ & bookmarks())"):
            if len(found := [name for name in self._named(revisions) if name in known]) == 1:
                return found[0]
        return next(iter(known)) if len(known) == 1 else ""

    def _named(self, revisions: str) -> Iterator[str]:
        for line in self(
            "log", "--no-graph", "-r", revisions, "-T", 'json(local_bookmarks) ++ "\\n"'
        ).splitlines():
            yield from (each["name"] for each in json.loads(line))

    def workspaces(self) -> tuple[Path, ...]:
        """The folders of its workspaces that are still there."""
        names = self("workspace", "list", "-T", 'json(name) ++ "\\n"').splitlines()
        found = []
        for name in map(json.loads, names):
            try:
                found.append(Path(self("workspace", "root", "--name", name).rstrip("\n")).resolve())
            except GitError as error:  # its folder is gone
                if error.code != "jj_failed":
                    raise
        return tuple(dict.fromkeys([self.git.path, self.root, *found]))

    def land(self, branch: str, target: str, landed: str) -> bool:
        """Move a bookmark from `target` on to `landed`, as one operation; False where it stands elsewhere by now.

        What a person works on stays as it is: in jj a bookmark that moves takes no working copy with it. Conflict with one of the codes
        checkout_busy, rewritten_base, bookmark_conflict; `command` is what helps.
        """
        self._refuse_out_of_step()
        self._refuse_edited(branch, target)
        self._refuse_rewritten(target, landed)
        ref = f"refs/heads/{branch}"
        before = resolve(self.git, ref)
        if is_colocated(self.root):
            if before != target:  # moved by git, and jj has not looked since
                self("git", "import")
                return False
            self._detach(ref, target)
        else:  # these branches are nobody's: they only show jj what to take in, and have to agree with it first
            self("git", "export")
            before = resolve(self.git, ref)
            if before != target:  # a merge that was cut here, or one that was undone: jj knows which
                self("git", "import")
                now = self.bookmarks().get(branch)
                if now is None or now.oid != target:
                    return False
        try:
            self.git("update-ref", "-m", "merge by Studio", ref, landed, before or "0" * len(landed))
        except GitError:
            if resolve(self.git, ref) != before:
                return False
            raise
        try:
            self("git", "import")
        except GitError:
            self._set_back(ref, before, landed)
            raise
        return self._has_moved(branch, landed)

    def _has_moved(self, branch: str, landed: str) -> bool:
        now = self.bookmarks().get(branch)
        if now is not None and now.oid == landed and not now.trouble:
            return True
        raise self._no(
            f"The bookmark {branch} was moved by someone else at the same moment, and has two places now.",
            "bookmark_conflict",
            *("bookmark", "set", branch, "-r", landed),
        )

    def take_back(self, branch: str, landed: str) -> str:
        """Undo the operation that moved a bookmark on to `landed`, and return the commit where the bookmark stands again.

        Conflict where it has moved since, where something stands upon that commit by now, or where jj no longer knows the operation.
        """
        now = self.bookmarks().get(branch)
        if now is None or now.oid != landed or now.trouble:
            raise Conflict(
                f"The bookmark {branch} has moved on since. Nothing was undone.", code="moved_since"
            )
        self._refuse_out_of_step()
        if self._commits(f"{checked(landed)}:: ~ {landed}") or landed in self._commits("working_copies()"):
            raise Conflict(
                f"Other work stands on what was merged into {branch} by now. Nothing was undone.",
                code="moved_since",
            )
        if self._commits(f"remote_bookmarks() & {landed}::"):
            raise Conflict("It was pushed by now. Nothing was undone.", code="moved_since")
        operation, before = self._landing(branch, landed)
        self("operation", "revert", operation)
        return before

    def _landing(self, branch: str, landed: str) -> tuple[str, str]:
        """The operation of Studio's that moved a bookmark to `landed`, and where it stood before."""
        template = 'id ++ "\\t" ++ user ++ "\\n"'
        log = self("operation", "log", "--no-graph", "--limit", str(MOST_OPERATIONS), "-T", template)
        for operation, user in (line.split("\t") for line in log.splitlines()):
            if not user.startswith(f"{USER}@"):
                continue
            after = self.bookmarks(operation).get(branch)
            before = self.bookmarks(f"{operation}-").get(branch)
            if after and before and after.oid == landed != before.oid:
                return operation, before.oid
        raise Conflict(
            f"jj knows no operation any more that moved {branch} there. Nothing was undone.",
            code="moved_since",
        )

    def _set_back(self, ref: str, before: str, landed: str) -> None:
        words = (ref, before, landed) if before else ("-d", ref, landed)
        self.git("update-ref", *words)

    def _commits(self, revisions: str) -> list[str]:
        return self("log", "--no-graph", "-r", revisions, "-T", 'commit_id ++ "\\n"').split()

    def _refuse_out_of_step(self) -> None:
        """jj follows git's HEAD at its next command, and makes another working-copy commit then: that is the person's to start."""
        if not is_colocated(self.root):
            return
        head, below = resolve(self.git, "HEAD"), self._commits("@-")
        if head and head not in below:
            raise self._no(
                f"Git stands elsewhere in {self.root} than jj has seen. Let jj look first, then merge again.",
                "checkout_busy",
                "status",
            )

    def _refuse_edited(self, branch: str, target: str) -> None:
        if target in self._commits("working_copies()"):
            raise self._no(
                f"{branch} is the working copy that somebody edits: each look of jj's rewrites it. "
                "Begin a new one upon it, then merge again.",
                "checkout_busy",
                "new",
            )

    def _refuse_rewritten(self, target: str, landed: str) -> None:
        """What a person has rewritten since would come back beside its new form, and both would be divergent."""
        listing = self.git(
            "rev-list", "--reverse", f"--max-count={MOST_COMMITS}", checked(landed), f"^{checked(target)}"
        )
        hidden = self._told(listing.decode().split(), 'if(hidden, change_id ++ "\\n")')
        # One that was only undone, or abandoned, has no other form.
        if rewritten := self._told(hidden, 'change_id.short() ++ "\\n"'):
            raise Conflict(
                f"The commits that this work stands on were rewritten meanwhile ({', '.join(rewritten[:3])}). "
                "Merging it would bring the old ones back: land it as one commit (squash), or begin another attempt.",
                code="rewritten_base",
            )

    def _told(self, revisions: list[str], template: str) -> list[str]:
        """What a template says of those revisions that jj knows."""
        asked = " | ".join(f"present({revision})" for revision in revisions)
        return self("log", "--no-graph", "-r", asked, "-T", template).split() if asked else []

    def _detach(self, ref: str, target: str) -> None:
        """As jj does before it moves the branch that git's HEAD names: else git would take the files for changed."""
        head = self.git("symbolic-ref", "--quiet", "HEAD", ok=(0, 1)).decode().strip()
        if head == ref:
            self.git("update-ref", "--no-deref", "-m", "merge by Studio", "HEAD", target, target)

    def _no(self, sentence: str, code: str, *words: str) -> Conflict:
        return Conflict(sentence, code=code, command=shlex.join(["jj", "-R", str(self.root), *words]))


def _bookmark(line: str) -> Bookmark:
    name, oid, *unresolved = [json.loads(line.split("\t")[0]), *line.split("\t")[1:]]
    if oid == "conflicted":
        sentence = f"The bookmark {name} is conflicted: it stands on several commits. Choose one: jj bookmark set {name} -r COMMIT"
        return Bookmark(name, "", sentence)
    if unresolved:
        return Bookmark(
            name, oid, f"The commit of {name} holds conflicts that are not resolved. Resolve them: jj resolve"
        )
    return Bookmark(name, oid if OID.match(oid) else "")


def usable(bookmarks: Iterable[Bookmark]) -> dict[str, str]:
    """Name to commit."""
    return {each.name: each.oid for each in bookmarks if each.oid}
