"""Which trials are made under a task's terms, and what they tell."""

from dataclasses import replace

import pytest

from assay_protocol.economics.assumptions import Assumptions
from benchmarks.economics.trials import lazy_trials, slash_trials
from tests.unit.economics.terms import TERMS, TOKEN


@pytest.mark.slow
def test_trials_try_one_submission_and_all_in_flight_and_tell_what_pays_under_the_terms() -> None:
    poor = replace(TERMS, fraud_slash=TOKEN // 2, trainer_bond=TOKEN)
    assumed = Assumptions(epoch_s=1_000)
    trials = slash_trials(poor, assumed, seed=1, epochs=400, events=2_000)
    assert {(trial.in_flight, trial.strategy) for trial in trials} == {(1, "always"), (5, "always"), (5, "bursts")}
    assert all(trial.sampling_bps < 10_000 for trial in trials)
    assert {trial.chosen for trial in trials if trial.chosen} == {"always"}
    safe = slash_trials(TERMS, assumed, seed=1, epochs=400, events=2_000)
    assert {trial.chosen for trial in safe if trial.chosen} == {"honest"}
    assert safe == slash_trials(TERMS, assumed, seed=1, epochs=400, events=2_000)


def test_trials_with_lazy_verifiers_go_from_none_to_all() -> None:
    terms = replace(TERMS, quorum_bps=6_667)
    trials = lazy_trials(terms, Assumptions(verifiers=4), seed=1, epochs=400, events=2_000)
    assert [trial.lazy for trial in trials] == [0, 1, 2, 3, 4]
    assert [trial.score for trial in trials] == [255, 255, 0, 100, 100]
    assert trials[0].lazy_fee is None and trials[-1].checker_fee is None
    assert trials[0].cheat_earns < 0 < trials[2].cheat_earns < trials[3].cheat_earns
