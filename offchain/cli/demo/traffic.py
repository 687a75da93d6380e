"""What trainers sent: the sizes of their works, as anybody who fetches them finds them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from offchain.chain.ledger import TaskLedger
from offchain.cli.demo.outcome import Traffic
from offchain.cli.localnet import Party
from offchain.outer.readable import Float32File
from offchain.outer.tensor_files import element_count
from offchain.policy.weights import WEIGHTS_NAME
from offchain.protocol.manifest import BundleKind, BundleLimits
from offchain.protocol.spec import TaskSpec
from offchain.protocol.types import Root
from offchain.shardcast.engine import Engine
from offchain.shardcast.store import read_manifest


@dataclass(slots=True)
class TrafficMeter:
    """Fetches each work of the trainers it watches once its epoch is settled: verifiers have it by then, too."""

    engine: Engine
    spec: TaskSpec
    trainers: Sequence[Party]
    sent: dict[str, Traffic] = field(default_factory=dict[str, Traffic])
    _measured: set[Root] = field(default_factory=set[Root])
    _parameters: int = 0

    def update(self, ledger: TaskLedger) -> None:
        """Measure the works that are new. Raises Unavailable: one cannot be had yet."""
        if not self._parameters:
            self._parameters = self._count_parameters(ledger)
        for record in ledger.epochs.values():
            if not record.is_settled:
                continue
            for party in self.trainers:
                for committed in record.works_of(party.address):
                    if committed.work.manifest_root not in self._measured:
                        self._add(party.name, committed.work.manifest_root)

    def _add(self, name: str, root: Root) -> None:
        directory = self.engine.fetch(root, BundleKind.WORK, BundleLimits(self.spec.limits.work_bytes))
        manifest = read_manifest(directory)
        before = self.sent.get(name, Traffic(name, self._parameters))
        self.sent[name] = replace(
            before,
            works=before.works + 1,
            inner_steps=before.inner_steps + self.spec.recipe.inner_steps,
            update_bytes=before.update_bytes
            + sum(each.size_bytes for each in manifest.files if each.name.startswith("update/")),
            work_bytes=before.work_bytes + manifest.size_bytes,
        )
        self._measured.add(root)

    def _count_parameters(self, ledger: TaskLedger) -> int:
        root, limits = ledger.policies[0].policy_root, BundleLimits(self.spec.limits.policy_bytes)
        weights = Float32File(self.engine.fetch(root, BundleKind.POLICY, limits) / WEIGHTS_NAME)
        return sum(element_count(shape) for shape in weights.shapes.values())
