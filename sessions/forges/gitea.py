"""The API of Gitea and Forgejo (version 1)."""

from typing import Any

from sessions.forges import github
from sessions.forges.client import Found, chosen, sound

PAGE = 50
MOST_PAGES = 10


class PullRequests(github.PullRequests):
    """Those of one repository: GitHub's shapes, but for the list."""

    def find(self, branch: str, base: str) -> list[Found]:
        """Newest first: not every version can filter by branch, so that the latest 500 are looked through."""
        found: list[dict[str, Any]] = []
        for number in range(1, MOST_PAGES + 1):
            query = {"state": "all", "sort": "recentupdate", "limit": str(PAGE), "page": str(number)}
            answer = self.answers.get("/pulls", **query)
            found += chosen(answer, lambda each: github.is_of(each, branch, base))
            if not answer or any(each.get("state") == "open" for each in found):
                break
        return sorted((sound(github.shown, each) for each in found), key=lambda each: -each.number)
