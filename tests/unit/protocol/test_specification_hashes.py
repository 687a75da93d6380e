"""What two parties must hash alike: the encodings that daemons use, beside those of the specification."""

from eth_account import Account
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from assay_core.chain.keys import PolicyWord, WorkerConsent, sign_policy, sign_worker_key
from assay_core.protocol import encoding
from assay_core.protocol.types import (
    Address,
    Epoch,
    PolicyVersion,
    Root,
    Seed,
    SubmissionIndex,
    SubmissionKind,
    TaskId,
    TaskParams,
)
from assay_core.protocol.types import KindTerms as TypedKind
from assay_core.protocol.types import Submission as TypedSubmission
from specs import hashes
from specs.words import NOBODY, NONE, KindTerms, Submission, Terms
from tests.differential.behaviour import TERMS

WORDS = st.binary(min_size=32, max_size=32)
ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
TASKS, EPOCHS, INDICES = st.integers(1, 2**256 - 1), st.integers(0, 2**40), st.integers(0, 1_023)
SCORES = st.integers(0, 255)


def typed(address: str) -> Address:
    return Address(to_checksum_address(address))


@given(ADDRESSES, INDICES, st.integers(0, 3), st.integers(1, 65_535), st.integers(0, 2**32 - 1), WORDS, WORDS)
def test_submissions_hash_alike(
    who: str, index: int, kind: int, units: int, version: int, root: bytes, before: bytes
) -> None:
    mine = hashes.submission_hash(Submission(who, index, kind, units, version, root))
    theirs = TypedSubmission(
        typed(who), SubmissionIndex(index), SubmissionKind(kind), units, PolicyVersion(version), Root(root)
    )
    assert encoding.submission_hash(theirs) == mine
    assert encoding.plant_hash(mine) == hashes.plant_hash(mine)
    assert encoding.running_hash(before, mine) == hashes.words("bytes32 bytes32", before, mine)


@given(WORDS, ADDRESSES, st.binary(max_size=40), SCORES, st.booleans(), WORDS)
def test_promises_hash_alike(seed: bytes, who: str, report: bytes, score: int, beyond: bool, salt: bytes) -> None:
    attestation = encoding.attestation_commitment(Seed(seed), typed(who), report, salt)
    assert attestation == hashes.attestation(seed, who, report, salt)
    vote = encoding.vote_commitment(Seed(seed), typed(who), score, beyond, salt)
    assert vote == hashes.judgement(seed, who, score, beyond, salt)


@given(TASKS, EPOCHS, ADDRESSES, INDICES, SCORES, WORDS, WORDS)
def test_challenges_and_plants_hash_alike(
    task_id: int, epoch: int, who: str, index: int, score: int, root: bytes, salt: bytes
) -> None:
    task = TaskId(task_id)
    challenge = encoding.challenge_commitment(task, Epoch(epoch), typed(who), SubmissionIndex(index), score, salt)
    assert challenge == hashes.challenge(task_id, epoch, who, index, score, salt)
    assert encoding.plant_commitment(task, typed(who), Root(root), salt) == hashes.plant(task_id, who, root, salt)
    assert encoding.decoy_commitment(task, salt) == hashes.plant(task_id, NOBODY, NONE, salt)


@given(WORDS, WORDS, TASKS, EPOCHS, INDICES, st.integers(1, 10_000))
def test_seeds_and_what_they_draw_are_alike(
    random: bytes, before: bytes, task_id: int, epoch: int, index: int, sampling_bps: int
) -> None:
    seed = encoding.epoch_seed(random, before, TaskId(task_id), Epoch(epoch))
    assert seed == hashes.words("bytes32 bytes32 uint256 uint64", random, before, task_id, epoch)
    panel = encoding.panel_seed(random, TaskId(task_id), Epoch(epoch), SubmissionIndex(index))
    assert panel == hashes.words("bytes32 uint256 uint64 uint16", random, task_id, epoch, index)
    drawn = encoding.must_replay(Seed(seed), index, sampling_bps)
    assert drawn == hashes.is_drawn(seed, index, sampling_bps)


@given(TASKS, ADDRESSES, WORDS, WORDS)
def test_terms_hash_alike(task_id: int, who: str, spec: bytes, root: bytes) -> None:
    values = {name: getattr(TERMS, name) for name in Terms.__slots__ if name != "kinds"}
    kinds = tuple(TypedKind(each.unit_price, each.detection_bps) for each in TERMS.kinds)
    params = TaskParams(kinds, **values)  # pyright: ignore[reportArgumentType]
    theirs = encoding.terms_hash(TaskId(task_id), typed(who), params, Root(spec), Root(root))
    assert theirs == hashes.terms_hash(task_id, who, TERMS, spec, root)
    assert isinstance(TERMS.kinds[0], KindTerms)


def test_what_daemons_sign_is_whose_the_specification_says() -> None:
    account = Account.from_key(b"\x05" * 32)
    who, place = str(account.address).lower(), "0x" + "33" * 20
    consent = WorkerConsent(typed("0x" + "44" * 20), typed(who), 7, 2**40)
    digest = hashes.consent(place, 31_337, consent.operator.lower(), who, 7, 2**40)
    assert hashes.signer(digest, sign_worker_key(account, 31_337, typed(place), consent)) == who
    word = PolicyWord(TaskId(3), Epoch(9), Seed(b"\x01" * 32), Root(b"\x02" * 32))
    digest = hashes.policy(place, 31_337, 3, 9, b"\x01" * 32, b"\x02" * 32)
    assert hashes.signer(digest, sign_policy(account, 31_337, typed(place), word)) == who
