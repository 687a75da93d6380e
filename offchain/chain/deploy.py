"""Deploy the contracts through ape, which lives in an environment of its own, and check what came out."""

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from web3 import Web3

from offchain.chain.abis import load_abi
from offchain.chain.anvil import LOCAL_CHAINS, ROOT, development_account
from offchain.chain.connection import Chain
from offchain.chain.deployment import Deployment, deployments_folder
from offchain.chain.keys import keystore_address
from offchain.chain.rpc import asking_node, connect_http, public_url
from offchain.protocol.errors import Stop
from offchain.protocol.types import Address

APE_VARIABLE = "ASSAY_APE"
# Who deploys on a local chain when no key is named; it is also the first account of ape's test accounts.
ANVIL_DEPLOYER = development_account()


@dataclass(frozen=True, slots=True)
class DeploySettings:
    """`token` None deploys AssayToken and gives its supply to `token_holder`, by default the deployer."""

    unbonding_period_s: int = 14 * 86_400
    reporter_bps: int = 1_000
    token: Address | None = None
    token_holder: Address | None = None
    token_supply_wei: int = 10**27
    relays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeployKey:
    """A keystore and its password; the password reaches ape through a pipe."""

    keystore: Path
    password: str

    def __repr__(self) -> str:
        return f"DeployKey({self.keystore})"


def deploy(
    network: str,
    rpc_url: str,
    key: DeployKey | None = None,
    settings: DeploySettings | None = None,
    *,
    folder: Path | None = None,
    timeout_s: float = 600.0,
) -> Deployment:
    """Deploy, check, and write `<folder>/<network>.json`. Without a key a local chain's development account deploys.

    Raises Stop: no ape, no key, no balance, or the deployment failed. Unavailable: the node is down.
    """
    settings = settings or DeploySettings()
    _check_deployer(rpc_url, key)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "deployment.json"
        _run_ape(_arguments(network, key, settings, out), rpc_url, key, timeout_s)
        try:
            deployment = Deployment.model_validate_json(out.read_bytes())
        except (OSError, ValidationError) as error:
            raise Stop("ape wrote no usable deployment: run `make setup`, then deploy again") from error
    deployment = deployment.model_copy(update={"relays": settings.relays})
    check_deployment(Chain.connect(deployment, rpc_url), settings)
    # The file is shared: it must not hold an API key.
    if deployment.chain_id not in LOCAL_CHAINS:
        deployment = deployment.model_copy(update={"rpc_url": public_url(rpc_url)})
    deployment.write(folder or deployments_folder())
    return deployment


def check_deployment(chain: Chain, settings: DeploySettings) -> None:
    """Read the immutables back. Raises Stop: one does not name what it should, or a constant is another."""
    at = chain.deployment
    expected: dict[tuple[str, Address], dict[str, object]] = {
        ("Staking", at.staking): {
            "TOKEN": at.token,
            "REGISTRY": at.registry,
            "ATTESTATIONS": at.attestations,
            "PAYOUTS": at.payouts,
            "UNBONDING_PERIOD": settings.unbonding_period_s,
        },
        ("TaskRegistry", at.registry): {
            "TOKEN": at.token,
            "STAKING": at.staking,
            "ATTESTATIONS": at.attestations,
            "PAYOUTS": at.payouts,
        },
        ("Attestations", at.attestations): {"STAKING": at.staking, "REGISTRY": at.registry},
        ("Payouts", at.payouts): {
            "STAKING": at.staking,
            "REGISTRY": at.registry,
            "ATTESTATIONS": at.attestations,
            "REPORTER_BPS": settings.reporter_bps,
        },
    }
    for (name, address), values in expected.items():
        contract = chain.web3.eth.contract(address=Web3.to_checksum_address(address), abi=load_abi(name))
        for immutable, wanted in values.items():
            with asking_node(f"{name}.{immutable}"):
                found: Any = contract.get_function_by_name(immutable)().call()
            if found != wanted:
                raise Stop(f"{name}.{immutable} is {found} instead of {wanted}: deploy again")


