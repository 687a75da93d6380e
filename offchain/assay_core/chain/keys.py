"""Keys: Web3 Secret Storage v3 keystores (those of geth, ape and cast) and EIP-712 signatures made with them."""

import codecs
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple, dataclass
from getpass import getpass
from pathlib import Path
from typing import Any, cast

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_keys.exceptions import BadSignature
from eth_utils.address import is_address, to_checksum_address
from eth_utils.exceptions import ValidationError

from assay_core.bundle.directory import write_atomically
from assay_core.bundle.disk import expanded
from assay_core.chain.bytecode import DOMAIN_NAME, DOMAIN_VERSION
from assay_core.chain.signers import RemoteAccount, Signer
from assay_core.protocol.errors import Rejected, Stop
from assay_core.protocol.types import Address, Epoch, Root, Seed, TaskId

MAX_KEYSTORE_BYTES = 16_384
SIGNATURE_BYTES = 65
# Scrypt at geth's cost takes seconds; PBKDF2 with few rounds is for throw-away keys of local networks.
LOCAL_ROUNDS = 10_000
Typed = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
"""EIP-712: domain, types and values."""
# Anvil's, Hardhat's and ape's first development account, of "test test … junk": the whole world has this key.
DEVELOPMENT_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


def load_account(path: Path, password: str) -> LocalAccount:
    """Decrypt a keystore. Raises Stop: no such file, not a keystore, or the wrong password."""
    try:
        return Account.from_key(Account.decrypt(_read_keystore(path), password))
    except ValueError as error:
        raise Stop(f"the password does not open {path}: check the password or its file") from error
    except (KeyError, TypeError) as error:
        raise Stop(f"{path} is a broken keystore ({type(error).__name__}): name another file") from error


def _read_keystore(path: Path) -> dict[str, Any]:
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
        if not isinstance(keystore.get("crypto", keystore.get("Crypto")), dict):
            raise ValueError("nothing encrypted in it")
    except (ValueError, RecursionError) as error:
        raise Stop(f"{path} is not a Web3 Secret Storage v3 keystore ({error}): name another file") from error
    return cast("dict[str, Any]", keystore)


def open_account(signer: str | None, keystore: Path | None, password_file: Path | None) -> Signer:
    """The account of a daemon: that of a keystore, or, with a signer's URL, the signer's of that address.

    Raises Stop: neither is named, or what is named cannot be opened. Unavailable: the signer is away.
    """
    if signer:
        return RemoteAccount.connect(signer, None if keystore is None else account_address(str(keystore)))
    if keystore is None:
        raise Stop("no key: name a keystore (ASSAY_KEYSTORE), or a signer (ASSAY_SIGNER)")
    return load_account(keystore, read_password(password_file))


def account_address(text: str) -> Address:
    """What `--keystore` says beside a signer. Raises Stop: no address."""
    if not is_address(text):
        raise Stop(f"{text[:80]!r} is no address: beside --signer, --keystore names one of the signer's accounts")
    return Address(to_checksum_address(text))


def new_keystore(path: Path, password: str, *, rounds: int | None = None) -> LocalAccount:
    """Make a key and store it, readable by its owner only; `rounds` chooses quick PBKDF2 for throw-away keys.

    Raises Stop: the file is there already; a key is never overwritten.
    """
    account = Account.create()
    write_keystore(path, account, password, rounds=rounds)
    return account


def write_keystore(path: Path, account: LocalAccount, password: str, *, rounds: int | None = None) -> None:
    """Store an existing key as `new_keystore` does. Raises Stop: the file is there already."""
    kdf = {"kdf": "pbkdf2", "iterations": rounds} if rounds else {}
    text = json.dumps(Account.encrypt(account.key, password, **kdf))  # pyright: ignore[reportArgumentType]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # the name is taken first: not all file systems have hard links, and a rename would replace another's key
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError as error:
        raise Stop(f"{path} exists already: choose another name, a key is never overwritten") from error
    try:
        write_atomically(path, text.encode())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def account_of(secret: str) -> LocalAccount:
    """The account of a raw key, 64 hex digits. Raises Stop: it is none; the message does not show it."""
    try:
        return Account.from_key(secret.strip())
    except (ValueError, TypeError, ValidationError):  # of several libraries; their words may hold the key
        raise Stop("this is no private key: it must be 64 hex digits") from None


def parse_address(text: str) -> Address:
    """Raises Stop: it is none."""
    if not is_address(text):
        raise Stop(f"{text[:80]!r} is not an address: it must be 0x and 40 hex digits")
    return Address(to_checksum_address(text))


