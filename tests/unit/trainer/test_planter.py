"""Planted frauds: covered before they are committed, opened in time, and paid for by who paid them."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from web3 import Web3

from assay_core.chain.contracts import NO_ADDRESS, AppealsContract, Call, Plant, PlantsContract
from assay_core.chain.events import (
    AttestationRevealed,
    ChallengeCommitted,
    ChallengeRevealed,
    DisputeDecided,
    EpochFinal,
    PaidPlantSlashed,
    PlantCommitted,
    PlantOpened,
    ScoreCorrected,
    VerdictSlashed,
    VerifierEnlisted,
)
from assay_core.protocol.encoding import plant_commitment
from assay_core.protocol.errors import Reverted, Stop
from assay_core.protocol.types import (
    Address,
    ChallengeId,
    DisputePhase,
    Epoch,
    PlantState,
    Root,
    SubmissionIndex,
    TaskId,
)
from assay_trainer.journal import Stage
from assay_trainer.planter import Planter
from tests.fakes import Notes
from tests.unit.trainer.ground import RIVAL, TASK, TRAINER, Ground, ListedChain, reverted

CONTRACT = Address("0x00000000000000000000000000000000000000AA")
PAYER = Address("0x00000000000000000000000000000000000000CC")
VERIFIERS = tuple(Address(f"0x{n:040d}") for n in (1, 2, 3))
PLANTED, HONEST = Root(b"\x07" * 32), Root(b"\x09" * 32)
FIRST, SUBMISSION = Epoch(0), SubmissionIndex(0)


class Plants(PlantsContract):
    """As it stands on the listed chain."""

    def __init__(self, web3: Web3, address: Address) -> None:
        super().__init__(web3, address)
        self.known: dict[bytes, Epoch] = {}
        self.opened: set[bytes] = set()
        self.copied: set[bytes] = set()

    def plant_of(self, task_id: TaskId, commitment: bytes) -> Plant:
        state = PlantState.COMMITTED if commitment in self.known else PlantState.NONE
        state = PlantState.OPENED if commitment in self.opened else state
        return Plant(state, RIVAL if commitment in self.copied else PAYER, self.known.get(commitment, FIRST))


class Appeals(AppealsContract):
    owed = 0

    def owed_to(self, task_id: TaskId, epoch: Epoch, challenge: ChallengeId) -> int:
        return self.owed


@dataclass
class TwoKeys:
    """The trainer's and the payer's, on a chain that is a list of events."""

    chain: ListedChain
    plants: Plants
    appeals: Appeals
    balance: int = 1_000
    paid: list[tuple[Call, int]] = field(default_factory=list[tuple[Call, int]])
    sent: list[Call] = field(default_factory=list[Call])
    refusal: str | None = None
    covers: Epoch = FIRST
    has_challenges: bool = True
    is_in_time: bool = True
    copies: int = 0  # so many of the next commitments somebody else puts down first

    trainer: Address = TRAINER
    planter: Address = PAYER

    def now(self) -> int:
        return self.chain.time

    def takes_plants(self) -> bool:
        return self.has_challenges

    def deposit_wei(self) -> int:
        return 5

    def balance_wei(self) -> int:
        return self.balance

    def pay(self, call: Call, amount_wei: int) -> None:
        self._refuse()
        commitment = call.arguments["commitment"] if call.function == "commitPlant" else None
        if isinstance(commitment, bytes) and self.copies > 0:
            self.copies -= 1
            self.plants.known = self.plants.known | {commitment: self.covers}
            self.plants.copied.add(commitment)
            raise reverted("WrongPlant")
        self.paid.append((call, amount_wei))
        if call.function == "refundPlant":  # there is one at a time
            self.plants.opened.update(self.plants.known)
        if isinstance(commitment, bytes):
            self.plants.known = self.plants.known | {commitment: self.covers}
            self.chain.add(PlantCommitted, commitment=commitment, planter=PAYER, deposit=amount_wei)

    def send_as_trainer(self, call: Call) -> None:
        self._refuse()
        self.sent.append(call)
        if call.function == "openPlant":
            commitment = next(iter(self.plants.known))
            self.chain.add(
                PlantOpened, epoch=FIRST, index=SUBMISSION, commitment=commitment, is_in_time=self.is_in_time
            )

    def epoch_of(self, commitment: bytes) -> Epoch:
        return self.plants.known[commitment]

    def _refuse(self) -> None:
        if self.refusal is not None:
            raise reverted(self.refusal)

    @property
    def functions(self) -> list[str]:
        return [call.function for call in self.sent]


@dataclass
class Scene:
    chain: ListedChain
    keys: TwoKeys
    notes: Notes
    folder: Path

    def planter(self, rate: float = 1.0, draw: float = 0.5) -> Planter:
        """As a new process would build it."""
        return Planter(TASK, self.keys, self.folder / "plants", rate, self.notes, draw=lambda: draw)

    def refunded(self) -> list[tuple[object, object]]:
        """Trainer and root of each plant whose deposit was taken back."""
        calls = [call for call, _ in self.keys.paid if call.function == "refundPlant"]
        return [(call.arguments["trainer"], call.arguments["manifestRoot"]) for call in calls]

    def planted(self, scores: bytes, reports: list[bytes] | None = None) -> None:
        """The plant is committed, and its epoch settled with these scores."""
        for verifier in VERIFIERS:
            self.chain.add(VerifierEnlisted, verifier=verifier, weight=100, from_epoch=FIRST)
        assert self.planter().cover(FIRST, PLANTED)
        self.chain.commit_as(TRAINER, PLANTED)
        self.chain.seal()
        for verifier, report in zip(VERIFIERS, reports or [], strict=False):
            fields = {"verifier": verifier, "weight": 100, "report": report, "evidence_root": Root(bytes(32))}
            self.chain.add(AttestationRevealed, epoch=FIRST, **fields)
        self.chain.settle(0, scores)

    def advance(self) -> None:
        self.planter().advance(self.chain.refresh())


def scene_of(folder: Path, sampling_bps: int) -> Scene:
    chain = ListedChain(Root(b"\x01" * 32), Root(b"\x02" * 32), sampling_bps=sampling_bps)
    web3 = Web3()
    return Scene(chain, TwoKeys(chain, Plants(web3, CONTRACT), Appeals(web3, CONTRACT)), Notes(), folder)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return scene_of(tmp_path, 10_000)


@pytest.mark.parametrize(("rate", "draw", "wanted"), [(0.0, 0.0, False), (0.3, 0.29, True), (0.3, 0.3, False)])
def test_so_many_submissions_are_plants_as_the_rate_says(scene: Scene, rate: float, draw: float, wanted: bool) -> None:
    assert scene.planter(rate, draw).wants_next() is wanted


def test_nothing_is_planted_without_a_deposit(scene: Scene) -> None:
    scene.keys.balance = 4
    assert not scene.planter().wants_next() and scene.notes.messages == ["no deposit for a plant"]


def test_in_a_task_without_challenges_there_are_neither_plants_nor_decoys(scene: Scene) -> None:
    scene.keys.has_challenges = False
    assert not scene.planter().wants_next()
    assert scene.notes.messages == ["nothing is planted in a task without challenges"]
    scene.planter().hide(FIRST, HONEST)
    assert not scene.keys.paid


def test_a_plant_names_trainer_and_submission_and_is_paid_for_once(scene: Scene) -> None:
    assert scene.planter().cover(FIRST, PLANTED)
    assert scene.planter().cover(FIRST, PLANTED)  # after a crash
    ((call, amount),) = scene.keys.paid
    plant = scene.planter()._read(PLANTED)  # pyright: ignore[reportPrivateUsage]
    assert plant is not None and amount == 5
    assert call.arguments["commitment"] == plant_commitment(TASK, TRAINER, PLANTED, plant.salt)


@pytest.mark.parametrize("is_decoy", [False, True])
def test_who_copies_a_commitment_becomes_the_planter_of_nothing(scene: Scene, is_decoy: bool) -> None:
    scene.keys.copies = 2
    root = HONEST if is_decoy else PLANTED
    if is_decoy:
        scene.planter().hide(FIRST, root)
    else:
        assert scene.planter().cover(FIRST, root)
    ((call, _),) = scene.keys.paid
    plant = scene.planter()._read(root)  # pyright: ignore[reportPrivateUsage]
    assert plant is not None and call.arguments["commitment"] == plant.commitment(TASK, TRAINER)
    assert len(scene.keys.plants.copied) == 2 and call.arguments["commitment"] not in scene.keys.plants.copied
    assert scene.notes.messages.count("a plant was copied") == 2


def test_a_commitment_that_was_copied_before_a_crash_gets_another_salt(scene: Scene) -> None:
    assert scene.planter().cover(FIRST, PLANTED)
    ((call, _),) = scene.keys.paid
    commitment = call.arguments["commitment"]
    assert isinstance(commitment, bytes)
    scene.keys.plants.copied.add(commitment)  # by a reorganisation
    assert scene.planter().cover(FIRST, PLANTED)
    assert len(scene.keys.paid) == 2 and scene.keys.paid[1][0].arguments["commitment"] != commitment


def test_what_is_copied_again_and_again_is_not_planted(scene: Scene) -> None:
    scene.keys.copies = 10
    with pytest.raises(Reverted):
        scene.planter().cover(FIRST, PLANTED)
    scene.planter().hide(FIRST, HONEST)
    assert not scene.keys.paid and scene.notes.messages[-1] == "decoy refused"
    scene.chain.commit_as(TRAINER, HONEST)
    scene.chain.seal()
    scene.chain.settle(0, bytes([100]))
    scene.advance()
    assert not scene.keys.paid  # the copier's deposit stays where it is


def test_a_plant_of_another_payer_is_ours_where_we_had_it_pay(scene: Scene) -> None:
    assert scene.planter().cover(FIRST, PLANTED)
    scene.keys.planter = RIVAL  # the operator has named another key since
    assert scene.planter().cover(FIRST, PLANTED)
    assert len(scene.keys.paid) == 1


def test_a_plant_that_came_too_late_covers_nothing(scene: Scene) -> None:
    scene.keys.covers = Epoch(1)
    assert not scene.planter().cover(FIRST, PLANTED)


def test_it_is_opened_once_its_epoch_is_settled_and_not_before(scene: Scene) -> None:
    planter = scene.planter()
    planter.cover(FIRST, PLANTED)
    scene.chain.commit_as(TRAINER, PLANTED)
    scene.chain.seal()
    scene.advance()
    assert not scene.keys.sent and planter.is_pending(PLANTED) and planter.unopened(scene.chain.refresh()) == 1
    scene.chain.settle(0, bytes([255]))
    scene.advance()
    scene.advance()
    assert scene.keys.functions == ["openPlant"] and planter.unopened(scene.chain.refresh()) == 0


def test_the_deposit_of_a_plant_in_a_void_epoch_comes_back(scene: Scene) -> None:
    """Also where somebody has claimed its submission, so that it cannot be opened any more."""
    scene.planter().cover(FIRST, PLANTED)
    scene.chain.commit_as(TRAINER, PLANTED)
    scene.chain.seal()
    scene.chain.void(0)
    scene.advance()
    scene.advance()
    assert scene.refunded() == [(TRAINER, PLANTED)] and not scene.planter().is_pending(PLANTED)


def test_who_paid_what_its_colleagues_found_is_slashed(scene: Scene) -> None:
    scene.planted(bytes([255]), [bytes([100]), bytes([255]), bytes([255])])
    scene.advance()
    scene.advance()
    assert scene.keys.functions == ["openPlant"]
    scene.chain.add(EpochFinal, epoch=FIRST)
    scene.advance()
    assert scene.keys.functions == ["openPlant", "slashPaidPlant"]
    assert scene.keys.sent[-1].arguments["verifier"] == VERIFIERS[0]
    fields = {"index": SUBMISSION, "verifier": VERIFIERS[0], "amount": 20, "to_planter": 1}
    scene.chain.add(PaidPlantSlashed, epoch=FIRST, **fields)
    scene.advance()
    assert not scene.planter().is_pending(PLANTED) and len(scene.keys.paid) == 1


def test_for_a_plant_that_was_opened_late_nobody_is_slashed(scene: Scene) -> None:
    scene.planted(bytes([255]), [bytes([100]), bytes([255]), bytes([255])])
    scene.chain.add(EpochFinal, epoch=FIRST)
    scene.keys.is_in_time = False
    scene.advance()
    scene.advance()
    assert scene.keys.functions == ["openPlant"] and not scene.planter().is_pending(PLANTED)


def test_a_plant_that_all_paid_though_it_was_drawn_is_disputed_and_its_payers_slashed(scene: Scene) -> None:
    """Nobody had looked: without the dispute nobody would ever need to."""
    scene.planted(bytes([100]), [bytes([100])] * 3)
    record = scene.chain.refresh().epochs[FIRST]
    record.challenge_by = scene.chain.time + 10
    scene.advance()
    scene.advance()
    call, amount = scene.keys.paid[-1]
    params = scene.chain.params
    assert (call.function, amount) == ("commitChallenge", params.challenge_bond + 15 * params.juror_fee)
    fields = {"id": ChallengeId(0), "challenger": PAYER}
    scene.chain.add(ChallengeCommitted, epoch=FIRST, **fields, commitment=call.arguments["commitment"])
    scene.advance()
    assert len(scene.keys.paid) == 2  # nobody may copy it yet
    scene.chain.time += 10
    scene.advance()
    call, amount = scene.keys.paid[-1]
    assert (call.function, amount, call.arguments["score"]) == ("revealChallenge", 0, 255)
    scene.chain.add(ChallengeRevealed, epoch=FIRST, **fields, index=SUBMISSION, standing=100, score=255)
    decided = {"index": SUBMISSION, "score": 255, "phase": DisputePhase.OVERTURNED, "is_against_verifiers": True}
    scene.chain.add(DisputeDecided, epoch=FIRST, **decided)
    scene.chain.add(ScoreCorrected, epoch=FIRST, index=SUBMISSION, score=255)
    scene.advance()
    assert scene.keys.functions == ["openPlant", *["slashVerdict"] * 3]
    for verifier in VERIFIERS:
        scene.chain.add(VerdictSlashed, epoch=FIRST, index=SUBMISSION, verifier=verifier, amount=20, to_finder=1)
    scene.keys.appeals.owed = 3
    scene.advance()
    assert scene.keys.paid[-1][0].function == "claimChallenge"
    scene.keys.appeals.owed = 0
    scene.chain.add(EpochFinal, epoch=FIRST)
    scene.advance()
    assert not scene.planter().is_pending(PLANTED)


def test_a_plant_that_the_seed_did_not_draw_is_opened_and_nobody_blamed(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, 1)
    scene.planted(bytes([100]), [bytes([100])] * 3)
    scene.chain.refresh().epochs[FIRST].challenge_by = scene.chain.time + 10
    scene.advance()
    scene.advance()
    scene.chain.add(EpochFinal, epoch=FIRST)
    scene.advance()
    assert scene.keys.functions == ["openPlant"] and len(scene.keys.paid) == 1
    assert not scene.planter().is_pending(PLANTED)


def test_a_challenge_that_cannot_be_paid_is_told(scene: Scene) -> None:
    scene.planted(bytes([100]), [bytes([100])] * 3)
    scene.chain.refresh().epochs[FIRST].challenge_by = scene.chain.time + 10
    scene.advance()
    scene.keys.balance = 0
    scene.advance()
    assert "no bond for a challenge" in scene.notes.messages


def test_the_deposit_of_a_plant_whose_submission_came_too_late_comes_back_at_once(scene: Scene) -> None:
    scene.planter().cover(FIRST, PLANTED)
    scene.chain.commit_as(RIVAL, Root(b"\x08" * 32))
    scene.chain.seal()
    scene.advance()
    scene.advance()
    assert scene.refunded() == [(TRAINER, PLANTED)] and not scene.planter().is_pending(PLANTED)
    assert scene.notes.messages[-1] == "plant over"


def test_a_refund_that_is_refused_is_not_asked_for_again(scene: Scene) -> None:
    planter = scene.planter()
    planter.cover(FIRST, PLANTED)
    scene.chain.commit_as(RIVAL, Root(b"\x08" * 32))
    scene.chain.seal()
    scene.keys.refusal = "MayBeCommitted"
    planter.advance(scene.chain.refresh())
    planter.advance(scene.chain.refresh())
    assert scene.notes.messages[-2:] == ["plant refused", "plant over"] and not scene.refunded()


def test_an_honest_submission_gets_a_decoy_that_is_opened_when_plants_are(scene: Scene) -> None:
    planter = scene.planter()
    planter.hide(FIRST, HONEST)
    planter.hide(FIRST, HONEST)  # after a crash
    ((call, amount),) = scene.keys.paid
    decoy = planter._read(HONEST)  # pyright: ignore[reportPrivateUsage]
    assert decoy is not None and amount == 5
    assert call.arguments["commitment"] == plant_commitment(TASK, NO_ADDRESS, Root(bytes(32)), decoy.salt)
    assert not planter.is_pending(HONEST)  # the submission is paid as any other
    scene.chain.commit_as(TRAINER, HONEST)
    scene.chain.seal()
    scene.advance()
    assert len(scene.keys.paid) == 1
    scene.chain.settle(0, bytes([100]))
    scene.advance()
    call, amount = scene.keys.paid[-1]
    assert (call.arguments["salt"], amount) == (decoy.salt, 0)
    assert scene.refunded() == [(NO_ADDRESS, Root(bytes(32)))]
    scene.advance()
    scene.advance()
    assert len(scene.keys.paid) == 2 and scene.notes.messages[-1] == "decoy over"


@pytest.mark.parametrize("balance", [0, 1_000])
def test_where_a_decoy_cannot_be_had_the_submission_goes_on_without(scene: Scene, balance: int) -> None:
    scene.keys.balance, scene.keys.refusal = balance, "EpochNotOpen"
    scene.planter().hide(FIRST, HONEST)
    assert scene.notes.messages == ["decoy refused" if balance else "no deposit for a decoy"]
    assert not scene.keys.paid


def test_without_decoys_or_plants_nothing_is_put_beside_honest_submissions(scene: Scene) -> None:
    keys, folder = scene.keys, scene.folder / "plants"
    Planter(TASK, keys, folder, 1.0, scene.notes, puts_decoys=False).hide(FIRST, HONEST)
    Planter(TASK, keys, folder, 0.0, scene.notes).hide(FIRST, HONEST)
    assert not keys.paid


def test_a_damaged_record_stops(scene: Scene) -> None:
    scene.planter().cover(FIRST, PLANTED)
    next((scene.folder / "plants").glob("*.json")).write_text("{}")
    with pytest.raises(Stop, match="damaged"):
        scene.advance()


# ---- in the worker


def test_a_plant_is_covered_before_it_is_committed_and_differs_from_honest_submission(ground: Ground) -> None:
    keys = keys_of(ground)
    ground.enlisted().chain.refusals = [reverted("CommitClosed")]
    ground.worker("honest").run_once()
    paid_before: list[int] = []
    ground.chain.before_commit = lambda: paid_before.append(len(keys.paid))
    ground.worker(planter=planter_of(ground, keys)).run_once()
    assert paid_before == [1]
    (planted,) = ground.chain.commits
    honest, entry = ground.journal("honest").read(FIRST), ground.journal().read(FIRST)
    assert entry is not None and entry.is_plant and entry.manifest_root == planted
    assert honest is not None and honest.manifest_root != planted
    assert planter_of(ground, keys).is_pending(planted)


def test_what_no_plant_covers_is_not_committed(ground: Ground) -> None:
    """It would be a fraud like any other."""
    keys = keys_of(ground)
    keys.covers = Epoch(1)
    ground.enlisted().worker(planter=planter_of(ground, keys)).run_once()
    entry = ground.journal().read(FIRST)
    assert not ground.chain.commits and entry is not None and entry.stage is Stage.MISSED


def test_a_plant_that_is_refused_is_not_committed(ground: Ground) -> None:
    keys = keys_of(ground)
    keys.refusal = "EpochNotOpen"
    ground.enlisted().worker(planter=planter_of(ground, keys)).run_once()
    assert not ground.chain.commits


def test_where_nothing_is_planted_submissions_are_honest(ground: Ground) -> None:
    keys = keys_of(ground)
    ground.enlisted().worker("planting", planter=planter_of(ground, keys, rate=0.0)).run_once()
    assert not keys.paid
    entry = ground.journal("planting").read(FIRST)
    assert entry is not None and not entry.is_plant


def test_before_an_honest_submission_of_who_plants_comes_a_decoy(ground: Ground) -> None:
    keys = keys_of(ground)
    paid_before: list[int] = []
    ground.enlisted().chain.before_commit = lambda: paid_before.append(len(keys.paid))
    ground.worker(planter=planter_of(ground, keys, rate=0.4)).run_once()
    entry = ground.journal().read(FIRST)
    assert paid_before == [1] and entry is not None and not entry.is_plant


def keys_of(ground: Ground) -> TwoKeys:
    web3 = Web3()
    return TwoKeys(ground.chain, Plants(web3, CONTRACT), Appeals(web3, CONTRACT))


def planter_of(ground: Ground, keys: TwoKeys, rate: float = 1.0) -> Planter:
    return Planter(TASK, keys, ground.folder / "plants", rate, ground.notes, draw=lambda: 0.5)
