"""The state of a workspace: telling it, putting it back, committing it."""

from sessions.workspaces.git import Workspace
from tests.factories import git
from tests.sessions.clones import _data_folder, agent, kind, paths, source, workspace

__all__ = ["_data_folder", "kind", "source", "workspace"]


def test_the_tree_tells_every_kind_of_change_apart_and_restores_it(workspace: Workspace) -> None:
    clean = workspace.tree()
    assert workspace.tree() == clean
    states = {
        clean: agent(workspace, "git status --porcelain; git rev-parse HEAD; git branch --show-current")
    }
    for script in (
        "echo changed > a.txt",
        "git add a.txt",
        "echo new > 'new file'; ln -s /etc/passwd link; chmod +x sub/b.txt",
        "git rm -q --cached sub/b.txt",
        "git commit -qm agent",
        "git switch -q -c other",
        "git checkout -q --detach; rm -rf sub",
    ):
        agent(workspace, script)
        states[workspace.tree()] = agent(
            workspace, "git status --porcelain; git rev-parse HEAD; git branch --show-current"
        )
    assert len(states) == 8
    for state, seen in reversed(states.items()):
        workspace.restore(state)
        assert (
            agent(workspace, "git status --porcelain; git rev-parse HEAD; git branch --show-current") == seen
        )
        assert workspace.tree() == state


def test_an_empty_workspace_and_one_in_conflict_have_a_tree(workspace: Workspace) -> None:
    agent(
        workspace,
        "git switch -qc x; echo x > a.txt; git commit -qam x; git switch -q main; echo y > a.txt; git commit -qam y",
    )
    agent(workspace, "git merge x >/dev/null || true")
    conflict = workspace.tree()
    assert conflict == workspace.tree()
    agent(workspace, "git merge --abort; rm -rf a.txt sub .gitignore")
    assert workspace.tree() != conflict
    assert set(paths(workspace.diff()).values()) == {"deleted"}


def test_a_commit_takes_everything_but_ignored_files(workspace: Workspace) -> None:
    agent(workspace, "echo log > x.log; rm a.txt; echo new > new.txt; git add new.txt; echo newer > new.txt")
    oid = workspace.commit("Work\n\n# kept")
    assert git(workspace.path, "ls-tree", "-r", "--name-only", oid).split() == [
        ".gitignore",
        "new.txt",
        "sub/b.txt",
    ]
    assert git(workspace.path, "show", f"{oid}:new.txt") == "newer"
    assert git(workspace.path, "log", "-1", "--format=%an %cn %B", oid) == "Studio Studio Work\n\n# kept"
    assert git(workspace.path, "status", "--porcelain") == ""
    assert workspace.commit("nothing") == oid


def test_a_commit_on_a_branch_without_commits_goes_onto_the_base(workspace: Workspace) -> None:
    agent(workspace, "git checkout -q --orphan empty; echo new > new.txt")
    oid = workspace.commit("work")
    assert git(workspace.path, "rev-parse", f"{oid}^") == workspace.base()
