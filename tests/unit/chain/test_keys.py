"""Keystores as geth, cast and ape write them, and signatures as the contracts check them."""

import json
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_core.chain.keys import (
    LOCAL_ROUNDS,
    PolicyWord,
    WorkerConsent,
    account_of,
    find_keystore,
    keystore_address,
    keystores,
    load_account,
    new_keystore,
    policy_message,
    read_password,
    recover_policy_signer,
    recover_worker_key_signer,
    sign_policy,
    sign_worker_key,
    worker_key_message,
    write_keystore,
)
from assay_core.protocol.errors import Rejected, Stop
from assay_core.protocol.types import Address, Epoch, Root, Seed, TaskId
from tests.examples import examples
from tests.machines import fill

POLICIES = Address("0x" + "11" * 20)
STAKING = Address("0x" + "22" * 20)
OPERATOR = Address("0x" + "33" * 20)
ROOT = Root(b"\x07" * 32)
WORD = PolicyWord(TaskId(5), Epoch(2), Seed(b"\x05" * 32), ROOT)


def test_a_keystore_opens_with_its_password_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "trainer.json"
    account = new_keystore(path, "right", rounds=LOCAL_ROUNDS)
    assert load_account(path, "right").address == account.address == keystore_address(path)
    with pytest.raises(Stop, match="the password does not open"):
        load_account(path, "wrong")


def test_a_keystore_is_web3_secret_storage_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "trainer.json"
    account = new_keystore(path, "secret", rounds=LOCAL_ROUNDS)
    stored = json.loads(path.read_text())
    assert stored["version"] == 3 and {"crypto", "address", "id"} <= set(stored)
    assert account.key.hex() not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["trainer.json"]


def test_the_default_cost_is_that_of_geth(tmp_path: Path) -> None:
    path = tmp_path / "trainer.json"
    new_keystore(path, "secret")
    parameters = json.loads(path.read_text())["crypto"]
    assert parameters["kdf"] == "scrypt" and parameters["kdfparams"]["n"] >= 2**18


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "trainer.json"
    account = new_keystore(path, "secret", rounds=LOCAL_ROUNDS)
    for make in (
        lambda: new_keystore(path, "secret", rounds=LOCAL_ROUNDS),
        lambda: write_keystore(path, Account.create(), "secret", rounds=LOCAL_ROUNDS),
    ):
        with pytest.raises(Stop, match="exists already"):
            make()
    assert load_account(path, "secret").address == account.address


def test_a_missing_key_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(Stop, match=r"no key at .* name a keystore"):
        load_account(tmp_path / "none.json", "secret")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"{", id="not JSON"),
        pytest.param(b"\xff\xfe", id="not text"),
        pytest.param(b"[]", id="not an object"),
        pytest.param(b'{"version": 1}', id="another version"),
        pytest.param(b'{"version": 3}', id="nothing inside"),
        pytest.param(b'{"version": 3, "crypto": 5}', id="nonsense inside"),
        pytest.param(b" " * 20_000, id="too large"),
        pytest.param(("0x" + "ab" * 32).encode(), id="a raw key"),
    ],
)
def test_what_is_no_keystore_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(Stop, match="keystore"):
        load_account(path, "secret")
    with pytest.raises(Stop, match="name another"):
        keystore_address(path)


def as_cast_writes(path: Path, source: Path) -> Path:
    """A keystore without address, and without an ending in its name."""
    keystore = json.loads(source.read_text())
    del keystore["address"]
    path.write_text(json.dumps(keystore))
    return path


def test_a_keystore_that_does_not_name_its_address_opens_all_the_same(tmp_path: Path) -> None:
    account = new_keystore(tmp_path / "one.json", "secret", rounds=LOCAL_ROUNDS)
    path = as_cast_writes(tmp_path / "mine", tmp_path / "one.json")
    assert keystore_address(path) is None
    assert load_account(path, "secret").address == account.address


