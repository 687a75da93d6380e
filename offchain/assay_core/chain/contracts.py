"""The contracts, typed. Views ask the node; functions that change something return a `Call` for the sender.

Views raise Unavailable (the node did not answer: retry) and Reverted (the contract refused the question).
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, Literal

from eth_utils.address import to_checksum_address
from web3 import Web3
from web3.exceptions import BadFunctionCallOutput, ContractLogicError

from assay_core.chain.abis import load_abi
from assay_core.chain.reverts import reverted
from assay_core.chain.rpc import asking_node
from assay_core.protocol.errors import Unavailable
from assay_core.protocol.types import (
    Address,
    ChallengeId,
    ChallengeState,
    DisputePhase,
    Epoch,
    EpochPhase,
    PanelClass,
    PlantState,
    PolicyState,
    PolicyVersion,
    Role,
    Root,
    Seed,
    Submission,
    SubmissionIndex,
    SubmissionKind,
    TaskId,
    TaskParams,
)

NO_ADDRESS = Address("0x" + "00" * 20)


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction to be: what to call, with what. Equal calls are the same intent."""

    contract: str
    function: str
    to: Address
    data: bytes
    arguments: Mapping[str, object] = field(compare=False)

    def __str__(self) -> str:
        return f"{self.contract}.{self.function}"


@dataclass(frozen=True, slots=True)
class FreeBond:
    """The operator that a key acts for, and what of its bond can be locked in the block that is being made."""

    operator: Address
    amount_wei: int


@dataclass(frozen=True, slots=True)
class Bond:
    """Money of one operator in one role; `withdrawable_at` is a Unix time, 0 when nothing is unbonding."""

    bonded_wei: int
    locked_wei: int  # part of what is bonded: it answers for something
    unbonding_wei: int
    withdrawable_at: int

    @property
    def free_wei(self) -> int:
        """What can be unbonded; it can be locked too, unless it was bonded in this very block."""
        return self.bonded_wei - self.locked_wei


@dataclass(frozen=True, slots=True)
class TaskOrigin:
    """`ITaskRegistry.originOf`: what never changes about a task beside its terms."""

    initiator: Address
    policy_root: Root
    terms_hash: bytes


@dataclass(frozen=True, slots=True)
class TaskMoney:
    """`ITaskRegistry.moneyOf`."""

    budget_wei: int
    reserved_wei: int
    is_closed: bool


@dataclass(frozen=True, slots=True)
class OpenEpoch:
    """`ICommitments.openEpochOf`: `epoch` is open, or opens next; a closed one takes no further submissions."""

    epoch: Epoch
    is_open: bool
    is_closed: bool
    submissions: int


@dataclass(frozen=True, slots=True)
class EpochState:
    """`ICommitments.epochOf`; `cost_wei` is the most that its submissions can earn, `commit_by` a Unix time."""

    submissions: int
    units: int
    cost_wei: int
    commit_by: int


@dataclass(frozen=True, slots=True)
class TrainerCollateral:
    """What of a trainer's bond answers for a task, and for how many submissions."""

    locked_wei: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class TrainerCounts:
    """`ICommitments.trainersOf`: how many are enlisted, and for how many the open epoch waits."""

    trainers: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Electorate:
    """`IVerifiers.electorateOf`: who would judge the open epoch, were it sealed now."""

    weight: int
    verifiers: int


@dataclass(frozen=True, slots=True)
class VerifierCollateral:
    """What of a verifier's bond answers for its part in a task; `until`, a Unix time, once it has left."""

    amount_wei: int
    until: int | None


@dataclass(frozen=True, slots=True)
class PolicyLine:
    """`IPolicies.policyOf`: the newest policy version of a task, its root, and the epoch whose policy is next."""

    version: PolicyVersion
    policy_root: Root
    next_epoch: Epoch


@dataclass(frozen=True, slots=True)
class AttestationState:
    """`IAttestations.attestationOf`: what one verifier revealed of an epoch.

    `report_hash` has 31 bytes: the first of keccak256(report). None: it did not reveal.
    """

    report_hash: bytes | None
    weight: int
    differences: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """`IAttestations.scheduleOf`: when phases end, Unix times; 0 and `paid` 0 until the epoch is settled."""

    attest_by: int
    reveal_by: int
    challenge_by: int
    paid: int


