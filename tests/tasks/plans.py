# ruff: noqa: RUF001 (the words of other languages)
"""Plans as agents and people write them, each with the fields that are to be read from it. What is not named is empty."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Written:
    """A plan and its fields: titles of phases, paths of files, the criteria, parts of the risks and of the test plan."""

    text: str
    complexity: str = ""
    phases: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    criteria: list[str] = field(default_factory=list)
    risks: str = ""
    test_plan: str = ""


# As the plan that Studio itself began with: numbered sections, phases under one of them, steps that count on from phase to phase, the
# complexity said twice, and phases that are spoken of in lists and tables.
FIRST = """# Mend a runner that blocks

**Complexity: XL** (over 16 hours)

## 1. What is wrong

The call waits for the agent. See Phase 1 below.

## 2. Files to Modify/Create

### Fixes
| File | Issue | Change |
|------|-------|--------|
| `src/routes/tasks.rs` | Waits 30 s | Answers at once |
| `src/executor.rs` | Tells nobody | Calls back |

### New
| File | Purpose |
|------|---------|
| `tests/flow.rs` | The whole way |

## 3. Step-by-Step Implementation

### Phase 1: Answer at once (High Priority - 2-3 hours)

1. **Make the queue**
   ```rust
   // ### Phase 9: not one
   pub struct Queue;
   ```

2. **Use it**

### Phase 2: Tell the state (High Priority)

3. **Call back**

### Phase 3: Store what happens

4. **Store it**

### Phase 4: The whole way (Medium)

5. **Try it**

### Phase 5: Mend the rest

6. **Mend it**

## 4. Testing Strategy

- Phase 1 is tested by hand first.

## 5. Potential Risks

| Risk | Mitigation |
|------|------------|
| Lost work in Phase 2 | Transactions |

## 6. Estimated Complexity: **XL**

- **Phase 1-2**: 5 hours
- **Phase 3-5**: 8 hours

## 7. Success Criteria

