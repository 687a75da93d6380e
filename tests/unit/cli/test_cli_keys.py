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


def test_a_key_is_shown_by_its_name(assay: Assay, password: str) -> None:
    made = json.loads(assay("keys", "new", "worker", "--light", "--password-file", password, "--json").stdout)
    assert json.loads(assay("keys", "show", "worker", "--json").stdout) == made


def test_a_key_of_cast_is_listed_shown_and_used(assay: Assay, home: Path, password: str) -> None:
    folder = home / ".assay" / "keys"
    folder.mkdir(parents=True)
    account = Account.create()
    keystore = Account.encrypt(account.key, PASSWORD, kdf="pbkdf2", iterations=1_000)
    (folder / "mine").write_text(json.dumps({name: value for name, value in keystore.items() if name != "address"}))
    assert [(key["name"], key["address"]) for key in json.loads(assay("keys", "list", "--json").stdout)["keys"]] == [
        ("mine", None)
    ]
    assert "not told by its file" in assay("keys", "list").stdout
    assert account.address in assay("keys", "show", "mine", "--password-file", password).stdout
    untold = assay("keys", "show", "mine")
    assert (untold.exit_code, "give a password file" in untold.stderr) == (1, True)


def test_a_keystore_of_another_program_is_imported_under_its_password(assay: Assay, home: Path, password: str) -> None:
    account = Account.create()
    keystore = Account.encrypt(account.key, PASSWORD, kdf="pbkdf2", iterations=1_000)
    (home / "UTC--2026").write_text(json.dumps({**keystore, "address": ""}))
    made = assay("keys", "import", "mine", "UTC--2026", "--light", "--password-file", password, "--json")
    assert json.loads(made.stdout)["address"] == account.address
    stored = (home / ".assay" / "keys" / "mine.json").read_text()
    assert Account.from_key(Account.decrypt(stored, PASSWORD)).address == account.address


def test_a_raw_key_is_imported_from_a_file(assay: Assay, home: Path, password: str) -> None:
    account = Account.create()
    (home / "raw").write_text(account.key.hex() + "\n")
    made = assay("keys", "import", "mine", "raw", "--light", "--password-file", password, "--json")
    assert json.loads(made.stdout)["address"] == account.address
    again = assay("keys", "import", "mine", "raw", "--light", "--password-file", password)
    assert (again.exit_code, "never overwritten" in again.stderr) == (1, True)


def test_what_is_neither_keystore_nor_key_is_not_imported(assay: Assay, home: Path, password: str) -> None:
    (home / "notes").write_text("milk, bread")
    result = assay("keys", "import", "mine", "notes", "--password-file", password)
    assert (result.exit_code, "is not a Web3 Secret Storage" in result.stderr) == (1, True)
    without = assay("keys", "import", "mine", "--password-file", password)
    assert (without.exit_code, "no terminal" in without.stderr) == (1, True)


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