@dataclass(frozen=True, slots=True)
class Tally:
    """`IAttestations.tallyOf`: submissions, those settled, and who judges them with what weight."""

    submissions: int
    settled: int
    verifiers: int
    committed: int
    revealed: int
    revealed_weight: int
    weight: int


@dataclass(frozen=True, slots=True)
class Seat:
    """`IPanels.seatOf`: `taken_at` is a block number."""

    juror: Address
    taken_at: int


@dataclass(frozen=True, slots=True)
class Challenge:
    """`IAppeals.challengeOf`: submission and score are told once it is revealed."""

    challenger: Address
    state: ChallengeState
    index: SubmissionIndex
    score: int


@dataclass(frozen=True, slots=True)
class Dispute:
    """`IAppeals.disputeOf`: `score` is the standing one until the panel has decided; no seed until it is drawn."""

    standing: int
    score: int
    seed: Seed | None
    seats: int
    commit_by: int
    reveal_by: int
    is_against_verifiers: bool


@dataclass(frozen=True, slots=True)
class Plant:
    """`IPlants.plantOf`: `epoch` is the one that it covers."""

    state: PlantState
    planter: Address
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class SubmissionRef:
    """A submission together with where it was committed, as claims and slashes name it."""

    task_id: TaskId
    epoch: Epoch
    submission: Submission


class Contract:
    """One deployed contract: asks its views and encodes calls to it."""

    name: str

    def __init__(self, web3: Web3, address: Address) -> None:
        self.address = address
        self._contract = web3.eth.contract(address=Web3.to_checksum_address(address), abi=load_abi(self.name))

    def _ask(self, function: str, *arguments: Any, at: Literal["latest", "pending"] = "latest") -> Any:
        """`at="pending"`: as of the block that is being made, for answers that depend on the time."""
        call = f"{self.name}.{function}"
        with asking_node(call):
            try:
                return self._contract.get_function_by_name(function)(*arguments).call(block_identifier=at)
            except ContractLogicError as error:
                raise reverted(error, call) from error
            except BadFunctionCallOutput as error:
                raise Unavailable(f"no answer from {call} at {self.address}; the node may still be syncing") from error

    def _call(self, function: str, **arguments: Any) -> Call:
        data = self._contract.encode_abi(function, args=list(arguments.values()))
        return Call(self.name, function, self.address, bytes.fromhex(data[2:]), arguments)


class TokenContract(Contract):
    """`AssayToken`, or whatever ERC-20 with permit the deployment names."""

    name = "AssayToken"

    def balance_of(self, holder: Address) -> int:
        return int(self._ask("balanceOf", holder))

    def allowance(self, owner: Address, spender: Address) -> int:
        return int(self._ask("allowance", owner, spender))

    def decimals(self) -> int:
        return int(self._ask("decimals"))

    def symbol(self) -> str:
        return str(self._ask("symbol"))

    def approve(self, spender: Address, amount_wei: int) -> Call:
        return self._call("approve", spender=spender, value=amount_wei)

    def transfer(self, to: Address, amount_wei: int) -> Call:
        return self._call("transfer", to=to, value=amount_wei)


class StakingContract(Contract):
    """`IStaking`."""

    name = "Staking"

    def free_bond(self, role: Role, key: Address) -> FreeBond:
        operator, amount = self._ask("freeBond", int(role), key, at="pending")
        return FreeBond(Address(operator), amount)

    def bond_of(self, operator: Address, role: Role) -> Bond:
        return Bond(*self._ask("bondOf", operator, int(role)))

    def operator_of(self, key: Address) -> Address:
        return Address(self._ask("operatorOf", key))

    def worker_of(self, operator: Address) -> Address | None:
        worker = Address(self._ask("workerOf", operator))
        return None if worker == NO_ADDRESS else worker

    def worker_nonce_of(self, worker: Address) -> int:
        """What the next consent of a worker key has to name."""
        return int(self._ask("workerNonceOf", worker))

    def unbonding_period_s(self) -> int:
        return int(self._ask("UNBONDING_PERIOD"))

    def bond(self, role: Role, amount_wei: int) -> Call:
        return self._call("bond", role=int(role), amount=amount_wei)

    def request_unbond(self, role: Role, amount_wei: int) -> Call:
        return self._call("requestUnbond", role=int(role), amount=amount_wei)

    def withdraw(self, role: Role) -> Call:
        return self._call("withdraw", role=int(role))

    def set_worker_key(self, worker: Address, deadline: int, signature: bytes) -> Call:
        return self._call("setWorkerKey", worker=worker, deadline=deadline, signature=signature)

    def remove_worker_key(self) -> Call:
        return self._call("setWorkerKey", worker=NO_ADDRESS, deadline=0, signature=b"")

    def renounce_worker_key(self) -> Call:
        """Sent by the worker key itself."""
        return self._call("renounceWorkerKey")