def _check_deployer(rpc_url: str, key: DeployKey | None) -> None:
    """What would fail anyway, said before a minute of compiling."""
    web3 = connect_http(rpc_url)
    with asking_node(f"connecting to {public_url(rpc_url)}"):
        chain_id = web3.eth.chain_id
    if key is None and chain_id not in LOCAL_CHAINS:
        raise Stop(f"{public_url(rpc_url)} serves chain {chain_id}, not a local one: name a keystore to deploy with")
    deployer = ANVIL_DEPLOYER.address if key is None else keystore_address(key.keystore)
    with asking_node("balance"):
        balance = web3.eth.get_balance(Web3.to_checksum_address(deployer))
    if balance == 0:
        raise Stop(f"{deployer} holds nothing to pay for a deployment on chain {chain_id}: fund it first")


def _arguments(network: str, key: DeployKey | None, settings: DeploySettings, out: Path) -> list[str]:
    arguments = ["--name", network, "--out", str(out)]
    arguments += ["--unbonding-period", str(settings.unbonding_period_s)]
    arguments += ["--reporter-bps", str(settings.reporter_bps), "--token-supply", str(settings.token_supply_wei)]
    if key is not None:
        arguments += ["--keystore", str(key.keystore.resolve()), "--password-file", "-"]
    if settings.token is not None:
        arguments += ["--token", settings.token]
    if settings.token_holder is not None:
        arguments += ["--token-holder", settings.token_holder]
    return arguments


def _run_ape(arguments: list[str], rpc_url: str, key: DeployKey | None, timeout_s: float) -> None:
    ape = Path(os.environ.get(APE_VARIABLE) or ROOT / ".venv-ape" / "bin" / "ape")
    if not ape.is_file() or not (ROOT / "ape-config.yaml").is_file():
        raise Stop(f"no ape at {ape}: run `make setup` in the source tree, or set {APE_VARIABLE} to the ape command")
    build = ROOT / ".build"
    environment = os.environ | {
        "APE_DATA_FOLDER": str(build / "ape"),
        "SOLCX_BINARY_PATH": str(build / "solcx"),
        "ASSAY_RPC_URL": rpc_url,
        "PWD": str(ROOT),  # ape-config.yaml names it
        "PYTHONWARNINGS": "ignore",
    }
    with _one_at_a_time(build), _fresh_code(build):
        _link_compiler(build / "solcx")
        try:
            done = subprocess.run(
                [str(ape), "run", "deploy", *arguments],
                cwd=ROOT,
                env=environment,
                input="" if key is None else key.password + "\n",
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Stop(f"ape did not finish within {timeout_s:.0f} s: look at the node, then deploy again") from error
        if done.returncode != 0:
            said = (done.stdout + done.stderr).replace(rpc_url, public_url(rpc_url)).strip()
            raise Stop(f"ape could not deploy: {said[-1_500:]}")


@contextmanager
def _one_at_a_time(build: Path) -> Generator[None]:
    """ape's build folder takes one writer."""
    build.mkdir(exist_ok=True)
    with (build / "ape.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _fresh_code(build: Path) -> Generator[None]:
    """Make ape compile again when anything has changed that the code depends on: it looks at the contracts alone,
    and not at what they import or at the compiler's settings."""
    packages = ROOT / "node_modules"
    inputs = [
        *sorted((ROOT / "contracts").rglob("*.sol")),
        ROOT / "ape-config.yaml",
        packages / "@openzeppelin" / "contracts" / "package.json",
        packages / "solc" / "package.json",
    ]
    digest = hashlib.sha256()
    for path in inputs:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b"")
    stamp = build / "ape-inputs"
    if not stamp.is_file() or stamp.read_text() != digest.hexdigest():
        stamp.unlink(missing_ok=True)
        (build / "__local__.json").unlink(missing_ok=True)
    yield
    stamp.write_text(digest.hexdigest())


def _link_compiler(folder: Path) -> None:
    """ape finds our compiler wrapper as py-solc-x names it; `make setup` has made the same link."""
    link = folder / "solc-v0.8.37"
    if not link.exists():
        folder.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(ROOT / "tools" / "solc")