def test_keystores_are_found_as_each_program_names_them(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    ours = new_keystore(folder / "worker.json", "secret", rounds=LOCAL_ROUNDS)
    cast = as_cast_writes(folder / "mine", folder / "worker.json")
    geth = folder / f"UTC--2026-01-02T03-04-05.678901234Z--{ours.address[2:].lower()}"
    new_keystore(geth, "secret", rounds=LOCAL_ROUNDS)
    address = keystore_address(geth)
    (folder / "notes.txt").write_text("{}")
    (folder / ".hidden").write_text(geth.read_text())
    assert [(path.name, found) for path, found in keystores(folder)] == [
        (geth.name, address),
        ("mine", None),
        ("worker.json", ours.address),
    ]
    assert find_keystore("worker", folder) == find_keystore("worker.json", folder) == folder / "worker.json"
    assert find_keystore("mine", folder) == cast
    assert find_keystore(geth.name, folder) == find_keystore(str(address), folder) == geth
    assert find_keystore(str(geth), folder) == geth
    assert not find_keystore("none", folder).exists() and not find_keystore(str(OPERATOR), folder).exists()


def test_a_key_is_stored_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.link")  # as on exFAT, or a share
    account = new_keystore(tmp_path / "one.json", "secret", rounds=LOCAL_ROUNDS)
    assert load_account(tmp_path / "one.json", "secret").address == account.address


def test_a_key_that_cannot_be_written_leaves_its_name_free(small_disk: Path) -> None:
    fill(small_disk)
    with pytest.raises(OSError, match="No space left"):
        new_keystore(small_disk / "one.json", "secret", rounds=LOCAL_ROUNDS)
    (small_disk / "filler").unlink()
    new_keystore(small_disk / "one.json", "secret", rounds=LOCAL_ROUNDS)


@pytest.mark.parametrize("prefix", ["", "0x"])
def test_a_raw_key_is_an_account(prefix: str) -> None:
    account = Account.create()
    assert account_of(f" {prefix}{account.key.hex().removeprefix('0x')}\n").address == account.address


@pytest.mark.parametrize("secret", ["", "0x12", "zz" * 32, "00" * 32, "ff" * 32])
def test_what_is_no_raw_key_is_told_without_showing_it(secret: str) -> None:
    with pytest.raises(Stop, match="no private key") as caught:
        account_of(secret)
    assert not secret or secret not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("\ufeffgrün\n".encode(), id="UTF-8 with a mark"),
        pytest.param("grün\r\n".encode("utf-16"), id="UTF-16"),
        pytest.param("grün".encode(), id="UTF-8"),
    ],
)
def test_a_mark_at_the_head_of_a_password_file_is_no_part_of_the_password(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "password").write_bytes(data)
    assert read_password(tmp_path / "password") == "grün"


@pytest.mark.parametrize("data", ["geheim-grün".encode("latin-1"), b"\xff\xfeg"])
def test_a_password_file_in_another_encoding_says_so_and_not_the_password(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "password").write_bytes(data)
    with pytest.raises(Stop, match=r"not UTF-8 \(byte \d+ is no UTF-.*: save it as UTF-8") as caught:
        read_password(tmp_path / "password")
    assert "geheim" not in "".join(traceback.format_exception(caught.value))


def test_a_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(b"  with spaces \r\nsecond line\n")
    assert read_password(path) == "  with spaces "
    with pytest.raises(Stop, match="cannot read the password file"):
        read_password(tmp_path / "none")


def test_without_file_or_terminal_there_is_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115 -- closed with the process
    with pytest.raises(Stop, match="give a password file"):
        read_password(None)


def test_a_policy_signature_names_its_signer_and_nothing_else() -> None:
    account = Account.create()
    signature = sign_policy(account, 31_337, POLICIES, WORD)
    assert len(signature) == 65
    assert recover_policy_signer(signature, 31_337, POLICIES, WORD) == account.address
    others = (
        recover_policy_signer(signature, 1, POLICIES, WORD),
        recover_policy_signer(signature, 31_337, STAKING, WORD),
        *(
            recover_policy_signer(signature, 31_337, POLICIES, other)
            for other in (
                replace(WORD, task_id=TaskId(6)),
                replace(WORD, epoch=Epoch(3)),
                replace(WORD, seed=Seed(b"\x09" * 32)),
                replace(WORD, policy_root=Root(b"\x08" * 32)),
            )
        ),
    )
    assert account.address not in others


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def domain(contract: Address) -> bytes:
    domain_type = keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    names = keccak(text="Assay") + keccak(text="2")
    return keccak(domain_type + names + word(31_337) + word(int(contract, 16)))


def test_the_policy_digest_is_eip_712_by_hand() -> None:
    struct_type = keccak(text="Policy(uint256 taskId,uint64 epoch,bytes32 seed,bytes32 policyRoot)")
    struct = keccak(struct_type + word(5) + word(2) + WORD.seed + ROOT)
    message = policy_message(31_337, POLICIES, WORD)
    assert (message.version, message.header, message.body) == (b"\x01", domain(POLICIES), struct)


def test_the_consent_of_a_worker_key_is_eip_712_by_hand() -> None:
    consent = WorkerConsent(OPERATOR, POLICIES, nonce=3, deadline=1_000)
    struct_type = keccak(text="WorkerKey(address operator,address worker,uint256 nonce,uint256 deadline)")
    struct = keccak(struct_type + word(int(OPERATOR, 16)) + word(int(POLICIES, 16)) + word(3) + word(1_000))
    message = worker_key_message(31_337, STAKING, consent)
    assert (message.version, message.header, message.body) == (b"\x01", domain(STAKING), struct)


def test_a_worker_key_consents_to_one_operator_once_and_for_a_time() -> None:
    worker = Account.create()
    consent = WorkerConsent(OPERATOR, Address(worker.address), nonce=0, deadline=1_000)
    signature = sign_worker_key(worker, 31_337, STAKING, consent)
    assert recover_worker_key_signer(signature, 31_337, STAKING, consent) == worker.address
    for change in ({"operator": POLICIES}, {"nonce": 1}, {"deadline": 1_001}):
        other = replace(consent, **change)
        assert recover_worker_key_signer(signature, 31_337, STAKING, other) != worker.address


@settings(max_examples=examples(100))
@given(st.binary(max_size=70))
def test_what_is_no_signature_is_rejected_or_of_another_key(signature: bytes) -> None:
    try:
        signer = recover_policy_signer(signature, 31_337, POLICIES, WORD)
    except Rejected:
        return
    assert len(signature) == 65 and signer != OPERATOR
