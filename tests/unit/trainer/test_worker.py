"""The trainer's loop: one submission per epoch whatever happens in between, and every refusal understood."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from assay_core.bundle.directory import build_bundle, open_bundle
from assay_core.bundle.header import parse_submission_header
from assay_core.bundle.manifest import BundleKind, BundleLimits
from assay_core.bundle.rollouts import RolloutLimits, read_rollouts
from assay_core.chain.events import TrainerEnlisted
from assay_core.environments import make_environment
from assay_core.policy import load_policy, save_policy
from assay_core.protocol.encoding import trainer_seed
from assay_core.protocol.errors import Reverted, Stop, Unavailable
from assay_core.protocol.spec import EnvironmentSpec
from assay_core.protocol.types import Epoch, Root, Seed
from assay_core.training.seeding import submission_prompts
from assay_trainer.journal import Stage
from assay_trainer.tasks import Assignment, Finished, Idle
from tests.fakes import QuickStop
from tests.unit.trainer.ground import RIVAL, SPEC, TRAINER, Crash, Ground, bundle, reverted

FIRST = Epoch(0)


def why(step: Assignment | Idle | Finished) -> str | None:
    return step.why if isinstance(step, Idle) else None


def test_a_submission_is_made_uploaded_and_committed(ground: Ground) -> None:
    worker = ground.worker()
    assert worker.run_once() == Idle("enlisted")
    assert isinstance(worker.run_once(), Assignment)
    assert ground.chain.commits == ground.shards.published
    manifest = open_bundle(ground.journal().folder(FIRST), BundleLimits(2**20), ground.chain.commits[0])
    header = parse_submission_header(manifest.fields)
    assert (header.trainer, header.epoch, header.policy_root) == (TRAINER, FIRST, ground.policy_root)
    assert header.spec_root == ground.chain.refresh().task.spec_hash
    rollouts = read_rollouts(ground.journal().folder(FIRST) / "rollouts.parquet", RolloutLimits.of(SPEC))
    assert len(rollouts.completions) == 16
    assert ground.notes.of("submission committed")["submission"] == "7/0/0"


def test_it_goes_on_with_the_next_epoch_from_the_newest_policy(ground: Ground) -> None:
    worker = ground.enlisted().worker()
    worker.run_once()
    assert why(worker.run_once()) == "our submission is committed: waiting for the next epoch"
    ground.chain.seal()
    other = bundle(ground.folder / "next", ground.shards, BundleKind.POLICY, policy_files(ground))
    ground.chain.publish_policy(0, other)
    step = worker.run_once()
    assert isinstance(step, Assignment)
    assert (step.epoch, step.policy_version, step.policy_root) == (1, 1, other)
    assert len(set(ground.chain.commits)) == 2


def policy_files(ground: Ground) -> dict[str, bytes]:
    folder = ground.shards.folder / ground.policy_root.hex()
    return {name: (folder / name).read_bytes() for name in ("policy.json", "weights.safetensors")} | {"next": b"1"}


def test_the_same_assignment_gives_the_same_bundle_twice(ground: Ground) -> None:
    ground.enlisted()
    ground.chain.refusals = [reverted("CommitClosed")]
    ground.worker("first").run_once()
    ground.worker("second").run_once()
    roots = {ground.journal(name).read(FIRST) for name in ("first", "second")}
    assert len({entry.manifest_root for entry in roots if entry is not None}) == 1


@pytest.mark.parametrize(
    "place",
    [
        "task read",
        "submission begun",
        "rolling out",
        "rolled out",
        "inner step",
        "submission made",
        "submission uploaded",
    ],
)
def test_a_crash_anywhere_loses_nothing_and_commits_once(ground: Ground, place: str) -> None:
    ground.enlisted()
    undisturbed = ground.worker("undisturbed")
    ground.chain.refusals = [reverted("CommitClosed")]
    undisturbed.run_once()
    ground.notes.on = {place: crash}
    with pytest.raises(Crash):
        ground.worker().run_once()
    ground.notes.on = {}
    restarted = ground.worker()
    restarted.run_once()
    restarted.run_once()
    entry = ground.journal("undisturbed").read(FIRST)
    assert entry is not None
    assert ground.chain.commits == [entry.manifest_root]


def crash() -> None:
    raise Crash


def test_rollouts_made_before_a_crash_are_used_again(ground: Ground) -> None:
    ground.enlisted().notes.on = {"inner step": crash}
    with pytest.raises(Crash):
        ground.worker().run_once()
    ground.notes.on = {"rolling out": crash}
    ground.worker().run_once()
    assert len(ground.chain.commits) == 1


def test_half_written_rollouts_are_made_again(ground: Ground) -> None:
    ground.enlisted().notes.on = {"inner step": crash}
    with pytest.raises(Crash):
        ground.worker().run_once()
    ground.notes.on = {}
    folder = ground.journal().folder(FIRST)
    (folder / "rollouts.parquet").write_bytes(b"PAR1 half")
    (folder / ".writing-1234").write_bytes(b"")
    ground.worker().run_once()
    assert len(ground.chain.commits) == 1


@pytest.mark.parametrize("moment", ["before_commit", "after_commit"])
def test_a_crash_around_the_transaction_commits_once(ground: Ground, moment: str) -> None:
    ground.enlisted()
    setattr(ground.chain, moment, crash)
    with pytest.raises(Crash):
        ground.worker().run_once()
    setattr(ground.chain, moment, lambda: None)
    entry = ground.journal().read(FIRST)
    assert entry is not None
    assert entry.stage is Stage.SENDING
    restarted = ground.worker()
    restarted.run_once()
    restarted.run_once()
    assert ground.chain.commits == [entry.manifest_root]
    assert stage(ground) is Stage.COMMITTED


def stage(ground: Ground, epoch: Epoch = FIRST) -> Stage | None:
    entry = ground.journal().read(epoch)
    return None if entry is None else entry.stage


@pytest.mark.parametrize("error", ["TooManySubmissions", "RepeatedRoot"])
def test_a_transaction_that_is_not_in_our_ledger_yet_is_not_sent_twice(ground: Ground, error: str) -> None:
    ground.enlisted().chain.refusals = [Unavailable("not mined in time"), reverted(error)]
    worker = ground.worker()
    with pytest.raises(Unavailable):
        worker.run_once()
    worker.run_once()
    assert stage(ground) is Stage.COMMITTED
    assert ground.chain.commits == []


def test_a_submission_taken_back_by_a_reorganisation_is_committed_again(ground: Ground) -> None:
    ground.enlisted().chain.refusals = [reverted("TooManySubmissions")]
    worker = ground.worker()
    worker.run_once()
    assert stage(ground) is Stage.COMMITTED
    worker.run_once()
    assert ground.chain.commits == ground.shards.published[-1:]
    assert "taking a submission up again" in ground.notes.messages


def test_a_damaged_submission_is_made_again_with_the_same_root(ground: Ground) -> None:
    ground.enlisted().notes.on = {"submission uploaded": crash}
    with pytest.raises(Crash):
        ground.worker().run_once()
    ground.notes.on = {}
    entry = ground.journal().read(FIRST)
    assert entry is not None
    (ground.journal().folder(FIRST) / "update" / "0000.safetensors").write_bytes(b"rot")
    ground.worker().run_once()
    assert ground.chain.commits == [entry.manifest_root]


@pytest.mark.parametrize("place", ["inner step", "submission uploaded"])
def test_a_submission_begun_on_a_chain_that_was_reorganised_since_is_made_again(ground: Ground, place: str) -> None:
    """Rollouts of a seed that the chain has taken back would be slashed as prompts of our own choice."""
    ground.enlisted().notes.on = {place: crash}
    with pytest.raises(Crash):
        ground.worker().run_once()
    ground.notes.on = {}
    other_seed = Seed(bytes([9]) * 32)
    ground.chain.refresh().task.seed = other_seed
    ground.worker().run_once()
    manifest = open_bundle(ground.journal().folder(FIRST), BundleLimits(2**20), ground.chain.commits[0])
    seed = trainer_seed(other_seed, ground.chain.refresh().task_id, FIRST, TRAINER)
    assert parse_submission_header(manifest.fields).seed == seed
    rollouts = read_rollouts(ground.journal().folder(FIRST) / "rollouts.parquet", RolloutLimits.of(SPEC))
    policy = load_policy(ground.shards.folder / ground.policy_root.hex())
    asked = submission_prompts(make_environment(SPEC.environment), seed, SPEC.rollout.groups)
    assert [rollouts.group(group)[0].prompt_ids for group in range(4)] == [
        tuple(policy.encode(each.text)) for each in asked
    ]


# -- the world outside


def test_a_relay_that_is_down_is_waited_for(ground: Ground) -> None:
    ground.enlisted().shards.is_down = True
    stop = QuickStop(after=4)
    ground.worker(stop=stop).run()
    assert ground.notes.messages == ["trainer started", "waiting for the network", "trainer stopped"]
    waits = [wait for wait in stop.waits if wait is not None]
    assert waits == sorted(waits)
    assert waits[-1] > waits[0]


def test_an_outage_is_told_when_it_begins_and_when_it_is_over(ground: Ground) -> None:
    stop = QuickStop(after=6)
    shards = ground.enlisted().shards
    shards.is_down = True
    stop.on_wait = lambda: setattr(shards, "is_down", len(stop.waits) < 4)
    ground.worker(stop=stop).run()
    assert ground.notes.messages.count("waiting for the network") == 1
    over = ground.notes.of("the network answers again")
    assert over["attempts"] == 4
    assert ground.notes.messages.index("the network answers again") > ground.notes.messages.index("task read")


def test_an_upload_that_fails_is_finished_later(ground: Ground) -> None:
    worker = ground.enlisted().worker()
    ground.notes.on = {"submission made": lambda: setattr(ground.shards, "is_down", True)}
    with pytest.raises(Unavailable):
        worker.run_once()
    ground.notes.on = {}
    ground.shards.is_down = False
    worker.run_once()
    assert ground.chain.commits == ground.shards.published


@pytest.mark.parametrize("error", ["CommitClosed", "EpochNotOpen", "EpochFull", "TaskIsClosed"])
def test_an_epoch_that_went_on_without_us_is_missed_and_no_harm(ground: Ground, error: str) -> None:
    worker = ground.enlisted().worker()
    ground.chain.refusals = [reverted(error)]
    worker.run_once()
    assert stage(ground) is Stage.MISSED
    ground.chain.commit_as(RIVAL, Root(bytes(32)))
    ground.chain.seal()
    worker.run_once()
    assert stage(ground, Epoch(1)) is Stage.COMMITTED


def test_an_epoch_sealed_while_we_worked_is_missed(ground: Ground) -> None:
    ground.enlisted().chain.commit_as(RIVAL, Root(bytes(32)))
    ground.notes.on = {"submission made": lambda: ground.chain.seal()}
    ground.worker().run_once()
    assert ground.chain.commits == []
    assert ground.notes.of("epoch missed")["epoch"] == 0


def test_no_submission_is_sent_when_the_window_is_about_to_end(ground: Ground) -> None:
    ground.enlisted().chain.commit_as(RIVAL, Root(bytes(32)))
    ground.chain.time += 96
    worker = ground.worker()
    assert isinstance(worker.run_once(), Idle)
    assert isinstance(worker.run_once(), Idle)
    assert ground.notes.messages.count("epoch missed") == 1
    assert ground.shards.published == []


def test_an_epoch_without_submissions_still_takes_one_after_its_window(ground: Ground) -> None:
    ground.enlisted().chain.time += 1_000
    ground.worker().run_once()
    assert len(ground.chain.commits) == 1


def test_a_submission_that_comes_after_the_seal_is_not_taken_for_the_next_epoch(ground: Ground) -> None:
    worker = ground.enlisted().worker()

    def seal_meanwhile() -> None:
        ground.chain.commit_as(RIVAL, Root(bytes(32)))
        ground.chain.seal()

    ground.chain.before_commit = seal_meanwhile
    worker.run_once()
    assert "WrongEpoch" in str(ground.notes.of("epoch missed")["why"])
    assert ground.chain.commits == []
    assert stage(ground) is Stage.MISSED


def test_a_policy_that_grew_too_old_is_exchanged_before_committing(ground: Ground) -> None:
    ground.enlisted()
    newer = bundle(ground.folder / "next", ground.shards, BundleKind.POLICY, policy_files(ground))

    def publish_two() -> None:
        ground.notes.on = {}
        ground.chain.publish_policy(0, newer)
        ground.chain.publish_policy(0, newer)

    ground.notes.on = {"submission uploaded": publish_two}
    worker = ground.worker()
    worker.run_once()
    assert ground.chain.commits == []
    worker.run_once()
    assert ground.notes.of("submission committed")["policy_version"] == 2
    assert "policy grew too old, making the submission again" in ground.notes.messages


def test_a_policy_within_staleness_is_kept(ground: Ground) -> None:
    ground.enlisted()
    newer = bundle(ground.folder / "next", ground.shards, BundleKind.POLICY, policy_files(ground))
    ground.notes.on = {"submission uploaded": lambda: ground.chain.publish_policy(0, newer)}
    ground.worker().run_once()
    assert ground.notes.of("submission committed")["policy_version"] == 0


# -- enlistment and bond


def test_a_trainer_without_bond_stops_and_says_what_it_needs(ground: Ground) -> None:
    ground.chain.bond_wei = 99
    with pytest.raises(Stop, match=r"99 wei of free bond; task 7 takes 1 wei more .* --role trainer 1`"):
        ground.worker().run()


def test_a_delisted_trainer_enlists_again(ground: Ground) -> None:
    worker = ground.enlisted().worker()
    ground.chain.delist()
    ground.chain.refusals = [reverted("NotEnlisted")]
    assert worker.run_once() == Idle("enlisted")
    assert ground.chain.enlistments == 2


def test_a_trainer_delisted_in_the_middle_of_a_submission_commits_it_after_enlisting(ground: Ground) -> None:
    worker = ground.enlisted().worker()
    ground.chain.refusals = [reverted("NotEnlisted")]
    ground.notes.on = {"submission uploaded": lambda: ground.chain.delist()}
    worker.run_once()
    ground.notes.on = {}
    worker.run_once()
    worker.run_once()
    assert len(ground.chain.commits) == 1


def test_a_slashed_trainer_stops_and_says_for_which_submission(ground: Ground) -> None:
    ground.chain.bond_wei = 100
    worker = ground.enlisted().worker()
    worker.run_once()
    ground.chain.seal()
    ground.chain.slash(0, 0)
    ground.chain.finalise(0)
    said = r"0 wei of free bond after submission 7/0/0 was judged fraud, which took 100 wei \(`assay explain 7/0/0`"
    with pytest.raises(Stop, match=said):
        worker.run()
    told = ground.notes.of("slashed")
    assert (told["submission"], told["taken"], told["why"]) == ("7/0/0", "100 wei", "it was judged a fraud")
    assert "assay explain 7/0/0" in str(told["what_to_do"])
    assert ground.notes.messages.count("slashed") == 1


def test_a_bond_that_is_gone_when_committing_stops(ground: Ground) -> None:
    worker = ground.enlisted().worker()
    ground.chain.refusals = [reverted("InsufficientBond")]
    ground.notes.on = {"submission uploaded": lambda: setattr(ground.chain, "bond_wei", 10)}
    with pytest.raises(Stop, match="free bond; task 7 takes"):
        worker.run_once()


@pytest.mark.parametrize(
    ("error", "outcome"),
    [("AlreadyEnlisted", Idle("enlisted")), ("TaskIsClosed", Finished("the task is closed"))],
)
def test_refused_enlistments_that_do_no_harm(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, error: str, outcome: object
) -> None:
    monkeypatch.setattr(ground.chain, "enlist", refuse(reverted(error)))
    assert ground.worker().run_once() == outcome


@pytest.mark.parametrize("error", ["InsufficientBond", "WrongTerms"])
def test_refused_enlistments_that_need_the_operator(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    monkeypatch.setattr(ground.chain, "enlist", refuse(reverted(error)))
    with pytest.raises(Stop, match=error if error == "WrongTerms" else "too small for all tasks"):
        ground.worker().run_once()


def refuse(error: Reverted) -> Callable[[bytes], None]:
    def enlist(terms_hash: bytes) -> None:
        raise error

    return enlist


def test_a_refusal_that_nobody_foresaw_stops(ground: Ground) -> None:
    ground.enlisted().chain.refusals = [reverted("BadUnits")]
    with pytest.raises(Stop, match=r"the contract refuses our submission.*BadUnits"):
        ground.worker().run_once()


# -- collateral


def test_a_trainer_without_free_bond_claims_what_is_decided_before_its_next_submission(ground: Ground) -> None:
    """Whatever a submission earned: also where it earned nothing, or its epoch is void, its collateral is free
    again.
    """
    ground.chain.bond_wei = 200
    worker = ground.enlisted().worker()
    for epoch in range(2):
        worker.run_once()
        ground.chain.seal()
        ground.chain.publish_policy(epoch, ground.policy_root)
    ground.chain.settle(0, bytes([0]))
    ground.chain.finalise(0)
    ground.chain.void(1)
    assert isinstance(worker.run_once(), Assignment)
    assert [[(ref.epoch, ref.submission.index) for ref in claim] for claim in ground.chain.claims] == [[(0, 0), (1, 0)]]
    assert len(ground.chain.commits) == 3


def test_while_there_is_free_bond_nothing_is_claimed(ground: Ground) -> None:
    worker = ground.enlisted().worker()
    worker.run_once()
    ground.chain.seal()
    ground.chain.settle(0, bytes([100]))
    ground.chain.publish_policy(0, ground.policy_root)
    ground.chain.finalise(0)
    worker.run_once()
    assert not ground.chain.claims and len(ground.chain.commits) == 2


def test_where_submissions_in_flight_hold_the_bond_it_waits_and_says_so_before_it_submissions(ground: Ground) -> None:
    ground.chain.bond_wei = 100
    worker = ground.enlisted().worker()
    worker.run_once()
    ground.chain.seal()
    begun = ground.notes.messages.count("submission begun")
    step = worker.run_once()
    assert isinstance(step, Idle) and "another takes 100 wei" in step.why and "assay stake bond" in step.why
    assert ground.notes.messages.count("submission begun") == begun
    ground.chain.settle(0, bytes([100]))
    ground.chain.publish_policy(0, ground.policy_root)
    ground.chain.finalise(0)
    assert isinstance(worker.run_once(), Assignment)
    assert len(ground.chain.commits) == 2


def test_a_fraud_is_not_claimed(ground: Ground) -> None:
    """The contract would refuse the whole batch."""
    ground.chain.bond_wei = 200
    worker = ground.enlisted().worker()
    for epoch, score in enumerate((255, 100)):
        worker.run_once()
        ground.chain.seal()
        ground.chain.settle(epoch, bytes([score]))
        ground.chain.publish_policy(epoch, ground.policy_root)
        ground.chain.finalise(epoch)
    worker.run_once()
    assert [[ref.epoch for ref in claim] for claim in ground.chain.claims] == [[1]]


@pytest.mark.parametrize(("bond", "submissions"), [(99, 0), (100, 2), (149, 2), (150, 3)])
def test_a_small_submission_takes_little_bond(ground: Ground, bond: int, submissions: int) -> None:
    """Submissions of half the size that the task allows, and so of half the stake."""
    task = ground.chain.refresh().task
    task.params = ground.chain.params = replace(task.params, max_submission_units=8)
    ground.chain.bond_wei = bond
    worker = ground.worker()
    if not submissions:
        with pytest.raises(Stop, match="free bond"):
            worker.run_once()
        return
    worker.run_once()
    for epoch in range(4):
        if isinstance(worker.run_once(), Assignment):
            ground.chain.seal()
            ground.chain.publish_policy(epoch, ground.policy_root)
    assert len(ground.chain.commits) == submissions


# -- several submissions of one epoch


def test_several_submissions_of_an_epoch_are_other_rollouts_and_only_the_last_says_so(ground: Ground) -> None:
    worker = ground.enlisted().worker(submissions_each=2)
    worker.run_once()
    worker.run_once()
    assert why(worker.run_once()) == "our submission is committed: waiting for the next epoch"
    assert len(set(ground.chain.commits)) == 2 and ground.chain.is_last == [False, True]
    limits = RolloutLimits.of(SPEC)
    first, second = (
        read_rollouts(ground.journal().folder(FIRST, number) / "rollouts.parquet", limits) for number in range(2)
    )
    assert [row.prompt_ids for row in first.completions] != [row.prompt_ids for row in second.completions]


def test_a_task_takes_no_more_submissions_of_one_trainer_than_its_terms_say(ground: Ground) -> None:
    worker = ground.enlisted().worker(submissions_each=9)
    for _ in range(5):
        worker.run_once()
    assert len(ground.chain.commits) == 3 and ground.chain.is_last == [False, False, True]


def test_a_submission_whose_transaction_may_be_on_its_way_is_not_sent_again_meanwhile(ground: Ground) -> None:
    """Else one submission would be committed twice, the second time under the seed of another."""
    ground.enlisted().chain.before_commit = crash
    with pytest.raises(Crash):
        ground.worker(submissions_each=2).run_once()
    ground.chain.before_commit = lambda: None
    ground.chain.sends_still = True
    worker = ground.worker(submissions_each=2)
    assert isinstance(worker.run_once(), Idle) and not ground.chain.commits
    ground.chain.sends_still = False
    worker.run_once()
    assert len(ground.chain.commits) == 1


def test_a_task_of_rules_that_we_do_not_know_is_not_worked_on(ground: Ground) -> None:
    task = ground.chain.refresh().task
    task.params = replace(task.params, protocol_version=task.params.protocol_version + 1)
    with pytest.raises(Stop, match="version"):
        ground.worker().run_once()
    assert ground.chain.enlistments == 0


# -- the end


def test_a_closed_task_ends_the_trainer(ground: Ground) -> None:
    worker = ground.enlisted().worker()
    worker.run_once()
    ground.chain.seal(opens_next=False)
    ground.chain.close()
    ground.notes.on = {"waiting": lambda: ground.chain.void(0)}  # until then, verifiers may ask us for the submission
    worker.run()
    assert ground.notes.of("waiting")["why"] == "the task is closed: our last submissions are being judged"
    assert ground.notes.of("trainer finished")["why"] == "the task is closed"


def test_a_trainer_whose_task_ends_says_what_it_earned_and_how_to_claim(ground: Ground) -> None:
    worker = ground.enlisted().worker()
    worker.run_once()
    ground.chain.seal(opens_next=False)
    ground.chain.settle(0, bytes([50]))
    ground.chain.finalise(0)
    ground.chain.close()
    worker.run()
    end = ground.notes.of("trainer finished")
    assert (end["submissions"], end["earned"], end["claimable"], end["slashed"]) == (
        1,
        "2 wei",
        "2 wei",
        "0 wei",
    )
    assert "assay rewards claim" in str(end["what_to_do"])


def test_who_waits_says_for_whom_and_until_when(ground: Ground) -> None:
    ground.enlisted().chain.add(TrainerEnlisted, trainer=RIVAL)
    ground.worker(stop=QuickStop(after=3)).run()
    waiting = ground.notes.of("waiting")
    assert waiting["why"] == "our submission is committed: waiting for the next epoch"
    assert waiting["waits_for"] == f"submissions to epoch 0 from {RIVAL}, until 1970-01-01 00:18:20 UTC at the latest"
    assert (waiting["until"], waiting["earned"]) == (1_100, "0 wei")


def test_who_ends_knows_that_an_epoch_waits_for_it_and_may_leave(ground: Ground) -> None:
    worker = ground.enlisted().worker(stop=QuickStop(after=1))
    ground.chain.commit_as(RIVAL, Root(bytes(32)))
    ground.shards.is_down = True
    worker.run()
    assert str(worker.keeps_waiting).startswith("epoch 0 of task 7 waits for our submission, until 1970")
    worker.leave()
    assert worker.keeps_waiting is None
    assert ground.notes.messages[-1] == "left the task"


def test_who_has_committed_knows_that_the_next_epoch_will_wait_for_it(ground: Ground) -> None:
    worker = ground.enlisted().worker(stop=QuickStop(after=1))
    worker.run()
    assert str(worker.keeps_waiting) == "the next epoch of task 7 will wait for our submission"


def test_leaving_twice_does_no_harm(ground: Ground) -> None:
    worker = ground.enlisted().worker(stop=QuickStop(after=1))
    worker.run()
    ground.chain.refusals = [reverted("NotEnlisted")]
    worker.leave()
    assert ground.notes.messages[-1] == "not left"


def test_a_trainer_that_was_delisted_stays_until_its_last_submission_is_judged(ground: Ground) -> None:
    """It was slashed for an earlier one, say: in a swarm nobody else may have the last one yet."""
    worker = ground.enlisted().worker()
    worker.run_once()
    ground.chain.delist()
    ground.chain.seal(opens_next=False)
    ground.chain.close()
    step = worker.run_once()
    assert isinstance(step, Idle) and step.why == "the task is closed: our last submissions are being judged"
    ground.chain.void(0)
    assert worker.run_once() == Finished("the task is closed")


def test_a_closed_task_is_not_enlisted_for(ground: Ground) -> None:
    ground.chain.commit_as(RIVAL, Root(bytes(32)))
    ground.chain.close()
    assert ground.worker().run_once() == Finished("the task is closed")


@pytest.mark.parametrize("place", ["rolling out", "inner step"])
def test_a_request_to_stop_ends_the_submission_under_way_and_loses_nothing(ground: Ground, place: str) -> None:
    stop = QuickStop()
    ground.enlisted().notes.on = {place: stop.set}
    ground.worker(stop=stop).run()
    assert ground.notes.messages[-1] == "trainer stopped"
    assert ground.chain.commits == []
    ground.notes.on = {}
    ground.worker().run_once()
    assert len(ground.chain.commits) == 1


def test_what_is_over_is_tidied_away(ground: Ground) -> None:
    worker = ground.enlisted().worker()
    ground.chain.refusals = [reverted("CommitClosed")]
    worker.run_once()
    assert ground.journal().folder(FIRST).exists()
    ground.chain.commit_as(RIVAL, Root(bytes(32)))
    ground.chain.seal()
    worker.run_once()
    worker.run_once()
    assert not ground.journal().folder(FIRST).exists()
    assert ground.journal().folder(Epoch(1)).exists()


def test_the_next_policy_is_fetched_ahead_and_its_absence_does_no_harm(ground: Ground) -> None:
    worker = ground.enlisted().worker()
    worker.run_once()
    ground.chain.seal(opens_next=False)
    ground.chain.publish_policy(0, Root(b"\x01" * 32))
    assert isinstance(worker.run_once(), Idle)


def test_of_the_cache_the_spec_and_the_policies_within_staleness_stay(ground: Ground) -> None:
    ground.enlisted().worker().run_once()
    spec = ground.chain.refresh().task.spec_hash
    assert ground.in_use == {spec, ground.policy_root}
    later = [Root(bytes([number]) * 32) for number in (1, 2, 3)]
    for epoch, root in enumerate(later):
        ground.chain.seal()
        ground.chain.publish_policy(epoch, root)
    with pytest.raises(Unavailable):  # the newest is on no relay yet
        ground.worker().run_once()
    assert ground.in_use == {spec, *later[1:]}  # the task's maxStaleness is 1


# -- tasks and policies that nobody can work with


def test_a_policy_that_is_none_stops(ground: Ground) -> None:
    broken = bundle(ground.folder / "broken", ground.shards, BundleKind.POLICY, {"policy.json": b"{}"})
    ground.enlisted().chain.publish_policy(0, broken)
    with pytest.raises(Stop, match="policy version 1 of this task is broken"):
        ground.worker().run_once()


def test_a_policy_that_has_diverged_stops(ground: Ground, tmp_path: Path) -> None:
    policy = load_policy(ground.shards.folder / ground.policy_root.hex())
    for parameter in policy.trainable().values():
        parameter.data.sign_().mul_(3e38)
    save_policy(policy, tmp_path / "diverged")
    root = ground.shards.put(tmp_path / "diverged", build_bundle(tmp_path / "diverged", BundleKind.POLICY, {}))
    ground.enlisted().chain.publish_policy(0, root)
    with pytest.raises(Stop, match="policy version 1 cannot be"):
        ground.worker().run_once()


def test_a_policy_that_cannot_read_the_prompts_stops(ground: Ground) -> None:
    files = policy_files(ground)
    files["policy.json"] = files["policy.json"].replace(b'"0123456789="', b'"abcdefghij="')
    ground.enlisted().chain.publish_policy(0, bundle(ground.folder / "abc", ground.shards, BundleKind.POLICY, files))
    with pytest.raises(Stop, match="policy version 1 cannot be rolled out"):
        ground.worker().run_once()


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(b"{}", id="no spec"),
        pytest.param(b"x" * 70_000, id="too large"),
        pytest.param(
            SPEC.model_copy(update={"environment": EnvironmentSpec(name="chess")}).to_bytes(), id="unknown environment"
        ),
        pytest.param(
            SPEC.model_copy(update={"rollout": SPEC.rollout.model_copy(update={"groups": 5})}).to_bytes(),
            id="more units than a submission may have",
        ),
    ],
)
def test_a_task_that_nobody_can_work_on_stops(ground: Ground, spec: bytes) -> None:
    task = ground.chain.refresh().task
    task.spec_hash = ground.task_bundle(spec)
    with pytest.raises(Stop, match="nobody can work on"):
        ground.worker().run_once()


def test_entries_pin_the_policy_of_the_first_attempt(ground: Ground) -> None:
    ground.enlisted().notes.on = {"inner step": crash}
    with pytest.raises(Crash):
        ground.worker().run_once()
    ground.notes.on = {}
    newer = bundle(ground.folder / "next", ground.shards, BundleKind.POLICY, policy_files(ground))
    ground.chain.publish_policy(0, newer)
    ground.worker().run_once()
    entry = ground.journal().read(FIRST)
    assert entry == replace(entry, policy_version=0, policy_root=ground.policy_root)  # pyright: ignore[reportArgumentType]
