"""Challenges that a verifier makes by itself: only what it can prove, once, and for no more than it holds."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from eth_account import Account
from web3 import Web3

from assay_core.chain.contracts import AppealsContract, PanelsContract, TokenContract
from assay_core.protocol.encoding import challenge_commitment
from assay_core.protocol.types import Address, ChallengeId, DisputePhase, Epoch, PanelClass, SubmissionIndex, TaskId
from assay_verifier.attester import Attester
from assay_verifier.challenger import Challenger, Purse
from assay_verifier.database import Sessions, migrate, open_database, session_factory
from assay_verifier.judging_queue import JudgingQueue
from assay_verifier.models import ChallengeRow
from assay_verifier.recorder import Recorder
from assay_verifier.rotation import Rotation
from tests.fakes import Notes
from tests.submissions import TRAINER
from tests.unit.verifier.chronicle import CONTRACT, PARAMS, Chronicle
from tests.unit.verifier.fakes import Sent, ShardStore, attester_of, judging_queue, node_of
from tests.unit.verifier.honest import Bundle, HonestTrainer

KEY = Account.from_key(b"\x01" * 32)
VERIFIER = Address(KEY.address)
COST = PARAMS.challenge_bond + 15 * PARAMS.juror_fee
CHALLENGE_BY = 2_000


class Held(TokenContract):
    """A balance, and what of it Appeals may take."""

    balance, allowed = COST, 0

    def balance_of(self, holder: Address) -> int:
        assert holder == VERIFIER
        return self.balance

    def allowance(self, owner: Address, spender: Address) -> int:
        return self.allowed


class Pool(PanelsContract):
    seats = 15

    def pool_size(self, panel_class: PanelClass) -> int:
        assert panel_class == PARAMS.panel_class
        return self.seats


class Owing(AppealsContract):
    owed = 0

    def owed_to(self, task_id: TaskId, epoch: Epoch, challenge: ChallengeId) -> int:
        return self.owed


@dataclass
class Scene:
    chronicle: Chronicle
    shards: ShardStore
    sent: Sent
    sessions: Sessions
    status: Notes
    token: Held
    appeals: Owing
    panels: Pool
    queue: JudgingQueue
    attester: Attester
    clock_s: float = 0.0

    def challenger(self) -> Challenger:
        """As a new process would build it."""
        purse = Purse(VERIFIER, self.token, self.appeals, self.panels)
        turns = Rotation(VERIFIER, clock=lambda: self.clock_s)
        node = node_of(VERIFIER, KEY, self.sent, self.shards, self.sessions, self.status, turns)
        return Challenger(node, purse, self.queue)

    def attest(self) -> bytes:
        ledger, record = self.chronicle.ledger, self.chronicle.record()
        while self.queue.judge_next(ledger, record):
            pass
        judged = self.queue.judgements(ledger, record, give_up=True)
        assert judged is not None
        report = self.attester.write(record, judged).report
        self.queue.forget(record)
        return report

    def advance(self, challenger: Challenger, now: int = 0) -> bool:
        self.clock_s += 100
        return challenger.advance(self.chronicle.ledger, self.chronicle.record(), now)

    def functions(self) -> list[str]:
        return [call.function for call in self.sent.calls]

    def tell_commitment(self) -> ChallengeId:
        (commitment,) = (c.arguments["commitment"] for c in self.sent.calls if c.function == "commitChallenge")
        assert isinstance(commitment, bytes)
        return self.chronicle.challenge(VERIFIER, commitment)


def scene_of(
    trainer: HonestTrainer, policy: Bundle, folder: Path, submission: Bundle, sampling_bps: int = 10_000
) -> Scene:
    shards, sent, status = ShardStore(), Sent(), Notes()
    chronicle = Chronicle(shards.add(policy), replace(PARAMS, sampling_bps=sampling_bps))
    chronicle.verifier(VERIFIER)
    chronicle.submission(TRAINER, shards.add(submission))
    chronicle.seal()
    engine = open_database(f"sqlite:///{folder / 'verifier.db'}")
    migrate(engine)
    sessions = session_factory(engine)
    Recorder(sessions, trainer.spec).record(chronicle.ledger, {})
    queue = judging_queue(shards, trainer.spec)
    attester = attester_of(node_of(VERIFIER, KEY, sent, shards, sessions, status), folder / "evidence")
    web3 = Web3()
    held, owing, pool = Held(web3, CONTRACT), Owing(web3, CONTRACT), Pool(web3, CONTRACT)
    return Scene(chronicle, shards, sent, sessions, status, held, owing, pool, queue, attester)


def turned(trainer: HonestTrainer) -> Bundle:
    """A submission whose update no training on its rollouts gives."""
    parts = trainer.parts()
    return trainer.write(replace(parts, update={name: -value for name, value in parts.update.items()}))


@pytest.fixture
def paid_fraud(trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path) -> Scene:
    scene = scene_of(trainer, policy_bundle, tmp_path, turned(trainer))
    assert scene.attest() == bytes([255])
    scene.chronicle.settle(bytes([100]), challenge_by=CHALLENGE_BY)
    return scene


def test_a_paid_fraud_is_challenged_revealed_and_what_it_wins_claimed(paid_fraud: Scene) -> None:
    scene, challenger = paid_fraud, paid_fraud.challenger()
    assert scene.advance(challenger)
    assert scene.functions() == ["approve", "commitChallenge"]
    number = scene.tell_commitment()
    assert not scene.advance(challenger, CHALLENGE_BY - 1)  # nobody may copy it yet
    assert scene.advance(challenger, CHALLENGE_BY)
    reveal = scene.sent.calls[-1].arguments
    assert (reveal["id"], reveal["index"], reveal["score"]) == (number, 0, 255)
    salt = reveal["salt"]
    assert isinstance(salt, bytes)
    expected = challenge_commitment(TaskId(1), Epoch(0), VERIFIER, SubmissionIndex(0), 255, salt)
    assert scene.chronicle.record().challenges[number].commitment == expected
    scene.chronicle.reveal_challenge(number, 0, 255)
    assert not scene.advance(challenger, CHALLENGE_BY)
    scene.chronicle.decide(0, 255, DisputePhase.OVERTURNED)
    scene.appeals.owed = 5
    assert scene.advance(challenger, CHALLENGE_BY + 500)
    scene.appeals.owed = 0
    assert not scene.advance(challenger, CHALLENGE_BY + 500)
    scene.appeals.owed = 7  # the fraud was slashed
    assert scene.advance(challenger, CHALLENGE_BY + 900)
    assert scene.functions()[2:] == ["revealChallenge", "claimChallenge", "claimChallenge"]


def test_where_no_panel_can_be_seated_nothing_is_put_down(paid_fraud: Scene) -> None:
    """Half of the bond would be burnt, and the score would stand."""
    scene, challenger = paid_fraud, paid_fraud.challenger()
    scene.panels.seats = 14
    scene.advance(challenger)
    assert not scene.functions() and scene.status.messages[-1] == "no panel for a challenge"
    scene.panels.seats = 15
    scene.advance(challenger)
    assert scene.functions() == ["approve", "commitChallenge"]


def test_against_the_slash_for_a_plant_a_challenge_is_made_without_a_panel(paid_fraud: Scene) -> None:
    scene = paid_fraud
    scene.panels.seats = 0
    scene.chronicle.record().plants[SubmissionIndex(0)] = b"\x05" * 32
    assert scene.advance(scene.challenger())
    assert scene.functions() == ["approve", "commitChallenge"]


def test_honest_submission_that_is_called_fraud_is_defended(
    trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path
) -> None:
    scene = scene_of(trainer, policy_bundle, tmp_path, trainer.write(trainer.parts()))
    assert scene.attest() == bytes([100])
    scene.chronicle.settle(bytes([255]), challenge_by=CHALLENGE_BY)
    assert scene.advance(scene.challenger())
    with scene.sessions() as session:
        assert session.get_one(ChallengeRow, (1, 0, 0)).score == 100


@pytest.mark.parametrize("outcome", [255, 0, 254])
def test_what_costs_nobody_a_fraud_is_let_be(paid_fraud: Scene, outcome: int) -> None:
    paid_fraud.chronicle.record().settled = bytes([outcome])
    assert not paid_fraud.advance(paid_fraud.challenger()) and not paid_fraud.sent.calls


def test_what_was_not_drawn_is_let_be(trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path) -> None:
    scene = scene_of(trainer, policy_bundle, tmp_path, trainer.write(trainer.parts()), sampling_bps=0)
    scene.attest()
    scene.chronicle.settle(bytes([255]), challenge_by=CHALLENGE_BY)
    assert not scene.advance(scene.challenger()) and not scene.sent.calls


def test_what_a_second_look_does_not_confirm_is_let_be(
    trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path
) -> None:
    scene = scene_of(trainer, policy_bundle, tmp_path, trainer.write(trainer.parts()))
    scene.attest()
    with scene.sessions() as session, session.begin():  # as if a disk had failed us the first time
        row = scene.attester.written(scene.chronicle.record())
        assert row is not None
        row.report = bytes([255])
        session.merge(row)
    scene.chronicle.settle(bytes([100]), challenge_by=CHALLENGE_BY)
    assert not scene.advance(scene.challenger()) and not scene.sent.calls


def test_after_the_window_it_is_too_late(paid_fraud: Scene) -> None:
    assert not paid_fraud.advance(paid_fraud.challenger(), CHALLENGE_BY) and not paid_fraud.sent.calls


def test_it_puts_down_no_more_than_it_holds_and_says_so(paid_fraud: Scene) -> None:
    scene, challenger = paid_fraud, paid_fraud.challenger()
    scene.token.balance = COST - 1
    scene.advance(challenger)
    assert not scene.sent.calls and "cannot pay for a challenge" in scene.status.messages
    scene.token.balance = COST
    assert scene.advance(challenger)


def test_what_may_be_taken_already_is_not_approved_again(paid_fraud: Scene) -> None:
    paid_fraud.token.allowed = COST
    paid_fraud.advance(paid_fraud.challenger())
    assert paid_fraud.functions() == ["commitChallenge"]


def test_a_crash_after_committing_reveals_the_same_challenge(paid_fraud: Scene) -> None:
    paid_fraud.advance(paid_fraud.challenger())
    number = paid_fraud.tell_commitment()
    assert paid_fraud.advance(paid_fraud.challenger(), CHALLENGE_BY)
    assert paid_fraud.sent.calls[-1].function == "revealChallenge"
    assert paid_fraud.sent.calls[-1].arguments["id"] == number
    assert paid_fraud.functions().count("commitChallenge") == 1


def test_one_that_expired_asks_for_nothing(paid_fraud: Scene) -> None:
    challenger = paid_fraud.challenger()
    paid_fraud.advance(challenger)
    number = paid_fraud.tell_commitment()
    paid_fraud.chronicle.expire(number)
    assert not paid_fraud.advance(challenger, CHALLENGE_BY + 500)
    assert "claimChallenge" not in paid_fraud.functions()


def test_what_is_over_is_closed(paid_fraud: Scene) -> None:
    challenger = paid_fraud.challenger()
    paid_fraud.advance(challenger)
    number = paid_fraud.tell_commitment()
    paid_fraud.chronicle.reveal_challenge(number, 0, 255)
    paid_fraud.chronicle.decide(0, 100, DisputePhase.UPHELD)
    paid_fraud.chronicle.finalise()
    paid_fraud.advance(challenger, 9_000)
    with paid_fraud.sessions() as session:
        assert session.get_one(ChallengeRow, (1, 0, 0)).is_over
