# ruff: noqa: RUF001 (the words of other languages)
"""The words by which plans name their parts, in the languages that agents write them in."""

import re

KINDS = {
    "phases": r"(?:(?:the|implementation|work|delivery)\s+)?phases?(?:\s+(?:overview|plan))?|phasen|fases|étapes|этапы|фазы|阶段|フェーズ",
    "implementation": r"(?:(?:step[- ]by[- ]step|phased)\s+)?implementation(?:\s+(?:plan|steps|order))?|umsetzung|implementación|实施(?:步骤|计划)?",
    "files": r"(?:(?:affected|changed|relevant|key|new|modified)\s+)?files?(?:\s+(?:to|and|affected|touched|changed|changes)\b.*)?"
    r"|(?:zu ändernde|betroffene)\s+dateien|dateien|fichiers(?:\s+.*)?|archivos(?:\s+.*)?|файлы(?:\s+.*)?|(?:要修改的|涉及的?)?文件|変更(?:する)?ファイル",
    "risks": r"(?:(?:potential|known|main|key)\s+)?risks?(?:\s*(?:and|&|,|/|assessment|analysis|mitigation).*)?"
    r"|risiken(?:\s+.*)?|risques(?:\s+.*)?|riesgos(?:\s+.*)?|риски(?:\s+.*)?|风险(?:.*)|リスク",
    "tests": r"tests?(?:\s+(?:plan|strategy|cases))?|testing(?:\s+(?:plan|strategy|approach))?|verification(?:\s+plan)?"
    r"|testplan|plan de tests?|plan de pruebas|pruebas|(?:план )?тестирования|тесты|测试(?:计划|方案)?|テスト(?:計画)?",
    "criteria": r"(?:acceptance|success|completion)\s+criteria|definition of done|done when|akzeptanzkriterien|critères d['’]acceptation"
    r"|criterios de aceptación|критерии (?:приёмки|приемки)|验收标准|受け入れ(?:基準|条件)",
    "complexity": r"(?:estimated\s+|overall\s+)?complexity|komplexität|complexité|complejidad|сложность|复杂度|複雑度",
}
_KINDS = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in KINDS.items()}

_SECTION_NUMBER = re.compile(
    r"(?:(?:\d{1,4}\.)+(?:\d{1,4})?|\d{1,4}\)|[A-Z][.)]|[IVX]{1,6}[.)])\s+|\d{1,4}(?:\.\d{1,4})+\s+"
)
_DECORATION = re.compile(r"[^\w(\[]+")
_ROMAN = "viii|vii|iii|iv|ix|vi|ii|xii|xi|x|v|i"
_COUNTED = "one|two|three|four|five|six|seven|eight|nine|ten"
_PHASE = re.compile(
    r"(?:phase|stage|milestone|fase|étape|etape|etapa|этап|фаза|阶段|フェーズ)\s*[#№]?\s*"
    rf"(?P<number>\d{{1,4}}(?:\.\d{{1,4}})?[a-z]?|{_ROMAN}|{_COUNTED}|[一二三四五六七八九十]{{1,3}})(?![\w])"
    r"(?![-–]\d+\b|\s*(?:,|&|\+|and\b|und\b|et\b|y\b)\s*\d)"  # "Phase 1-3", "Phase 1 and 2": about several
    r"(?:\s*(?:of|/|von|de)\s*\d{1,4}\b)?\s*(?P<title>.*)",
    re.IGNORECASE,
)
_CHINESE = re.compile(
    r"第\s*(?P<number>\d{1,4}|[一二三四五六七八九十]{1,3})\s*(?:阶段|階段|フェーズ)\s*(?P<title>.*)"
)
_ORDINAL = re.compile(
    r"(?P<number>\d{1,4})(?:\.|-я|-й|й|º|ª|re|e|ème)?\s*(?:phase|этап|fase|étape)\b\s*(?P<title>.*)",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"\s{0,3}#{1,6}\s+[*_]{0,2}(?P<number>\d{1,4})[.):]\s*(?P<title>.+)")

