"""What a project may be: repositories looked at before anything is promised."""

from pathlib import Path

import pytest

from sessions.workspaces.git import diff, inspect
from studio.errors import Invalid
from tests.factories import git, make_repository
from tests.sessions.clones import _data_folder, a_workspace, kind, paths, source

__all__ = ["_data_folder", "kind", "source"]


def refused(path: object, branch: str = "", field: str = "path") -> str:
    with pytest.raises(Invalid) as failure:
        inspect(path, branch)  # type: ignore[arg-type]
    assert list(failure.value.fields) == [field]
    return failure.value.fields[field]


def test_a_repository_is_described(source: Path) -> None:
    git(source, "branch", "feature/x")
    found = inspect(f" {source}/ ", "feature/x")
    assert (found.path, found.git_dir, found.objects) == (source, source / ".git", (source / ".git/objects",))
    assert (found.head_branch, found.target_branch, set(found.branches)) == (
        "main",
        "feature/x",
        {"main", "feature/x"},
    )
    assert found.head_oid == git(source, "rev-parse", "main")


def test_what_is_no_usable_repository_is_refused_with_a_sentence(
    source: Path, tmp_path: Path, settings
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    git(tmp_path, "init", "-q", "unborn")
    assert "does not exist" in refused(tmp_path / "nowhere")
    assert "not a folder" in refused(tmp_path / "file")
    assert "not a Git repository" in refused(tmp_path / "empty")
    assert "no commit" in refused(tmp_path / "unborn")
    assert "inside the repository" in refused(source / "sub")
    assert "inside of a repository" in refused(source / ".git")
    assert "data folder" in refused(make_repository(settings.STUDIO_HOME / "x"))
    assert "STUDIO_HOME" in refused(git_init_around(tmp_path))
    for hostile in ("", "-C", "--upload-pack=touch x", "relative/path", "/a\nb", "/a\0b", "/" + "x" * 5000):
        refused(hostile)


def git_init_around(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    return tmp_path


def test_clones_that_are_not_whole_and_unsupported_kinds_are_refused(source: Path, tmp_path: Path) -> None:
    git(source, "commit", "--allow-empty", "-qm", "second")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{source}", "shallow")
    git(source, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{source}", "partial")
    assert "shallow" in refused(tmp_path / "shallow")
    assert "partial" in refused(tmp_path / "partial")
    modular = make_repository(tmp_path / "modular")
    git(modular, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(source), "lib")
    git(modular, "commit", "-qm", "submodule")
    assert "submodules" in refused(modular)
    large = make_repository(
        tmp_path / "large", {"deep/.gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"}
    )
    assert "LFS" in refused(large)


def test_unknown_and_option_like_branches_are_refused(source: Path) -> None:
    for branch in ("nope", "--output=/tmp/x", "-d", "main^", "refs/heads/main", "a b"):
        assert "no branch" in refused(source, branch, "target_branch")
    git(source, "checkout", "-q", "--detach")
    assert "choose" in refused(source, "", "target_branch")
    assert inspect(source, "main").target_branch == "main"


def test_bare_repositories_and_linked_worktrees_work_from_end_to_end(source: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(source), "bare.git")
    git(source, "worktree", "add", "-q", "-b", "linked", str(tmp_path / "linked"))
    for number, folder in enumerate((tmp_path / "bare.git", tmp_path / "linked"), 1):
        workspace = a_workspace(folder, tmp_path, f"DEMO-2-{number}")
        base = workspace.create("main")
        (workspace.path / "new.txt").write_text("new\n")
        oid = workspace.commit("work")
        workspace.export(oid)
        assert paths(diff(folder, base, oid)) == {"new.txt": "added"}
    assert set(inspect(tmp_path / "linked").checkouts) == {source, tmp_path / "linked"}
