"""The electorate: who comes, who leaves, who loses weight."""

from collections.abc import Iterator
from dataclasses import dataclass

from specs import rules
from specs.acts.act import Act
from specs.facts import Fact, Slashed, VerifierBondReleased, VerifierDelisted, VerifierEnlisted, VerifierSlashed
from specs.history import History
from specs.words import BPS, MAX_VERIFIERS, NOBODY, Address, Role, share_up


def leave(h: History, task_id: int, verifier: Address) -> VerifierDelisted:
    """Who leaves still judges an open epoch that has submissions."""
    from_epoch = max(rules.leaves_from(h, task_id), rules.last_change(h, task_id, verifier))
    return VerifierDelisted(task_id, verifier, 0, from_epoch)


@dataclass(frozen=True, slots=True)
class Slash:
    """A share of the weight with which a verifier judged an epoch; of it a part, up to a cap, to somebody."""

    task_id: int
    epoch: int
    verifier: Address
    bps: int
    recipient: Address = NOBODY
    recipient_bps: int = 0
    cap: int = 0

    def taken(self, h: History) -> int:
        """No more than what is left of what answers for the epoch."""
        if self.epoch < rules.answers_from(h, self.task_id, self.verifier):
            return 0
        share = share_up(rules.weight_at(h, self.task_id, self.epoch, self.verifier), self.bps)
        return min(share, rules.verifier_collateral(h, self.task_id, self.verifier))

    def rewarded(self, h: History) -> int:
        return min(self.taken(h) * self.recipient_bps // BPS, self.cap)

    def follows(self, h: History) -> Iterator[Fact]:
        """What is left judges from the first epoch without submissions on; with less than the least weight it
        leaves.
        """
        taken, reward = self.taken(h), self.rewarded(h)
        if taken == 0:
            return
        task_id, verifier = self.task_id, self.verifier
        left, from_epoch = 0, rules.last_change(h, task_id, verifier)
        is_enlisted = rules.is_verifier(h, task_id, verifier)
        if is_enlisted:
            left = rules.verifier_collateral(h, task_id, verifier) - taken
            from_epoch = max(from_epoch, rules.leaves_from(h, task_id))
        yield VerifierSlashed(task_id, verifier, left, from_epoch, taken)
        if is_enlisted and left < rules.terms(h, task_id).verifier_bond:
            yield leave(h, task_id, verifier)
        yield Slashed(verifier, Role.VERIFIER, taken, self.recipient, reward)


@dataclass(frozen=True, slots=True)
class EnlistVerifier(Act, contract="Verifiers", function="enlist"):
    task_id: int
    terms_hash: bytes
    weight: int
    displaced: Address

    def against(self, h: History) -> Iterator[str]:
        if not rules.is_known(h, self.task_id):
            yield "UnknownTask"
            return
        if self.terms_hash != rules.opened(h, self.task_id).terms_hash:
            yield "WrongTerms"
        if self.weight < rules.terms(h, self.task_id).verifier_bond:
            yield "WeightTooSmall"
        verifier = rules.operator_of(h, self.by)
        former = rules.verifier_collateral(h, self.task_id, verifier)
        if rules.is_verifier(h, self.task_id, verifier):
            yield "AlreadyEnlisted"
        elif former > 0 and h.now < rules.answerable_until(h, self.task_id, verifier):
            yield "StillAnswerable"
        yield from self._against_place(h)
        if self.weight > rules.lockable(h, verifier, Role.VERIFIER) + self._given_back(h, verifier, former):
            yield "InsufficientBond"

    def _given_back(self, h: History, verifier: Address, former: int) -> int:
        """Of a former bond that is released first; what is fresh in this block stays so."""
        free = rules.bonded(h, verifier, Role.VERIFIER) - rules.locked(h, verifier, Role.VERIFIER)
        fresh = free - rules.lockable(h, verifier, Role.VERIFIER)
        return max(0, free + former - fresh) - max(0, free - fresh)

    def _against_place(self, h: History) -> Iterator[str]:
        after = rules.members(h, self.task_id, rules.open_number(h, self.task_id) + 1)
        is_full = len(after) >= MAX_VERIFIERS
        if (self.displaced == NOBODY) == is_full:
            yield "ElectorateFull"
        if self.displaced == NOBODY:
            return
        if not rules.is_verifier(h, self.task_id, self.displaced):
            yield "NotEnlisted"
        elif self.weight <= rules.verifier_collateral(h, self.task_id, self.displaced):
            yield "NotHeavier"

    def follows(self, h: History) -> Iterator[Fact]:
        task_id, verifier = self.task_id, rules.operator_of(h, self.by)
        former = rules.verifier_collateral(h, task_id, verifier)
        if former > 0:
            yield VerifierBondReleased(task_id, verifier, former)
        if self.displaced != NOBODY:
            yield leave(h, task_id, self.displaced)
        from_epoch = max(rules.next_with_a_place(h, task_id), rules.last_change(h, task_id, verifier))
        yield VerifierEnlisted(task_id, verifier, self.weight, from_epoch)


@dataclass(frozen=True, slots=True)
class DelistVerifier(Act, contract="Verifiers", function="delist"):
    task_id: int

    def against(self, h: History) -> Iterator[str]:
        if not rules.is_verifier(h, self.task_id, rules.operator_of(h, self.by)):
            yield "NotEnlisted"

    def follows(self, h: History) -> Iterator[Fact]:
        yield leave(h, self.task_id, rules.operator_of(h, self.by))


@dataclass(frozen=True, slots=True)
class ReleaseBond(Act, contract="Verifiers", function="releaseBond"):
    task_id: int
    verifier: Address

    def against(self, h: History) -> Iterator[str]:
        is_held = rules.verifier_collateral(h, self.task_id, self.verifier) > 0
        if rules.is_verifier(h, self.task_id, self.verifier) or not is_held:
            yield "NothingToRelease"
        elif h.now < rules.answerable_until(h, self.task_id, self.verifier):
            yield "StillAnswerable"

    def follows(self, h: History) -> Iterator[Fact]:
        amount = rules.verifier_collateral(h, self.task_id, self.verifier)
        yield VerifierBondReleased(self.task_id, self.verifier, amount)
