"""Which model provider the agent uses: the person's own OpenCode set-up, read and never written, or the demo model."""

import functools
import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from sessions.opencode.client import Client
from sessions.opencode.jsonc import load_jsonc

Json = dict[str, Any]

DEMO_LABEL = "demo model, no AI"
HOSTED = "opencode"  # OpenCode's own hosted models, some of them free: never used unless somebody named them
KEPT_KEYS = ("provider", "model", "small_model", "enabled_providers", "disabled_providers")
VARIABLE = re.compile(r"\{env:([^}]+)\}")
FILE = re.compile(r"\{file:([^}]+)\}")


@dataclass(frozen=True)
class Provider:
    """Where answers come from.

    `kind` is `demo` or `configured`; `config` goes into OpenCode's configuration, `auth` into its auth.json, `environment` holds the
    variables that `config` names by `{env:NAME}`. `model` is `provider/model`, or empty: `usable_model` finds one when the server
    is up. `names` are the providers, `notes` say what was passed over and why. Holds secrets: it is never logged or shown, `label` and `notes` are.
    """

    kind: str
    label: str
    model: str = ""
    names: tuple[str, ...] = ()
    config: Json = field(default_factory=dict, repr=False)
    auth: Json = field(default_factory=dict, repr=False)
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()

    @property
    def is_demo(self) -> bool:
        return self.kind == "demo"

    @property
    def breakers(self) -> tuple[str, ...]:
        """The names of what may be down: the provider, and its model where one is chosen."""
        name = self.model.partition("/")[0] or next(iter(self.names), "")
        return tuple(filter(None, (name, self.model)))

    @property
    def fingerprint(self) -> str:
        """A hash of the set-up but for the model, to see whether it has changed."""
        parts = [self.kind, self.config, self.auth, self.environment]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


class ProviderProblem(Exception):
    """The set-up cannot be read. Its text is a sentence for the operator."""


def current() -> Provider:
    """The provider of this machine, by its settings and the environment of this process. Raises ProviderProblem."""
    return detect(os.environ, Path.home())


