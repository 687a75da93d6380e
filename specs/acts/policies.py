"""Policy versions, in the order of their epochs."""

from collections.abc import Iterator
from dataclasses import dataclass

from specs import hashes, rules
from specs.acts.act import Act
from specs.facts import Fact, PolicyPublished, PolicySkipped
from specs.history import History
from specs.words import MAX_URI, NONE, PolicyState


def why_not_skipped(h: History, task_id: int, epoch: int, since: int) -> Iterator[str]:
    """What is due is waited for, from when the line of policies came to it."""
    if not rules.is_policy_due(h, task_id, epoch):
        return
    if not rules.is_settled(h, task_id, epoch) or h.now < rules.policy_by(h, task_id, epoch, since):
        yield "PolicyStillDue"


def skip(h: History, task_id: int, epoch: int) -> PolicySkipped:
    is_due = rules.is_policy_due(h, task_id, epoch)
    return PolicySkipped(task_id, epoch, PolicyState.SKIPPED if is_due else PolicyState.NOT_DUE)


@dataclass(frozen=True, slots=True)
class PublishPolicy(Act, contract="Policies", function="publishPolicy"):
    task_id: int
    epoch: int
    policy_root: bytes
    uri: bytes
    signatures: tuple[bytes, ...]

    def against(self, h: History) -> Iterator[str]:
        if self.policy_root == NONE:
            yield "EmptyRoot"
        if len(self.uri) > MAX_URI:
            yield "UriTooLong"
        first = rules.next_policy(h, self.task_id)
        if self.epoch < first:
            yield "PolicyOutOfOrder"
        since = rules.policy_line_since(h, self.task_id)
        for earlier in range(first, self.epoch):
            if reasons := list(why_not_skipped(h, self.task_id, earlier, since)):
                yield from reasons
                break
            since = h.now
        if not rules.is_settled(h, self.task_id, self.epoch):
            yield "NotSettled"
            return
        if rules.paid(h, self.task_id, self.epoch) == 0:
            yield "PolicyNotDue"
        yield from self._against_signers(h)

    def _against_signers(self, h: History) -> Iterator[str]:
        """A quorum of those who judged the epoch, each once."""
        seed, chain = rules.seed(h, self.task_id, self.epoch), h.constants.chain_id
        digest = hashes.policy(h.places["Policies"], chain, self.task_id, self.epoch, seed, self.policy_root)
        signers = [hashes.signer(digest, each) for each in self.signatures]
        if bad := [each for each in signers if not each.startswith("0x")]:
            yield bad[0]
        operators = [rules.operator_of(h, each) for each in signers if each.startswith("0x")]
        if operators != sorted(set(operators), key=lambda each: int(each, 16)):
            yield "SignersUnsorted"
        weight = sum(rules.weight_at(h, self.task_id, self.epoch, each) for each in operators)
        if weight < rules.quorum(h, self.task_id, self.epoch):
            yield "NoQuorum"

    def follows(self, h: History) -> Iterator[Fact]:
        for earlier in range(rules.next_policy(h, self.task_id), self.epoch):
            yield skip(h, self.task_id, earlier)
        version = rules.newest_policy(h, self.task_id)[0] + 1
        yield PolicyPublished(self.task_id, self.epoch, version, self.policy_root, self.uri)


@dataclass(frozen=True, slots=True)
class SkipPolicy(Act, contract="Policies", function="skipPolicy"):
    task_id: int
    epoch: int

    def against(self, h: History) -> Iterator[str]:
        if self.epoch != rules.next_policy(h, self.task_id):
            yield "PolicyOutOfOrder"
        yield from why_not_skipped(h, self.task_id, self.epoch, rules.policy_line_since(h, self.task_id))

    def follows(self, h: History) -> Iterator[Fact]:
        yield skip(h, self.task_id, self.epoch)
