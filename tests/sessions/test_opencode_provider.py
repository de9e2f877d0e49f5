"""Which provider a home folder leads to: read, never written."""

import json
from pathlib import Path
from typing import Any

import pytest

from sessions.opencode import config
from sessions.opencode.client import message_id
from sessions.opencode.jsonc import load_jsonc
from sessions.opencode.outcome import explain
from sessions.opencode.provider import DEMO_LABEL, ProviderProblem, detect
from sessions.reasons import Reason

KEY = {"type": "api", "key": "sk-secret"}
LOCAL = {
    "npm": "@ai-sdk/openai-compatible",
    "options": {"baseURL": "http://127.0.0.1:11434/v1"},
    "models": {"small": {}},
}


def put(file: Path, value: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(value if isinstance(value, str) else json.dumps(value))
    return file


def auth(home: Path, entries: Any) -> None:
    put(home / ".local/share/opencode/auth.json", entries)


def own_config(home: Path, value: Any) -> Path:
    return put(home / ".config/opencode/opencode.jsonc", value)


def test_an_empty_home_leads_to_the_demo_model_on_loopback(tmp_path: Path, settings: Any) -> None:
    settings.STUDIO_DEMO_MODEL_PORT = 4321
    provider = detect({}, tmp_path)
    assert (provider.kind, provider.label, provider.model) == ("demo", DEMO_LABEL, "demo/demo")
    assert provider.config["provider"]["demo"]["options"]["baseURL"] == "http://127.0.0.1:4321/v1"
    assert provider.config["disabled_providers"] == ["opencode"]


def test_an_api_key_is_taken_and_a_login_is_passed_over_with_a_note(tmp_path: Path) -> None:
    auth(
        tmp_path, {"anthropic": KEY, "openai": {"type": "oauth", "refresh": "r", "access": "a", "expires": 1}}
    )
    provider = detect({}, tmp_path)
    assert (provider.kind, provider.names, provider.auth) == (
        "configured",
        ("anthropic",),
        {"anthropic": KEY},
    )
    assert provider.config["enabled_providers"] == ["anthropic"]
    assert provider.config["disabled_providers"] == ["opencode"]
    [note] = provider.notes
    assert "openai" in note
    assert "API key" in note
    assert "sk-secret" not in repr(provider)


def test_only_a_login_leads_to_the_demo_model_and_says_why(tmp_path: Path) -> None:
    auth(tmp_path, {"openai": {"type": "oauth"}})
    provider = detect({}, tmp_path)
    assert provider.is_demo
    assert provider.notes


def test_a_configured_provider_brings_its_model_and_its_variables_but_no_agents_or_plugins(
    tmp_path: Path,
) -> None:
    local = {**LOCAL, "options": {**LOCAL["options"], "apiKey": "{env:LOCAL_KEY}", "other": "{env:NOT_SET}"}}
    text = f'// mine\n{{"model": "local/small", "plugin": ["evil"], "agent": {{}}, "provider": {{"local": {json.dumps(local)},}},}}'
    own_config(tmp_path, text)
    provider = detect({"LOCAL_KEY": "k", "UNRELATED": "u"}, tmp_path)
    assert (provider.model, provider.label) == ("local/small", "local/small")
    assert provider.environment == {"LOCAL_KEY": "k"}
    assert provider.config.keys() == {"model", "provider", "enabled_providers", "disabled_providers"}
    assert any("NOT_SET" in note for note in provider.notes)


def test_a_key_in_a_file_is_read_because_the_sandbox_hides_it(tmp_path: Path) -> None:
    put(tmp_path / "key", "sk-from-file\n")
    own_config(
        tmp_path, {"provider": {"local": {**LOCAL, "options": {"apiKey": f"{{file:{tmp_path}/key}}"}}}}
    )
    assert detect({}, tmp_path).config["provider"]["local"]["options"]["apiKey"] == "sk-from-file"
    own_config(tmp_path, {"provider": {"local": {"options": {"apiKey": "{file:missing}"}}}})
    with pytest.raises(ProviderProblem, match="missing"):
        detect({}, tmp_path)


def test_a_named_file_stands_for_the_persons_own(tmp_path: Path) -> None:
    own_config(tmp_path, {"provider": {"mine": LOCAL}})
    named = put(tmp_path / "team.json", {"provider": {"team": LOCAL}, "model": "team/small"})
    assert detect({"STUDIO_OPENCODE_CONFIG": str(named)}, tmp_path).names == ("team",)
    with pytest.raises(ProviderProblem, match="nowhere"):
        detect({"STUDIO_OPENCODE_CONFIG": str(tmp_path / "nowhere.json")}, tmp_path)


def test_hosted_models_are_on_only_when_someone_named_them(tmp_path: Path) -> None:
    auth(tmp_path, {"opencode": KEY})
    assert "opencode" not in detect({}, tmp_path).config["disabled_providers"]


def test_the_model_used_last_is_taken_where_the_configuration_names_none(tmp_path: Path) -> None:
    auth(tmp_path, {"anthropic": KEY})
    recent = [{"providerID": "openai", "modelID": "x"}, {"providerID": "anthropic", "modelID": "claude"}]
    put(tmp_path / ".local/state/opencode/model.json", {"recent": recent})
    assert detect({}, tmp_path).model == "anthropic/claude"


@pytest.mark.parametrize("text", ["{", "[]", '"text"'])
def test_an_unreadable_configuration_is_a_sentence(tmp_path: Path, text: str) -> None:
    own_config(tmp_path, text)
    with pytest.raises(ProviderProblem, match="configuration"):
        detect({}, tmp_path)


def test_nothing_of_the_home_is_written(tmp_path: Path) -> None:
    auth(tmp_path, {"anthropic": KEY})
    own_config(tmp_path, {"provider": {"mine": LOCAL}})
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    detect({}, tmp_path)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before


def test_comments_and_trailing_commas_are_no_part_of_strings() -> None:
    assert load_jsonc('{"url": "http://x/*y*/,]", /* c */ "list": [1, 2,], // d\n}') == {
        "url": "http://x/*y*/,]",
        "list": [1, 2],
    }
    assert load_jsonc("") == {}


def test_instructions_are_named_where_the_projects_configuration_is_off(tmp_path: Path) -> None:
    provider = detect({}, tmp_path)
    assert "instructions" not in config.build(provider, workspace=tmp_path, data=tmp_path)
    put(tmp_path / "AGENTS.md", "# Rules")
    built = config.build(provider, workspace=tmp_path, data=tmp_path)
    assert built["instructions"] == [str(tmp_path / "AGENTS.md")]
    assert "instructions" not in config.build(provider, workspace=tmp_path, data=tmp_path, is_trusted=True)


def test_no_rule_ends_in_ask_unless_a_project_says_so(tmp_path: Path) -> None:
    built = config.build(detect({}, tmp_path), workspace=tmp_path, data=tmp_path)
    assert '"ask"' not in json.dumps([built["permission"], built["agent"]])


def test_more_rules_win_and_never_reach_those_that_read(tmp_path: Path) -> None:
    rules = {"bash": {"*": "ask", "ls *": "allow"}, "external_directory": {"/srv/*": "allow"}}
    built = config.build(detect({}, tmp_path), workspace=tmp_path, data=tmp_path, rules=rules)
    assert built["agent"][config.BUILD_AGENT]["permission"]["bash"] == rules["bash"]
    assert list(built["permission"]["external_directory"])[-1] == "/srv/*"
    assert built["agent"][config.REVIEW_AGENT]["permission"]["bash"]["*"] == "deny"


def test_a_provider_keeps_silent_for_a_limited_time_and_its_own_limit_wins(tmp_path: Path) -> None:
    own_config(tmp_path, {"provider": {"slow": {**LOCAL, "options": {"headerTimeout": 5}}}})
    options = config.build(detect({}, tmp_path), workspace=tmp_path, data=tmp_path)["provider"]["slow"][
        "options"
    ]
    assert (options["headerTimeout"], options["chunkTimeout"]) == (5, config.ANSWER_TIMEOUT)


def test_message_ids_ascend() -> None:
    made = [message_id() for _ in range(5000)]
    assert made == sorted(set(made))
    assert all(len(each) == 30 and each.startswith("msg_") for each in made)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"name": "APIError", "data": {"message": "no", "statusCode": 403}}, Reason.PROVIDER_LOGIN),
        (
            {"name": "APIError", "data": {"message": "The model `x` does not exist", "statusCode": 404}},
            Reason.MODEL_MISSING,
        ),
        ({"name": "APIError", "data": {"message": "Overloaded", "statusCode": 529}}, Reason.PROVIDER_ERROR),
        (
            {"name": "APIError", "data": {"message": "Provider response headers timed out after 180000ms"}},
            Reason.PROVIDER_UNREACHABLE,
        ),
        (
            {"name": "ProviderAuthError", "data": {"providerID": "x", "message": "no key"}},
            Reason.PROVIDER_LOGIN,
        ),
        ({"name": "ContextOverflowError", "data": {"message": "too long"}}, Reason.CONTEXT_OVERFLOW),
        ({"name": "MessageOutputLengthError", "data": {}}, Reason.OUTPUT_LIMIT),
        (
            {
                "name": "UnknownError",
                "data": {"message": "The user rejected permission to use this tool call."},
            },
            Reason.REJECTED,
        ),
        ({"name": "SomethingNew"}, Reason.UNKNOWN),
    ],
    ids=lambda value: value.value if isinstance(value, Reason) else "",
)
def test_an_error_of_opencodes_has_a_reason_and_words(error: dict[str, Any], reason: Reason) -> None:
    found, words = explain(error)
    assert found == reason
    assert words
