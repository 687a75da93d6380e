"""Plants frauds: submissions that are made wrong on purpose, so that looking pays for verifiers where nobody else
cheats.

Each other submission gets a decoy, a commitment to nothing, at the same moment: so what is on chain does not tell
plants from honest submissions before they are opened.

A plant is committed to before its submission, by an account that need not be the trainer's, and opened once its epoch
is
settled: then it is neither paid nor slashed. A verifier that paid it, though its epoch's seed had drawn it, is slashed:
where its colleagues found the fraud, by Plants; where none did, after a challenge. All is on disk before it is sent.
"""

import json
import random
import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from assay_core.bundle.directory import write_atomically
from assay_core.chain.blame import fooled, suspects
from assay_core.chain.challenging import Objection, claim_call, is_over, next_call
from assay_core.chain.contracts import NO_ADDRESS, AppealsContract, Call, PlantsContract, SubmissionRef
from assay_core.chain.contracts import Plant as PlacedPlant
from assay_core.chain.ledger import TaskLedger
from assay_core.chain.records import CommittedSubmission, EpochRecord
from assay_core.daemon.status import Status
from assay_core.protocol.economics import challenge_cost
from assay_core.protocol.encoding import must_replay, plant_commitment
from assay_core.protocol.errors import Reverted, Stop
from assay_core.protocol.types import SCORE_FRAUD, Address, Epoch, PlantState, Root, TaskId, is_paid

SALT_BYTES = 32
MAX_SALTS = 3  # for one plant, where somebody copies its commitment and is faster
_RANDOM = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Plant:
    """One plant, or the decoy of an honest submission, as it lies on disk.

    `payer`: who is to put down its deposit. `is_done`: nothing more is to be done about it.
    """

    epoch: Epoch
    manifest_root: Root
    salt: bytes
    challenge_salt: bytes
    payer: Address
    is_done: bool = False
    is_decoy: bool = False

    def covers(self, trainer: Address) -> tuple[Address, Root]:
        """Which submission it says to be fraud: its trainer and root; both are 0 where it is a decoy."""
        return (NO_ADDRESS, Root(bytes(32))) if self.is_decoy else (trainer, self.manifest_root)

    def commitment(self, task_id: TaskId, trainer: Address) -> bytes:
        return plant_commitment(task_id, *self.covers(trainer), self.salt)


class PlantChain(Protocol):
    """Two keys on chain: the trainer's and that which pays. Methods raise Unavailable and Stop; calls also Reverted."""

    @property
    def trainer(self) -> Address:
        """The operator whose submissions are planted."""
        ...

    @property
    def planter(self) -> Address:
        """The account that pays."""
        ...

    @property
    def plants(self) -> PlantsContract: ...
    @property
    def appeals(self) -> AppealsContract: ...
    def now(self) -> int: ...
    def takes_plants(self) -> bool:
        """Whether the task has a challenge window: without one nobody could open a plant in time."""
        ...

    def deposit_wei(self) -> int: ...
    def balance_wei(self) -> int:
        """What of the token the planter holds."""
        ...

    def pay(self, call: Call, amount_wei: int) -> None:
        """Send a call that takes so much from the planter."""
        ...

    def send_as_trainer(self, call: Call) -> None: ...
    def epoch_of(self, commitment: bytes) -> Epoch:
        """Which epoch a plant covers."""
        ...


