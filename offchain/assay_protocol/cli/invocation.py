"""One invocation of the command: what its shared options said, and what is built from them, only when it is needed."""

import json
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay_core.bundle.disk import expanded
from assay_core.inspect.formatting import jsonable
from assay_core.protocol.errors import Stop
from assay_core.protocol.urls import masked
from assay_protocol.cli.settings import settings_file

if TYPE_CHECKING:
    from assay_core.chain.connection import Chain
    from assay_core.chain.deployment import Deployment
    from assay_core.chain.signers import RemoteAccount, Signer
    from assay_core.protocol.types import Address
    from assay_core.transport.choose import Transport
    from assay_protocol.network import Network


@dataclass(slots=True)
class Invocation:
    """Filled by the shared options; a command that does not offer one sees its default here."""

    is_json: bool = False
    is_dry_run: bool = False
    network: str = "local"
    rpc_url: str | None = None
    keystore: str | None = None
    signer: str | None = None
    password_file: str | None = None
    keys_dir: str = "~/.assay/keys"
    relays: tuple[str, ...] = ()
    engine: str = "relay"
    state_dir: str | None = None
    database_url: str | None = None
    verifier_url: str | None = None
    threads: int = 1
    poll_s: float | None = None
    status_file: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    # built once
    _chain: "Chain | None" = field(default=None, init=False)
    _account: "Signer | None" = field(default=None, init=False)

    def emit(self, data: Any, lines: Iterable[str]) -> None:
        """Print a command's result on stdout: lines for people, or one JSON document made from the same data."""
        if self.is_json:
            click.echo(json.dumps(jsonable(data), indent=2, allow_nan=False))
        else:
            for line in lines:
                click.echo(line)

    # ------------------------------------------------------------------------------------------------- places

    @property
    def keys_folder(self) -> Path:
        return expanded(self.keys_dir)

    def state_folder(self, purpose: str = "") -> Path:
        """A folder for this purpose below the one given, or below ~/.assay."""
        return expanded(self.state_dir or "~/.assay") / purpose

    def worker_folder(self, role: str) -> Path:
        """A daemon's state: exactly the folder given, since several may run beside each other."""
        return expanded(self.state_dir) if self.state_dir else self.state_folder(role)

    @property
    def has_key(self) -> bool:
        """Whether a key was chosen."""
        return self.keystore is not None or self.signer is not None

    def chosen_key(self) -> Path | None:
        """What daemons are told: the keystore, or, with a signer, the address that is named. Raises Stop: none is."""
        from assay_core.chain.keys import account_address

        if self.signer is None:
            return self.keystore_path()
        return None if self.keystore is None else Path(account_address(self.keystore))

    def keystore_path(self) -> Path:
        """Raises Stop: no key was chosen, or there is none of that name."""
        if self.keystore is None:
            raise Stop("no key chosen: add --keystore NAME (see `assay keys list`), or set ASSAY_KEYSTORE")
        return self.keystore_named(self.keystore)

    def keystore_named(self, name: str) -> Path:
        """As `find_keystore`. Raises Stop: there is none of that name."""
        from assay_core.chain.keys import find_keystore

        path = find_keystore(name, self.keys_folder)
        if not path.is_file():
            raise Stop(f"no key {name!r} ({path}): make one with `assay keys new`, or name another")
        return path

    @property
    def password_path(self) -> Path | None:
        return expanded(self.password_file) if self.password_file else None

    # -------------------------------------------------------------------------------------------- what is built

    def deployment(self) -> "Deployment":
        """Raises Stop: no such network."""
        from assay_core.chain.deployment import load_deployment

        return load_deployment(self.network)

    def chain(self) -> "Chain":
        """Raises Stop: no such network, or the node serves another. Unavailable: the node is down."""
        from assay_core.chain.connection import Chain

        if self._chain is None:
            self._chain = Chain.connect(self.deployment(), self.rpc_url)
        return self._chain

    def connected(self) -> "Network":
        """The network with all that the shared options say about it. Raises as `chain`."""
        from assay_protocol.network import Network

        return Network(self.chain(), self.state_folder(), self.relay_client)

    def password_of(self, keystore: Path, file: Path | None = None) -> str:
        """From a file, else asked for. Raises Stop: neither can be had."""
        from assay_core.chain.keys import read_password

        return read_password(file or self.password_path, f"Password of {keystore.stem}: ")

    def account(self) -> "Signer":
        """Unlock the chosen key, or ask the signer for its account.

        Raises Stop: none chosen, or the wrong password. Unavailable: the signer is away.
        """
        from assay_core.chain.keys import load_account

        if self._account is None:
            if self.signer is not None:
                self._account = self.remote_account(self.signer, self.keystore)
            else:
                path = self.keystore_path()
                self._account = load_account(path, self.password_of(path))
        return self._account

    def remote_account(self, url: str, address: str | None) -> "RemoteAccount":
        """One of a signer's accounts. Raises Stop: no such account, or several. Unavailable: the signer is away."""
        from assay_core.chain.keys import account_address
        from assay_core.chain.signers import RemoteAccount

        return RemoteAccount.connect(url, None if address is None else account_address(address))

    def address_of(self, address: str | None = None) -> "Address":
        """The address given, else the chosen key's, unlocked if its file does not tell. Raises Stop: neither."""
        from assay_core.chain.keys import keystore_address, parse_address
        from assay_core.protocol.types import Address

        if address is not None:
            return parse_address(address)
        if not self.has_key:
            takes_address = "address" in click.get_current_context().params
            raise Stop(f"whose? add {'--address ADDRESS or ' if takes_address else ''}--keystore NAME")
        if self.signer is not None:
            return Address(self.account().address)
        return keystore_address(self.keystore_path()) or Address(self.account().address)

    def operator_of(self, address: str | None = None) -> "Address":
        """Whose worker key that address is, else the address itself. Raises as `address_of` and `chain`."""
        key = self.address_of(address)
        return self.chain().staking.operator_of(key)

    def relay_urls(self) -> tuple[str, ...]:
        """Raises Stop: neither the options nor the deployment name a relay, or one is no URL."""
        relays = self.relays or tuple(self.deployment().relays)
        if not relays:
            raise Stop(f"network {self.network!r} names no relay: add --relay URL, or set ASSAY_RELAYS")
        for url in relays:
            if not url.startswith(("http://", "https://")):
                raise Stop(f"relay {masked(url)!r} is not a URL: write http://HOST:PORT")
        return relays

    def relay_client(self) -> "AbstractContextManager[Transport]":
        """A client of the relays, or the engine chosen in their place, over the cache that all commands share."""
        from assay_core.transport.choose import open_engine

        return open_engine(
            self.engine,
            relays=self.relay_urls() if self.engine == "relay" else (),
            cache=self.state_folder("cache"),
            chain_id=self.deployment().chain_id,
            account=self.account() if self.engine == "swarm" and self.has_key else None,
            tables=engine_tables(),
        )


def engine_tables() -> dict[str, dict[str, Any]]:
    """[upload], [s3] and [swarm] of this invocation's settings file."""
    context = click.get_current_context(silent=True)
    tables = settings_file(context).tables if context is not None else {}
    return {name: dict(tables[name]) for name in ("upload", "s3", "swarm") if name in tables}
