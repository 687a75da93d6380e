"""Who gets what, once an epoch is final: `contracts/Payouts.sol`."""

from collections.abc import Sequence

from offchain.protocol.economics import verifier_fee, work_payout
from offchain.protocol.model.attestations import Attestations
from offchain.protocol.model.challenges import Challenges
from offchain.protocol.model.clock import require
from offchain.protocol.model.registry import Registry
from offchain.protocol.model.scores import FOUND_FRAUD
from offchain.protocol.model.staking import Staking
from offchain.protocol.types import SCORE_FULL, Address, Epoch, EpochPhase, Work

WorkRef = tuple[int, int, Work]  # task, epoch, work


class Payouts:
    def __init__(
        self,
        staking: Staking,
        registry: Registry,
        attestations: Attestations,
        challenges: Challenges,
        reporter_bps: int,
    ) -> None:
        self.reporter_bps = reporter_bps
        self.claimed_fees: set[tuple[int, int, Address]] = set()
        self._staking, self._registry = staking, registry
        self._attestations, self._challenges = attestations, challenges

    def claim(self, caller: Address, works: Sequence[WorkRef]) -> int:
        require(len(works) > 0, "NoWorks")
        task_id, _, first = works[0]
        for task, _, work in works:
            require(task == task_id, "MixedTasks")
            require(work.trainer == first.trainer, "MixedTrainers")
        scores = self._attestations.final_scores(task_id, [(epoch, work.index) for _, epoch, work in works])
        refs = [(Epoch(epoch), work) for _, epoch, work in works]
        self._registry.check_works(task_id, first.trainer, refs)
        require(all(score <= SCORE_FULL for score in scores), "IsFraud")
        task = self._registry.tasks[task_id]
        price = task.params.unit_price
        amount = sum(self.earned(work.units, price, score) for (_, work), score in zip(refs, scores, strict=True))
        self._registry.pay(task_id, first.trainer, amount, sum(work.units * price for _, work in refs))
        task.records[first.trainer].settled.update(epoch for epoch, _ in refs)
        return amount

    def claim_fees(self, caller: Address, task_id: int, epochs: Sequence[int]) -> int:
        verifier = self._staking.operator_of(caller)
        fee = self._registry.known(task_id).params.verifier_fee
        amount, shares, claimed = 0, 0, set[tuple[int, int, Address]]()
        for epoch in epochs:
            require(self._attestations.phase_of(task_id, epoch) == EpochPhase.FINAL, "NotFinal")
            place = (task_id, epoch, verifier)
            require(place not in self.claimed_fees and place not in claimed, "AlreadyClaimed")
            standing = self._attestations.standing_of(task_id, epoch, verifier)
            require(standing.report is not None, "NotRevealed")
            claimed.add(place)
            shares += fee * standing.weight // standing.enlisted
            amount += verifier_fee(fee, standing.weight, standing.enlisted, standing.differences, standing.works)
        self._registry.pay(task_id, verifier, amount, shares)
        self.claimed_fees |= claimed
        return amount

    def slash_fraud(self, caller: Address, ref: WorkRef) -> int:
        task_id, epoch, work = ref
        (score,) = self._attestations.final_scores(task_id, [(epoch, work.index)])
        require(score > SCORE_FULL, "NotFraud")
        reporter = None if score == FOUND_FRAUD else caller
        taken, held = self._registry.settle_fraud(task_id, epoch, work, reporter, self.reporter_bps)
        if reporter is None:
            self._challenges.reward(task_id, epoch, work.index, held)
        return taken

    def fee_of(self, task_id: int, epoch: int, verifier: Address) -> int:
        """What `claim_fees` would pay for one epoch now."""
        is_final = self._attestations.phase_of(task_id, epoch) == EpochPhase.FINAL
        standing = self._attestations.standing_of(task_id, epoch, verifier)
        if not is_final or standing.report is None or (task_id, epoch, verifier) in self.claimed_fees:
            return 0
        fee = self._registry.tasks[task_id].params.verifier_fee
        return verifier_fee(fee, standing.weight, standing.enlisted, standing.differences, standing.works)

    @staticmethod
    def earned(units: int, unit_price_wei: int, score: int) -> int:
        return work_payout(units, unit_price_wei, score)