class Planter:
    """The plants of one trainer in one task, below one directory."""

    def __init__(
        self,
        task_id: TaskId,
        chain: PlantChain,
        directory: Path,
        rate: float,
        status: Status,
        draw: Callable[[], float] = _RANDOM.random,
        *,
        puts_decoys: bool = True,
    ) -> None:
        """`rate`: the share of submissions that are planted, drawn by `draw`, uniform in [0, 1); others may get
        decoys.
        """
        self._puts_decoys = puts_decoys and rate > 0
        self._task_id, self._chain, self._directory = task_id, chain, directory
        self._rate, self._status, self._draw = rate, status, draw
        self._refused: set[bytes] = set()  # calls that the contracts have refused
        directory.mkdir(parents=True, exist_ok=True)

    def wants_next(self) -> bool:
        """Whether the submission that is to be made now shall be a plant; not where the deposit cannot be paid.

        Raises Unavailable, Stop.
        """
        if self._draw() >= self._rate:
            return False
        if not self._chain.takes_plants():
            self._status("nothing is planted in a task without challenges")
            return False
        held, needed = self._chain.balance_wei(), self._chain.deposit_wei()
        if held < needed:
            self._status("no deposit for a plant", held=held, needed=needed)
        return held >= needed

    def cover(self, epoch: Epoch, root: Root) -> bool:
        """Commit to a submission's being fraud, before it is committed; False: the plant covers another epoch.

        Raises Reverted, Unavailable, Stop; again, it finds what an earlier attempt has sent.
        """
        plant = self._put_down(self._read(root) or Plant(epoch, root, _salt(), _salt(), self._chain.planter))
        return self._chain.epoch_of(plant.commitment(self._task_id, self._chain.trainer)) == epoch

    def hide(self, epoch: Epoch, root: Root) -> None:
        """Put a decoy beside an honest submission, before it is committed; without one where that cannot be.

        Raises Unavailable, Stop.
        """
        decoy = self._read(root) or Plant(epoch, root, _salt(), _salt(), self._chain.planter, is_decoy=True)
        if not self._puts_decoys or decoy.is_done or not self._chain.takes_plants():
            return
        try:
            if self._chain.balance_wei() >= self._chain.deposit_wei() or self._is_down(decoy):
                self._put_down(decoy)
            else:
                self._status("no deposit for a decoy", epoch=epoch)
        except Reverted as error:
            self._status("decoy refused", epoch=epoch, why=error.error)

    def _put_down(self, plant: Plant) -> Plant:
        """Commit to it: under another salt where somebody has copied the commitment and was faster.

        The copy would have the deposit and the reward. Nobody but us can open it: so its own deposit is forfeited.
        """
        for _ in range(MAX_SALTS - 1):
            try:
                if self._commit(plant):
                    return plant
            except Reverted as error:
                if error.error != "WrongPlant" or not _is_copy(self._found(plant), plant):
                    raise
            self._status("a plant was copied", epoch=plant.epoch, by=self._found(plant).planter)
            plant = replace(plant, salt=_salt(), payer=self._chain.planter)
        if self._commit(plant):
            return plant
        raise Reverted("WrongPlant", {}, "Plants.commitPlant")

    def _commit(self, plant: Plant) -> bool:
        """False: the commitment is somebody else's."""
        self._write(plant)
        found = self._found(plant)
        if found.state is not PlantState.NONE:
            return not _is_copy(found, plant)
        deposit = self._chain.deposit_wei()
        commitment = plant.commitment(self._task_id, self._chain.trainer)
        self._chain.pay(self._chain.plants.commit_plant(self._task_id, commitment), deposit)
        what = "decoy committed" if plant.is_decoy else "plant committed"
        self._status(what, epoch=plant.epoch, manifest_root=plant.manifest_root.hex(), deposit=str(deposit))
        return True

    def _found(self, plant: Plant) -> PlacedPlant:
        return self._chain.plants.plant_of(self._task_id, plant.commitment(self._task_id, self._chain.trainer))

    def _is_down(self, plant: Plant) -> bool:
        found = self._found(plant)
        return found.state is not PlantState.NONE and not _is_copy(found, plant)

    def is_pending(self, root: Root) -> bool:
        """Whether a submission is a plant of ours that is not over: it must be opened before it is claimed."""
        plant = self._read(root)
        return plant is not None and not plant.is_done and not plant.is_decoy

    def unopened(self, ledger: TaskLedger) -> int:
        """How many submissions of ours are plants that nobody knows to be such yet: slashed as frauds unless we
        open them.
        """
        return sum(self._is_unopened(ledger, plant) for plant in self._pending())

    def _is_unopened(self, ledger: TaskLedger, plant: Plant) -> bool:
        record = ledger.epochs.get(plant.epoch)
        committed = None if record is None or plant.is_decoy else _submission_of(plant, record, self._chain.trainer)
        return record is not None and committed is not None and committed.submission.index not in record.plants

    def advance(self, ledger: TaskLedger) -> None:
        """Open what can be opened, dispute what was paid though it was drawn, have those slashed who paid it.

        Raises Unavailable, Stop.
        """
        for plant in list(self._pending()):
            record = ledger.epochs.get(plant.epoch)
            if record is not None and record.is_sealed:
                self._advance(ledger, record, plant)

    def _advance(self, ledger: TaskLedger, record: EpochRecord, plant: Plant) -> None:
        committed = None if plant.is_decoy else _submission_of(plant, record, self._chain.trainer)
        if record.is_void or committed is None:
            self._take_back(record, plant, is_missed=committed is None and not plant.is_decoy)
            return
        if not record.is_settled:
            return
        if committed.submission.index in record.plants:
            self._pursue(ledger, record, plant, committed)
        else:
            ref = SubmissionRef(self._task_id, record.epoch, committed.submission)
            self._send(self._chain.plants.open_plant(ref, plant.salt), record)

    def _take_back(self, record: EpochRecord, plant: Plant, *, is_missed: bool) -> None:
        """The deposit of what guards no submission that can be paid: a decoy, a void epoch, a submission that came too
        late.

        Decoys when plants are opened, and not before: what is opened early hides nothing. A missed one at once: where
        a trainer has one submission in an epoch, its next one ends the time for it.
        """
        if not is_missed and not record.is_settled and not record.is_void:
            return
        found = self._found(plant)
        call = self._chain.plants.refund_plant(self._task_id, *plant.covers(self._chain.trainer), plant.salt)
        is_waiting = found.state is PlantState.COMMITTED and not _is_copy(found, plant)
        if is_waiting and call.data not in self._refused:
            self._pay(call, 0, record)
        else:
            self._finish(plant, "decoy over" if plant.is_decoy else "plant over")

    def _pursue(self, ledger: TaskLedger, record: EpochRecord, plant: Plant, committed: CommittedSubmission) -> None:
        """Anyone who paid it shall pay for it: see offchain/assay_core/chain/blame.py."""
        index = committed.submission.index
        objection = Objection(
            self._task_id, record.epoch, index, SCORE_FRAUD, self._chain.planter, plant.challenge_salt
        )
        for call in self._slashes(ledger, record, committed):
            self._send(call, record)
        if self._was_paid(ledger, record, committed):
            self._object(ledger, record, objection)
        is_owed = objection.challenge_in(record) is not None and not is_over(objection, record)
        if record.is_final and not is_owed and not any(True for _ in self._slashes(ledger, record, committed)):
            self._finish(plant, "plant over")

    def _was_paid(self, ledger: TaskLedger, record: EpochRecord, committed: CommittedSubmission) -> bool:
        """Though the seed had drawn it: else nobody had to see it."""
        index = committed.submission.index
        is_drawn = record.seed is not None and must_replay(record.seed, index, ledger.task.params.sampling_bps)
        return is_drawn and is_paid(record.settled_score_of(index) or 0)

    def _object(self, ledger: TaskLedger, record: EpochRecord, objection: Objection) -> None:
        appeals, params = self._chain.appeals, ledger.task.params
        call = next_call(objection, record, params, self._chain.now(), appeals) or claim_call(
            objection, record, appeals
        )
        if call is None:
            return
        if objection.challenge_in(record) is not None:
            self._pay(call, 0, record)
        elif self._chain.balance_wei() >= challenge_cost(params):
            self._pay(call, challenge_cost(params), record)
        else:
            self._status("no bond for a challenge", epoch=record.epoch, submission=objection.index)

    def _slashes(self, ledger: TaskLedger, record: EpochRecord, committed: CommittedSubmission) -> Iterator[Call]:
        """Of verifiers that paid the plant, unless the ledger shows them, or the contracts have refused them."""
        index, params = committed.submission.index, ledger.task.params
        where = self._task_id, record.epoch, index
        for verifier in fooled(record, index, params):
            call = self._chain.plants.slash_paid_plant(*where, verifier, record.reveals[verifier].report)
            if call.data not in self._refused:
                yield call
        if (dispute := record.disputes.get(index)) is not None:
            for verifier in suspects(record, dispute, params):
                call = self._chain.appeals.slash_verdict(*where, verifier, record.reveals[verifier].report)
                if call.data not in self._refused:
                    yield call

    # ---- sending and keeping

    def _send(self, call: Call, record: EpochRecord) -> None:
        """By the trainer's key; what was refused once is not sent again."""
        if call.data not in self._refused:
            self._attempt(lambda: self._chain.send_as_trainer(call), call, record)

    def _pay(self, call: Call, amount_wei: int, record: EpochRecord) -> None:
        self._attempt(lambda: self._chain.pay(call, amount_wei), call, record)

    def _attempt(self, send: Callable[[], None], call: Call, record: EpochRecord) -> None:
        """Raises Unavailable, Stop. A refusal is noted: too early, or somebody was faster."""
        try:
            send()
        except Reverted as error:
            self._refused.add(call.data)
            self._status("plant refused", call=call.function, epoch=record.epoch, why=error.error)
            return
        self._status("plant", call=call.function, epoch=record.epoch)

    def _pending(self) -> Iterator[Plant]:
        for path in sorted(self._directory.glob("*.json")):
            plant = _parse(path)
            if not plant.is_done:
                yield plant

    def _finish(self, plant: Plant, message: str) -> None:
        self._write(replace(plant, is_done=True))
        self._status(message, epoch=plant.epoch, manifest_root=plant.manifest_root.hex())

    def _path(self, root: Root) -> Path:
        return self._directory / f"{root.hex()}.json"

    def _read(self, root: Root) -> Plant | None:
        path = self._path(root)
        return _parse(path) if path.exists() else None

    def _write(self, plant: Plant) -> None:
        value = {name: item.hex() if isinstance(item, bytes) else item for name, item in asdict(plant).items()}
        write_atomically(self._path(plant.manifest_root), json.dumps(value, indent=1).encode())


def _is_copy(found: PlacedPlant, plant: Plant) -> bool:
    """Whether somebody else has committed to what is our plant's hash."""
    return found.state is PlantState.COMMITTED and found.planter != plant.payer


def _submission_of(plant: Plant, record: EpochRecord, trainer: Address) -> CommittedSubmission | None:
    mine = record.submissions_of(trainer)
    return next((each for each in mine if each.submission.manifest_root == plant.manifest_root), None)


def _parse(path: Path) -> Plant:
    """Raises Stop: the file is damaged."""
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Plant(
            Epoch(int(value["epoch"])),
            Root(bytes.fromhex(value["manifest_root"])),
            bytes.fromhex(value["salt"]),
            bytes.fromhex(value["challenge_salt"]),
            Address(value["payer"]),
            bool(value["is_done"]),
            bool(value["is_decoy"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Stop(f"{path}, without which a plant's deposit is lost, is damaged: restore it") from error


def _salt() -> bytes:
    return secrets.token_bytes(SALT_BYTES)
