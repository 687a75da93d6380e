"""An epoch full of bad submissions: each is told what is wrong with it, and none costs the honest submission
anything.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from eth_account import Account

from assay_core.bundle.trajectory import Completion, Rollouts
from assay_core.protocol.errors import Reason
from assay_core.protocol.types import Address, Root, TaskId
from assay_core.training.seeding import seed_of_nth
from assay_verifier.aggregate import Aggregator, SigningDomain
from assay_verifier.database import migrate, open_database, session_factory
from assay_verifier.inbox import Inbox
from assay_verifier.judging_queue import Judged
from assay_verifier.verdict import report_bytes
from tests.fakes import Notes
from tests.submissions import TRAINER
from tests.unit.verifier.chronicle import CONTRACT, Chronicle, contracts
from tests.unit.verifier.fakes import Sent, ShardStore, judging_queue, node_of
from tests.unit.verifier.honest import SPEC, Bundle, HonestTrainer

KEY = Account.from_key(b"\x01" * 32)
LOST, IMPOSSIBLE = Root(b"\x01" * 32), Root(b"\x02" * 32)


def submission(trainer: HonestTrainer, change: Callable[[Completion], Completion] = lambda row: row) -> Bundle:
    """An honest submission but for one of its completions."""
    parts = trainer.parts()
    first, *others = parts.rollouts.completions
    rollouts = Rollouts(parts.rollouts.group_size, (change(first), *others))
    return trainer.write(replace(parts, rollouts=rollouts))


def with_nan_update(trainer: HonestTrainer) -> Bundle:
    def poison(directory: Path) -> None:
        path = directory / "update/0000.safetensors"
        data = bytearray(path.read_bytes())
        start = 8 + int.from_bytes(data[:8], "little")
        data[start : start + 4] = np.float32("nan").tobytes()
        path.write_bytes(bytes(data))

    return trainer.write(trainer.parts(), poison)


def too_long(row: Completion) -> Completion:
    tokens = SPEC.sampler.max_new_tokens + 1
    return replace(row, completion_ids=(1,) * tokens, logprobs_T=np.zeros(tokens, np.float32), finish="length")


def truncated(row: Completion) -> Completion:
    return replace(row, proofs=(row.proofs[0][:-1], *row.proofs[1:]))


def judged(chronicle: Chronicle, shards: ShardStore) -> list[Judged]:
    queue = judging_queue(shards)
    while queue.judge_next(chronicle.ledger, chronicle.record()):
        pass
    queue.close(chronicle.ledger, chronicle.record())
    found = queue.judgements(chronicle.ledger, chronicle.record(), give_up=True)
    assert found is not None
    return found


def next_policy(chronicle: Chronicle, shards: ShardStore, folder: Path) -> Root:
    """The root that a verifier derives from the settled epoch."""
    engine = open_database(f"sqlite:///{folder / 'verifier.db'}")
    migrate(engine)
    verifier = Address(KEY.address)
    node = node_of(verifier, KEY, Sent(), shards, session_factory(engine), Notes())
    signer = SigningDomain(31_337, CONTRACT, lambda key: key)
    aggregator = Aggregator(node, SPEC, signer, contracts().policies, Inbox(shards, SPEC), folder / "policies")
    return aggregator.build(TaskId(1), chronicle.record(), chronicle.ledger.newest_policy()).root


@pytest.fixture
def shards() -> ShardStore:
    return ShardStore(impossible={IMPOSSIBLE})


def epoch_of(policy: Root, submissions: list[Root]) -> Chronicle:
    chronicle = Chronicle(policy)
    for root in submissions:
        chronicle.submission(TRAINER, root)
    chronicle.seal()
    return chronicle


def test_bad_submissions_are_told_why_and_cost_nobody_else_anything(
    trainer: HonestTrainer, policy_bundle: Bundle, shards: ShardStore, tmp_path: Path
) -> None:
    nth = [replace(trainer, seed=seed_of_nth(trainer.seed, n), folder=tmp_path / f"by-{n}") for n in range(8)]
    policy, honest = shards.add(policy_bundle), shards.add(submission(nth[7]))
    bad: list[tuple[Root, Reason, str]] = [
        (LOST, Reason.UNAVAILABLE, "no relay"),
        (IMPOSSIBLE, Reason.MALFORMED, "differs from its hash"),
        (shards.add(submission(nth[2], truncated)), Reason.MALFORMED, "proof"),
        (shards.add(submission(nth[3], too_long)), Reason.MALFORMED, "completion"),
        (shards.add(submission(nth[4], lambda row: replace(row, reward=float("nan")))), Reason.MALFORMED, "reward"),
        (shards.add(submission(nth[5], lambda row: replace(row, reward=float("inf")))), Reason.MALFORMED, "reward"),
        (shards.add(with_nan_update(nth[6])), Reason.BAD_UPDATE, "finite"),
    ]
    crowded = epoch_of(policy, [*(root for root, _, _ in bad), honest])
    verdicts = [each.verdict for each in judged(crowded, shards)]
    assert report_bytes(verdicts) == bytes([254] + [0] * 6 + [100])  # unpaid, and nobody is slashed
    for verdict, (_, reason, said) in zip(verdicts, bad, strict=False):
        assert verdict.reason is reason
        assert said in str(verdict.json()), verdict

    alone = epoch_of(policy, [honest])
    alone.settle(bytes([100]))
    crowded.settle(report_bytes(verdicts))
    assert next_policy(crowded, shards, tmp_path / "a") == next_policy(alone, shards, tmp_path / "b")
