"""Keystores from the command line: nothing secret is shown, nothing is overwritten."""

import json
from pathlib import Path

import pytest
from eth_account import Account

from tests.unit.cli.conftest import Assay

PASSWORD = "correct horse"


@pytest.fixture
def password(home: Path) -> str:
    (home / "password").write_text(PASSWORD + "\n")
    return "password"


def test_a_new_key_is_stored_encrypted_and_listed(assay: Assay, home: Path, password: str) -> None:
    made = json.loads(assay("keys", "new", "worker", "--light", "--password-file", password, "--json").stdout)
    path = home / ".assay" / "keys" / "worker.json"
    assert path.stat().st_mode & 0o077 == 0
    assert Account.from_key(Account.decrypt(path.read_text(), PASSWORD)).address == made["address"]
    listed = json.loads(assay("keys", "list", "--json").stdout)["keys"]
    assert [(key["name"], key["address"]) for key in listed] == [("worker", made["address"])]


def test_a_key_is_shown_without_its_password(assay: Assay, password: str) -> None:
    made = json.loads(assay("keys", "new", "worker", "--light", "--password-file", password, "--json").stdout)
    shown = assay("keys", "show", "--keystore", "worker")
    assert made["address"] in shown.stdout


def test_a_key_is_never_overwritten(assay: Assay, home: Path, password: str) -> None:
    assay("keys", "new", "worker", "--light", "--password-file", password)
    before = (home / ".assay" / "keys" / "worker.json").read_bytes()
    result = assay("keys", "new", "worker", "--light", "--password-file", password)
    assert (result.exit_code, "never overwritten" in result.stderr) == (1, True)
    assert (home / ".assay" / "keys" / "worker.json").read_bytes() == before


def test_the_folder_can_be_chosen(assay: Assay, home: Path, password: str) -> None:
    assay("keys", "new", "worker", "--light", "--password-file", password, env={"ASSAY_KEYS_DIR": str(home / "k")})
    assert (home / "k" / "worker.json").is_file()


@pytest.mark.parametrize("name", ["../worker", "Worker", "", "a b", "a" * 65])
def test_a_name_that_is_no_plain_file_name_is_refused(assay: Assay, password: str, name: str) -> None:
    result = assay("keys", "new", name, "--light", "--password-file", password)
    assert (result.exit_code, "cannot be a key's name" in result.stderr) == (1, True)


def test_an_empty_password_is_refused(assay: Assay, home: Path) -> None:
    (home / "empty").write_text("\n")
    result = assay("keys", "new", "worker", "--light", "--password-file", "empty")
    assert (result.exit_code, "password is empty" in result.stderr) == (1, True)
    assert not (home / ".assay" / "keys" / "worker.json").exists()


def test_without_terminal_and_password_file_it_says_what_is_missing(assay: Assay) -> None:
    result = assay("keys", "new", "worker", "--light")
    assert (result.exit_code, "password file" in result.stderr) == (1, True)


def test_other_json_files_among_the_keys_are_passed_over(assay: Assay, home: Path, password: str) -> None:
    assay("keys", "new", "worker", "--light", "--password-file", password)
    (home / ".assay" / "keys" / "notes.json").write_text("{}")
    assert [key["name"] for key in json.loads(assay("keys", "list", "--json").stdout)["keys"]] == ["worker"]


def test_no_keys_yet_says_how_to_make_one(assay: Assay) -> None:
    assert "assay keys new" in assay("keys", "list").stdout


def test_no_command_takes_a_raw_key(assay: Assay) -> None:
    result = assay("keys", "show", "--private-key", "0x" + "11" * 32)
    assert result.exit_code == 2
