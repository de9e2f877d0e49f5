# ruff: noqa: RUF001 (the words of other languages)
"""What a plan's Markdown says in fields. A plan is written by an agent or a person: whatever cannot be read is left empty, and the
plan is still there as a whole."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tasks import plan_words as words

LONGEST = 300_000  # characters that are looked into: a longer plan is shown, and has no fields
MOST_PHASES = 100  # with more than these the numbers are no phases
MOST_FILES = 500
MOST_CRITERIA = 200
LONGEST_LINE = 1_000  # characters of a title, a path with its sentence, or a criterion

# Blocks are enough: inline marks are what hostile text makes slow.
_blocks = MarkdownIt("commonmark")
_blocks.core.ruler.enableOnly(["normalize", "block"])

_WRAPPED = re.compile(r"\s*(`{3,}|~{3,})(?:markdown|md)[ \t]*\n(.*)\n\1[`~]*\s*", re.DOTALL | re.IGNORECASE)
_ITEM = re.compile(r"\s*(?:[-*+•]|\d{1,9}[.)])\s+")
_BOX = re.compile(r"\[[ xX✓✔]?\]\s*")
_TABLE_RULE = re.compile(r"[\s|:-]+")
_BOLD = re.compile(r"(\*\*|__)(?P<text>[^\n]+?)\1(?P<rest>.*)")
_PATH = re.compile(r"`([^`\s]{1,400})`|\[([^\]\s]{1,400})\]\([^)\s]*\)")
_BARE = re.compile(r"[*_]*([^\s`*|:,]{1,400}?)[*_]*(?:[:,]?\s|$)")


@dataclass(frozen=True)
class Phase:
    """A phase of the work. `number` counts from 1 in the order of the plan, whatever the plan calls it."""

    number: int
    title: str
    body: str


@dataclass(frozen=True)
class PlannedFile:
    """A file to change, by its path as the plan writes it, and what changes in it."""

    path: str
    what: str


@dataclass(frozen=True)
class PlanText:
    """The fields of a plan. `complexity` is S, M, L, XL or empty; `risks` and `test_plan` are Markdown."""

    complexity: str = ""
    phases: tuple[Phase, ...] = ()
    files: tuple[PlannedFile, ...] = ()
    risks: str = ""
    test_plan: str = ""
    criteria: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Section:
    """A heading and what stands under it: lines `start` (the heading's own) and `first` to `end`, without the end."""

    title: str
    level: int
    start: int
    first: int
    end: int
    kind: str

    def holds(self, other: "_Section") -> bool:
        return self.start < other.start < self.end


def read(text: str) -> PlanText:
    """The fields of the plan. Takes any text and never raises; the time it needs is bounded by LONGEST."""
    if len(text) > LONGEST:
        return PlanText()
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    if wrapped := _WRAPPED.fullmatch(text):
        text = wrapped[2]
    return _Document(text).fields()


class _Document:
    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.tokens = _blocks.parse(text)
        self.code = {
            line
            for token in self.tokens
            if token.type in {"fence", "code_block", "html_block"} and token.map
            for line in range(*token.map)
        }
        self.sections = list(self._sections())

    def fields(self) -> PlanText:
        phases = self._phase_sections()
        return PlanText(
            complexity=self._complexity(),
            phases=self._phases(phases),
            files=self._files(self._of("files", phases)),
            risks=self._text(self._of("risks", phases)),
            test_plan=self._text(self._of("tests", phases)),
            # A phase may have criteria of its own: evidence is wanted for all of them.
            criteria=self._criteria(self._of("criteria", [])),
        )

    def _sections(self) -> Iterator[_Section]:
        heads = list(self._headings())
        ends = [0] * len(heads)
        above: list[int] = []
        for place, (_, level, start, _) in enumerate(heads):
            while above and heads[above[-1]][1] >= level:
                ends[above.pop()] = start
            above.append(place)
        for place in above:
            ends[place] = len(self.lines)
        for (title, level, start, first), end in zip(heads, ends, strict=True):
            yield _Section(title, level, start, first, end, words.kind(title))

    def _headings(self) -> Iterator[tuple[str, int, int, int]]:
        """Title, level, own line and first line under it. A line in bold that names a phase or a section is a heading too."""
        level = 0
        for token, inline in pairwise(self.tokens):
            if token.level or not token.map:
                continue
            start, end = token.map
            if token.type == "heading_open":
                level = int(token.tag[1])
                yield words.plain(inline.content[:LONGEST_LINE]), level, start, end
            elif token.type == "paragraph_open":
                title = _bold_line(self.lines[start])
                if title and (words.kind(title) or words.phase(title)):
                    yield title, max(level, 1) + 10, start, start + 1

    def _phase_sections(self) -> list[_Section]:
        """The sections that say they are a phase, each number once: where one comes again, it is no new phase."""
        found: dict[str, _Section] = {}
        elsewhere = [each for each in self.sections if each.kind not in {"", "phases", "implementation"}]
        groups = [each for each in self.sections if each.kind == "phases"]
        blocked = Ranges(elsewhere)
        grouped = Ranges(groups)
        for section in self.sections:
            if blocked.hold(section):
                continue
            number = words.phase(section.title)
            if not number and grouped.hold(section) and not section.kind:
                number = words.numbered(self.lines[section.start])
            if number:
                found.setdefault(number[0], section)
        return list(found.values())

    def _phases(self, sections: list[_Section]) -> tuple[Phase, ...]:
        found = [
            (_phase_title(section.title, self.lines[section.start]), self._body(section.first, end))
            for section, end in zip(sections, self._phase_ends(sections), strict=True)
        ] or self._listed_phases()
        if len(found) > MOST_PHASES:
            return ()
        return tuple(Phase(number, *each) for number, each in enumerate(found, start=1))

    def _phase_ends(self, sections: list[_Section]) -> list[int]:
        starts = [section.start for section in sections[1:]] + [len(self.lines)]
        return [min(section.end, start) for section, start in zip(sections, starts, strict=False)]

    def _listed_phases(self) -> list[tuple[str, str]]:
        """Phases as a numbered list: of all items under "Phases", of those in bold under "Implementation"."""
        for kind, all_items in (("phases", True), ("implementation", False)):
            for section in self._of(kind, []):
                items = self._numbered_items(section)
                if items and (all_items or all(_bold_start(self.lines[item]) for item in items)):
                    ends = [*items[1:], section.end]
                    return [self._listed(item, end) for item, end in zip(items, ends, strict=True)]
        return []

    def _numbered_items(self, section: _Section) -> list[int]:
        return [
            token.map[0]
            for parent, token in self._items()
            if token.map and parent == "ordered_list_open" and section.first <= token.map[0] < section.end
        ]

    def _items(self) -> Iterator[tuple[str, Token]]:
        """The items of lists that stand in nothing else, each with the kind of its list."""
        kind = ""
        for token in self.tokens:
            if token.level == 0 and token.type.endswith("_list_open"):
                kind = token.type
            elif token.level == 1 and token.type == "list_item_open":
                yield kind, token

    def _listed(self, start: int, end: int) -> tuple[str, str]:
        marker = _ITEM.match(self.lines[start])
        width = marker.end() if marker else 0
        first = self.lines[start][width:]
        title, rest = first, ""
        if bold := _BOLD.match(first):
            title, rest = bold["text"], bold["rest"].lstrip(" :.–—-")
        below = [line[min(width, len(line) - len(line.lstrip())) :] for line in self.lines[start + 1 : end]]
        return _cut(words.plain(title)), "\n".join([rest, *below]).strip()

    def _of(self, kind: str, outside: list[_Section]) -> list[_Section]:
        """The sections of a kind, without those in another of the kind or in one of `outside`."""
        taken = Ranges(outside)
        found: list[_Section] = []
        for section in self.sections:
            inner = bool(found) and found[-1].holds(section)
            if section.kind == kind and not inner and not taken.hold(section):
                found.append(section)
        return found

    def _body(self, first: int, end: int) -> str:
        return "\n".join(self.lines[first:end]).strip("\n").rstrip()

    def _text(self, sections: list[_Section]) -> str:
        bodies = (self._body(section.first, section.end) for section in sections)
        return "\n\n".join(body for body in bodies if body)

    def _complexity(self) -> str:
        for number, line in enumerate(self.lines):
            if number not in self.code and (size := words.stated_size(line[:LONGEST_LINE])):
                return size
        for section in self._of("complexity", []):
            for line in self.lines[section.first : section.end]:
                if line.strip():
                    if size := words.size(words.plain(line[:LONGEST_LINE])):
                        return size
                    break
        return ""

    def _files(self, sections: list[_Section]) -> tuple[PlannedFile, ...]:
        found: dict[str, list[str]] = {}
        for section in sections:
            last: list[str] = []
            for line in self._prose(section):
                paths, what = _paths(line[:LONGEST_LINE])
                if paths and len(found) < MOST_FILES:
                    last = [path for path in paths if path not in found]
                    found.update({path: [what] if what else [] for path in last})
                elif last and line[:1].isspace() and line.strip():
                    for path in last:
                        found[path].append(_ITEM.sub("", line, count=1).strip())
                else:
                    last = []
        return tuple(PlannedFile(path, _cut(" ".join(what))) for path, what in found.items())

    def _prose(self, section: _Section) -> Iterator[str]:
        for number in range(section.first, section.end):
            if number not in self.code:
                yield self.lines[number]

    def _criteria(self, sections: list[_Section]) -> tuple[str, ...]:
        found: list[str] = []
        for section in sections:
            spans = [
                token.map
                for _, token in self._items()
                if token.map and section.first <= token.map[0] < section.end
            ]
            found += [self._criterion(*span) for span in spans] or self._loose_criteria(section)
        return tuple(dict.fromkeys(each for each in found if each))[:MOST_CRITERIA]

    def _criterion(self, start: int, end: int) -> str:
        text = " ".join(line.strip() for line in self.lines[start:end])
        return _cut(_BOX.sub("", _ITEM.sub("", text, count=1), count=1))

    def _loose_criteria(self, section: _Section) -> list[str]:
        """Criteria without a list: the rows of a table under its head, or else paragraphs."""
        lines = list(self._prose(section))
        rule = next((n for n, line in enumerate(lines) if "|" in line and _TABLE_RULE.fullmatch(line)), None)
        if rule is not None:
            rows = [line.strip().strip("|") for line in lines[rule + 1 :] if "|" in line]
            return [_cut(" – ".join(cell.strip() for cell in row.split("|") if cell.strip())) for row in rows]
        heads = {each.start for each in self.sections}
        return [
            _cut(" ".join(self.lines[token.map[0] : token.map[1]]))
            for token in self.tokens
            if token.type == "paragraph_open" and not token.level and token.map
            if section.first <= token.map[0] < section.end and token.map[0] not in heads
        ]


class Ranges:
    """Lines that sections cover. Sections are asked for in their order."""

    def __init__(self, sections: list[_Section]) -> None:
        self._sections = sections
        self._next = 0
        self._end = 0

    def hold(self, section: _Section) -> bool:
        """Whether the section begins within one of these (and is not that one itself)."""
        while self._next < len(self._sections) and self._sections[self._next].start < section.start:
            self._end = max(self._end, self._sections[self._next].end)
            self._next += 1
        return section.start < self._end


def _phase_title(title: str, line: str) -> str:
    named = words.phase(title) or words.numbered(line)
    return _cut((named[1] if named else "") or title)


def _bold_line(line: str) -> str:
    line = line.strip()[:LONGEST_LINE]
    bold = _BOLD.fullmatch(line)
    return words.plain(bold["text"]) if bold and bold["rest"].strip() in {"", ":"} else ""


def _bold_start(line: str) -> bool:
    return bool(_BOLD.match(_ITEM.sub("", line[:LONGEST_LINE], count=1)))


def _paths(line: str) -> tuple[list[str], str]:
    """The files that an item of a list or a row of a table is about, and what it says of them."""
    if "|" in line and line.strip().startswith("|"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        at = next((n for n, cell in enumerate(cells) if _named(cell)[0]), None)
        return (
            ([], "")
            if at is None
            else (_named(cells[at])[0], " – ".join(cell for n, cell in enumerate(cells) if n != at and cell))
        )
    item = _ITEM.match(line)
    return _named(_BOX.sub("", line[item.end() :], count=1)) if item else ([], "")


def _named(text: str) -> tuple[list[str], str]:
    """The paths that a text begins with, and the text without them."""
    paths: list[str] = []
    before, at = "", 0
    for match in _PATH.finditer(text):
        path = match[1] or match[2]
        between = text[at : match.start()].strip(" *_,&+:").lower()
        if not words.path(path) or (paths and between not in {"", "and", "und", "et", "y", "/"}):
            break
        before = before or ("" if paths else text[: match.start()])
        paths.append(path)
        at = match.end()
    if not paths and (bare := _BARE.match(text)) and words.path(bare[1]):
        paths, at = [bare[1]], bare.end()
    what = " ".join(part for part in (before.strip(" *_:–—-"), text[at:].strip(" *_:–—→-")) if part)
    return paths, what if paths else ""


def _cut(text: str) -> str:
    return text.strip()[:LONGEST_LINE].rstrip()
