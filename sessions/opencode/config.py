"""The configuration and the environment of one OpenCode server: its agents, what they may do, and what is switched off."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sessions.opencode.provider import Provider

Json = dict[str, Any]
Rules = dict[str, Any]

PLAN_AGENT, BUILD_AGENT, REVIEW_AGENT = "studio-plan", "studio-build", "studio-review"
PROMPTS = Path(__file__).parent / "prompts"
ANSWER_TIMEOUT = (
    180_000  # milliseconds that a provider may take to start its answer, or between two pieces of it
)

# What holds for the classes of tasks/permissions.py where nobody is there to be asked.
NOBODY_ANSWERS = {
    "bash": "allow",
    "edit": "allow",
    "task": "allow",
    "read": "deny",
    "webfetch": "allow",
    "external_directory": "deny",
    "doom_loop": "deny",
    "question": "deny",
}

READING_COMMANDS = (
    "git diff*",
    "git log*",
    "git show*",
    "git status*",
    "git blame*",
    "git grep*",
    "git ls-files*",
    "ls*",
    "pwd",
    "cat *",
    "head *",
    "tail *",
    "wc *",
    "grep *",
    "rg *",
)
# Ways in which a reading command writes or runs something. Rules are matched against the text of each command; the last match wins.
WRITING_OPTIONS = (
    "*>*",
    "*--output*",
    "*--ext-diff*",
    "*--textconv*",
    "*--pre*",
    "*--open-files-in-pager*",
    "git grep*-O*",
)


def build(
    provider: Provider,
    *,
    workspace: Path,
    data: Path,
    permissions: Mapping[str, str] | None = None,
    is_trusted: bool = False,
    rules: Rules | None = None,
    instructions: Path | None = None,
    readable: Path | None = None,
) -> Json:
    """The content of the configuration file.

    `workspace` and `data` are paths as the server sees them. `permissions` are actions by class (tasks/permissions.py); what is left out
    is refused where else somebody would be asked. `rules` are more permission rules (what people answered), which win over them: for the
    builder and its sub-agents, never for those that only read. `is_trusted`: the project's own configuration is read too.
    `instructions` is a file outside the workspace that every prompt carries, after the project's own AGENTS.md.
    `readable`: a folder outside that every agent may look into.
    """
    actions = {**NOBODY_ANSWERS, **(permissions or {})}
    config: Json = {
        "$schema": "https://opencode.ai/config.json",
        "autoupdate": False,
        "share": "disabled",
        "snapshot": False,
        "lsp": False,
        "formatter": False,
        "default_agent": BUILD_AGENT,
        "disabled_providers": ["opencode"],
        **patient(provider.config),
        "permission": merged(everyones_rules(data, actions, readable), rules or {}),
        "agent": {
            PLAN_AGENT: agent(
                "Reads the project and writes a plan", "plan", reader_rules() | questions(actions)
            ),
            REVIEW_AGENT: agent("Reads a change and gives a verdict", "review", reader_rules()),
            BUILD_AGENT: agent("Does a task", "build", builder_rules(actions, rules or {})),
        },
    }
    if provider.model:
        config["model"] = provider.model
        config.setdefault("small_model", provider.model)
    if not is_trusted and (workspace / "AGENTS.md").is_file():
        # The switch that leaves the project's configuration out leaves this file out as well.
        config["instructions"] = [str(workspace / "AGENTS.md")]
    if instructions is not None:
        config["instructions"] = [*config.get("instructions", []), str(instructions)]
    return config


def enforced(config: Json) -> Json:
    """The part of the configuration that a trusted project must not change: the server is given it once more, after the project's."""
    names = (
        "agent",
        "permission",
        "share",
        "autoupdate",
        "snapshot",
        "enabled_providers",
        "disabled_providers",
    )
    return {name: config[name] for name in names if name in config}


