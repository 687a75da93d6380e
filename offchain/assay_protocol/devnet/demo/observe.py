"""What the chain and the relays say of a demo run: for the live view while it runs, for the outcome when it is over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eth_utils.crypto import keccak

from assay_core.bundle.directory import read_manifest
from assay_core.bundle.manifest import BundleKind, BundleLimits
from assay_core.chain.abis import entries, signature
from assay_core.chain.connection import Chain
from assay_core.chain.creations import CONTRACTS
from assay_core.chain.ledger import EpochRecord, TaskLedger
from assay_core.environments.interface import Environment
from assay_core.inspect.earnings import policy_of, submissions_of
from assay_core.policy.bundle import load_policy
from assay_core.policy.evaluate import evaluate
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import SCORE_FRAUD, Address, Epoch, EpochPhase, PolicyState, Role, Root, Seed, is_paid
from assay_core.transport.choose import Transport
from assay_core.transport.engine import Engine
from assay_protocol.devnet.demo.outcome import GasUse, Spread, Traffic, TrainerOutcome
from assay_protocol.devnet.demo.view import ProcessState, Snapshot, TrainerRow, VerifierRow
from assay_protocol.devnet.localnet import Party

EVALUATION_SEED = Seed(b"assay demo: prompts that no trainer ever gets".ljust(32)[:32])


@dataclass(frozen=True, slots=True)
class Cast:
    """Who takes part. `cheats` are trainers too."""

    initiator: Party
    verifiers: tuple[Party, ...]
    honest: tuple[Party, ...]
    cheats: tuple[Party, ...]

    @property
    def trainers(self) -> tuple[Party, ...]:
        return (*self.honest, *self.cheats)

    def name_of(self, address: Address) -> str:
        return next((each.name for each in (*self.trainers, *self.verifiers) if each.address == address), address)


@dataclass(slots=True)
class RewardCurve:
    """Fetches each policy version once, as anybody could, and measures it on held-out prompts."""

    engine: Transport
    spec: TaskSpec
    environment: Environment
    prompts: int
    rewards: list[float] = field(default_factory=list[float])
    spread: Spread = field(default_factory=Spread)

    def update(self, ledger: TaskLedger) -> None:
        """Measure the versions that are new. Raises Unavailable: the relay does not have one yet."""
        for record in ledger.policies[len(self.rewards) :]:
            self.rewards.append(self._measure(record.policy_root))

    def _measure(self, root: Root) -> float:
        limits = BundleLimits(self.spec.limits.policy_bytes)
        made_before = self.engine.cache.made_bytes
        directory = self.engine.fetch(root, BundleKind.POLICY, limits)
        if self.rewards:
            self.spread = Spread(
                self.spread.versions + 1,
                self.spread.bundle_bytes + read_manifest(directory).size_bytes,
                self.spread.made_bytes + self.engine.cache.made_bytes - made_before,
                self.spec.outer.broadcast != "whole",
            )
        policy = load_policy(directory)
        return evaluate(policy, self.environment, EVALUATION_SEED, self.prompts, self.spec.sampler)


def phase_name(epoch: EpochRecord) -> str:
    """Where an epoch stands, in a word that says what goes on."""
    match epoch.phase:
        case EpochPhase.COMMITTING:
            return f"training ({len(epoch.submissions)} submissions)"
        case EpochPhase.ATTEST_COMMIT:
            return "checking"
        case EpochPhase.ATTEST_REVEAL:
            return "revealing"
        case EpochPhase.CHALLENGEABLE:
            return "policy published" if epoch.policy else "aggregating"
        case phase:
            return phase.name.lower()


def snapshot(
    chain: Chain,
    ledger: TaskLedger,
    cast: Cast,
    rewards: Sequence[float],
    sent: Mapping[str, Traffic],
    carriers: Sequence[ProcessState],
    carrier_note: str,
    assistants: Sequence[ProcessState],
    *,
    stage: str,
    elapsed_s: float,
) -> Snapshot:
    """One look."""
    epochs = list(ledger.epochs.values())
    is_closed = ledger.task.is_closed
    pending = tuple(
        (each.epoch, phase_name(each)) for each in epochs if not each.is_over and (each.submissions or not is_closed)
    )
    return Snapshot(
        elapsed_s=elapsed_s,
        stage=stage,
        epoch=len(epochs) - 1,
        phases=pending,
        policy_version=ledger.newest_policy().version,
        rewards=tuple(rewards),
        trainers=tuple(
            _trainer_row(chain, ledger, each, each in cast.honest, sent.get(each.name)) for each in cast.trainers
        ),
        verifiers=tuple(_verifier_row(chain, ledger, each) for each in cast.verifiers),
        carriers=tuple(carriers),
        carrier_note=carrier_note,
        assistants=tuple(assistants),
        news=tuple(_news(ledger, cast)),
    )


def _trainer_row(chain: Chain, ledger: TaskLedger, party: Party, honest: bool, sent: Traffic | None) -> TrainerRow:
    outcome = trainer_outcome(ledger, party, honest)
    return TrainerRow(
        name=party.name,
        honest=honest,
        scores=tuple(each.score for each in submissions_of(ledger, party.address)),
        bonded_wei=chain.staking.bond_of(party.address, Role.TRAINER).bonded_wei,
        slashed_wei=outcome.slashed_wei,
        earned_wei=outcome.owed_wei,
        balance_wei=chain.token.balance_of(party.address),
        bytes_per_step=sent.update_bytes / sent.inner_steps if sent and sent.inner_steps else None,
    )


def _verifier_row(chain: Chain, ledger: TaskLedger, party: Party) -> VerifierRow:
    epochs = ledger.epochs.values()
    return VerifierRow(
        name=party.name,
        committed=sum(party.address in each.commitments for each in epochs),
        revealed=sum(party.address in each.reveals for each in epochs),
        bonded_wei=chain.staking.bond_of(party.address, Role.VERIFIER).bonded_wei,
        fees_wei=sum(each.fees.get(party.address, 0) for each in epochs),
    )


def _news(ledger: TaskLedger, cast: Cast) -> list[str]:
    """Events worth a line, in chain order."""
    lines: list[tuple[tuple[int, int], str]] = []
    for epoch in ledger.epochs.values():
        for index, fraud in epoch.frauds.items():
            name = cast.name_of(fraud.trainer)
            text = f"[red]{name} lost {fraud.amount / 10**18:g} tokens for submission {epoch.epoch}/{index}[/red]"
            lines.append((fraud.position, text))
        if epoch.policy:
            root = epoch.policy.policy_root.hex()
            text = f"epoch {epoch.epoch} became policy version {epoch.policy.version}: {root[:16]}…"
            lines.append((epoch.policy.position, text))
    return [text for _, text in sorted(lines)]


def trainer_outcome(ledger: TaskLedger, party: Party, honest: bool) -> TrainerOutcome:
    """Rebuilt from events alone: what final scores are worth, what was claimed, what was slashed."""
    earned = list(submissions_of(ledger, party.address))
    paid = [each for each in earned if each.is_final and each.score is not None and is_paid(each.score)]
    return TrainerOutcome(
        party.name,
        honest,
        submissions=len(earned),
        accepted=len(paid),
        owed_wei=sum(each.earned_wei for each in paid),
        claimed_wei=sum(each.claimed_wei or 0 for each in earned),
        slashed_wei=sum(each.slashed_wei for each in earned),
    )


def derived_roots(engine: Engine, ledger: TaskLedger, cast: Cast) -> list[dict[str, str]]:
    """For each published version, the roots on the relays' boards by verifier name."""
    boards: list[dict[str, str]] = []
    for record in ledger.policies[1:]:
        signed = engine.signatures(ledger.task_id, Epoch(record.epoch or 0))
        boards.append({cast.name_of(each.operator): each.policy_root.hex() for each in signed})
    return boards


