"""Diffs of real repositories: every kind of file, name and size."""

import os
from pathlib import Path

import pytest

from sessions.workspaces import diff as diffs
from sessions.workspaces.diff import Diff, diff
from tests.factories import git, make_repository


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_repository(
        tmp_path / "source",
        {"a.txt": "".join(f"line {n}\n" for n in range(40)), "gone.txt": "gone\n", "old.txt": "same\n" * 9},
    )


def changed(source: Path) -> Diff:
    """The diff of committing all that is there."""
    base = git(source, "rev-parse", "HEAD")
    git(source, "add", "--all")
    git(source, "commit", "-qm", "change")
    return diff(source, base, git(source, "rev-parse", "HEAD"))


def test_new_changed_deleted_and_renamed_files_are_shown_with_their_lines(source: Path) -> None:
    (source / "a.txt").write_text((source / "a.txt").read_text().replace("line 5\n", "LINE 5\nand more\n"))
    (source / "gone.txt").unlink()
    (source / "old.txt").rename(source / "new.txt")
    (source / "added.txt").write_text("x")
    found = changed(source)
    assert {file.path: (file.status, file.additions, file.deletions) for file in found.files} == {
        "a.txt": ("modified", 2, 1),
        "added.txt": ("added", 1, 0),
        "gone.txt": ("deleted", 0, 1),
        "new.txt": ("renamed", 0, 0),
    }
    assert (found.additions, found.deletions, found.cut) == (3, 2, "")
    assert found.files[3].old_path == "old.txt"
    (hunk,) = found.files[0].hunks
    assert (hunk.old_start, hunk.new_start) == (3, 3)
    assert [(line.kind, line.old_no, line.new_no, line.text) for line in hunk.lines[2:7]] == [
        (" ", 5, 5, "line 4"),
        ("-", 6, None, "line 5"),
        ("+", None, 6, "LINE 5"),
        ("+", None, 7, "and more"),
        (" ", 7, 8, "line 6"),
    ]


def test_the_text_applies_as_a_patch(source: Path) -> None:
    (source / "a.txt").write_text(
        (source / "a.txt").read_text().replace("line 5\n", "LINE 5\nand more\n").replace("line 30\n", "")
    )
    (source / "gone.txt").unlink()
    (source / "added.txt").write_text("x\ny\n")
    text = changed(source).to_text()
    tree = git(source, "rev-parse", "HEAD^{tree}")
    git(source, "reset", "-q", "--hard", "HEAD~1")
    (source.parent / "patch").write_text(
        text.replace("--- /dev/null", "new file mode 100644\n--- /dev/null").replace(
            "diff --git a/gone.txt b/gone.txt", "diff --git a/gone.txt b/gone.txt\ndeleted file mode 100644"
        )
    )
    git(source, "apply", "--index", str(source.parent / "patch"))
    assert git(source, "write-tree") == tree


@pytest.mark.parametrize(
    "name",
    [
        'quo"te',
        "new\nline",
        "tab\tand space ",
        "esc\x1b[31m",
        "--- a",
        "-n",
        "ü",
        " b/x => {c}",
        ":(glob)*",
        "back\\slash",
        "diff --git a",
        "dir with/deep name",
    ],
)
def test_odd_names_come_through_whole(source: Path, name: str) -> None:
    (source / name).parent.mkdir(exist_ok=True)
    (source / name).write_text("diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n")
    found = changed(source)
    assert [(file.path, file.additions, len(file.hunks[0].lines)) for file in found.files] == [(name, 4, 4)]
    (source / name).rename(source / "plain")
    renamed = changed(source)
    assert [(file.old_path, file.path, file.status) for file in renamed.files] == [(name, "plain", "renamed")]
    assert "\x1b" not in found.to_text()


def test_a_name_that_is_no_utf_8_is_escaped(source: Path) -> None:
    with open(os.fsencode(source) + b"/bad\xff", "w") as stream:
        stream.write("x\n")
    assert [file.path for file in changed(source).files] == ["bad\\xff"]


def test_odd_contents_keep_their_lines_apart(source: Path) -> None:
    (source / "odd").write_bytes(b"a\rb\x0cc\xe2\x80\xa8d\n\xff\xfe\nlast")
    (file,) = changed(source).files
    assert [line.text for line in file.hunks[0].lines] == ["a\rb\x0cc\u2028d", "\ufffd\ufffd", "last"]