class TaskRegistryContract(Contract):
    """`ITaskRegistry`: terms and money."""

    name = "TaskRegistry"

    def task_count(self) -> int:
        return int(self._ask("taskCount"))

    def min_window_s(self) -> int:
        """The least that a window of a task may be; half of its challenge window too."""
        return int(self._ask("MIN_WINDOW"))

    def params_of(self, task_id: TaskId) -> TaskParams:
        return TaskParams.from_abi(self._ask("paramsOf", task_id))

    def origin_of(self, task_id: TaskId) -> TaskOrigin:
        initiator, policy_root, terms_hash = self._ask("originOf", task_id)
        return TaskOrigin(Address(initiator), Root(bytes(policy_root)), bytes(terms_hash))

    def money_of(self, task_id: TaskId) -> TaskMoney:
        return TaskMoney(*self._ask("moneyOf", task_id))

    def open_task(self, params: TaskParams, spec_hash: Root, spec_uri: str, policy_root: Root, budget_wei: int) -> Call:
        return self._call(
            "openTask",
            params=astuple(params),
            specHash=spec_hash,
            specURI=spec_uri,
            policyRoot=policy_root,
            budget=budget_wei,
        )

    def fund_task(self, task_id: TaskId, amount_wei: int) -> Call:
        return self._call("fundTask", taskId=task_id, amount=amount_wei)

    def close_task(self, task_id: TaskId) -> Call:
        return self._call("closeTask", taskId=task_id)

    def refund_task(self, task_id: TaskId) -> Call:
        return self._call("refundTask", taskId=task_id)


class CommitmentsContract(Contract):
    """`ICommitments`: trainers, open epochs, submissions."""

    name = "Commitments"

    def open_epoch_of(self, task_id: TaskId) -> OpenEpoch:
        return OpenEpoch(*self._ask("openEpochOf", task_id))

    def epoch_of(self, task_id: TaskId, epoch: Epoch) -> EpochState:
        return EpochState(*self._ask("epochOf", task_id, epoch))

    def submission_hash(self, task_id: TaskId, epoch: Epoch, index: SubmissionIndex) -> bytes:
        """32 bytes; all zero: there is no such submission, or it is paid or slashed."""
        return bytes(self._ask("submissionHash", task_id, epoch, index))

    def is_enlisted(self, task_id: TaskId, trainer: Address) -> bool:
        return bool(self._ask("isEnlisted", task_id, trainer))

    def collateral_of(self, task_id: TaskId, trainer: Address) -> TrainerCollateral:
        return TrainerCollateral(*self._ask("collateralOf", task_id, trainer))

    def running_hash_of(self, task_id: TaskId) -> bytes:
        return bytes(self._ask("runningHashOf", task_id))

    def trainers_of(self, task_id: TaskId) -> TrainerCounts:
        return TrainerCounts(*self._ask("trainersOf", task_id))

    def is_sealable(self, task_id: TaskId) -> bool:
        """Whether the epoch has been closed for long enough; `sealEpoch` may still find the electorate too small."""
        return bool(self._ask("isSealable", task_id, at="pending"))

    def seal_delay(self) -> int:
        """Blocks from the closing of an epoch to the one of which its seed comes."""
        return int(self._ask("SEAL_DELAY"))

    def enlist(self, task_id: TaskId, terms_hash: bytes) -> Call:
        return self._call("enlist", taskId=task_id, termsHash=terms_hash)

    def delist(self, task_id: TaskId, trainer: Address) -> Call:
        return self._call("delist", taskId=task_id, trainer=trainer)

    def commit_submission(
        self,
        task_id: TaskId,
        epoch: Epoch,
        kind: SubmissionKind,
        manifest_root: Root,
        units: int,
        policy_version: PolicyVersion,
        *,
        is_last: bool,
    ) -> Call:
        """`is_last`: the epoch need not wait for further submissions of this trainer."""
        return self._call(
            "commitSubmission",
            taskId=task_id,
            epoch=epoch,
            kind=int(kind),
            manifestRoot=manifest_root,
            units=units,
            policyVersion=policy_version,
            isLast=is_last,
        )

    def close_epoch(self, task_id: TaskId) -> Call:
        return self._call("closeEpoch", taskId=task_id)

    def abandon_epoch(self, task_id: TaskId) -> Call:
        return self._call("abandonEpoch", taskId=task_id)

    def open_epoch(self, task_id: TaskId) -> Call:
        return self._call("openEpoch", taskId=task_id)


