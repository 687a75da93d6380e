"""Plants frauds: works that are made wrong on purpose, so that looking pays for verifiers where nobody else cheats.

A plant is committed to before its work, by an account that need not be the trainer's, and opened once its epoch is
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

from offchain.chain.blame import fooled, suspects
from offchain.chain.challenging import Objection, claim_call, cost_wei, is_over, next_call
from offchain.chain.contracts import AppealsContract, Call, PlantsContract, WorkRef
from offchain.chain.ledger import TaskLedger
from offchain.chain.records import CommittedWork, EpochRecord
from offchain.daemon.status import Status
from offchain.protocol.encoding import must_replay, plant_commitment
from offchain.protocol.errors import Reverted, Stop
from offchain.protocol.types import SCORE_FRAUD, Address, Epoch, PlantState, Root, TaskId, is_paid
from offchain.shardcast.store import write_atomically

SALT_BYTES = 32
_RANDOM = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Plant:
    """One plant, as it lies on disk. `is_done`: nothing more is to be done about it."""

    epoch: Epoch
    manifest_root: Root
    salt: bytes
    challenge_salt: bytes
    is_done: bool = False

    def commitment(self, task_id: TaskId, trainer: Address) -> bytes:
        return plant_commitment(task_id, trainer, self.manifest_root, self.salt)


class PlantChain(Protocol):
    """Two keys on chain: the trainer's and that which pays. Methods raise Unavailable and Stop; calls also Reverted."""

    @property
    def trainer(self) -> Address:
        """The operator whose works are planted."""
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
    ) -> None:
        """`rate`: the share of works that are planted, drawn by `draw`, uniform in [0, 1)."""
        self._task_id, self._chain, self._directory = task_id, chain, directory
        self._rate, self._status, self._draw = rate, status, draw
        self._refused: set[bytes] = set()  # calls that the contracts have refused
        directory.mkdir(parents=True, exist_ok=True)

    def wants_next(self) -> bool:
        """Whether the work that is to be made now shall be a plant; not where the deposit cannot be paid."""
        if self._draw() >= self._rate:
            return False
        held, needed = self._chain.balance_wei(), self._chain.deposit_wei()
        if held < needed:
            self._status("no deposit for a plant", held=held, needed=needed)
        return held >= needed

    def cover(self, epoch: Epoch, root: Root) -> bool:
        """Commit to a work's being fraud, before it is committed; False: the plant covers another epoch.

        Raises Reverted, Unavailable, Stop; again, it finds what an earlier attempt has sent.
        """
        plant = self._read(root) or Plant(epoch, root, _salt(), _salt())
        self._write(plant)
        commitment = plant.commitment(self._task_id, self._chain.trainer)
        state = self._chain.plants.plant_of(self._task_id, commitment).state
        if state is PlantState.NONE:
            deposit = self._chain.deposit_wei()
            self._chain.pay(self._chain.plants.commit_plant(self._task_id, commitment), deposit)
            self._status("plant committed", epoch=epoch, manifest_root=root.hex(), deposit=str(deposit))
        return self._chain.epoch_of(commitment) == epoch

    def is_pending(self, root: Root) -> bool:
        """Whether a work is a plant of ours that is not over: it must be opened before it is claimed."""
        plant = self._read(root)
        return plant is not None and not plant.is_done

    def advance(self, ledger: TaskLedger) -> None:
        """Open what can be opened, dispute what was paid though it was drawn, have those slashed who paid it.

        Raises Unavailable, Stop.
        """
        for plant in list(self._pending()):
            record = ledger.epochs.get(plant.epoch)
            if record is not None and record.is_sealed:
                self._advance(ledger, record, plant)

    def _advance(self, ledger: TaskLedger, record: EpochRecord, plant: Plant) -> None:
        committed = _work_of(plant, record, self._chain.trainer)
        if committed is None:  # the epoch went on without it
            self._finish(plant, "plant lost")
            return
        index = committed.work.index
        if index not in record.plants and (record.is_settled or record.is_void):
            ref = WorkRef(self._task_id, record.epoch, committed.work)
            self._send(self._chain.plants.open_plant(ref, plant.salt), record)
            return
        if record.is_void:
            self._finish(plant, "plant over")
        elif record.is_settled:
            self._pursue(ledger, record, plant, committed)

    def _pursue(self, ledger: TaskLedger, record: EpochRecord, plant: Plant, committed: CommittedWork) -> None:
        """Whoever paid it shall pay for it: see offchain/chain/blame.py."""
        index = committed.work.index
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

    def _was_paid(self, ledger: TaskLedger, record: EpochRecord, committed: CommittedWork) -> bool:
        """Though the seed had drawn it: else nobody had to see it."""
        index = committed.work.index
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
        elif self._chain.balance_wei() >= cost_wei(params):
            self._pay(call, cost_wei(params), record)
        else:
            self._status("no bond for a challenge", epoch=record.epoch, work=objection.index)

    def _slashes(self, ledger: TaskLedger, record: EpochRecord, committed: CommittedWork) -> Iterator[Call]:
        """Of verifiers that paid the plant, unless the ledger shows them, or the contracts have refused them."""
        index, params = committed.work.index, ledger.task.params
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


def _work_of(plant: Plant, record: EpochRecord, trainer: Address) -> CommittedWork | None:
    mine = record.works_of(trainer)
    return next((each for each in mine if each.work.manifest_root == plant.manifest_root), None)


def _parse(path: Path) -> Plant:
    """Raises Stop: the file is damaged."""
    try:
        value: dict[str, Any] = json.loads(path.read_text())
        return Plant(
            Epoch(int(value["epoch"])),
            Root(bytes.fromhex(value["manifest_root"])),
            bytes.fromhex(value["salt"]),
            bytes.fromhex(value["challenge_salt"]),
            bool(value["is_done"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Stop(f"{path}, without which a plant's deposit is lost, is damaged: restore it") from error


def _salt() -> bytes:
    return secrets.token_bytes(SALT_BYTES)
