"""GitHub's API, on github.com and of GitHub Enterprise (REST, version 2022-11-28)."""

from typing import Any

from sessions.forges.client import Answers, Found, chosen, page, sound


class PullRequests:
    """Those of one repository."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers

    def find(self, branch: str, base: str) -> list[Found]:
        """Newest first. GitHub leaves out a filter that it does not understand, so that each is looked at again."""
        owner = self.answers.place.split("/")[-2]
        query = {"head": f"{owner}:{branch}", "base": base, "state": "all", "per_page": "100"}
        answer = self.answers.get("/pulls", **query, sort="created", direction="desc")
        return [sound(shown, each) for each in chosen(answer, lambda each: is_of(each, branch, base))]

    def open(self, branch: str, base: str, title: str, body: str) -> Found:
        """Open one."""
        asked = {"title": title, "body": body, "head": branch, "base": base}
        return sound(shown, self.answers.post("/pulls", asked))

    def read(self, number: int) -> Found:
        """As it is now."""
        return sound(shown, self.answers.get(f"/pulls/{number}"))


def is_of(each: dict[str, Any], branch: str, base: str) -> bool:
    """Whether it is one of these branches, within the repository: a fork may have a branch of that name too."""
    head, into = each["head"], each["base"]
    ours, theirs = (((side.get("repo") or {}).get("full_name")) for side in (into, head))
    return (head["ref"], into["ref"]) == (branch, base) and theirs in {None, ours}


def shown(each: dict[str, Any]) -> Found:
    """It, by GitHub's fields."""
    merged = each.get("merged_at") or each.get("merged")
    state = "merged" if merged else "open" if each["state"] == "open" else "closed"
    return Found(int(each["number"]), page(each["html_url"]), state, str(each["head"]["sha"])[:64])