class VerifiersContract(Contract):
    """`IVerifiers`: the electorate."""

    name = "Verifiers"

    def weight_at(self, task_id: TaskId, epoch: Epoch, verifier: Address) -> int:
        """The weight with which a verifier judges an epoch; 0: it does not."""
        return int(self._ask("weightAt", task_id, epoch, verifier))

    def electorate_of(self, task_id: TaskId) -> Electorate:
        return Electorate(*self._ask("electorateOf", task_id))

    def is_enlisted(self, task_id: TaskId, verifier: Address) -> bool:
        return bool(self._ask("isEnlisted", task_id, verifier))

    def collateral_of(self, task_id: TaskId, verifier: Address) -> VerifierCollateral:
        amount, until = self._ask("collateralOf", task_id, verifier)
        return VerifierCollateral(amount, until or None)

    def enlist(self, task_id: TaskId, terms_hash: bytes, weight_wei: int, displaced: Address | None = None) -> Call:
        """`displaced`: where all places are taken, a verifier with less weight."""
        return self._call(
            "enlist", taskId=task_id, termsHash=terms_hash, weight=weight_wei, displaced=displaced or NO_ADDRESS
        )

    def delist(self, task_id: TaskId) -> Call:
        return self._call("delist", taskId=task_id)

    def release_bond(self, task_id: TaskId, verifier: Address) -> Call:
        return self._call("releaseBond", taskId=task_id, verifier=verifier)