def slashes_by_version(ledger: TaskLedger, cast: Cast) -> list[tuple[int, str]]:
    """(policy version that was newest when it happened, whose bond was taken), for the picture."""
    frauds = [fraud for epoch in ledger.epochs.values() for fraud in epoch.frauds.values()]
    return [(ledger.newest_policy(before=fraud.position).version, cast.name_of(fraud.trainer)) for fraud in frauds]


def both_cheats_slashed(ledger: TaskLedger, cast: Cast) -> bool:
    """Whether each cheat has lost a bond at least once."""
    slashed = {fraud.trainer for epoch in ledger.epochs.values() for fraud in epoch.frauds.values()}
    return all(each.address in slashed for each in cast.cheats)


def frauds_are_slashed(ledger: TaskLedger) -> bool:
    """No submission with a final fraud score is left whose trainer still has the bond to lose."""
    for epoch in ledger.epochs.values():
        for committed in epoch.submissions:
            index = committed.submission.index
            if epoch.is_final and epoch.score_of(index) == SCORE_FRAUD and index not in epoch.frauds:
                return False
    return True


def gas_by_function(chain: Chain) -> dict[str, GasUse]:
    """Gas of every successful transaction to the protocol's contracts since the deployment, by function."""
    names = _selectors(chain)
    uses: dict[str, list[int]] = {}
    for number in range(chain.deployment.block, chain.web3.eth.block_number + 1):
        block = chain.web3.eth.get_block(number, full_transactions=True)
        if not block.get("transactions"):
            continue
        for receipt in chain.web3.eth.get_block_receipts(number):
            transaction = next(t for t in block["transactions"] if t["hash"] == receipt["transactionHash"])  # pyright: ignore
            key = (str(transaction.get("to")), bytes(transaction["input"])[:4])  # pyright: ignore
            if receipt["status"] == 1 and key in names:
                uses.setdefault(names[key], []).append(receipt["gasUsed"])
    return {name: GasUse(len(gas), round(sum(gas) / len(gas))) for name, gas in uses.items()}


def _selectors(chain: Chain) -> Mapping[tuple[str, bytes], str]:
    contracts = (getattr(chain, field) for field in CONTRACTS if field != "token")
    return {
        (str(contract.address), keccak(text=signature(entry))[:4]): f"{contract.name}.{entry['name']}"
        for contract in contracts
        for entry in entries(contract.name, "function")
    }


def is_over(ledger: TaskLedger) -> bool:
    """Every epoch that has submissions is final or void, its policy is out if one is due, and its frauds are
    slashed.
    """
    judged = [each for each in ledger.epochs.values() if each.submissions]
    are_over = all(each.is_over and policy_of(each) is not PolicyState.PENDING for each in judged)
    return are_over and frauds_are_slashed(ledger)
