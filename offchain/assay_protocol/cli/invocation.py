"""One invocation of the command: what its shared options said, and what is built from them, only when it is needed."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay_core.protocol.errors import Stop
from assay_protocol.cli.output import emit

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from assay_core.chain.connection import Chain
    from assay_core.chain.deployment import Deployment
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
    password_file: str | None = None
    keys_dir: str = "~/.assay/keys"
    relays: tuple[str, ...] = ()
    engine: str = "relay"
    state_dir: str | None = None
    database_url: str | None = None
    verifier_url: str | None = None
    threads: int = 1
    poll_s: float = 0.5
    status_file: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080

    def emit(self, data: Any, lines: Iterable[str]) -> None:
        """Print the result, as lines or as JSON."""
        emit(self.is_json, data, lines)

    # ------------------------------------------------------------------------------------------------- places

    @property
    def keys_folder(self) -> Path:
        return Path(self.keys_dir).expanduser()

    def state_folder(self, purpose: str = "") -> Path:
        """A folder for this purpose below the one given, or below ~/.assay."""
        return Path(self.state_dir or "~/.assay").expanduser() / purpose

    def worker_folder(self, role: str) -> Path:
        """A daemon's state: exactly the folder given, since several may run beside each other."""
        return Path(self.state_dir).expanduser() if self.state_dir else self.state_folder(role)

    def keystore_path(self) -> Path:
        """Raises Stop: no key was chosen, or there is none of that name."""
        if self.keystore is None:
            raise Stop("no key chosen: add --keystore NAME (see `assay keys list`), or set ASSAY_KEYSTORE")
        return self.keystore_named(self.keystore)

    def keystore_named(self, name: str) -> Path:
        """Raises Stop: there is none of that name."""
        path = find_keystore(name, self.keys_folder)
        if not path.is_file():
            raise Stop(f"no key {name!r} ({path}): make one with `assay keys new`, or name another")
        return path

    @property
    def password_path(self) -> Path | None:
        return Path(self.password_file).expanduser() if self.password_file else None

    # -------------------------------------------------------------------------------------------- what is built

    def deployment(self) -> "Deployment":
        """Raises Stop: no such network."""
        from assay_core.chain.deployment import load_deployment

        return load_deployment(self.network)

    def chain(self) -> "Chain":
        """Raises Stop: no such network, or the node serves another. Unavailable: the node is down."""
        from assay_core.chain.connection import Chain

        return Chain.connect(self.deployment(), self.rpc_url)

    def connected(self, chain: "Chain | None" = None) -> "Network":
        """The network with all that the shared options say about it. Raises as `chain`."""
        from assay_protocol.network import Network

        return Network(chain or self.chain(), self.state_folder(), self.relay_client)

    def account(self) -> "LocalAccount":
        """Unlock the chosen key. Raises Stop: none chosen, or the wrong password."""
        from assay_core.chain.keys import load_account, read_password

        path = self.keystore_path()
        return load_account(path, read_password(self.password_path, f"Password of {path.stem}: "))

    def address_of(self, address: str | None) -> "Address":
        """The address given, else the chosen key's, which need not be unlocked for it. Raises Stop: neither."""
        import click

        from assay_core.chain.keys import keystore_address, parse_address

        if address is None:
            if self.keystore is None:
                takes_address = "address" in click.get_current_context().params
                raise Stop(f"whose? add {'--address ADDRESS or ' if takes_address else ''}--keystore NAME")
            return keystore_address(self.keystore_path())
        return parse_address(address)

    def relay_urls(self) -> tuple[str, ...]:
        """Raises Stop: neither the options nor the deployment name a relay, or one is no URL."""
        relays = self.relays or tuple(self.deployment().relays)
        if not relays:
            raise Stop(f"network {self.network!r} names no relay: add --relay URL, or set ASSAY_RELAYS")
        for url in relays:
            if not url.startswith(("http://", "https://")):
                raise Stop(f"relay {url!r} is not a URL: write http://HOST:PORT")
        return relays

    def relay_client(self) -> "AbstractContextManager[Transport]":
        """A client of the relays, or the engine chosen in their place, over the cache that all commands share."""
        from assay_core.transport.choose import open_engine

        return open_engine(
            self.engine,
            relays=self.relay_urls() if self.engine == "relay" else (),
            cache=self.state_folder("cache"),
            chain_id=self.deployment().chain_id,
            account=self.account() if self.engine == "swarm" and self.keystore else None,
            tables=engine_tables(),
        )


def engine_tables() -> dict[str, dict[str, Any]]:
    """[upload], [s3] and [swarm] of this invocation's settings file."""
    import click

    from assay_protocol.cli.settings import settings_file

    context = click.get_current_context(silent=True)
    tables = settings_file(context).tables if context is not None else {}
    return {name: dict(tables[name]) for name in ("upload", "s3", "swarm") if name in tables}


def find_keystore(name: str, folder: Path) -> Path:
    """A path is taken as it is; a bare name is a file of the keys' folder."""
    if "/" in name or name.endswith(".json"):
        return Path(name).expanduser()
    return folder / f"{name}.json"
