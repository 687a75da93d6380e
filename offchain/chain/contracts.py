"""The contracts, typed. Views ask the node; functions that change something return a `Call` for the sender.

Views raise Unavailable (the node did not answer: retry) and Reverted (the contract refused the question).
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, Literal

from eth_utils.address import to_checksum_address
from web3 import Web3
from web3.exceptions import BadFunctionCallOutput, ContractLogicError

from offchain.chain.abis import load_abi
from offchain.chain.reverts import reverted
from offchain.chain.rpc import asking_node
from offchain.protocol.errors import Unavailable
from offchain.protocol.types import (
    Address,
    ChallengePhase,
    Epoch,
    EpochPhase,
    PolicyVersion,
    Role,
    Root,
    Seed,
    TaskId,
    TaskParams,
    Work,
    WorkIndex,
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
class ActiveBond:
    """The operator that a key acts for, and its bond that counts in this block."""

    operator: Address
    amount_wei: int


@dataclass(frozen=True, slots=True)
class Bond:
    """Money of one operator in one role; `withdrawable_at` is a Unix time, 0 when nothing is unbonding."""

    bonded_wei: int
    unbonding_wei: int
    withdrawable_at: int
    enlistments: int


@dataclass(frozen=True, slots=True)
class TaskState:
    """`ITaskRegistry.stateOf`."""

    initiator: Address
    budget_wei: int
    reserved_wei: int
    open_epoch: Epoch
    enlisted_trainers: int
    is_open: bool
    is_closed: bool


@dataclass(frozen=True, slots=True)
class EpochState:
    """`ITaskRegistry.epochOf`; `commit_by` is a Unix time."""

    works: int
    units: int
    commit_by: int
    running_hash: bytes


@dataclass(frozen=True, slots=True)
class PolicyState:
    """Newest policy version of a task and its root."""

    version: PolicyVersion
    policy_root: Root


@dataclass(frozen=True, slots=True)
class AttestationState:
    """`IAttestations.attestationOf`: what one verifier revealed of an epoch."""

    report_hash: bytes | None
    weight: int
    differences: int
    works: int
    enlisted_weight: int


@dataclass(frozen=True, slots=True)
class Collateral:
    """What of an operator's bond answers for its part in a task; `until`, a Unix time, once it has left."""

    amount_wei: int
    until: int | None


@dataclass(frozen=True, slots=True)
class ChallengeState:
    """`IChallenges.challengeOf`: `score` is the challenger's until the appeal has decided, then the appeal's."""

    challenger: Address
    standing: int
    score: int
    commit_by: int
    reveal_by: int
    revealed_weight: int


@dataclass(frozen=True, slots=True)
class Tally:
    """`IAttestations.tallyOf`: verifiers enlisted at the seal, how many committed and revealed, and weights."""

    verifiers: int
    committed: int
    revealed: int
    revealed_weight: int
    enlisted_weight: int


@dataclass(frozen=True, slots=True)
class WorkRef:
    """A work together with where it was committed, as claims and slashes name it."""

    task_id: TaskId
    epoch: Epoch
    work: Work


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

    def permit_nonce(self, owner: Address) -> int:
        return int(self._ask("nonces", owner))


class StakingContract(Contract):
    """`IStaking`."""

    name = "Staking"

    def active_bond(self, role: Role, key: Address) -> ActiveBond:
        operator, amount = self._ask("activeBond", int(role), key, at="pending")
        return ActiveBond(Address(operator), amount)

    def bond_of(self, operator: Address, role: Role) -> Bond:
        return Bond(*self._ask("bondOf", operator, int(role)))

    def operator_of(self, key: Address) -> Address:
        return Address(self._ask("operatorOf", key))

    def worker_of(self, operator: Address) -> Address | None:
        worker = Address(self._ask("workerOf", operator))
        return None if worker == NO_ADDRESS else worker

    def unbonding_period_s(self) -> int:
        return int(self._ask("UNBONDING_PERIOD"))

    def bond(self, role: Role, amount_wei: int) -> Call:
        return self._call("bond", role=int(role), amount=amount_wei)

    def bond_with_permit(self, role: Role, amount_wei: int, deadline: int, v: int, r: bytes, s: bytes) -> Call:
        return self._call("bondWithPermit", role=int(role), amount=amount_wei, deadline=deadline, v=v, r=r, s=s)

    def request_unbond(self, role: Role, amount_wei: int) -> Call:
        return self._call("requestUnbond", role=int(role), amount=amount_wei)

    def withdraw(self, role: Role) -> Call:
        return self._call("withdraw", role=int(role))

    def set_worker_key(self, worker: Address, signature: bytes) -> Call:
        return self._call("setWorkerKey", worker=worker, signature=signature)

    def remove_worker_key(self) -> Call:
        return self._call("setWorkerKey", worker=NO_ADDRESS, signature=b"")


