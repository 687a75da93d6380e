"""`assay relay`: keep policies and submissions for others.

A relay is trusted for availability only, never for content.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay_core.bundle.disk import expanded
from assay_core.protocol.errors import Stop
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import chain_options, group, pass_invocation, stale_option
from assay_protocol.cli.settings import service_values, settings_file
from assay_protocol.cli.status import show_daemons

if TYPE_CHECKING:
    from assay_core.chain.connection import Chain
    from assay_core.protocol.types import Address, Epoch, Root, Seed, TaskId
    from assay_core.transport.relay.authority import ChainSignatureChecker
    from assay_core.transport.relay.server import RelaySettings

PREFIX = "ASSAY_RELAY_"

store_option = click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for what is kept.  [default: ~/.assay/relay]",
)


@group("relay")
def relay() -> None:
    """Run a relay that keeps policies and submissions."""


@relay.action("run", example="assay relay run --port 8700 --store /srv/assay")
@click.option("--port", type=click.IntRange(0, 65_535), metavar="PORT", help="Port to listen on.  [default: 8700]")
@click.option("--host", metavar="HOST", help="Address to listen on.  [default: 127.0.0.1]")
@store_option
@click.option(
    "--mirror",
    "mirrors",
    multiple=True,
    metavar="URL",
    help="Relay to copy from: all that is new there, and what somebody asks for here; may be repeated.",
)
@chain_options
@pass_invocation
@click.pass_context
def run(
    ctx: click.Context,
    invocation: Invocation,
    port: int | None,
    host: str | None,
    store: Path | None,
    mirrors: tuple[str, ...],
) -> None:
    """Run a relay until Ctrl-C.

    Bonded operators, their worker keys and initiators may upload, each within a quota; anybody may read. A relay that
    mirrors others passes on what it copies while it still receives it. Limits are set by ASSAY_RELAY_* or the table
    [relay] of the settings file. /metrics is for Prometheus; /health is 503 while the store does not answer. With
    --json, logs are JSON lines.
    """
    from assay_core.transport.relay.authority import ChainAuthoriser
    from assay_core.transport.relay.server import serve
    from assay_protocol.cli.logs import start_logging

    start_logging(invocation.is_json)
    chain = invocation.chain()
    settings = _settings(ctx, chain, {"port": port, "host": host, "directory": store, "upstreams": mirrors or None})
    reader = ContractReader(chain)
    serve(settings, ChainAuthoriser(reader), signature_checker(chain, reader))


@relay.action("status", example="assay relay status\nassay relay status --store /srv/assay --json")
@store_option
@stale_option
@pass_invocation
@click.pass_context
def status(ctx: click.Context, invocation: Invocation, store: Path | None, stale_after_s: float | None) -> None:
    """Tell what the relay of a folder keeps, and whether it runs.

    Reads what the relay writes into its folder. Ends with 1 where it does not run, or its store does not answer.
    """
    from assay_core.daemon.heartbeat import FILE_NAME, read_beat
    from assay_core.daemon.lock import is_held
    from assay_core.transport.relay.shard_store import LOCK_NAME
    from assay_protocol.cli.status import Daemon

    named = store or os.environ.get(f"{PREFIX}DIRECTORY") or _table(ctx)["directory"]
    folder = Path(named)
    beat = read_beat(folder / FILE_NAME)
    show_daemons(
        invocation, "relay", [] if beat is None else [Daemon(beat, is_held(folder / LOCK_NAME))], stale_after_s
    )


def _table(ctx: click.Context) -> "dict[str, Any]":
    return {"directory": expanded("~/.assay/relay"), **settings_file(ctx).tables.get("relay", {})}


def _settings(ctx: click.Context, chain: "Chain", flags: dict[str, object]) -> "RelaySettings":
    """Raises Stop: an impossible setting."""
    from pydantic import ValidationError

    from assay_core.transport.relay.server import RelaySettings

    values = service_values(_table(ctx), PREFIX, {**flags, "chain_id": chain.deployment.chain_id})
    try:
        return RelaySettings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise Stop(
            f"relay setting {name}: {first['msg']} (an option, {PREFIX}{name.upper()}, or [relay] in the settings file)"
        ) from error


def signature_checker(chain: "Chain", reader: "ContractReader") -> "ChainSignatureChecker":
    """Decides what goes on a policy board of this chain."""
    from assay_core.chain.keys import PolicyWord, recover_policy_signer
    from assay_core.transport.relay.authority import ChainSignatureChecker

    def recover(task_id: "TaskId", epoch: "Epoch", seed: "Seed", root: "Root", signature: bytes) -> "Address":
        at = chain.deployment
        return recover_policy_signer(signature, at.chain_id, at.policies, PolicyWord(task_id, epoch, seed, root))

    return ChainSignatureChecker(reader, recover)


class ContractReader:
    """The relay's narrow view of the contracts. Answers are remembered by its authoriser, not here."""

    def __init__(self, chain: "Chain") -> None:
        self._chain = chain
        self._initiators: set[Address] = set()
        self._tasks_seen = 0

    def operator_of(self, key: "Address") -> "Address":
        return self._chain.staking.operator_of(key)

    def bond_of(self, operator: "Address") -> int:
        from assay_core.protocol.types import Role

        return max(self._chain.staking.bond_of(operator, role).bonded_wei for role in Role)

    def is_initiator(self, address: "Address") -> bool:
        """Task ids count from 1 and their initiators never change, so each is asked for once."""
        from assay_core.protocol.types import TaskId

        registry = self._chain.registry
        count = registry.task_count()
        if count < self._tasks_seen:  # the chain was taken back
            self._tasks_seen = 0
            self._initiators.clear()
        for number in range(self._tasks_seen + 1, count + 1):
            self._initiators.add(registry.origin_of(TaskId(number)).initiator)
            self._tasks_seen = number
        return address in self._initiators

    def judges(self, task_id: "TaskId", epoch: "Epoch", operator: "Address") -> bool:
        return self._chain.verifiers.weight_at(task_id, epoch, operator) > 0

    def seed_of(self, task_id: "TaskId", epoch: "Epoch") -> "Seed | None":
        return self._chain.attestations.seed_of(task_id, epoch)
