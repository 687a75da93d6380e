"""All places of an electorate taken: who comes has to outweigh somebody, and no epoch has more judges than places."""

import pytest

from specs import rules
from specs.acts import Act, commitments, staking, tasks, verifiers
from specs.words import MAX_VERIFIERS, NOBODY, Role
from tests.differential.behaviour import ROOT, TERMS
from tests.differential.node import running_node
from tests.differential.twin import UNIT, Twin, make_twin

pytestmark = pytest.mark.chain

TASK = 1
CROWD = tuple(f"verifier {number}" for number in range(MAX_VERIFIERS + 3))
ROLES = ("initiator", "first trainer", "second trainer", *CROWD)


def enlist(twin: Twin, name: str, units: int, displaced: str = "") -> Act:
    word = rules.opened(twin.h, TASK).terms_hash
    other = twin.people[displaced] if displaced else NOBODY
    return verifiers.EnlistVerifier(twin.people[name], TASK, word, units * UNIT, other)


def submission(twin: Twin, name: str, root: bytes) -> Act:
    number = rules.open_number(twin.h, TASK)
    return commitments.CommitSubmission(twin.people[name], TASK, number, 0, root, 1, 0, True)


def full_task(twin: Twin) -> None:
    people = twin.people
    twin.step([staking.Bond(people[name], Role.VERIFIER, 900 * UNIT) for name in CROWD])
    twin.step([staking.Bond(people[name], Role.TRAINER, 100 * UNIT) for name in ROLES[1:3]])
    twin.step([tasks.OpenTask(people["initiator"], TERMS, ROOT, b"", ROOT, 300 * UNIT)])
    word = rules.opened(twin.h, TASK).terms_hash
    twin.step([commitments.EnlistTrainer(people[name], TASK, word) for name in ROLES[1:3]])
    assert not any(twin.step([enlist(twin, name, 150) for name in CROWD[:MAX_VERIFIERS]]))


def test_places_are_as_many_as_are_said_anyone_who_comes_and_goes() -> None:
    with running_node() as node:
        twin = make_twin(node, ROLES)
        full_task(twin)
        late, later, last = CROWD[-3:]
        assert twin.step([enlist(twin, late, 500)]) == ["ElectorateFull"]
        assert twin.step([enlist(twin, late, 150, CROWD[0])]) == ["NotHeavier"]
        assert twin.step([enlist(twin, late, 151, CROWD[0])]) == [None]
        # From now on the open epoch has a submission: who leaves still judges it, and keeps its place in it.
        assert twin.step([submission(twin, "first trainer", ROOT)]) == [None]
        assert twin.step([verifiers.DelistVerifier(twin.people[CROWD[1]], TASK)]) == [None]
        assert twin.step([enlist(twin, later, 300)]) == [None]
        assert twin.step([enlist(twin, last, 400, CROWD[2])]) == [None]
        twin.compare()
        for epoch in range(3):
            assert len(rules.members(twin.h, TASK, epoch)) <= MAX_VERIFIERS
        assert rules.weight_at(twin.h, TASK, 0, twin.people[later]) == 0
        assert rules.weight_at(twin.h, TASK, 1, twin.people[later]) == 300 * UNIT