class TaskRegistryContract(Contract):
    """`ITaskRegistry`."""

    name = "TaskRegistry"

    def task_count(self) -> int:
        return int(self._ask("taskCount"))

    def params_of(self, task_id: TaskId) -> TaskParams:
        return TaskParams(*self._ask("paramsOf", task_id))

    def state_of(self, task_id: TaskId) -> TaskState:
        return TaskState(*self._ask("stateOf", task_id))

    def epoch_of(self, task_id: TaskId, epoch: Epoch) -> EpochState:
        return EpochState(*self._ask("epochOf", task_id, epoch))

    def work_hash(self, task_id: TaskId, epoch: Epoch, trainer: Address) -> bytes:
        """32 bytes; all zero: nothing committed, the number 1: paid or slashed."""
        return bytes(self._ask("workHash", task_id, epoch, trainer))

    def is_enlisted(self, task_id: TaskId, trainer: Address) -> bool:
        return bool(self._ask("isEnlisted", task_id, trainer))

    def needed_bond_of(self, trainer: Address) -> int:
        """What of a trainer's bond is set aside for tasks, in wei: one bond answers for one task."""
        return int(self._ask("neededBondOf", trainer))

    def collateral_of(self, task_id: TaskId, trainer: Address) -> Collateral:
        return _collateral(self._ask("collateralOf", task_id, trainer))

    def sealable(self, task_id: TaskId) -> bool:
        return bool(self._ask("sealable", task_id, at="pending"))

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

    def enlist(self, task_id: TaskId) -> Call:
        return self._call("enlist", taskId=task_id)

    def delist(self, task_id: TaskId, trainer: Address) -> Call:
        return self._call("delist", taskId=task_id, trainer=trainer)

    def release_bond(self, task_id: TaskId, trainer: Address) -> Call:
        return self._call("releaseBond", taskId=task_id, trainer=trainer)

    def commit_work(
        self, task_id: TaskId, epoch: Epoch, manifest_root: Root, units: int, policy_version: PolicyVersion
    ) -> Call:
        return self._call(
            "commitWork",
            taskId=task_id,
            epoch=epoch,
            manifestRoot=manifest_root,
            units=units,
            policyVersion=policy_version,
        )


class AttestationsContract(Contract):
    """`IAttestations`."""

    name = "Attestations"

    def phase_of(self, task_id: TaskId, epoch: Epoch) -> EpochPhase:
        return EpochPhase(self._ask("phaseOf", task_id, epoch, at="pending"))

    def seed_of(self, task_id: TaskId, epoch: Epoch) -> Seed | None:
        """None until the epoch is sealed."""
        seed = bytes(self._ask("seedOf", task_id, epoch))
        return Seed(seed) if any(seed) else None

    def score_of(self, task_id: TaskId, epoch: Epoch, index: WorkIndex) -> int:
        return int(self._ask("scoreOf", task_id, epoch, index))

    def policy_of(self, task_id: TaskId) -> PolicyState:
        version, root = self._ask("policyOf", task_id)
        return PolicyState(PolicyVersion(version), Root(bytes(root)))

    def is_enlisted(self, task_id: TaskId, verifier: Address) -> bool:
        return bool(self._ask("isEnlisted", task_id, verifier))

    def needed_bond_of(self, verifier: Address) -> int:
        """What of a verifier's bond is set aside for tasks, in wei."""
        return int(self._ask("neededBondOf", verifier))

    def collateral_of(self, task_id: TaskId, verifier: Address) -> Collateral:
        return _collateral(self._ask("collateralOf", task_id, verifier))

    def attestation_of(self, task_id: TaskId, epoch: Epoch, verifier: Address) -> AttestationState:
        report_hash, *rest = self._ask("attestationOf", task_id, epoch, verifier)
        return AttestationState(bytes(report_hash) if any(report_hash) else None, *rest)

    def tally_of(self, task_id: TaskId, epoch: Epoch) -> Tally:
        return Tally(*self._ask("tallyOf", task_id, epoch))

    def enlist(self, task_id: TaskId) -> Call:
        return self._call("enlist", taskId=task_id)

    def delist(self, task_id: TaskId) -> Call:
        return self._call("delist", taskId=task_id)

    def release_bond(self, task_id: TaskId, verifier: Address) -> Call:
        return self._call("releaseBond", taskId=task_id, verifier=verifier)

    def seal_epoch(self, task_id: TaskId) -> Call:
        return self._call("sealEpoch", taskId=task_id)

    def commit_attestation(self, task_id: TaskId, epoch: Epoch, commitment: bytes) -> Call:
        return self._call("commitAttestation", taskId=task_id, epoch=epoch, commitment=commitment)

    def reveal_attestation(
        self, task_id: TaskId, epoch: Epoch, report_hash: bytes, salt: bytes, evidence_root: Root
    ) -> Call:
        return self._call(
            "revealAttestation",
            taskId=task_id,
            epoch=epoch,
            reportHash=report_hash,
            salt=salt,
            evidenceRoot=evidence_root,
        )

    def settle(self, task_id: TaskId, epoch: Epoch, reports: Sequence[bytes]) -> Call:
        """`reports`: the bytes of every distinct report revealed, in ascending order of their hashes."""
        return self._call("settle", taskId=task_id, epoch=epoch, reports=list(reports))

    def publish_policy(
        self, task_id: TaskId, epoch: Epoch, policy_root: Root, uri: str, signatures: Sequence[bytes]
    ) -> Call:
        """`signatures` in ascending order of their signers' operators."""
        return self._call(
            "publishPolicy", taskId=task_id, epoch=epoch, policyRoot=policy_root, uri=uri, signatures=list(signatures)
        )

    def finalise(self, task_id: TaskId, epoch: Epoch) -> Call:
        return self._call("finalise", taskId=task_id, epoch=epoch)

    def void_epoch(self, task_id: TaskId, epoch: Epoch) -> Call:
        return self._call("voidEpoch", taskId=task_id, epoch=epoch)

    def slash_absence(self, task_id: TaskId, epoch: Epoch, verifier: Address) -> Call:
        return self._call("slashAbsence", taskId=task_id, epoch=epoch, verifier=verifier)

    def show_report(self, task_id: TaskId, epoch: Epoch, report: bytes) -> Call:
        return self._call("showReport", taskId=task_id, epoch=epoch, report=report)


