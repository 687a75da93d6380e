"""`assay keys`: Web3 Secret Storage keystores, the same files as geth, ape and cast. A key never appears in plain."""

import re
from pathlib import Path

import click

from assay_core.inspect.formatting import table
from assay_core.protocol.errors import Stop
from assay_core.protocol.web import public_url
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import (
    existing_file,
    group,
    key_options,
    key_place_option,
    pass_invocation,
    password_options,
)

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
RAW_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")
MAX_RAW_KEY_BYTES = 128
light_option = click.option(
    "--light", is_flag=True, help="Weak but quick encryption, for throw-away keys of local networks."
)
UNTOLD = "not told by its file: `assay keys show NAME` opens it"


@group("keys")
def keys() -> None:
    """Make, import and list keystores.

    A keystore is a key encrypted with a password (Web3 Secret Storage, the files of geth, ape and cast). Commands name
    it with --keystore; the password comes from a prompt or from --password-file.
    """


@keys.action("new", example="assay keys new worker")
@click.argument("name")
@light_option
@password_options
@pass_invocation
def new(invocation: Invocation, name: str, light: bool) -> None:
    """Make a key and store it as NAME, encrypted with a password.

    It holds nothing yet: send it some of the network's coin for fees, and of the token.
    """
    from assay_core.chain.keys import LOCAL_ROUNDS, new_keystore

    path = _new_path(invocation, name)
    account = new_keystore(path, _new_password(invocation), rounds=LOCAL_ROUNDS if light else None)
    _tell_stored(invocation, path, account.address)


@keys.action("import", example="assay keys import worker ~/.foundry/keystores/mine\nassay keys import worker key.hex")
@click.argument("name")
@click.argument("file", required=False, type=existing_file)
@light_option
@password_options
@pass_invocation
def import_key(invocation: Invocation, name: str, file: Path | None, light: bool) -> None:
    """Store a key that you have as NAME.

    FILE is a keystore of another program, whose password stays what it is, or holds a raw key as 64 hex digits, which
    gets a password; without FILE the raw key is asked for. Delete a file with a raw key afterwards.
    """
    from assay_core.chain.keys import (
        LOCAL_ROUNDS,
        account_of,
        keystore_address,
        load_account,
        read_password,
        write_keystore,
    )

    path = _new_path(invocation, name)
    raw = _raw_key(file)
    if raw is None and file is not None:
        keystore_address(file)  # before a password is asked for
        password = read_password(invocation.password_path, f"Password of {file.name}: ")
        account = load_account(file, password)
    else:
        account = account_of(raw or read_password(None, "Private key (not shown): "))
        password = _new_password(invocation)
    write_keystore(path, account, password, rounds=LOCAL_ROUNDS if light else None)
    _tell_stored(invocation, path, account.address)


def _new_path(invocation: Invocation, name: str) -> Path:
    """Raises Stop: not a name, or taken."""
    if not NAME.fullmatch(name):
        raise Stop(f"{name[:80]!r} cannot be a key's name: use lower-case letters, digits, - and _")
    path = invocation.keys_folder / f"{name}.json"
    if path.exists():
        raise Stop(f"{path} exists already: choose another name, a key is never overwritten")
    return path


def _raw_key(file: Path | None) -> str | None:
    """The key in a file that holds nothing else; None: there is no file, or it is of another kind."""
    if file is None:
        return None
    with file.open("rb") as stream:
        text = stream.read(MAX_RAW_KEY_BYTES + 1).decode("utf-8-sig", errors="replace").strip()
    return text if RAW_KEY.fullmatch(text) else None


def _tell_stored(invocation: Invocation, path: Path, address: str) -> None:
    data = {"name": path.stem, "address": address, "path": path}
    stored = f"stored in {path}; keep the file and its password safe"
    invocation.emit(data, [f"key {path.stem}: {address}", stored])


@keys.action("list", example="assay keys list")
@key_place_option
@pass_invocation
def list_keys(invocation: Invocation) -> None:
    """List the keys in the keys' folder with their addresses."""
    from assay_core.chain.keys import keystores

    found = [
        {"name": path.name.removesuffix(".json"), "address": address, "path": path}
        for path, address in keystores(invocation.keys_folder)
    ]
    rows = [(str(key["name"]), str(key["address"] or UNTOLD)) for key in found]
    nothing = [f"no keys in {invocation.keys_folder}: make one with `assay keys new NAME`"]
    invocation.emit({"keys": found}, table(rows, ("name", "address")) if rows else nothing)


@keys.action("show", example="assay keys show worker")
@click.argument("name", required=False)
@key_options
@pass_invocation
def show(invocation: Invocation, name: str | None) -> None:
    """Show a key's address and where it is stored, by its NAME, by --keystore or by --signer.

    Nothing secret is shown; a password is asked for only where the keystore does not tell its address.
    """
    invocation.keystore = name or invocation.keystore
    if invocation.signer is not None:
        address, place = invocation.address_of(None), public_url(invocation.signer)
        invocation.emit({"name": None, "address": address, "signer": place}, [address, f"at the signer {place}"])
        return
    path = invocation.keystore_path()
    address, named = invocation.address_of(None), path.name.removesuffix(".json")
    invocation.emit({"name": named, "address": address, "path": path}, [f"{named}: {address}", f"in {path}"])


def _new_password(invocation: Invocation) -> str:
    """Raises Stop: an empty password, or two that differ."""
    from assay_core.chain.keys import read_password

    password = read_password(invocation.password_path, "New password: ")
    if not password:
        raise Stop("the password is empty: choose one")
    if invocation.password_path is None and read_password(None, "Once more: ") != password:
        raise Stop("the two passwords differ: nothing was stored")
    return password