class AttestationsContract(Contract):
    """`IAttestations`: the judgement of sealed epochs."""

    name = "Attestations"

    def phase_of(self, task_id: TaskId, epoch: Epoch) -> EpochPhase:
        return EpochPhase(self._ask("phaseOf", task_id, epoch, at="pending"))

    def seed_of(self, task_id: TaskId, epoch: Epoch) -> Seed | None:
        """None until the epoch is sealed."""
        return _seed(self._ask("seedOf", task_id, epoch))

    def score_of(self, task_id: TaskId, epoch: Epoch, index: SubmissionIndex) -> int:
        return int(self._ask("scoreOf", task_id, epoch, index))

    def final_scores_of(self, task_id: TaskId, places: Sequence[int]) -> bytes:
        """Of submissions by `encoding.submission_place`, as they are stored: 253 is a found fraud, 252 a submission of
        a void epoch.

        Raises Reverted with NotFinal: one can still change.
        """
        return bytes(self._ask("finalScoresOf", task_id, list(places)))

    def quorum_of(self, task_id: TaskId, epoch: Epoch) -> int:
        """The least weight that is a quorum of a sealed epoch."""
        return int(self._ask("quorumOf", task_id, epoch))

    def schedule_of(self, task_id: TaskId, epoch: Epoch) -> Schedule:
        return Schedule(*self._ask("scheduleOf", task_id, epoch))

    def attestation_of(self, task_id: TaskId, epoch: Epoch, verifier: Address) -> AttestationState:
        report_hash, weight, differences = self._ask("attestationOf", task_id, epoch, verifier)
        return AttestationState(bytes(report_hash) if any(report_hash) else None, weight, differences)

    def tally_of(self, task_id: TaskId, epoch: Epoch) -> Tally:
        return Tally(*self._ask("tallyOf", task_id, epoch))

    def header_wait(self) -> int:
        """Blocks for which the header of a seed's block is waited for, before that block's hash serves."""
        return int(self._ask("HEADER_WAIT"))

    def seal_epoch(self, task_id: TaskId, header: bytes | None) -> Call:
        """`header`: of `EpochClosed.seed_block`, see `headers.header_of`; without one only after the wait."""
        if header is None:
            return self._call("sealEpoch", taskId=task_id)
        return self._call("sealEpochWith", taskId=task_id, header=header)

    def commit_attestation(self, task_id: TaskId, epoch: Epoch, commitment: bytes, sealed_report: bytes) -> Call:
        return self._call(
            "commitAttestation", taskId=task_id, epoch=epoch, commitment=commitment, sealedReport=sealed_report
        )

    def reveal_attestation(
        self, task_id: TaskId, epoch: Epoch, report: bytes, salt: bytes, evidence_root: Root
    ) -> Call:
        return self._call(
            "revealAttestation", taskId=task_id, epoch=epoch, report=report, salt=salt, evidenceRoot=evidence_root
        )

    def settle(self, task_id: TaskId, epoch: Epoch, reports: Sequence[bytes], count: int) -> Call:
        """`reports`: every distinct report revealed, in ascending order of their hashes; `count`: most submissions."""
        return self._call("settle", taskId=task_id, epoch=epoch, reports=list(reports), count=count)

    def finalise(self, task_id: TaskId, epoch: Epoch) -> Call:
        return self._call("finalise", taskId=task_id, epoch=epoch)

    def void_epoch(self, task_id: TaskId, epoch: Epoch) -> Call:
        return self._call("voidEpoch", taskId=task_id, epoch=epoch)

    def slash_absence(self, task_id: TaskId, epoch: Epoch, verifier: Address) -> Call:
        return self._call("slashAbsence", taskId=task_id, epoch=epoch, verifier=verifier)


class PoliciesContract(Contract):
    """`IPolicies`."""

    name = "Policies"

    def policy_of(self, task_id: TaskId) -> PolicyLine:
        version, root, next_epoch = self._ask("policyOf", task_id)
        return PolicyLine(PolicyVersion(version), Root(bytes(root)), Epoch(next_epoch))

    def state_of(self, task_id: TaskId, epoch: Epoch) -> PolicyState:
        return PolicyState(self._ask("stateOf", task_id, epoch))

    def publish_policy(
        self, task_id: TaskId, epoch: Epoch, policy_root: Root, uri: str, signatures: Sequence[bytes]
    ) -> Call:
        """`signatures` in ascending order of their signers' operators."""
        return self._call(
            "publishPolicy", taskId=task_id, epoch=epoch, policyRoot=policy_root, uri=uri, signatures=list(signatures)
        )

    def skip_policy(self, task_id: TaskId, epoch: Epoch) -> Call:
        return self._call("skipPolicy", taskId=task_id, epoch=epoch)


class PanelsContract(Contract):
    """`IPanels`: pools of jurors."""

    name = "Panels"

    def pool_size(self, panel_class: PanelClass) -> int:
        """Seats that are taken: they are numbered without holes."""
        return int(self._ask("poolSize", panel_class))

    def seat_of(self, panel_class: PanelClass, seat: int) -> Seat | None:
        """None: nobody has it."""
        juror, taken_at = self._ask("seatOf", panel_class, seat)
        return None if juror == NO_ADDRESS else Seat(Address(juror), taken_at)

    def seats_by_juror(self, panel_class: PanelClass) -> dict[Address, list[int]]:
        """Numbers of the seats of a pool."""
        held: dict[Address, list[int]] = {}
        for number in range(self.pool_size(panel_class)):
            if (seat := self.seat_of(panel_class, number)) is not None:
                held.setdefault(seat.juror, []).append(number)
        return held

    def seat_bond_wei(self) -> int:
        return int(self._ask("SEAT_BOND"))

    def take_seats(self, panel_class: PanelClass, count: int) -> Call:
        return self._call("takeSeats", **{"class": panel_class, "count": count})

    def leave_seats(self, panel_class: PanelClass, seats: Sequence[int]) -> Call:
        """`seats` from the highest to the lowest."""
        return self._call("leaveSeats", **{"class": panel_class, "seats": list(seats)})