def test_binary_files_and_mode_changes_are_named_without_lines(source: Path) -> None:
    (source / "picture.png").write_bytes(bytes(range(256)))
    (source / "old.txt").chmod(0o755)
    found = changed(source)
    mode, picture = sorted(found.files, key=lambda file: file.path)
    assert (picture.binary, picture.too_large, picture.hunks) == (True, False, [])
    assert (mode.status, mode.hunks) == ("modified", [])
    assert "[binary file, added]" in found.to_text()


def test_a_file_that_becomes_a_link_does_not_shift_the_others(source: Path) -> None:
    (source / "a.txt").unlink()
    (source / "a.txt").symlink_to("gone.txt")
    (source / "z.txt").write_text("z\n")
    first, last = changed(source).files
    assert (first.path, first.status, first.hunks[-1].lines[0].text) == ("a.txt", "modified", "gone.txt")
    assert (last.path, last.hunks[0].lines[0].text) == ("z.txt", "z")


def test_long_and_huge_files_are_cut_and_it_is_said(source: Path, monkeypatch) -> None:
    (source / "long.txt").write_text("x\n" * 5000)
    (source / "huge.txt").write_text("y" * 60 + "\n")
    (source / "wide.txt").write_text("z" * 20_000 + "\n")
    monkeypatch.setattr(diffs, "BIG_FILE_BYTES", 1_000_000)
    with open(source / "huge.txt", "a") as stream:
        stream.writelines("y" * 60 + "\n" for _ in range(20_000))
    whole = changed(source)
    found = {file.path: file for file in whole.files}
    assert (found["long.txt"].additions, found["long.txt"].shown_lines, found["long.txt"].too_large) == (
        5000,
        3000,
        True,
    )
    assert (found["huge.txt"].too_large, found["huge.txt"].hunks) == (True, [])
    assert found["wide.txt"].hunks[0].lines[0].text.endswith("[line cut]")
    assert "2 files are too large" in whole.cut
    assert whole.additions == 5001
    assert "cut: 5000 lines added" in whole.to_text()


def test_a_change_of_many_megabytes_is_cut_as_a_whole(source: Path) -> None:
    for number in range(5):
        (source / f"part{number}.txt").write_text("".join(f"{line} {'w' * 400}\n" for line in range(2000)))
    found = changed(source)
    assert len(found.files) == 5
    assert found.additions == 10_000
    assert "Only the first 2 MB" in found.cut
    assert len(found.to_text()) < 2_300_000
    assert found.files[-1].too_large
    assert not found.files[0].too_large


def test_a_persons_own_diff_settings_and_programs_do_not_matter(source: Path, tmp_path: Path) -> None:
    (source / "a.txt").write_text("changed\n")
    base = git(source, "rev-parse", "HEAD")
    for name, value in {
        "diff.external": f"touch {tmp_path}/ran",
        "diff.x.command": f"touch {tmp_path}/ran",
        "diff.x.textconv": f"touch {tmp_path}/ran",
        "diff.noprefix": "true",
        "diff.mnemonicPrefix": "true",
        "color.ui": "always",
        "diff.orderFile": str(tmp_path / "order"),
        "diff.renames": "false",
    }.items():
        git(source, "config", name, value)
    (tmp_path / "order").write_text("z*\n")
    (source / ".gitattributes").write_text("* diff=x\n")
    (source / "old.txt").rename(source / "z.txt")
    git(source, "add", "--all")
    git(source, "-c", "diff.external=", "commit", "-qm", "x")
    found = diff(source, base, git(source, "rev-parse", "HEAD"))
    assert [file.path for file in found.files] == [".gitattributes", "a.txt", "z.txt"]
    assert [file.hunks[0].lines[-1].text for file in found.files[:2]] == ["* diff=x", "changed"]
    assert found.files[2].status == "renamed"
    assert not (tmp_path / "ran").exists()


def test_only_object_ids_are_taken(source: Path) -> None:
    for hostile in ("--output=x", "HEAD", "", "a" * 39):
        with pytest.raises(ValueError, match="not an object id"):
            diff(source, hostile, git(source, "rev-parse", "HEAD"))
