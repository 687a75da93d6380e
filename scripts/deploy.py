"""Deploy Assay's contracts: `ape run deploy`, in ape's own environment. `assay deploy` calls it and checks the result.

The node's URL comes from ASSAY_RPC_URL, since URLs hold API keys. Without a keystore the first development account of a
local chain deploys. docs/decisions/0002-contracts.md has the order of the creations and why it matters.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import rlp
from ape import accounts, networks, project
from ape_accounts.accounts import KeyfileAccount
from eth_utils import keccak, to_canonical_address, to_checksum_address

LOCAL_CHAINS = (31_337, 1_337)
CREATED = ("token", "staking", "registry", "attestations", "payouts")


def creation_address(deployer: str, nonce: int) -> str:
    return to_checksum_address(keccak(rlp.encode([to_canonical_address(deployer), nonce]))[12:])


def open_account(keystore: Path | None, password_file: str, chain_id: int):
    if keystore is None:
        if chain_id not in LOCAL_CHAINS:
            raise click.ClickException(f"chain {chain_id} is not a local one: name a keystore with --keystore")
        return accounts.test_accounts[0]
    text = sys.stdin.read() if password_file == "-" else Path(password_file).read_text()
    account = KeyfileAccount(keyfile_path=keystore)
    account.set_autosign(True, passphrase=text.split("\n", 1)[0])
    return account


def git_commit() -> str:
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "contracts"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("-dirty" if changed.stdout.strip() else "")


def create_all(account, token: str | None, holder: str, supply: int, unbonding_period: int, reporter_bps: int):
    """The contracts name one another as immutables, so all addresses are computed before the first creation."""
    first = account.nonce
    names = CREATED if token is None else CREATED[1:]
    at = {name: creation_address(account.address, first + i) for i, name in enumerate(names)}
    at.setdefault("token", token)
    creations = {
        "token": (project.AssayToken, holder, supply),
        "staking": (
            project.Staking, at["token"], at["registry"], at["attestations"], at["payouts"], unbonding_period,
        ),
        "registry": (project.TaskRegistry, at["token"], at["staking"], at["attestations"], at["payouts"]),
        "attestations": (project.Attestations, at["staking"], at["registry"]),
        "payouts": (project.Payouts, at["staking"], at["registry"], at["attestations"], reporter_bps),
    }  # fmt: skip
    blocks = []
    for name in names:
        contract, *arguments = creations[name]
        # On public chains ape waits for confirmations; those of the last creation are those of all.
        wait = {} if name == names[-1] else {"required_confirmations": 0}
        instance = account.deploy(contract, *arguments, **wait)
        if instance.address != at[name]:
            raise click.ClickException(f"{name} came to {instance.address} instead of {at[name]}: is the key in use?")
        blocks.append(instance.creation_metadata.block)
    return at, blocks[0]


@click.command()
@click.option("--name", required=True, help="Name of the network: that of the file.")
@click.option(
    "--keystore", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Web3 Secret Storage file."
)
@click.option("--password-file", default="-", help="File with the keystore's password; - reads it from stdin.")
@click.option("--token", help="Address of an ERC-20 that is there already; else AssayToken is deployed.")
@click.option("--token-holder", help="Who gets the new token's supply; the deployer by default.")
@click.option("--token-supply", type=int, default=10**27, help="Supply of the new token, in wei.")
@click.option("--unbonding-period", type=int, required=True, help="Seconds.")
@click.option("--reporter-bps", type=int, required=True, help="A reporter's part of a slash, in basis points.")
@click.option("--out", type=click.Path(path_type=Path), help="Default: deployments/NAME.json.")
def cli(name, keystore, password_file, token, token_holder, token_supply, unbonding_period, reporter_bps, out):
    """Deploy Assay's five contracts to the chain behind ASSAY_RPC_URL."""
    url = os.environ.get("ASSAY_RPC_URL")
    if not url:
        raise click.ClickException("set ASSAY_RPC_URL to the node's address")
    with networks.parse_network_choice(url) as provider:
        chain_id = provider.chain_id
        account = open_account(keystore, password_file, chain_id)
        holder = token_holder or account.address
        at, block = create_all(account, token, holder, token_supply, unbonding_period, reporter_bps)
    record = {"network": name, "chain_id": chain_id, "rpc_url": url, "block": block, "git_commit": git_commit(), **at}
    path = out or Path("deployments") / f"{name}.json"
    path.write_text(json.dumps(record, indent=2) + "\n")
    click.echo(f"deployed: {path}")
