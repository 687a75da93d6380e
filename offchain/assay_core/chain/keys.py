"""Keys: Web3 Secret Storage v3 keystores (those of geth, ape and cast) and EIP-712 signatures made with them."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from getpass import getpass
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_keys.exceptions import BadSignature
from eth_utils.address import is_address, to_checksum_address
from eth_utils.exceptions import ValidationError

from assay_core.chain.bytecode import DOMAIN_NAME, DOMAIN_VERSION
from assay_core.protocol.errors import Rejected, Stop
from assay_core.protocol.types import Address, Epoch, Root, Seed, TaskId

MAX_KEYSTORE_BYTES = 16_384
SIGNATURE_BYTES = 65
# Scrypt at geth's cost takes seconds; PBKDF2 with few rounds is for throw-away keys of local networks.
LOCAL_ROUNDS = 10_000
# Anvil's, Hardhat's and ape's first development account, of "test test … junk": the whole world has this key.
DEVELOPMENT_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


def load_account(path: Path, password: str) -> LocalAccount:
    """Decrypt a keystore. Raises Stop: no such file, not a keystore, or the wrong password."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_KEYSTORE_BYTES + 1)
    except OSError as error:
        raise Stop(f"no key at {path} ({error.strerror}): name a keystore, or make one (`assay keys new`)") from error
    try:
        if len(data) > MAX_KEYSTORE_BYTES:
            raise ValueError("too large")
        keystore: Any = json.loads(data)
        if not isinstance(keystore, dict) or keystore.get("version") != 3:
            raise ValueError("not version 3")
    except ValueError as error:
        raise Stop(f"{path} is not a Web3 Secret Storage v3 keystore ({error}): name another file") from error
    try:
        return Account.from_key(Account.decrypt(keystore, password))
    except ValueError as error:
        raise Stop(f"the password does not open {path}: check the password or its file") from error
    except (KeyError, TypeError) as error:
        raise Stop(f"{path} is a broken keystore ({type(error).__name__}): name another file") from error


def new_keystore(path: Path, password: str, *, rounds: int | None = None) -> LocalAccount:
    """Make a key and store it, readable by its owner only; `rounds` chooses quick PBKDF2 for throw-away keys.

    Raises Stop: the file is there already; a key is never overwritten.
    """
    account = Account.create()
    write_keystore(path, account, password, rounds=rounds)
    return account


def write_keystore(path: Path, account: LocalAccount, password: str, *, rounds: int | None = None) -> None:
    """Store an existing key as `new_keystore` does. Raises Stop: the file is there already."""
    if path.exists():
        raise Stop(f"{path} exists already: choose another name, a key is never overwritten")
    kdf = {"kdf": "pbkdf2", "iterations": rounds} if rounds else {}
    text = json.dumps(Account.encrypt(account.key, password, **kdf))  # pyright: ignore[reportArgumentType]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    try:
        os.link(part, path)  # fails when somebody else has made it meanwhile
    except FileExistsError as error:
        raise Stop(f"{path} exists already: choose another name, a key is never overwritten") from error
    finally:
        part.unlink()


def parse_address(text: str) -> Address:
    """Raises Stop: it is none."""
    if not is_address(text):
        raise Stop(f"{text[:80]!r} is not an address: it must be 0x and 40 hex digits")
    return Address(to_checksum_address(text))


def keystore_address(path: Path) -> Address:
    """The address a keystore says it holds, without opening it. Raises Stop: it says none."""
    try:
        address = str(json.loads(path.read_text())["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Stop(f"{path} is not a keystore that names its address: name another file") from error
    if not is_address(address):
        raise Stop(f"{path} names no address: name another file")
    return Address(to_checksum_address(address))


def read_password(password_file: Path | None, prompt: str = "Password: ") -> str:
    """From the first line of a file, else from the terminal. Raises Stop: neither is there."""
    if password_file is not None:
        try:
            return password_file.read_text().split("\n", 1)[0].removesuffix("\r")
        except OSError as error:
            raise Stop(f"cannot read the password file {password_file} ({error.strerror})") from error
    if not sys.stdin.isatty():
        raise Stop("no terminal to ask for the password: give a password file")
    return getpass(prompt)


def eip712_domain(chain_id: int, contract: Address) -> dict[str, object]:
    """The domain of all of Assay's signatures; the contract is the one that checks them."""
    return {"name": DOMAIN_NAME, "version": DOMAIN_VERSION, "chainId": chain_id, "verifyingContract": contract}


@dataclass(frozen=True, slots=True)
class WorkerConsent:
    """What a worker key agrees to: it acts for an operator. Its nonce makes it serve once, until a Unix time."""

    operator: Address
    worker: Address
    nonce: int  # `workerNonceOf(worker)`
    deadline: int


@dataclass(frozen=True, slots=True)
class PolicyWord:
    """What a verifier signs: the policy that follows from an epoch, as that was sealed under this seed."""

    task_id: TaskId
    epoch: Epoch
    seed: Seed
    policy_root: Root


def worker_key_message(chain_id: int, staking: Address, consent: WorkerConsent) -> SignableMessage:
    """`WorkerKey(address operator,address worker,uint256 nonce,uint256 deadline)`."""
    types = {"operator": "address", "worker": "address", "nonce": "uint256", "deadline": "uint256"}
    return encode_typed_data(eip712_domain(chain_id, staking), {"WorkerKey": _fields(types)}, asdict(consent))


def policy_message(chain_id: int, policies: Address, word: PolicyWord) -> SignableMessage:
    """`Policy(uint256 taskId,uint64 epoch,bytes32 seed,bytes32 policyRoot)`."""
    types = {"taskId": "uint256", "epoch": "uint64", "seed": "bytes32", "policyRoot": "bytes32"}
    values = dict(zip(types, astuple(word), strict=True))
    return encode_typed_data(eip712_domain(chain_id, policies), {"Policy": _fields(types)}, values)


def sign_worker_key(worker: LocalAccount, chain_id: int, staking: Address, consent: WorkerConsent) -> bytes:
    """The worker's consent, for `setWorkerKey` sent by the operator. 65 bytes."""
    return bytes(worker.sign_message(worker_key_message(chain_id, staking, consent)).signature)


def sign_policy(account: LocalAccount, chain_id: int, policies: Address, word: PolicyWord) -> bytes:
    """Signature for `publishPolicy`, by an operator or its worker key. 65 bytes."""
    return bytes(account.sign_message(policy_message(chain_id, policies, word)).signature)


def recover_policy_signer(signature: bytes, chain_id: int, policies: Address, word: PolicyWord) -> Address:
    """Whose key signed (ask `operator_of` for its operator). Raises Rejected: not a signature."""
    return recover(policy_message(chain_id, policies, word), signature)


def recover_worker_key_signer(signature: bytes, chain_id: int, staking: Address, consent: WorkerConsent) -> Address:
    """Who signed a worker key's consent. Raises Rejected: not a signature."""
    return recover(worker_key_message(chain_id, staking, consent), signature)


def _fields(types: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in types.items()]


def recover(message: SignableMessage, signature: bytes) -> Address:
    """The key behind a stranger's signature. Raises Rejected: it is not one."""
    if len(signature) != SIGNATURE_BYTES:
        raise Rejected(f"a signature has {SIGNATURE_BYTES} bytes, this one {len(signature)}")
    try:
        return Address(Account.recover_message(message, signature=signature))
    except (BadSignature, ValidationError, ValueError) as error:
        raise Rejected("the signature belongs to no key") from error


def development_account() -> LocalAccount:
    """Who deploys on local chains; it holds all of their coin."""
    return Account.from_key(DEVELOPMENT_KEY)
