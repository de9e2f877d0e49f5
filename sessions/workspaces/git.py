"""The workspace of an attempt as an isolated clone, and what crosses from it into the person's repository.

Whatever reads or writes the workspace runs inside its sandbox; the source's git sees only object ids and a pack that it checks.
"""

import os
import re
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from sessions.workspaces import snapshot
from sessions.workspaces.diff import Diff, compare, diff
from sessions.workspaces.loss import Loss, measure
from sessions.workspaces.plumbing import (
    GitError,
    SourceGit,
    WorkspaceGit,
    broken,
    checked,
    committer,
    is_ancestor,
    jj_repository,
    resolve,
)
from sessions.workspaces.processes import Tick
from sessions.workspaces.repository import Repository, inspect, target_tip
from sessions.workspaces.sandbox import Sandbox
from studio.errors import Conflict

__all__ = ["Diff", "Repository", "Workspace", "diff", "inspect", "isolation"]

KEY = re.compile(r"^[A-Z][A-Z0-9]*-[0-9]+-[0-9]+$")


def isolation(
    repository: Repository,
    workspace: Path,
    home: Path,
    marker: str,
    *,
    readable: tuple[Path, ...] = (),
    writable: tuple[Path, ...] = (),
    enabled: bool = True,
) -> Sandbox:
    """The sandbox for a workspace of this repository: its object stores can be read, its checkouts and its .git cannot be seen."""
    return Sandbox(
        workspace=workspace,
        home=home,
        marker=marker,
        readable=(*repository.objects, *readable),
        writable=writable,
        hidden=tuple(dict.fromkeys([*repository.checkouts, repository.git_dir])),
        enabled=enabled,
    )