class AppealsContract(Contract):
    """`IAppeals`: challenges, disputes, votes."""

    name = "Appeals"

    def phase_of(self, task_id: TaskId, epoch: Epoch, index: SubmissionIndex) -> DisputePhase:
        return DisputePhase(self._ask("phaseOf", task_id, epoch, index, at="pending"))

    def dispute_of(self, task_id: TaskId, epoch: Epoch, index: SubmissionIndex) -> Dispute:
        standing, score, seed, *rest = self._ask("disputeOf", task_id, epoch, index)
        return Dispute(standing, score, _seed(seed), *rest)

    def challenge_of(self, task_id: TaskId, epoch: Epoch, challenge: ChallengeId) -> Challenge | None:
        challenger, state, index, score = self._ask("challengeOf", task_id, epoch, challenge)
        if state == ChallengeState.NONE:
            return None
        return Challenge(Address(challenger), ChallengeState(state), SubmissionIndex(index), score)

    def seats_of(self, task_id: TaskId, epoch: Epoch, index: SubmissionIndex, juror: Address) -> int:
        """Seats of a juror on the panel; 0: it is not on it."""
        return int(self._ask("seatsOf", task_id, epoch, index, juror))

    def is_challenger(self, task_id: TaskId, epoch: Epoch, index: SubmissionIndex, account: Address) -> bool:
        return bool(self._ask("isChallenger", task_id, epoch, index, account))

    def owed_to(self, task_id: TaskId, epoch: Epoch, challenge: ChallengeId) -> int:
        """What `claim_challenge` would pay, in wei."""
        return int(self._ask("owedTo", task_id, epoch, challenge))

    def commit_challenge(self, task_id: TaskId, epoch: Epoch, commitment: bytes) -> Call:
        return self._call("commitChallenge", taskId=task_id, epoch=epoch, commitment=commitment)

    def reveal_challenge(
        self, task_id: TaskId, epoch: Epoch, challenge: ChallengeId, index: SubmissionIndex, score: int, salt: bytes
    ) -> Call:
        return self._call(
            "revealChallenge", taskId=task_id, epoch=epoch, id=challenge, index=index, score=score, salt=salt
        )

    def expire_challenge(self, task_id: TaskId, epoch: Epoch, challenge: ChallengeId) -> Call:
        return self._call("expireChallenge", taskId=task_id, epoch=epoch, id=challenge)

    def summon_panel(self, task_id: TaskId, epoch: Epoch, index: SubmissionIndex) -> Call:
        return self._call("summonPanel", taskId=task_id, epoch=epoch, index=index)

    def draw_panel(self, ref: SubmissionRef, header: bytes | None) -> Call:
        """`header`: of `PanelSummoned.seed_block`, see `headers.header_of`; without one only after the wait."""
        return self._call(
            "drawPanel",
            taskId=ref.task_id,
            epoch=ref.epoch,
            submission=_submission(ref.submission),
            header=header or b"",
        )

    def commit_vote(self, task_id: TaskId, epoch: Epoch, index: SubmissionIndex, commitment: bytes) -> Call:
        return self._call("commitVote", taskId=task_id, epoch=epoch, index=index, commitment=commitment)

    def reveal_vote(
        self, task_id: TaskId, epoch: Epoch, index: SubmissionIndex, score: int, *, beyond: bool, salt: bytes
    ) -> Call:
        return self._call("revealVote", taskId=task_id, epoch=epoch, index=index, score=score, beyond=beyond, salt=salt)

    def decide(self, task_id: TaskId, epoch: Epoch, index: SubmissionIndex) -> Call:
        return self._call("decide", taskId=task_id, epoch=epoch, index=index)

    def slash_verdict(
        self, task_id: TaskId, epoch: Epoch, index: SubmissionIndex, verifier: Address, report: bytes
    ) -> Call:
        return self._call("slashVerdict", taskId=task_id, epoch=epoch, index=index, verifier=verifier, report=report)

    def dismiss_juror(self, task_id: TaskId, epoch: Epoch, index: SubmissionIndex, juror: Address) -> Call:
        return self._call("dismissJuror", taskId=task_id, epoch=epoch, index=index, juror=juror)

    def claim_challenge(self, task_id: TaskId, epoch: Epoch, challenge: ChallengeId) -> Call:
        return self._call("claimChallenge", taskId=task_id, epoch=epoch, id=challenge)

    def claim_vote(self, task_id: TaskId, epoch: Epoch, index: SubmissionIndex, juror: Address) -> Call:
        return self._call("claimVote", taskId=task_id, epoch=epoch, index=index, juror=juror)