- ✅ Answers within 100 ms
- ✅ No task stays behind
"""

THIRTY = "## Phases\n\n" + "\n\n".join(f"### Phase {n}: Part {n}\n\nDo {n}." for n in range(1, 31))

PLANS: dict[str, Written] = {
    "the first plan": Written(
        FIRST,
        "XL",
        [
            "Answer at once (High Priority - 2-3 hours)",
            "Tell the state (High Priority)",
            "Store what happens",
            "The whole way (Medium)",
            "Mend the rest",
        ],
        ["src/routes/tasks.rs", "src/executor.rs", "tests/flow.rs"],
        ["✅ Answers within 100 ms", "✅ No task stays behind"],
        "Lost work",
        "by hand first",
    ),
    "nothing": Written(""),
    "white space": Written(" \n\t\n "),
    "one sentence": Written("Change the greeting in hello.py."),
    "no phases": Written("## Summary\n\nA small change.\n\n## Steps\n\n1. Edit\n2. Test\n"),
    "one phase": Written("## Phase 1: All of it\n\nDo it.", phases=["All of it"]),
    "thirty phases": Written(THIRTY, phases=[f"Part {n}" for n in range(1, 31)]),
    "a hundred and one phases": Written("\n".join(f"## Phase {n}: P{n}" for n in range(1, 102))),
    "phases by dash": Written("## Phase 1 - Read\n\nx\n\n## Phase 2 – Write\n\ny", phases=["Read", "Write"]),
    "phases by dot": Written("### Phase 1. Read\n\n### Phase 2. Write", phases=["Read", "Write"]),
    "phases without titles": Written("## Phase 1\n\nRead.\n\n## Phase 2\n\nWrite.", phases=["Phase 1", "Phase 2"]),
    "phases in bold": Written("**Phase 1: Read**\n\nx\n\n**Phase 2: Write**\n\ny", phases=["Read", "Write"]),
    "phases in capitals": Written("# PHASE 1: READ\n# PHASE 2: WRITE", phases=["READ", "WRITE"]),
    "phases with emoji": Written("## 🚀 Phase 1: Read\n\n## 🔧 Phase 2: Write", phases=["Read", "Write"]),
    "phases in roman": Written("## Phase I: Read\n\n## Phase II: Write", phases=["Read", "Write"]),
    "phases in words": Written("## Phase One: Read\n\n## Phase Two: Write", phases=["Read", "Write"]),
    "phases of how many": Written("## Phase 1 of 2: Read\n\n## Phase 2 of 2: Write", phases=["Read", "Write"]),
    "phases underlined": Written("Phase 1: Read\n=============\n\nPhase 2: Write\n------\n", phases=["Read", "Write"]),
    "phases from nought": Written("## Phase 0: Look\n\n## Phase 1: Do", phases=["Look", "Do"]),
    "phases in disorder": Written("## Phase 2: Write\n\n## Phase 1: Read", phases=["Write", "Read"]),
    "stages": Written("## Stage 1: Read\n\n## Stage 2: Write", phases=["Read", "Write"]),
    "milestones": Written("## Milestone 1: Read\n\n## Milestone 2: Write", phases=["Read", "Write"]),
    "numbered under Phases": Written("## Phases\n\n### 1. Read\n\nx\n\n### 2. Write\n\ny", phases=["Read", "Write"]),
    "a list under Phases": Written("## Phases\n\n1. Read the code\n   - all of it\n2. Write\n", phases=["Read the code", "Write"]),
    "a bold list under Implementation": Written(
        "## Implementation\n\n1. **Read**: all\n2. **Write** it\n", phases=["Read", "Write"]
    ),
    "a plain list under Implementation": Written("## Implementation\n\n1. Read\n2. Write\n"),
    "German": Written(
        "# Plan\n\nKomplexität: mittel\n\n## Phase 1: Größe prüfen\n\n## Phase 2: Übersetzen\n\n## Risiken\n\nKeine.\n\n"
        "## Akzeptanzkriterien\n\n- Läuft\n\n## Dateien\n\n- `straße.py`: Maße",
        "M", ["Größe prüfen", "Übersetzen"], ["straße.py"], ["Läuft"], "Keine.",
    ),
    "French": Written("## Étape 1 : Lire\n\n## Étape 2 : Écrire\n\n## Risques\n\nAucun.", phases=["Lire", "Écrire"], risks="Aucun."),
    "Spanish": Written("## Fase 1: Leer\n\n## Fase 2: Escribir\n\nComplejidad: alta", "L", ["Leer", "Escribir"]),
    "Russian": Written("## Этап 1: Прочитать\n\n## Этап 2: Написать\n\n## Риски\n\nНет.", phases=["Прочитать", "Написать"], risks="Нет."),
    "Chinese": Written("## 阶段 1：阅读\n\n## 阶段 2：编写\n\n## 风险\n\n无。", phases=["阅读", "编写"], risks="无。"),
    "Chinese ordinals": Written("## 第一阶段：阅读\n\n## 第二阶段：编写", phases=["阅读", "编写"]),
    "Japanese": Written("## フェーズ1：読む\n\n## フェーズ2：書く", phases=["読む", "書く"]),
    "fenced whole": Written("```markdown\n## Phase 1: Read\n\n## Phase 2: Write\n```\n", phases=["Read", "Write"]),
    "phases in code only": Written("```\n## Phase 1: Read\n## Phase 2: Write\n```\n"),
    "cut off in code": Written("## Phase 1: Read\n\n```python\nprint(1)\n\n## Phase 2: Write", phases=["Read"]),
    "a phase spoken of": Written("## Phase 1: Read\n\n## Notes\n\n- Phase 2 is another task.\n", phases=["Read"]),
    "phases in the risks": Written("## Phase 1: Read\n\n## Risks\n\n### Phase 1\n\nSlow.", phases=["Read"], risks="### Phase 1\n\nSlow."),
    "phase two twice": Written("## Phase 1: A\n\n## Phase 2: B\n\n## Phase 2: B again", phases=["A", "B"]),
    "Windows lines": Written("## Phase 1: Read\r\n\r\nx\r\n\r\n## Phase 2: Write\r\n", phases=["Read", "Write"]),
    "complexity small": Written("**Complexity:** S", "S"),
    "complexity in words": Written("Estimated complexity: Medium (two days)", "M"),
    "complexity in a table": Written("| Complexity | L |\n|---|---|", "L"),
    "complexity undecided": Written("Complexity: M/L"),
    "complexity under its heading": Written("## Complexity\n\nXL, since there is much.", "XL"),
    "complexity of code": Written("Time complexity: O(n)"),
    "files in a list": Written(
        "## Files to change\n\n- `src/a.py`: new\n- `src/b.py` and `src/c.py`: changed\n- docs/x.md\n- nothing else",
        files=["src/a.py", "src/b.py", "src/c.py", "docs/x.md"],
    ),
    "files with hostile names": Written(
        "## Files\n\n- `../../etc/passwd`\n- `a\tb.py`\n- `https://evil.example/x.py`\n- `<script>.js`",
        files=["../../etc/passwd", "<script>.js"],
    ),
    "criteria with boxes": Written(
        "## Acceptance criteria\n\n- [ ] It greets\n- [x] It is tested\n  well\n", criteria=["It greets", "It is tested well"]
    ),
    "criteria twice": Written("## Done when\n\n- It greets\n- It greets\n", criteria=["It greets"]),
    "criteria in prose": Written("## Success criteria\n\nIt greets.\n\nIt ends.", criteria=["It greets.", "It ends."]),
    "a test plan": Written("## Test plan\n\nRun `make test`.", test_plan="Run `make test`."),
    "markup": Written("## Phase 1: <img src=x onerror=alert(1)>\n\n<script>x</script>", phases=["<img src=x onerror=alert(1)>"]),
    "nul": Written("## Phase 1: A\x00B\n", phases=["AB"]),
    "headings only": Written("#\n##\n###\n"),
    "deep lists": Written("\n".join("  " * n + "- x" for n in range(60))),
}  # fmt: skip
