"""`assay swarm`: what a network without relays needs besides its trainers and verifiers."""

import click

from assay_core.protocol.errors import Stop
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import chain_options, group, key_options, pass_invocation, state_option


@group("swarm")
def swarm() -> None:
    """Run a swarm's tracker, or serve what was published."""


@swarm.action("tracker", example="assay swarm tracker --port 8701")
@click.option("--port", type=click.IntRange(0, 65_535), default=8_701, metavar="PORT", help="[default: 8701]")
@click.option("--host", default="127.0.0.1", metavar="HOST", help="Address to listen on.  [default: 127.0.0.1]")
@chain_options
@pass_invocation
def tracker(invocation: Invocation, port: int, host: str) -> None:
    """Run a tracker until Ctrl-C: who holds which bundle, and the policy signatures.

    It keeps no bundles. Bonded operators, their worker keys and initiators may write, anybody may read. Peers name it
    in ASSAY_SWARM_TRACKERS, and use it with --engine swarm. With --json, logs are JSON lines.
    """
    from assay_core.transport.relay.authority import ChainAuthoriser
    from assay_core.transport.swarm.tracker import create_tracker, serve_tracker
    from assay_protocol.cli.logs import start_logging
    from assay_protocol.cli.relay import ContractReader, signature_checker

    start_logging(invocation.is_json)
    chain = invocation.chain()
    reader = ContractReader(chain)
    checker = signature_checker(chain, reader)
    serve_tracker(create_tracker(ChainAuthoriser(reader), checker, chain_id=chain.deployment.chain_id), host, port)


@swarm.action("seed", example="assay swarm seed --keystore initiator")
@chain_options
@key_options
@state_option
@pass_invocation
def seed(invocation: Invocation) -> None:
    """Serve what this user's commands have published, such as the spec and first policy of a task, until Ctrl-C.

    Commands end at once, and anyone who publishes must stay reachable until others have a copy: leave this running
    beside them, with the same key and state folder.
    """
    import threading

    from assay_protocol.cli.logs import start_logging

    start_logging(invocation.is_json)
    if not invocation.has_key:
        raise Stop("whose? add --keystore NAME or --signer URL: trackers take notices of members only")
    invocation.engine = "swarm"
    with invocation.relay_client():
        threading.Event().wait()