_SIZE_WORDS = {
    "XL": r"x+l|extra[- ]large|x-large|very (?:large|high)|sehr hoch|sehr groß",
    "S": r"s|small|low|trivial|klein|niedrig",
    "M": r"m|medium|moderate|mittel|media|moyenne|средняя|中",
    "L": r"l|large|high|groß|hoch|alta|élevée|высокая|高|大",
}
_ANY_SIZE = "|".join(f"(?P<{size}>{pattern})" for size, pattern in _SIZE_WORDS.items())
_SIZE = re.compile(rf"(?:{_ANY_SIZE})(?!\w)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_ANOTHER = re.compile(r"\s*(?:[-–/|,]|to\b|or\b|bis\b|oder\b)\s*(?P<next>.*)", re.IGNORECASE | re.DOTALL)
_STATED = re.compile(
    r"(?:(?:estimated|overall|expected|task|geschätzte)\s+)*"
    r"(?:complexity|t-shirt size|estimated size|komplexität|complexité|complejidad|complexidade|сложность|复杂度|複雑度)"
    r"(?:\s+(?:estimate|rating|level))?(?:\s*\([^)]{0,60}\))?[\s*_|]*[:：=|–—-][\s*_|:`]*(?P<size>.*)",
    re.IGNORECASE,
)
_MARKS = re.compile(r"\*\*|__|[*`]|~~")
_NAMELESS_FILES = {
    "Makefile",
    "Dockerfile",
    "Justfile",
    "Procfile",
    "LICENSE",
    "README",
    "CODEOWNERS",
    "Gemfile",
}
_ENDING = re.compile(r"[^\s]*\.[A-Za-z][\w+-]{0,11}")


def plain(text: str) -> str:
    """The text of a heading without marks, decoration at its ends and the number of its section."""
    text = _MARKS.sub("", " ".join(text.split()))
    for ornament in (_DECORATION, _SECTION_NUMBER, _DECORATION):
        if found := ornament.match(text):
            text = text[found.end() :]
    return text.strip().rstrip(":：#").rstrip()


def kind(title: str) -> str:
    """Which part of a plan a heading (plain) begins: a key of KINDS, or nothing."""
    name = re.split(r"\s*[:：(（]", title, maxsplit=1)[0]
    return next((each for each, pattern in _KINDS.items() if pattern.fullmatch(name)), "")


def phase(title: str) -> tuple[str, str] | None:
    """The number of a phase, as it is written, and its title; None where the heading (plain) names no phase."""
    for pattern in (_PHASE, _CHINESE, _ORDINAL):
        if match := pattern.match(title):
            return match["number"].casefold(), _titled(match["title"])
    return None


def numbered(line: str) -> tuple[str, str] | None:
    """The number and the title of a heading as it stands in its line, "### 2. Title"."""
    match = _NUMBERED.match(line)
    return (match["number"], _titled(plain(match["title"]))) if match else None


def size(text: str) -> str:
    """S, M, L or XL where the text (plain) begins with one and names no other beside it; else empty."""
    match = _SIZE.match(text.lstrip(" (["))
    if not match:
        return ""
    found = next(each for each in _SIZE_WORDS if match[each])
    joined = _ANOTHER.match(match["rest"])
    other = _SIZE.match(joined["next"]) if joined else None
    return "" if other and not other[found] else found


def stated_size(line: str) -> str:
    """The complexity that a line states, as in "**Estimated complexity:** L (two systems)"."""
    match = _STATED.match(plain(re.sub(r"^[\s>|+*-]+", "", line)))
    return size(plain(match["size"])) if match else ""


def path(text: str) -> bool:
    """Whether it looks like the path of a file."""
    return (
        text.isprintable()
        and "://" not in text
        and not text.endswith("()")
        and any(letter.isalnum() for letter in text)
        and ("/" in text or text in _NAMELESS_FILES or bool(_ENDING.fullmatch(text)))
    )


def _titled(text: str) -> str:
    return text.strip().lstrip(":：.)]-–—→").strip()
