"""Tasks: terms and money."""

from collections.abc import Iterator
from dataclasses import dataclass

from specs import hashes, rules
from specs.acts.act import Act, cannot_pay, pull
from specs.facts import EpochOpened, Fact, TaskClosed, TaskFunded, TaskOpened, TaskRefunded
from specs.history import History
from specs.words import BPS, MAX_URI, NONE, PANEL_SEATS, Constants, Terms, share_up


def open_next(h: History, task_id: int) -> Iterator[Fact]:
    """The next epoch, if none is open, the task goes on, and its budget pays for it."""
    t, number = rules.terms(h, task_id), rules.open_number(h, task_id)
    if rules.is_open(h, task_id) or rules.is_closed(h, task_id):
        return
    if t.max_epochs and number >= t.max_epochs:
        yield TaskClosed(task_id)
    elif rules.budget(h, task_id) >= t.epoch_cost:
        yield EpochOpened(task_id, number, h.now + t.commit_window, t.epoch_cost)


def why_no_terms(t: Terms, constants: Constants) -> Iterator[str]:
    positive = (t.max_submission_units, t.max_submissions_each, t.trainer_bond, t.verifier_bond, t.protocol_version)
    windows = (t.commit_window, t.attest_window, t.reveal_window)
    rates = (t.sampling_bps, t.absence_slash_bps, t.verdict_slash_bps)
    priced = [kind for kind in t.kinds if kind.unit_price]
    is_fair = (
        min(*positive, t.sampling_bps) > 0
        and min(windows) >= constants.min_window
        and max(rates) <= BPS
        and BPS // 2 < t.quorum_bps <= BPS
        and t.max_epoch_units >= t.max_submission_units
        and t.trainer_bond >= t.fraud_slash
        and len(priced) > 0
        and all(0 < kind.detection_bps <= BPS for kind in priced)
    )
    verdict_slash = share_up(t.verifier_bond, t.verdict_slash_bps)
    is_heard = (
        # A panel judges as verifiers do, and needs no less time. Whom a plant blames has half a window to object,
        t.appeal_window >= max(t.attest_window, t.reveal_window)
        and t.challenge_window // 2 >= constants.min_window
        # and loses no more by objecting, in vain or not, than by silence. What a challenger puts down fits its type.
        and t.challenge_bond + PANEL_SEATS * t.juror_fee <= verdict_slash
        and 0 < t.challenge_bond < 1 << 120
        and t.juror_fee < 1 << 120
    )
    if not is_fair or (t.challenge_window and not is_heard):
        yield "BadParams"
    for kind in priced if t.sampling_bps else ():
        gain = t.max_submission_units * kind.unit_price
        if kind.detection_bps and t.fraud_slash < rules.needed_slash(gain, t.sampling_bps, kind.detection_bps):
            yield "CheatingPays"
    if rules.windows(t) >= constants.unbonding_s:
        yield "WindowsTooLong"


@dataclass(frozen=True, slots=True)
class OpenTask(Act, contract="TaskRegistry", function="openTask"):
    params: Terms
    spec_hash: bytes
    spec_uri: bytes
    policy_root: bytes
    budget: int

    def against(self, h: History) -> Iterator[str]:
        yield from why_no_terms(self.params, h.constants)
        if len(self.spec_uri) > MAX_URI:
            yield "UriTooLong"
        if self.policy_root == NONE:
            yield "EmptyRoot"
        if self.budget < self.params.epoch_cost:
            yield "BudgetTooSmall"
        yield from cannot_pay(h, self.by, "TaskRegistry", self.budget)

    def follows(self, h: History) -> Iterator[Fact]:
        task_id = len(rules.tasks(h)) + 1
        terms_hash = hashes.terms_hash(task_id, self.by, self.params, self.spec_hash, self.policy_root)
        seed = hashes.words("bytes32 uint256 bytes32", h.block.prevrandao, task_id, self.spec_hash)
        told = (self.params, self.spec_hash, self.spec_uri, self.policy_root, terms_hash, seed)
        yield TaskOpened(task_id, self.by, *told)
        yield pull(h, self.by, "TaskRegistry", self.budget)
        yield TaskFunded(task_id, self.by, self.budget)
        yield from open_next(h, task_id)


@dataclass(frozen=True, slots=True)
class FundTask(Act, contract="TaskRegistry", function="fundTask"):
    task_id: int
    amount: int

    def against(self, h: History) -> Iterator[str]:
        if not rules.is_known(h, self.task_id):
            yield "UnknownTask"
            return
        if rules.is_closed(h, self.task_id):
            yield "TaskIsClosed"
        if rules.budget(h, self.task_id) + self.amount >= 2**128:
            yield "Panic"
        yield from cannot_pay(h, self.by, "TaskRegistry", self.amount)

    def follows(self, h: History) -> Iterator[Fact]:
        yield pull(h, self.by, "TaskRegistry", self.amount)
        yield TaskFunded(self.task_id, self.by, self.amount)
        yield from open_next(h, self.task_id)


@dataclass(frozen=True, slots=True)
class CloseTask(Act, contract="TaskRegistry", function="closeTask"):
    """An open epoch without a submission gets one more window."""

    task_id: int

    def against(self, h: History) -> Iterator[str]:
        if not rules.is_known(h, self.task_id):
            yield "UnknownTask"
            return
        if rules.opened(h, self.task_id).initiator != self.by:
            yield "NotInitiator"
        if rules.is_closed(h, self.task_id):
            yield "TaskIsClosed"

    def follows(self, h: History) -> Iterator[Fact]:
        yield TaskClosed(self.task_id)
        number = rules.open_number(h, self.task_id)
        if rules.is_open(h, self.task_id) and not rules.submissions(h, self.task_id, number):
            yield EpochOpened(self.task_id, number, h.now + rules.terms(h, self.task_id).commit_window)


@dataclass(frozen=True, slots=True)
class RefundTask(Act, contract="TaskRegistry", function="refundTask"):
    task_id: int

    def against(self, h: History) -> Iterator[str]:
        if not rules.is_known(h, self.task_id):
            yield "UnknownTask"
        elif not rules.is_closed(h, self.task_id) or rules.budget(h, self.task_id) == 0:
            yield "NothingToRefund"

    def follows(self, h: History) -> Iterator[Fact]:
        initiator = rules.opened(h, self.task_id).initiator
        yield TaskRefunded(self.task_id, initiator, rules.budget(h, self.task_id))
