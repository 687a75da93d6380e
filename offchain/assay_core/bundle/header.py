"""The header of a submission: the `fields` of its manifest. It says whose submission it is and what it was made from.

A trainer writes it with `SubmissionHeader.fields()`, a verifier reads it with `parse_submission_header`; the same bytes
either way.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from eth_utils.address import is_checksum_address

from assay_core.bundle.manifest import HEX32
from assay_core.protocol.encoding import Json
from assay_core.protocol.errors import MalformedManifest
from assay_core.protocol.types import Address, Epoch, PolicyVersion, Root, Seed, TaskId

MAX_SOFTWARE = 32
MAX_SOFTWARE_CHARS = 80


@dataclass(frozen=True, slots=True)
class SubmissionHeader:
    """What a submission claims to be.

    `trainer` is the operator, not its worker key. `seed` is `trainer_seed(...)`. `spec_root` is the root of the task
    bundle (`specHash` on chain): it fixes recipe, sampler and environment. `software` names versions, for people only.
    """

    task_id: TaskId
    epoch: Epoch
    trainer: Address
    policy_version: PolicyVersion
    policy_root: Root
    seed: Seed
    spec_root: Root
    software: Mapping[str, str]

    def fields(self) -> dict[str, Json]:
        return {
            "epoch": self.epoch,
            "policy_root": self.policy_root.hex(),
            "policy_version": self.policy_version,
            "seed": self.seed.hex(),
            "software": dict(self.software),
            "spec_root": self.spec_root.hex(),
            "task": self.task_id,
            "trainer": self.trainer,
        }


def parse_submission_header(fields: Mapping[str, Json]) -> SubmissionHeader:
    """Read a stranger's header. Raises MalformedManifest: a field is missing, surplus or of another type."""
    names = {"epoch", "policy_root", "policy_version", "seed", "software", "spec_root", "task", "trainer"}
    if set(fields) != names:
        raise MalformedManifest(f"the header of a submission must have exactly {', '.join(sorted(names))}")
    trainer = fields["trainer"]
    if not isinstance(trainer, str) or not is_checksum_address(trainer):
        raise MalformedManifest("header field 'trainer' must be a checksummed address")
    return SubmissionHeader(
        task_id=TaskId(_count(fields, "task")),
        epoch=Epoch(_count(fields, "epoch")),
        trainer=Address(trainer),
        policy_version=PolicyVersion(_count(fields, "policy_version")),
        policy_root=Root(_hash(fields, "policy_root")),
        seed=Seed(_hash(fields, "seed")),
        spec_root=Root(_hash(fields, "spec_root")),
        software=_software(fields["software"]),
    )


def _count(fields: Mapping[str, Json], name: str) -> int:
    value = fields[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise MalformedManifest(f"header field {name!r} must be a non-negative integer")
    return value


def _hash(fields: Mapping[str, Json], name: str) -> bytes:
    value = fields[name]
    if not isinstance(value, str) or not HEX32.fullmatch(value):
        raise MalformedManifest(f"header field {name!r} must be 64 lower-case hex digits")
    return bytes.fromhex(value)


def _software(value: Json) -> dict[str, str]:
    if not isinstance(value, Mapping) or len(value) > MAX_SOFTWARE:
        raise MalformedManifest(f"header field 'software' must be an object of at most {MAX_SOFTWARE} names")
    versions: dict[str, str] = {}
    for name, version in value.items():
        if not isinstance(version, str) or max(len(name), len(version)) > MAX_SOFTWARE_CHARS:
            raise MalformedManifest("header field 'software' must map short names to short versions")
        versions[name] = version
    return versions
