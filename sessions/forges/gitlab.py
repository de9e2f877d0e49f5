"""GitLab's API (version 4), where a pull request is called a merge request."""

from typing import Any

from sessions.forges.client import Answers, Found, chosen, page, sound


class MergeRequests:
    """Those of one project."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers

    def find(self, branch: str, base: str) -> list[Found]:
        """Newest first; those of a fork's branch of the same name are left out."""
        query = {"source_branch": branch, "target_branch": base, "state": "all", "per_page": "100"}
        answer = self.answers.get("/merge_requests", **query, order_by="created_at", sort="desc")
        return [sound(_shown, each) for each in chosen(answer, lambda each: _is_of(each, branch, base))]

    def open(self, branch: str, base: str, title: str, body: str) -> Found:
        """Open one."""
        asked = {"title": title, "description": body, "source_branch": branch, "target_branch": base}
        return sound(_shown, self.answers.post("/merge_requests", asked))

    def read(self, number: int) -> Found:
        """As it is now."""
        return sound(_shown, self.answers.get(f"/merge_requests/{number}"))


def _is_of(each: dict[str, Any], branch: str, base: str) -> bool:
    ours = (each.get("source_branch"), each.get("target_branch")) == (branch, base)
    return ours and each.get("source_project_id") == each.get("target_project_id")


def _shown(each: dict[str, Any]) -> Found:
    states = {"opened": "open", "locked": "open", "merged": "merged", "closed": "closed"}
    return Found(int(each["iid"]), page(each["web_url"]), states[each["state"]], str(each["sha"])[:64])
