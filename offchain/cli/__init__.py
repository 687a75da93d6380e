"""The `assay` command. It knows every part; every part is imported only by the command that needs it."""

import os

import click

from offchain.cli.lazy import LazyGroup

COMMANDS = {
    "up": ("offchain.cli.up:up", "Run a local network: chain, contracts, relay, verifiers, explorer."),
    "demo": ("offchain.cli.demo:demo", "Watch a local network train a model and catch two cheats."),
    "deploy": ("offchain.cli.deploy:deploy", "Deploy the contracts to a network."),
    "keys": ("offchain.cli.keys:keys", "Make and list keystores."),
    "token": ("offchain.cli.token:token", "Show and send the token that tasks pay in."),
    "task": ("offchain.cli.task:task", "Open, list, show, fund, close and refund tasks."),
    "stake": ("offchain.cli.stake:stake", "Bond as a trainer or verifier, and take bonds back."),
    "trainer": ("offchain.cli.trainer:trainer", "Run a bonded trainer."),
    "verifier": ("offchain.cli.verifier:verifier", "Run a bonded verifier, and serve what it found."),
    "relay": ("offchain.cli.relay:relay", "Run a relay that keeps policies and works."),
    "swarm": ("offchain.cli.swarm:swarm", "Run a swarm's noticeboard, or serve what was published."),
    "rewards": ("offchain.cli.rewards:rewards", "See what each work earned, and why not; claim it."),
    "challenge": ("offchain.cli.challenge:challenge", "Dispute a score before all verifiers."),
    "explain": ("offchain.cli.explain:explain", "Say in plain words what became of a work."),
    "verify": ("offchain.cli.verify:verify", "Run every check on a work again, offline."),
    "gossip": ("offchain.cli.gossip:gossip", "Simulate exchange without a star: rings, expanders, small worlds."),
    "economics": ("offchain.cli.economics:economics", "Show what a task file costs, and whether cheating pays."),
    "calibrate": ("offchain.cli.calibrate:calibrate", "Derive thresholds from honest noise and the best cheats."),
    "config": ("offchain.cli.config:config", "Print the settings in force and where each comes from."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="assay-protocol", prog_name="assay")
@click.option(
    "--config",
    metavar="FILE",
    envvar="ASSAY_CONFIG",
    help="Settings file.  [default: assay.toml here, else ~/.assay/config.toml]",
)
def main(config: str | None) -> None:
    """Assay: an incentive protocol for training models on computers that nobody trusts.

    An initiator escrows a budget for a task, bonded trainers train and prove what they ran, bonded verifiers check the
    proofs and attest on chain; trainers claim what they earned, and cheats lose their bond.

    \b
    Start here:
      assay demo                       watch all of it happen on this machine
      assay up                         a local network that stays up
      assay COMMAND --help             what a command does, with an example
    """
    # `config` is read by offchain.cli.settings, from the context
    os.environ.setdefault("TQDM_DISABLE", "1")  # libraries' progress bars would run through screens and logs