class PayoutsContract(Contract):
    """`IPayouts`."""

    name = "Payouts"

    def fee_of(self, task_id: TaskId, epoch: Epoch, verifier: Address) -> int:
        """What `claim_fees` would pay for an epoch now, in wei."""
        return int(self._ask("feeOf", task_id, epoch, verifier))

    def reporter_bps(self) -> int:
        return int(self._ask("REPORTER_BPS"))

    def claim(self, submissions: Sequence[SubmissionRef]) -> Call:
        """Submissions of one trainer and one task, of epochs that are final or void, and no frauds."""
        return self._call("claim", submissions=[_submission_ref(submission) for submission in submissions])

    def claim_fees(self, task_id: TaskId, epochs: Sequence[Epoch], verifier: Address) -> Call:
        return self._call("claimFees", taskId=task_id, epochs=list(epochs), verifier=verifier)

    def slash_fraud(self, submission: SubmissionRef) -> Call:
        return self._call("slashFraud", submission=_submission_ref(submission))


class PlantsContract(Contract):
    """`IPlants`: planted frauds."""

    name = "Plants"

    def deposit_of(self, task_id: TaskId) -> int:
        """What `commit_plant` takes, in wei."""
        return int(self._ask("depositOf", task_id))

    def plant_of(self, task_id: TaskId, commitment: bytes) -> Plant:
        state, planter, epoch = self._ask("plantOf", task_id, commitment)
        return Plant(PlantState(state), Address(planter), Epoch(epoch))

    def is_drawn(self, task_id: TaskId, epoch: Epoch, index: SubmissionIndex) -> bool:
        return bool(self._ask("isDrawn", task_id, epoch, index))

    def commit_plant(self, task_id: TaskId, commitment: bytes) -> Call:
        return self._call("commitPlant", taskId=task_id, commitment=commitment)

    def open_plant(self, ref: SubmissionRef, salt: bytes) -> Call:
        return self._call(
            "openPlant", taskId=ref.task_id, epoch=ref.epoch, submission=_submission(ref.submission), salt=salt
        )

    def refund_plant(self, task_id: TaskId, trainer: Address, manifest_root: Root, salt: bytes) -> Call:
        """Of what covers no submission that may be paid; of a decoy, trainer and root are 0."""
        return self._call("refundPlant", taskId=task_id, trainer=trainer, manifestRoot=manifest_root, salt=salt)

    def slash_paid_plant(
        self, task_id: TaskId, epoch: Epoch, index: SubmissionIndex, verifier: Address, report: bytes
    ) -> Call:
        return self._call("slashPaidPlant", taskId=task_id, epoch=epoch, index=index, verifier=verifier, report=report)


def _seed(answer: Any) -> Seed | None:
    seed = bytes(answer)
    return Seed(seed) if any(seed) else None


def _submission(submission: Submission) -> tuple[object, ...]:
    return (
        submission.trainer,
        submission.index,
        int(submission.kind),
        submission.units,
        submission.policy_version,
        submission.manifest_root,
    )


def _submission_ref(ref: SubmissionRef) -> tuple[object, ...]:
    return (ref.task_id, ref.epoch, _submission(ref.submission))


def checksummed(address: str) -> Address:
    """EIP-55 form of an address."""
    return Address(to_checksum_address(address))
