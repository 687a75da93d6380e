"""Where the contracts of a network are: `deployments/<network>.json`, written by `assay deploy`."""

import os
from os import PathLike
from pathlib import Path
from typing import Annotated, Any

from eth_utils.address import is_address, to_checksum_address
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from assay_core.chain.checkout import source_tree
from assay_core.chain.creations import CONTRACTS
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Address

FOLDER_VARIABLE = "ASSAY_DEPLOYMENTS"
MAX_DEPLOYMENT_BYTES = 65_536
NETWORK_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"


def _checksummed(value: str) -> str:
    if not is_address(value):
        raise ValueError(f"{value!r} is not an address")
    return to_checksum_address(value)


ContractAddress = Annotated[Address, AfterValidator(_checksummed)]
TransactionHash = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]


class Deployment(BaseModel):
    """One set of contracts on one chain, and the relays where its bundles lie."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: Annotated[str, Field(pattern=NETWORK_NAME)]
    chain_id: Annotated[int, Field(ge=1)]
    rpc_url: Annotated[str, Field(pattern=r"^https?://")]
    block: Annotated[int, Field(ge=0)]  # that of the first contract: nothing happened before it
    git_commit: str
    token: ContractAddress
    staking: ContractAddress
    registry: ContractAddress
    commitments: ContractAddress
    verifiers: ContractAddress
    attestations: ContractAddress
    policies: ContractAddress
    panels: ContractAddress
    appeals: ContractAddress
    payouts: ContractAddress
    plants: ContractAddress
    # The constants that the contracts were created with, and the transactions that created them, by field: with these
    # anybody can check the contracts (`assay deploy --check`). A token that was there already has no transaction here.
    unbonding_period_s: Annotated[int, Field(ge=1)] | None = None
    min_window_s: Annotated[int, Field(ge=1, lt=2**32)] | None = None
    seal_delay: Annotated[int, Field(ge=1, le=255)] | None = None
    header_wait: Annotated[int, Field(ge=0, le=255)] | None = None
    seat_bond_wei: Annotated[int, Field(ge=0, lt=2**128)] | None = None
    reporter_bps: Annotated[int, Field(ge=0, le=10_000)] | None = None
    creations: dict[str, TransactionHash] = {}
    relays: tuple[str, ...] = ()

    @property
    def addresses(self) -> dict[str, Address]:
        """Address of each contract, by field, in the order of creation."""
        return {field: getattr(self, field) for field in CONTRACTS}

    @property
    def retired_name(self) -> str:
        """The network's name once another deployment has taken its place."""
        return f"{self.network[:55]}-{self.registry[2:10].lower()}"

    def write(self, folder: Path) -> Path:
        """Write `<folder>/<network>.json` in one step and return its path: no reader ever finds half a file."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.network}.json"
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            with part.open("w", encoding="utf-8") as file:
                file.write(self.model_dump_json(indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return path

    def with_relays(self, relays: tuple[str, ...]) -> "Deployment":
        return self.model_copy(update={"relays": relays})


def deployments_folder() -> Path:
    """$ASSAY_DEPLOYMENTS, or `deployments` under the working directory, or that of a source tree."""
    if configured := os.environ.get(FOLDER_VARIABLE):
        return Path(configured)
    here, root = Path("deployments"), source_tree()
    return here if root is None or here.is_dir() else root / "deployments"


def deployment_file(network_or_path: str | PathLike[str], folder: Path | None = None) -> Path:
    """Where the deployment of a network is written. Raises Stop: there is none."""
    folder = folder or deployments_folder()
    path = Path(network_or_path)
    if path.suffix != ".json":
        path = folder / f"{network_or_path}.json"
    if not path.is_file():
        known = sorted(file.stem for file in folder.glob("*.json"))
        raise Stop(
            f"no deployment {str(network_or_path)!r} (known here: {', '.join(known) or 'none'}): "
            f"run `assay deploy --network {path.stem}`, or name another network"
        )
    return path


def load_deployment(network_or_path: str | Path, folder: Path | None = None) -> Deployment:
    """Read the deployment of a network, by its name or by the path of its file.

    Raises Stop: there is none, or the file is not one.
    """
    path = deployment_file(network_or_path, folder)
    try:
        if path.stat().st_size > MAX_DEPLOYMENT_BYTES:
            raise Stop(f"{path} is too large for a deployment: deploy again or fetch the right file")
        return Deployment.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first: Any = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise Stop(f"{path}: {where}: {first['msg']}; deploy again or repair the file") from error
