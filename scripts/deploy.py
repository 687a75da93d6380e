"""Create Assay's contracts: `ape run deploy`, in ape's own environment. `assay deploy` calls it, checks the result and
writes deployments/NAME.json.

The node's URL comes from ASSAY_RPC_URL, since URLs hold API keys. What is created, in which order, is in
assay_core/chain/creations.py; the code in artifacts.py beside it, so that what goes to the chain is what the tests ran,
byte for byte (ape's own compile would add a metadata hash).
"""

import json
import os
import sys
from pathlib import Path

import click
from ape import networks
from ape.contracts import ContractContainer
from ape_accounts.accounts import KeyfileAccount
from ethpm_types import ContractType
from web3 import HTTPProvider, Web3

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "offchain"))

from assay_core.chain.artifacts import load_artifacts
from assay_core.chain.checkout import source_commit
from assay_core.chain.creations import Constants, constructor_inputs, plan_creations
from assay_core.chain.networks import ape_choice


def open_account(keystore: Path, password_file: str):
    text = sys.stdin.read() if password_file == "-" else Path(password_file).read_text()
    account = KeyfileAccount(keyfile_path=keystore)
    account.set_autosign(True, passphrase=text.split("\n", 1)[0])
    return account


def container_of(artifact) -> ContractContainer:
    return ContractContainer(
        ContractType.model_validate(
            {
                "contractName": artifact.contract,
                "abi": list(artifact.abi),
                "deploymentBytecode": {"bytecode": "0x" + artifact.creation.hex()},
                "runtimeBytecode": {"bytecode": "0x" + artifact.runtime.hex()},
            }
        )
    )


def create_all(account, constants: Constants, token: str | None) -> dict[str, object]:
    """Create one contract after the other. Returns addresses and transactions by field, and the first block."""
    artifacts = load_artifacts()
    parameters = {name: [each for each, _ in constructor_inputs(made.abi)] for name, made in artifacts.items()}
    plan = plan_creations(account.address, account.nonce, constants, parameters, token=token)
    made = []
    for creation in plan:
        # On public chains ape waits for confirmations; those of the last creation are those of all.
        wait = {} if creation is plan[-1] else {"required_confirmations": 0}
        container = container_of(artifacts[creation.contract])
        instance = account.deploy(container, *creation.arguments.values(), **wait)
        if instance.address != creation.address:
            raise click.ClickException(
                f"{creation.contract} came to {instance.address} instead of {creation.address}: is the key in use?"
            )
        made.append(instance.creation_metadata)
    hashes = ["0x" + str(each.txn_hash).removeprefix("0x") for each in made]
    return {
        **({} if token is None else {"token": token}),
        **{creation.field: creation.address for creation in plan},
        "creations": {creation.field: tx_hash for creation, tx_hash in zip(plan, hashes, strict=True)},
        "block": made[0].block,
    }


def constants_of(options: dict[str, int], holder: str, supply: int) -> Constants:
    return Constants(
        unbonding_period_s=options["unbonding_period"],
        min_window_s=options["min_window"],
        seal_delay=options["seal_delay"],
        header_wait=options["header_wait"],
        seat_bond_wei=options["seat_bond"],
        reporter_bps=options["reporter_bps"],
        holder=holder,
        supply=supply,
    )


@click.command()
@click.option("--name", required=True, help="Name of the network: one of ape-config.yaml, or any for a local chain.")
@click.option(
    "--keystore",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="Web3 Secret Storage file.",
)
@click.option("--password-file", default="-", help="File with the keystore's password; - reads it from stdin.")
@click.option("--token", help="Address of an ERC-20 that is there already; else AssayToken is deployed.")
@click.option("--token-holder", help="Who gets the new token's supply; the deployer by default.")
@click.option("--token-supply", type=int, default=10**27, help="Supply of the new token, in wei.")
@click.option("--unbonding-period", type=int, required=True, help="Seconds.")
@click.option("--min-window", type=int, required=True, help="Seconds: the least that a window of a task may be.")
@click.option("--reporter-bps", type=int, required=True, help="A reporter's part of a slash, in basis points.")
@click.option(
    "--seal-delay", type=int, required=True, help="Blocks from an epoch's last submission to that of its seed."
)
@click.option("--header-wait", type=int, required=True, help="Blocks before a seed needs no header.")
@click.option("--seat-bond", type=int, required=True, help="What a juror's seat locks, in wei.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where to write what was created.")
def cli(name, keystore, password_file, token, token_holder, token_supply, out, **constants):
    """Create Assay's contracts on the chain behind ASSAY_RPC_URL."""
    url = os.environ.get("ASSAY_RPC_URL")
    if not url:
        raise click.ClickException("set ASSAY_RPC_URL to the node's address")
    chain_id = Web3(HTTPProvider(url)).eth.chain_id
    with networks.parse_network_choice(ape_choice(name, chain_id, url)):
        account = open_account(keystore, password_file)
        made = create_all(account, constants_of(constants, token_holder or account.address, token_supply), token)
    record = {"network": name, "chain_id": chain_id, "rpc_url": url, "git_commit": source_commit(), **made}
    out.write_text(json.dumps(record, indent=2) + "\n")
    click.echo(f"created: {out}")
