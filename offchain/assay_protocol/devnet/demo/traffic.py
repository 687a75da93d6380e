"""What trainers sent: the sizes of their submissions, as anybody who fetches them finds them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from assay_core.aggregation.optimizer import WEIGHTS_NAME
from assay_core.bundle.directory import read_manifest
from assay_core.bundle.manifest import BundleKind, BundleLimits
from assay_core.bundle.named_tensors import Float32File
from assay_core.bundle.tensor_files import element_count
from assay_core.chain.ledger import TaskLedger
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Root
from assay_core.transport.engine import Engine
from assay_protocol.devnet.demo.outcome import Traffic
from assay_protocol.devnet.localnet import Party


@dataclass(slots=True)
class TrafficMeter:
    """Fetches each submission of the trainers it watches once its epoch is settled: verifiers have it by then, too."""

    engine: Engine
    spec: TaskSpec
    trainers: Sequence[Party]
    sent: dict[str, Traffic] = field(default_factory=dict[str, Traffic])
    _measured: set[Root] = field(default_factory=set[Root])
    _parameters: int = 0

    def update(self, ledger: TaskLedger) -> None:
        """Measure the submissions that are new. Raises Unavailable: one cannot be had yet."""
        if not self._parameters:
            self._parameters = self._count_parameters(ledger)
        for record in ledger.epochs.values():
            if not record.is_settled:
                continue
            for party in self.trainers:
                for committed in record.submissions_of(party.address):
                    if committed.submission.manifest_root not in self._measured:
                        self._add(party.name, committed.submission.manifest_root)

    def _add(self, name: str, root: Root) -> None:
        directory = self.engine.fetch(root, BundleKind.SUBMISSION, BundleLimits(self.spec.limits.submission_bytes))
        manifest = read_manifest(directory)
        before = self.sent.get(name, Traffic(name, self._parameters))
        self.sent[name] = replace(
            before,
            submissions=before.submissions + 1,
            inner_steps=before.inner_steps + self.spec.recipe.inner_steps,
            update_bytes=before.update_bytes
            + sum(each.size_bytes for each in manifest.files if each.name.startswith("update/")),
            submission_bytes=before.submission_bytes + manifest.size_bytes,
        )
        self._measured.add(root)

    def _count_parameters(self, ledger: TaskLedger) -> int:
        root, limits = ledger.policies[0].policy_root, BundleLimits(self.spec.limits.policy_bytes)
        weights = Float32File(self.engine.fetch(root, BundleKind.POLICY, limits) / WEIGHTS_NAME)
        return sum(element_count(shape) for shape in weights.shapes.values())