class ChallengesContract(Contract):
    """`IChallenges`."""

    name = "Challenges"

    def phase_of(self, task_id: TaskId, epoch: Epoch, index: WorkIndex) -> ChallengePhase:
        return ChallengePhase(self._ask("phaseOf", task_id, epoch, index, at="pending"))

    def challenge_of(self, task_id: TaskId, epoch: Epoch, index: WorkIndex) -> ChallengeState | None:
        state = ChallengeState(*self._ask("challengeOf", task_id, epoch, index))
        return None if state.challenger == NO_ADDRESS else state

    def owed_to(self, task_id: TaskId, epoch: Epoch, index: WorkIndex, to: Address) -> int:
        """What `claim` would pay, in wei."""
        return int(self._ask("owedTo", task_id, epoch, index, to))

    def must_replay(self, task_id: TaskId, epoch: Epoch, index: WorkIndex) -> bool:
        return bool(self._ask("mustReplay", task_id, epoch, index))

    def challenge(self, task_id: TaskId, epoch: Epoch, index: WorkIndex, score: int) -> Call:
        return self._call("challenge", taskId=task_id, epoch=epoch, index=index, score=score)

    def commit_appeal(self, task_id: TaskId, epoch: Epoch, index: WorkIndex, commitment: bytes) -> Call:
        return self._call("commitAppeal", taskId=task_id, epoch=epoch, index=index, commitment=commitment)

    def reveal_appeal(self, task_id: TaskId, epoch: Epoch, index: WorkIndex, score: int, salt: bytes) -> Call:
        return self._call("revealAppeal", taskId=task_id, epoch=epoch, index=index, score=score, salt=salt)

    def decide(self, task_id: TaskId, epoch: Epoch, index: WorkIndex, reports: Sequence[bytes]) -> Call:
        """`reports`: those behind the epoch's outcome, as `settle` took them."""
        return self._call("decide", taskId=task_id, epoch=epoch, index=index, reports=list(reports))

    def slash_verdict(self, task_id: TaskId, epoch: Epoch, index: WorkIndex, verifier: Address, report: bytes) -> Call:
        return self._call("slashVerdict", taskId=task_id, epoch=epoch, index=index, verifier=verifier, report=report)

    def slash_absence(self, task_id: TaskId, epoch: Epoch, index: WorkIndex, verifier: Address) -> Call:
        return self._call("slashAbsence", taskId=task_id, epoch=epoch, index=index, verifier=verifier)

    def claim(self, task_id: TaskId, epoch: Epoch, index: WorkIndex, to: Address) -> Call:
        return self._call("claim", taskId=task_id, epoch=epoch, index=index, to=to)


class PayoutsContract(Contract):
    """`IPayouts`."""

    name = "Payouts"

    def fee_of(self, task_id: TaskId, epoch: Epoch, verifier: Address) -> int:
        return int(self._ask("feeOf", task_id, epoch, verifier))

    def reporter_bps(self) -> int:
        return int(self._ask("REPORTER_BPS"))

    def claim(self, works: Sequence[WorkRef]) -> Call:
        """Works of one trainer and one task."""
        return self._call("claim", works=[_work_ref(work) for work in works])

    def claim_fees(self, task_id: TaskId, epochs: Sequence[Epoch]) -> Call:
        return self._call("claimFees", taskId=task_id, epochs=list(epochs))

    def slash_fraud(self, work: WorkRef) -> Call:
        return self._call("slashFraud", work=_work_ref(work))


def _collateral(answer: tuple[int, int]) -> Collateral:
    amount, until = answer
    return Collateral(amount, until or None)


def _work_ref(ref: WorkRef) -> tuple[object, ...]:
    work = ref.work
    return (
        ref.task_id,
        ref.epoch,
        (work.trainer, work.index, work.units, work.policy_version, work.manifest_root),
    )


def checksummed(address: str) -> Address:
    """EIP-55 form of an address."""
    return Address(to_checksum_address(address))
