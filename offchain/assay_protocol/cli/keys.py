"""`assay keys`: Web3 Secret Storage keystores, the same files as geth, ape and cast. A key never appears in plain."""

import re
from typing import Any

import click

from assay_core.inspect.formatting import table
from assay_core.protocol.errors import Stop
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import group, key_options, key_place_option, pass_invocation, password_options

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@group("keys")
def keys() -> None:
    """Make and list keystores.

    A keystore is a key encrypted with a password (Web3 Secret Storage, the files of geth, ape and cast). Commands name
    it with --keystore; the password comes from a prompt or from --password-file.
    """


@keys.action("new", example="assay keys new worker")
@click.argument("name")
@click.option("--light", is_flag=True, help="Weak but quick encryption, for throw-away keys of local networks.")
@password_options
@pass_invocation
def new(invocation: Invocation, name: str, light: bool) -> None:
    """Make a key and store it as NAME, encrypted with a password.

    It holds nothing yet: send it some of the network's coin for fees, and of the token.
    """
    from assay_core.chain.keys import LOCAL_ROUNDS, new_keystore

    if not NAME.fullmatch(name):
        raise Stop(f"{name[:80]!r} cannot be a key's name: use lower-case letters, digits, - and _")
    path = invocation.keys_folder / f"{name}.json"
    if path.exists():
        raise Stop(f"{path} exists already: choose another name, a key is never overwritten")
    account = new_keystore(path, _new_password(invocation), rounds=LOCAL_ROUNDS if light else None)
    data = {"name": name, "address": account.address, "path": path}
    invocation.emit(data, [f"key {name}: {account.address}", f"stored in {path}; keep the file and its password safe"])


@keys.action("list", example="assay keys list")
@key_place_option
@pass_invocation
def list_keys(invocation: Invocation) -> None:
    """List the keys in the keys' folder with their addresses."""
    from assay_core.chain.keys import keystore_address

    found: list[dict[str, Any]] = []
    for path in sorted(invocation.keys_folder.glob("*.json")):
        try:
            found.append({"name": path.stem, "address": keystore_address(path), "path": path})
        except Stop:
            continue  # some other JSON file
    rows = [(key["name"], key["address"]) for key in found]
    nothing = [f"no keys in {invocation.keys_folder}: make one with `assay keys new NAME`"]
    invocation.emit({"keys": found}, table(rows, ("name", "address")) if rows else nothing)


@keys.action("show", example="assay keys show --keystore worker")
@key_options
@pass_invocation
def show(invocation: Invocation) -> None:
    """Show a key's address and where it is stored. Nothing secret is shown, no password is asked."""
    path = invocation.keystore_path()
    address = invocation.address_of(None)
    invocation.emit({"name": path.stem, "address": address, "path": path}, [f"{path.stem}: {address}", f"in {path}"])


def _new_password(invocation: Invocation) -> str:
    """Raises Stop: an empty password, or two that differ."""
    from assay_core.chain.keys import read_password

    password = read_password(invocation.password_path, "New password: ")
    if not password:
        raise Stop("the password is empty: choose one")
    if invocation.password_path is None and read_password(None, "Once more: ") != password:
        raise Stop("the two passwords differ: nothing was stored")
    return password