def keystore_address(path: Path) -> Address | None:
    """The address a keystore says it holds, without opening it; None: it keeps that to itself, as those of cast do.

    Raises Stop: not a keystore.
    """
    address = str(_read_keystore(path).get("address", ""))
    return Address(to_checksum_address(address)) if is_address(address) else None


def keystores(folder: Path) -> Iterator[tuple[Path, Address | None]]:
    """The keystores in a folder, whichever program named them, with the addresses that they tell. None: no folder."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file() and not path.name.startswith("."):
            try:
                yield path, keystore_address(path)
            except Stop:
                continue  # some other file


def find_keystore(name: str, folder: Path) -> Path:
    """A path is taken as it is; a bare name or an address is that of a keystore in the folder.

    `NAME.json` is how we and ape call it, `NAME` cast, and `UTC--…` geth and Clef, which go by addresses. A path where
    nothing is: no such key. Raises Stop: the path lies in a home, and this user has none.
    """
    if "/" in name:
        return expanded(name)
    named = (folder / f"{name}.json", folder / name, Path(name))
    if is_address(name):
        wanted = to_checksum_address(name)
        named += tuple(path for path, address in keystores(folder) if address == wanted)
    return next((path for path in named if path.is_file()), Path(name) if name.endswith(".json") else named[0])


def read_password(password_file: Path | None, prompt: str = "Password: ") -> str:
    """From the first line of a file, else from the terminal. Raises Stop: neither is there, or the file is no text."""
    if password_file is not None:
        try:
            return _text(password_file.read_bytes()).split("\n", 1)[0].removesuffix("\r")
        except OSError as error:
            raise Stop(f"cannot read the password file {password_file} ({error.strerror})") from error
        except UnicodeDecodeError as error:  # its words hold the password
            place = f"byte {error.start + 1} is no {error.encoding.upper()}"
            raise Stop(f"the password file {password_file} is not UTF-8 ({place}): save it as UTF-8") from None
    if not sys.stdin.isatty():
        raise Stop("no terminal to ask for the password: give a password file")
    return getpass(prompt)


def _text(data: bytes) -> str:
    """UTF-8, or the UTF-16 that some editors and shells write; a byte-order mark is no part of it."""
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if is_utf16 else "utf-8-sig")


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
    return encode_typed_data(*_typed_worker_key(chain_id, staking, consent))


def policy_message(chain_id: int, policies: Address, word: PolicyWord) -> SignableMessage:
    """`Policy(uint256 taskId,uint64 epoch,bytes32 seed,bytes32 policyRoot)`."""
    return encode_typed_data(*_typed_policy(chain_id, policies, word))


def sign_worker_key(worker: Signer, chain_id: int, staking: Address, consent: WorkerConsent) -> bytes:
    """The worker's consent, for `setWorkerKey` sent by the operator. 65 bytes. Raises what the signer does."""
    return bytes(worker.sign_typed_data(*_typed_worker_key(chain_id, staking, consent)).signature)


def sign_policy(account: Signer, chain_id: int, policies: Address, word: PolicyWord) -> bytes:
    """Signature for `publishPolicy`, by an operator or its worker key. 65 bytes. Raises what the signer does."""
    return bytes(account.sign_typed_data(*_typed_policy(chain_id, policies, word)).signature)


def recover_policy_signer(signature: bytes, chain_id: int, policies: Address, word: PolicyWord) -> Address:
    """Whose key signed (ask `operator_of` for its operator). Raises Rejected: not a signature."""
    return recover(policy_message(chain_id, policies, word), signature)


def recover_worker_key_signer(signature: bytes, chain_id: int, staking: Address, consent: WorkerConsent) -> Address:
    """Who signed a worker key's consent. Raises Rejected: not a signature."""
    return recover(worker_key_message(chain_id, staking, consent), signature)


def _typed_worker_key(chain_id: int, staking: Address, consent: WorkerConsent) -> Typed:
    types = {"operator": "address", "worker": "address", "nonce": "uint256", "deadline": "uint256"}
    return eip712_domain(chain_id, staking), {"WorkerKey": _fields(types)}, asdict(consent)


def _typed_policy(chain_id: int, policies: Address, word: PolicyWord) -> Typed:
    types = {"taskId": "uint256", "epoch": "uint64", "seed": "bytes32", "policyRoot": "bytes32"}
    values = dict(zip(types, astuple(word), strict=True))
    return eip712_domain(chain_id, policies), {"Policy": _fields(types)}, values


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
