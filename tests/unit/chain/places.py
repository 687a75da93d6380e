"""A deployment that is nowhere, and terms, for tests that need no chain."""

from dataclasses import fields
from typing import Any

from assay_core.chain.creations import CONTRACTS
from assay_core.chain.deployment import Deployment
from assay_core.protocol.types import KindTerms, PanelClass, SubmissionKind, TaskParams, kinds_of

FIELDS: dict[str, Any] = {
    "network": "local",
    "chain_id": 31_337,
    "rpc_url": "http://127.0.0.1:8545",
    "block": 1,
    "git_commit": "unknown",
    **{name: "0x" + f"{i:02x}" * 20 for i, name in enumerate(CONTRACTS, 0xA1)},
}
DEPLOYMENT = Deployment.model_validate(FIELDS)
AT = {contract: DEPLOYMENT.addresses[field] for field, contract in CONTRACTS.items()}
FULL = KindTerms(unit_price=10, detection_bps=10_000)
# Each amount, rate and window is another number, so that none can stand for another.
NUMBERS = [each.name for each in fields(TaskParams)][1:-1]
PARAMS = TaskParams(
    kinds=kinds_of({SubmissionKind.FULL: FULL}),
    panel_class=PanelClass(b"\x0c" * 32),
    **{name: number for number, name in enumerate(NUMBERS, 1)},
)