def is_demo() -> bool:
    """Whether the demo model answers here; looked up anew once a minute, since every page asks."""
    return _is_demo(int(time.monotonic() // 60))


@functools.lru_cache(maxsize=1)
def _is_demo(minute: int) -> bool:
    try:
        return current().is_demo
    except ProviderProblem:
        return False


def detect(env: Mapping[str, str], home: Path) -> Provider:
    """The provider that the environment and a home folder lead to. Raises ProviderProblem.

    STUDIO_OPENCODE_CONFIG names a configuration file and then stands for the person's own; keys come from auth.json in either case.
    """
    notes: list[str] = []
    file = config_file(env, home)
    config = read_config(file) if file else {}
    auth = read_keys(auth_file(env, home), notes)
    names = tuple(sorted({*auth, *config.get("provider", {})} - set(config.get("disabled_providers", []))))
    if not names:
        return demo(notes)
    config = {**config, "enabled_providers": config.get("enabled_providers") or list(names)}
    config["disabled_providers"] = sorted({*config.get("disabled_providers", []), *({HOSTED} - set(names))})
    model = str(config.get("model") or recent_model(env, home, names))
    return Provider(
        kind="configured",
        label=model or ", ".join(names),
        model=model,
        names=names,
        config=config,
        auth=auth,
        environment=variables_of(config, env, notes),
        notes=tuple(notes),
    )


def demo(notes: list[str]) -> Provider:
    """The demo model that Studio serves itself on loopback."""
    model = {
        "name": DEMO_LABEL,
        "tool_call": True,
        "temperature": True,
        "limit": {"context": 128_000, "output": 8192},
    }
    options = {"baseURL": f"http://127.0.0.1:{settings.STUDIO_DEMO_MODEL_PORT}/v1", "apiKey": "demo"}
    entry = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Demo",
        "options": options,
        "models": {"demo": model},
    }
    config = {"provider": {"demo": entry}, "enabled_providers": ["demo"], "disabled_providers": [HOSTED]}
    return Provider(
        kind="demo", label=DEMO_LABEL, model="demo/demo", names=("demo",), config=config, notes=tuple(notes)
    )


def usable_model(provider: Provider, known: Mapping[str, list[str]], client: Client) -> str:
    """The model to prompt with, as `provider/model`: the chosen one, else OpenCode's own choice. `known` is what the client says it has.

    Raises ProviderProblem where the server knows no such model: a prompt would be accepted there, and nothing would follow.
    """
    model = provider.model or next(filter(None, (client.default_model(name) for name in provider.names)), "")
    name, _, model_id = model.partition("/")
    if model_id in known.get(name, []):
        return model
    offered = ", ".join(f"{name}/{each}" for name in sorted(known) for each in known[name][:5])
    raise ProviderProblem(f"OpenCode has no model “{model}” here. It offers: {offered or 'none'}.")


def config_file(env: Mapping[str, str], home: Path) -> Path | None:
    """The configuration to read: the one that is named, else the person's own, else none."""
    named = env.get("STUDIO_OPENCODE_CONFIG", "")
    if named:
        return Path(named).expanduser()
    folder = Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "opencode"
    return next(
        (file for name in ("opencode.jsonc", "opencode.json") if (file := folder / name).is_file()), None
    )


def auth_file(env: Mapping[str, str], home: Path) -> Path:
    return Path(env.get("XDG_DATA_HOME") or home / ".local" / "share") / "opencode" / "auth.json"


def read_config(file: Path) -> Json:
    """What Studio takes over from an OpenCode configuration: providers and models; no agents, plugins, commands or MCP servers."""
    try:
        config = load_jsonc(file.read_text())
    except (OSError, ValueError) as error:
        raise ProviderProblem(f"OpenCode's configuration {file} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise ProviderProblem(f"OpenCode's configuration {file} is no JSON object.")
    kept = {key: config[key] for key in KEPT_KEYS if key in config}
    return with_files(kept, file.parent) if kept else {}


def with_files(value: Any, folder: Path) -> Any:
    """The configuration with each `{file:path}` replaced by the file's text: the sandbox hides the file itself."""
    if isinstance(value, dict):
        return {key: with_files(inner, folder) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_files(inner, folder) for inner in value]
    return FILE.sub(lambda match: text_of(folder, match[1]), value) if isinstance(value, str) else value


def text_of(folder: Path, path: str) -> str:
    try:
        return (folder / Path(path).expanduser()).read_text().strip()
    except OSError as error:
        raise ProviderProblem(
            f"OpenCode's configuration names the file {path}, which cannot be read: {error}"
        ) from error


def read_keys(file: Path, notes: list[str]) -> Json:
    """The API-key entries of auth.json, by provider. Others are passed over with a note: their tokens rotate, and copies break each other."""
    try:
        entries = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ProviderProblem(f"OpenCode's {file} cannot be read: {error}") from error
    keys = {name: entry for name, entry in entries.items() if entry.get("type") == "api"}
    notes += [
        f"The login of “{name}” in OpenCode is not an API key ({entries[name].get('type')}), and Studio cannot use it: its token would be renewed behind OpenCode's back. Add an API key instead."
        for name in sorted(entries.keys() - keys.keys())
    ]
    return keys


def recent_model(env: Mapping[str, str], home: Path, names: tuple[str, ...]) -> str:
    """The model that the person used last in OpenCode, as `provider/model`, or an empty text."""
    file = Path(env.get("XDG_STATE_HOME") or home / ".local" / "state") / "opencode" / "model.json"
    try:
        recent = json.loads(file.read_text()).get("recent", [])
        return next(
            (f"{each['providerID']}/{each['modelID']}" for each in recent if each["providerID"] in names), ""
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""  # a convenience of OpenCode's own, in a form that may change


def variables_of(config: Json, env: Mapping[str, str], notes: list[str]) -> dict[str, str]:
    """The variables that the configuration names; the ones that are not set are noted."""
    named = sorted(set(VARIABLE.findall(json.dumps(config))))
    notes += [
        f"OpenCode's configuration names the variable {name}, which is not set."
        for name in named
        if name not in env
    ]
    return {name: env[name] for name in named if name in env}
