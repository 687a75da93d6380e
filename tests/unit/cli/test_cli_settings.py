"""Where settings come from, and what a broken settings file says."""

import json
from pathlib import Path

import pytest

from assay_protocol.cli.settings import service_values
from tests.unit.cli.conftest import Assay


def settings(assay: Assay, *arguments: str, env: dict[str, str] | None = None) -> dict[str, dict[str, object]]:
    result = assay(*arguments, "config", "--json", env=env)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)["settings"]


def test_defaults_are_named_as_such(assay: Assay) -> None:
    found = settings(assay)
    assert found["network"] == {"value": "local", "source": "default", "env": "ASSAY_NETWORK"}


def test_the_file_outranks_the_default(assay: Assay, home: Path) -> None:
    (home / "assay.toml").write_text('network = "sepolia"\nthreads = 2\nrelays = ["http://a", "http://b"]\n')
    found = settings(assay)
    assert (found["network"]["value"], found["network"]["source"]) == ("sepolia", "assay.toml")
    assert found["relays"]["value"] == ["http://a", "http://b"]
    assert found["threads"]["value"] == 2


def test_the_file_in_the_home_counts_where_there_is_none_here(assay: Assay, home: Path) -> None:
    (home / ".assay").mkdir()
    (home / ".assay" / "config.toml").write_text('network = "at-home"\n')
    assert settings(assay)["network"]["value"] == "at-home"


def test_a_file_can_be_named(assay: Assay, home: Path) -> None:
    (home / "other.toml").write_text('network = "other"\n')
    assert settings(assay, "--config", "other.toml")["network"]["value"] == "other"
    assert settings(assay, env={"ASSAY_CONFIG": "other.toml"})["network"]["value"] == "other"


def test_the_environment_outranks_the_file_and_a_flag_the_environment(assay: Assay, home: Path) -> None:
    (home / "assay.toml").write_text('network = "of-file"\nkeystore = "of-file"\n')
    env = {"ASSAY_NETWORK": "of-env", "ASSAY_KEYSTORE": "of-env"}
    result = assay("config", "--json", "--keystore", "of-flag", env=env)
    found = json.loads(result.stdout)["settings"]
    assert (found["network"]["value"], found["network"]["source"]) == ("of-env", "ASSAY_NETWORK")
    assert (found["keystore"]["value"], found["keystore"]["source"]) == ("of-flag", "--keystore")


@pytest.mark.parametrize("text", ["http://a http://b", "http://a,http://b", '["http://a", "http://b"]'])
def test_relays_can_be_listed_in_the_environment(assay: Assay, text: str) -> None:
    assert settings(assay, env={"ASSAY_RELAYS": text})["relays"]["value"] == ["http://a", "http://b"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("network = ", "is not TOML"),
        ('netwrok = "x"', "unknown setting 'netwrok'"),
        ("network = 3", "network must be a string"),
        ("threads = true", "threads must be an integer"),
        ('threads = "two"', "threads must be an integer"),
        ('poll_s = "fast"', "poll_s must be a number"),
        ("relays = [1]", "relays must be a list of strings"),
        ("relay = 1", "relay must be a table"),
    ],
)
def test_a_broken_settings_file_is_one_clear_line(assay: Assay, home: Path, content: str, complaint: str) -> None:
    (home / "assay.toml").write_text(content)
    result = assay("config")
    assert result.exit_code == 1
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_file_that_is_named_but_absent_is_told(assay: Assay) -> None:
    result = assay("--config", "nowhere.toml", "config")
    assert (result.exit_code, "nowhere.toml" in result.stderr) == (1, True)


def test_help_works_beside_a_broken_file(assay: Assay, home: Path) -> None:
    (home / "assay.toml").write_text("network = ")
    assert assay("task", "open", "--help").exit_code == 0


def test_a_flag_of_the_wrong_type_is_a_usage_error(assay: Assay) -> None:
    assert assay("config", "--threads", "two").exit_code == 2


def test_the_environment_outranks_the_table_of_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_RELAY_PORT", "1")
    found = service_values({"port": 2, "quota_bytes": 3}, "ASSAY_RELAY_", {"host": "h", "directory": None})
    assert found == {"quota_bytes": 3, "host": "h"}


def test_passwords_in_urls_are_not_printed(assay: Assay, home: Path) -> None:
    (home / "assay.toml").write_text('[relay]\nupstreams = ["https://anna:geheim@relay"]\n')
    env = {
        "ASSAY_DATABASE_URL": "postgresql://anna:geheim@db/assay",
        "ASSAY_RPC_URL": "https://node.example/v2/geheim-geheim-geheim",
        "ASSAY_RELAYS": "https://anna:geheim@relay",
        "ASSAY_VERIFIER_URL": "https://anna:geheim@verifier",
    }
    for flags in ((), ("--json",)):
        shown = assay("config", *flags, env=env).stdout
        assert "geheim" not in shown and "postgresql://anna:***@db/assay" in shown
        assert "https://node.example/v2/***" in shown


def test_a_signer_is_named_like_any_setting_and_shown_without_its_secrets(assay: Assay, home: Path) -> None:
    url = "https://trainer:passw0rd@signer.example:9000/v1/0123456789abcdef0123"
    found = settings(assay, env={"ASSAY_SIGNER": url})["signer"]
    assert found["source"] == "ASSAY_SIGNER" and found["value"] == "https://trainer:***@signer.example:9000/v1/***"
    (home / "assay.toml").write_text('signer = "http://127.0.0.1:9000"\n')
    assert settings(assay)["signer"]["value"] == "http://127.0.0.1:9000"


@pytest.mark.parametrize("command", [("stake", "show"), ("trainer", "run", "--task", "1"), ("deploy",)])
def test_a_signer_that_is_no_url_is_a_usage_error_without_its_secrets(assay: Assay, command: tuple[str, ...]) -> None:
    result = assay(*command, "--signer", "htp://trainer:passw0rd@signer.example")
    assert result.exit_code == 2 and "the signer's URL is none" in result.stderr
    assert "passw0rd" not in result.stderr


@pytest.mark.parametrize("role", ["trainer", "verifier"])
def test_beside_a_signer_a_daemons_keystore_is_an_address(assay: Assay, role: str) -> None:
    result = assay(role, "run", "--task", "1", "--signer", "http://127.0.0.1:9", "--keystore", "worker")
    assert result.exit_code == 1 and "'worker' is no address: beside --signer" in result.stderr