@dataclass(frozen=True)
class Workspace:
    """One attempt's clone at `path`, on the branch `studio/<key>`, of the repository `source`. It borrows the source's objects.

    Long calls take a `tick`, called about every 0.1 s; what it raises stops the call and passes. All raise GitError: with the
    code workspace_broken when the agent removed or replaced the clone's .git.
    """

    source: Path
    path: Path
    key: str
    sandbox: Sandbox
    never: tuple[str, ...] = ()  # paths of files that are left out of every commit and every diff

    def __post_init__(self) -> None:
        if not KEY.match(self.key):
            raise ValueError(f"not the key of an attempt: {self.key!r}")
        if self.sandbox.workspace != self.path.resolve():
            raise ValueError(f"the sandbox is made for {self.sandbox.workspace}, not for {self.path}")

    @property
    def branch(self) -> str:
        return f"studio/{self.key}"

    def exists(self) -> bool:
        return self.path.is_dir()

    def base(self) -> str:
        """The commit that the attempt started from; empty before `create`."""
        return resolve(self._source(), self._ref("base"))

    def create(
        self,
        target_branch: str,
        tick: Tick | None = None,
        *,
        base: str = "",
        head: str = "",
        recovery: str = "",
    ) -> str:
        """Make the clone at the tip of a branch and return that commit. Called again it finishes what a crash left, or does nothing.

        The base is pinned in the source first: what is amended and pruned there later stays whole here. There is no remote. An
        attempt that has worked before names its `base` and the `head` that it exported last, where the clone goes on, or a ref from
        `keep`, whose state the clone gets.
        """
        base = self._pin(target_branch, base)
        if self.exists():
            return base
        self.path.parent.mkdir(parents=True, exist_ok=True)
        half_made = self.path.with_name(self.path.name + ".new")
        discard(half_made)
        half_made.mkdir()
        self._fill(half_made, base, target_branch, tick, self._found(head) or base, self._found(recovery))
        half_made.rename(self.path)
        return base

    def tree(self, tick: Tick | None = None) -> str:
        """A hash of everything: HEAD, index, files and untracked files, but for ignored ones. The same state gives the same id."""
        return snapshot.take(self._git(tick), self.base())

    def restore(self, tree_oid: str, tick: Tick | None = None) -> None:
        """Put everything back to what `tree` saw (ignored files stay as they are)."""
        snapshot.put_back(self._git(tick), checked(tree_oid))

    def commit(self, message: str, tick: Tick | None = None) -> str:
        """Commit the whole working tree onto HEAD as Studio, without hooks; HEAD when there is nothing to commit."""
        git = self._git(tick)
        snapshot.unlock(git)
        head = resolve(git, "HEAD")
        if not head:  # the agent made a branch without a commit
            git("symbolic-ref", "HEAD", f"refs/heads/{self.branch}")
            git("update-ref", f"refs/heads/{self.branch}", self.base())
        elif not snapshot.is_free(git, self.base(), head):  # its work stays, and its commits go
            before = resolve(self._source(), self._ref("attempts"))
            goes_on = bool(before) and is_ancestor(git, before, head)
            git("update-ref", "HEAD", before if goes_on else self.base())
        snapshot.stage_all(git)
        if not git("diff-index", "--cached", "--name-only", "HEAD") and not self._is_merging(git):
            return resolve(git, "HEAD")
        git(
            *("commit", "--quiet", "--no-verify", "--allow-empty", "--cleanup=verbatim", "-F", "-"),
            input=message.replace("\0", "").encode(errors="replace"),
            env=committer(),
        )
        return checked(resolve(git, "HEAD"))

    def tracked(self, paths: list[str]) -> list[str]:
        """Those of the paths that git keeps here."""
        found = self._git()("--literal-pathspecs", "ls-files", "-z", "--", *paths)
        return found.decode(errors="surrogateescape").split("\0")[:-1]

    def export(self, oid: str, tick: Tick | None = None) -> None:
        """Bring a commit of the workspace into the source, as refs/studio/attempts/<key>.

        The visible branch studio/<key> follows, unless it is checked out somewhere or someone else has moved it.
        """
        before = resolve(self._source(), self._ref("attempts"))
        self._bring(checked(oid), self._ref("attempts"), tick)
        self._move_branch(before, oid)

    def diff(self, base: str = "", tick: Tick | None = None, *, timeout: float = 600) -> Diff:
        """Everything between `base` (a commit; the attempt's own by default) and the workspace as it is now.

        Each git command has `timeout` seconds; give a short one inside a request.
        """
        git = self._git(tick, timeout)
        tree, left_out = snapshot.files(git)
        no_index = {
            "GIT_INDEX_FILE": str(git.folder / "studio-none")
        }  # git reads attributes from it, and fails on a damaged one
        found = compare(git, base or self.base(), tree, no_index)
        found.left_out = left_out
        return found

    def loss(self, target_branch: str, tick: Tick | None = None, *, timeout: float = 600) -> Loss:
        """What is here and not on the target branch; Conflict where that cannot be read."""
        git = self._git(tick, timeout)
        base = self._found(self._ref("base"))
        return measure(git, self._source(), base, target_branch, self._is_safe(git))

    def keep(self, tick: Tick | None = None) -> str:
        """Keep the work that the source does not have there, and return its ref under refs/studio/recovery/<key>-; empty when the
        source has everything. `create` makes a workspace of it again.

        Fails closed: Conflict (workspace_broken) where the state cannot be read.
        """
        if not self.exists():
            return ""
        git = self._git(tick)
        self._found(self._ref("base"))
        return "" if self._is_safe(git) else self._keep(git, tick)

    def _git(self, tick: Tick | None = None, timeout: float = 600) -> WorkspaceGit:
        if not self.exists():
            raise GitError(f"The workspace {self.path} is gone.", code="workspace_missing")
        return WorkspaceGit(self.sandbox, tick=tick, timeout=timeout, never=self.never)

    def _source(self) -> SourceGit:
        return SourceGit(self.source, timeout=120)

    def _ref(self, kind: str) -> str:
        return f"refs/studio/{kind}/{self.key}"

    def _pin(self, target_branch: str, base: str) -> str:
        source = self._source()
        pinned = resolve(source, self._ref("base"))
        if pinned and (self.exists() or pinned == base):
            return pinned
        if not base:  # it has never worked: what bears its key is of a Studio whose data is gone
            self._set_aside(source)
        tip = self._found(base) or target_tip(source, target_branch)
        common = source("rev-parse", "--path-format=absolute", "--git-common-dir").decode().removesuffix("\n")
        if not os.access(common, os.W_OK):
            raise GitError(
                f"Studio keeps its work in {common}, where it may not write.", code="source_read_only"
            )
        source("update-ref", self._ref("base"), tip)
        return tip

    def _set_aside(self, source: SourceGit) -> None:
        if earlier := resolve(source, self._ref("attempts")):
            source("update-ref", self._recovery(earlier), earlier)
            source("update-ref", "-d", self._ref("attempts"), earlier)

    def _found(self, name: str) -> str:
        """The commit of a ref or id that the source has to have, if one is named."""
        found = resolve(self._source(), name) if name else ""
        if name and not found:
            raise GitError(f"{name} of {self.key} is not in {self.source} any more.", code="work_missing")
        return found

    def _recovery(self, oid: str) -> str:
        return f"{self._ref('recovery')}-{time.strftime('%Y%m%d', time.gmtime())}-{oid[:8]}"

    def _fill(
        self, folder: Path, base: str, target_branch: str, tick: Tick | None, start: str, kept: str
    ) -> None:
        """What `git clone --shared` does, but all of it inside the sandbox, and without anything that points back to the source.

        Of its refs only those whose commits the pinned base holds are taken over, so that none can break.
        """
        source = self._source()
        stores = (
            source("rev-parse", "--path-format=absolute", "--git-path", "objects").decode().removesuffix("\n")
        )
        object_format = source("rev-parse", "--show-object-format").decode().strip()
        git = WorkspaceGit(replace(self.sandbox, workspace=folder), tick=tick)
        git(
            "init",
            "--quiet",
            "--template=",
            f"--object-format={object_format}",
            f"--initial-branch={self.branch}",
        )
        (folder / ".git/objects/info").mkdir(exist_ok=True)
        (folder / ".git/objects/info/alternates").write_text(f"{Path(stores).resolve()}\n")
        refs = {f"refs/heads/{target_branch}": base, f"refs/heads/{self.branch}": start, **self._tags(base)}
        git(
            "update-ref",
            "--stdin",
            input="".join(f"create {ref} {oid}\n" for ref, oid in refs.items()).encode(),
        )
        git("reset", "--quiet", "--hard", start)
        if kept:
            snapshot.put_back(git, kept)

    def _tags(self, base: str) -> dict[str, str]:
        """The tags below the base, as plain ones: versions are often told from them."""
        listing = self._source()(
            "for-each-ref",
            f"--merged={base}",
            "--format=%(refname) %(objectname) %(*objectname)",
            "refs/tags",
        )
        lines = [line.split(" ") for line in listing.decode().splitlines()]
        return {name: peeled or oid for name, oid, peeled in lines}

    def _is_merging(self, git: WorkspaceGit) -> bool:
        return bool(resolve(git, "MERGE_HEAD"))

    def _bring(self, oid: str, ref: str, tick: Tick | None) -> None:
        """Let the source have a commit with all that it needs, checked on its way in, under `ref`."""
        source, base = self._source(), self.base()
        if resolve(source, oid) and is_ancestor(source, oid, base):
            source("update-ref", ref, oid)
            return
        with tempfile.TemporaryFile() as pack:
            options = ("--revs", "--stdout", "--thin", "--delta-base-offset", "--quiet")
            self._git(tick)("pack-objects", *options, input=f"{oid}\n^{base}\n".encode(), into=pack)
            kept = self._index(source, pack)
        source("update-ref", ref, oid)
        kept.unlink(missing_ok=True)

    def _index(self, source: SourceGit, pack: IO[bytes]) -> Path:
        """Take a pack into the source. The file that is returned keeps every gc away from it until a ref names what it holds."""
        for last in (False, False, False, False, True):
            pack.seek(0)
            try:
                done = source.feed(pack, "index-pack", "--stdin", "--strict", "--fix-thin", "--keep=Studio")
                break
            except GitError as error:  # `git gc --prune=now` deletes also what is just being written
                if last or "unable to" not in error.stderr:
                    raise
        name = f"objects/pack/pack-{done.decode().split()[-1]}.keep"
        return Path(
            source("rev-parse", "--path-format=absolute", "--git-path", name).decode().removesuffix("\n")
        )

    def _move_branch(self, before: str, oid: str) -> None:
        """`before` is what the last export brought: a branch that stands elsewhere was moved by a person, and is theirs.

        In a repository of jj's there is none: jj would take it in at the person's next command, as an operation in their log and
        commits in their `jj log`, and rewrite what they have built upon it when it goes.
        """
        source = self._source()
        if jj_repository(self.source) is not None:
            return
        now = resolve(source, f"refs/heads/{self.branch}")
        if now == oid or now not in ("", before):
            return
        try:
            source("branch", "--force", "--no-track", "--end-of-options", self.branch, oid)
        except GitError:
            pass  # checked out somewhere, or a branch named "studio" stands in the way: the ref has the work

    def _is_safe(self, git: WorkspaceGit) -> bool:
        """Whether the source has all of it: no change in the files, and every branch is contained in what was exported or in the base."""
        source = self._source()
        known = [oid for oid in (resolve(source, self._ref("attempts")), self.base()) if oid]
        head = resolve(git, "HEAD")
        tips = {head, *snapshot.tips(git)}
        tree, left_out = snapshot.files(git)
        clean = bool(head) and not left_out and tree == git("rev-parse", f"{head}^{{tree}}").decode().strip()
        return clean and all(
            any(resolve(source, tip) and is_ancestor(source, tip, oid) for oid in known) for tip in tips
        )

    def _keep(self, git: WorkspaceGit, tick: Tick | None) -> str:
        _, left_out = snapshot.files(git)
        if left_out:
            raise Conflict(
                f"The workspace {self.path} holds repositories of its own ({', '.join(left_out[:5])}), which cannot be kept. Move them away first.",
                code="workspace_nested",
            )
        kept = snapshot.take(git, self.base(), with_branches=True)
        ref = self._recovery(kept)
        self._bring(kept, ref, tick)
        return ref


def discard(folder: Path) -> None:
    """Delete a folder of Studio's, never through a link, also where the agent took the rights on its folders away."""
    if folder.is_symlink():
        raise broken(folder)

    def allow(function: object, path: str, error: object) -> None:
        Path(path).parent.chmod(0o700)
        if Path(path).is_dir() and not Path(path).is_symlink():
            Path(path).chmod(0o700)
            shutil.rmtree(path, ignore_errors=True)
        else:
            Path(path).unlink(missing_ok=True)

    if folder.exists():
        shutil.rmtree(folder, onerror=allow)
    if folder.exists():
        raise GitError(f"The folder {folder} could not be deleted whole.", code="workspace_not_removed")