def environment(
    provider: Provider,
    *,
    data: Path,
    config_file: Path,
    password: str,
    config: Json,
    is_trusted: bool = False,
) -> dict[str, str]:
    """The variables of the server: where its data lies, what is off, and what the provider needs. PATH and LANG come from the launcher."""
    switches = {
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_SHARE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        "OPENCODE_DISABLE_CLAUDE_CODE": "1",
        "OPENCODE_DISABLE_EXTERNAL_SKILLS": "1",
    }
    if is_trusted:
        switches["OPENCODE_CONFIG_CONTENT"] = json.dumps(enforced(config))
    else:
        switches["OPENCODE_DISABLE_PROJECT_CONFIG"] = "1"
    return {
        **provider.environment,
        "HOME": str(data / "home"),
        "XDG_DATA_HOME": str(data / "data"),
        "XDG_CONFIG_HOME": str(data / "config"),
        "XDG_CACHE_HOME": str(data / "cache"),
        "XDG_STATE_HOME": str(data / "state"),
        "OPENCODE_CONFIG": str(config_file),
        "OPENCODE_SERVER_PASSWORD": password,
        **switches,
    }


def agent(description: str, prompt: str, permission: Rules) -> Json:
    """One agent. Its prompt replaces OpenCode's own."""
    text = (PROMPTS / f"{prompt}.md").read_text()
    return {"mode": "primary", "description": description, "prompt": text, "permission": permission}


# OpenCode takes one action for these (its schema `PermissionConfig`), and with anything else in its configuration it answers nothing.
WITHOUT_PATTERNS = {"webfetch", "websearch", "doom_loop", "question", "todowrite"}


def everyones_rules(data: Path, actions: Mapping[str, str], readable: Path | None = None) -> Rules:
    """What holds for every agent, sub-agents too: they skip what is asked for by rules of a session, and get no question tool.

    What is allowed anyway is left out, since it would also be said to OpenCode's own sub-agents that may only read.
    """
    kept_output = str(data / "data" / "opencode" / "tool-output" / "*")
    secrets = actions["read"]
    outside = [kept_output, *([f"{readable}/*"] if readable else [])]
    return {
        "external_directory": {
            "*": actions["external_directory"],
            **dict.fromkeys(["/tmp/*", *outside], "allow"),
        },
        "doom_loop": actions["doom_loop"],
        "question": "deny",
        "read": {"*": "allow", "*.env": secrets, "*.env.*": secrets, "*.env.example": "allow"},
        "websearch": actions["webfetch"],
        **{name: actions[name] for name in ("bash", "edit", "task", "webfetch") if actions[name] != "allow"},
    }


def reader_rules() -> Rules:
    """An agent that reads: no edit, no sub-agent (it could edit), no way out, and a shell for looking around."""
    shell = {
        "*": "deny",
        **dict.fromkeys(READING_COMMANDS, "allow"),
        **dict.fromkeys(WRITING_OPTIONS, "deny"),
    }
    return {
        "edit": "deny",
        "bash": shell,
        "task": "deny",
        "webfetch": "deny",
        "websearch": "deny",
        "question": "deny",
    }


def builder_rules(actions: Mapping[str, str], more: Rules) -> Rules:
    """The implementer: edits and runs within its workspace; what people answered before comes last and so wins."""
    own = {name: actions[name] for name in ("edit", "bash", "task", "webfetch")}
    return merged(own | questions(actions), more)


def questions(actions: Mapping[str, str]) -> Rules:
    """Whether the agent has the tool to ask with: what it asks, people answer."""
    return {"question": "deny" if actions["question"] == "deny" else "allow"}


def merged(rules: Rules, more: Rules) -> Rules:
    """Rules with `more` after them, where they win: `{"bash": "ask"}`, or by pattern `{"bash": {"*": "ask", "ls *": "allow"}}`.

    Some classes know no patterns: OpenCode asks again for what was allowed for one address only, and the desk answers.
    """
    result = dict(rules)
    for name, rule in more.items():
        if isinstance(rule, dict) and name in WITHOUT_PATTERNS:
            if "*" in rule:
                result[name] = rule["*"]
            continue
        old = result.pop(name, {})
        if isinstance(rule, dict):
            before = old if isinstance(old, dict) else {"*": old}
            rule = {**{key: value for key, value in before.items() if key not in rule}, **rule}
        result[name] = rule
    return result


def patient(config: Mapping[str, Any]) -> Json:
    """The provider's part of the configuration, with a limit on how long a provider may keep silent (OpenCode's own is 6 times 300 s)."""
    limits = {"headerTimeout": ANSWER_TIMEOUT, "chunkTimeout": ANSWER_TIMEOUT}
    providers = {
        name: {**each, "options": {**limits, **each.get("options", {})}}
        for name, each in config.get("provider", {}).items()
    }
    return {**config, "provider": providers}
