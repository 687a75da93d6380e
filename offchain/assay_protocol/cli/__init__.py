"""The `assay` command. It knows every part; every part is imported only by the command that needs it."""

import os
import sys
from io import TextIOWrapper

import click

from assay_protocol.cli.lazy import LazyGroup

COMMANDS = {
    "up": ("assay_protocol.cli.up:up", "Run a local network: chain, contracts, relay, verifiers, explorer."),
    "demo": ("assay_protocol.cli.demo:demo", "Watch a local network train a model and catch two cheats."),
    "deploy": ("assay_protocol.cli.deploy:deploy", "Deploy the contracts to a network."),
    "keys": ("assay_protocol.cli.keys:keys", "Make, import and list keystores."),
    "token": ("assay_protocol.cli.token:token", "Show, send and get the token that tasks pay in."),
    "task": ("assay_protocol.cli.task:task", "Open, list, show, fund, close and refund tasks."),
    "stake": ("assay_protocol.cli.stake:stake", "Bond as a trainer or verifier, and take bonds back."),
    "trainer": ("assay_protocol.cli.trainer:trainer", "Run a bonded trainer."),
    "verifier": ("assay_protocol.cli.verifier:verifier", "Run a bonded verifier, and serve what it found."),
    "relay": ("assay_protocol.cli.relay:relay", "Run a relay that keeps policies and submissions."),
    "swarm": ("assay_protocol.cli.swarm:swarm", "Run a swarm's tracker, or serve what was published."),
    "rewards": ("assay_protocol.cli.rewards:rewards", "See what each submission earned, and why not; claim it."),
    "challenge": ("assay_protocol.cli.challenge:challenge", "Dispute a score before a panel of jurors."),
    "explain": ("assay_protocol.cli.explain:explain", "Say in plain words what became of a submission."),
    "verify": ("assay_protocol.cli.verify:verify", "Run every check on a submission again, offline."),
    "economics": ("assay_protocol.cli.economics:economics", "Show what a task file costs, and whether cheating pays."),
    "calibrate": ("assay_protocol.cli.calibrate:calibrate", "Derive thresholds from honest noise and the best cheats."),
    "config": ("assay_protocol.cli.config:config", "Print the settings in force and where each comes from."),
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
    _print_anywhere()
    # `config` is read by assay_protocol.cli.settings, from the context
    os.environ.setdefault("TQDM_DISABLE", "1")  # libraries' progress bars would run through screens and logs


def _print_anywhere() -> None:
    """A terminal whose locale lacks a sign gets it escaped, rather than a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
