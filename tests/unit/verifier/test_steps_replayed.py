"""Submissions replayed step by step, judged: honest ones pass, a lie in one step is found when that step is drawn."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from assay_core.aggregation.codecs import CodecName
from assay_core.environments import Environment, make_environment
from assay_core.environments.interface import Prompt
from assay_core.policy import Policy, initial_policy
from assay_core.protocol.encoding import Json, canonical_json, derive, parse_canonical_json
from assay_core.protocol.errors import Reason
from assay_core.protocol.spec import CheckSpec
from assay_core.protocol.types import SCORE_FRAUD, SCORE_FULL, SCORE_UNPAID, Root, Seed
from assay_core.training.inner import repeat_inner_step
from assay_core.training.states import Arrays, InnerState, state_name
from assay_verifier.case import parse_case
from assay_verifier.checks import replay, states
from assay_verifier.judge import Judgement, judge
from tests.cheats.forging import Gradients, train_with
from tests.submissions import Draft, LoadedContext
from tests.unit.verifier.honest import EPOCH_SEED, SPEC, HonestTrainer

pytestmark = pytest.mark.slow

STEPS = 4
STEP_WISE = SPEC.model_copy(
    update={
        "checks": CheckSpec(replay="steps", steps_replayed=1),
        "recipe": SPEC.recipe.model_copy(update={"inner_steps": STEPS, "groups_per_step": 2}),
    }
)
START: dict[str, Json] = {"kind": "tiny", "layers": 2, "width": 32, "heads": 2, "context": 16}
ADAPTER: dict[str, Json] = {"rank": 2, "alpha": 4, "targets": ["blocks.*.qkv", "blocks.*.down"]}
ALL_MEASURES = {
    replay.NAME_DIRECTION,
    replay.NAME_LENGTH,
    replay.NAME_LARGEST,
    replay.NAME_FIRST,
    replay.NAME_SECOND,
}


@pytest.fixture(scope="module", params=["adapter", "all weights"])
def learner(request: pytest.FixtureRequest) -> Policy:
    start = START | {"warmup": {"steps": 30, "batch": 32}}
    if request.param == "adapter":
        start |= {"adapter": ADAPTER}
    return initial_policy(start, Seed(b"\x01" * 32), make_environment(SPEC.environment))


@pytest.fixture
def trainer(learner: Policy, tmp_path: Path) -> HonestTrainer:
    return HonestTrainer(STEP_WISE, learner, Root(b"\x03" * 32), tmp_path, make_environment(SPEC.environment))


def outcome(judgement: Judgement) -> tuple[int, Reason | None]:
    return judgement.verdict.score, judgement.verdict.reason


def with_gradients(trainer: HonestTrainer, alter: Callable[[int, Gradients], None]) -> Draft:
    """A training that goes as AdamW goes, but for its gradients."""
    honest = trainer.parts()
    update, trace, found = train_with(trainer.policy, honest.rollouts, trainer.spec, trainer.seed, alter)
    return replace(honest, update=update, trace=trace, states=found)


def turned_in(step: int) -> Callable[[int, Gradients], None]:
    def alter(number: int, gradients: Gradients) -> None:
        if number == step:
            for gradient in gradients.values():
                gradient.neg_()

    return alter


@pytest.mark.parametrize("codec", ["int8", "fp32", "topk20"])
def test_honest_submission_passes_and_each_measure_is_taken(trainer: HonestTrainer, codec: CodecName) -> None:
    with_codec = replace(trainer, spec=trainer.spec.model_copy(update={"codec": codec}))
    verdict = with_codec.judge(with_codec.parts()).verdict
    assert (verdict.score, verdict.reason) == (SCORE_FULL, None), verdict.findings[-1]
    found = {finding.check: finding for finding in verdict.findings}
    assert found.keys() >= ALL_MEASURES | {states.NAME, states.NAME_STEPS}
    assert all(found[name].measured == 0.0 for name in (replay.NAME_LENGTH, replay.NAME_LARGEST, replay.NAME_FIRST))
    assert 0 < found[states.NAME_STEPS].measured < 0.5


def test_without_the_forging_it_is_the_recipe(trainer: HonestTrainer) -> None:
    """What the tests below forge differs from honest training by the gradients alone."""
    honest, forged = trainer.parts(), with_gradients(trainer, lambda number, gradients: None)
    assert honest.trace == forged.trace
    assert [each.digest() for each in honest.states] == [each.digest() for each in forged.states]


def test_altered_step_is_found_exactly_when_it_is_drawn(trainer: HonestTrainer) -> None:
    parts = with_gradients(trainer, turned_in(2))
    bundle = trainer.write(parts)
    context = LoadedContext(trainer.policy, trainer.environment)
    cases = [replace(trainer.case(bundle), epoch_seed=derive(EPOCH_SEED, number)) for number in range(64)]
    drawn = [case for case in cases if 2 in case.steps_replayed(STEPS)][:2]
    others = [case for case in cases if 2 not in case.steps_replayed(STEPS)][:2]
    assert [outcome(judge(case, context, bundle.directory, bundle.manifest)) for case in (*drawn, *others)] == [
        *[(SCORE_FRAUD, Reason.REPLAY_MISMATCH)] * 2,
        *[(SCORE_FULL, None)] * 2,
    ]
    assert outcome(judge(trainer.case(bundle).everything_checked(), context, bundle.directory, bundle.manifest)) == (
        SCORE_FRAUD,
        Reason.REPLAY_MISMATCH,
    )


def test_step_that_is_replayed_costs_one_step(trainer: HonestTrainer) -> None:
    taken: list[int] = []
    bundle = trainer.write(trainer.parts())
    case = trainer.case(bundle)
    policy = trainer.policy
    read = dict(enumerate(trainer.parts().states))

    def repeat(number: int, before: InnerState | None) -> InnerState:
        taken.append(number)
        return repeat_inner_step(policy, trainer.parts().rollouts, trainer.spec, trainer.seed, number, before)

    weights = {name: value.detach().numpy() for name, value in policy.trainable().items()}
    drawn = case.steps_replayed(STEPS)
    findings = list(replay.check_steps(drawn, weights, read.__getitem__, repeat, trainer.spec.checks))
    assert taken == drawn and len(drawn) == 1
    assert {finding.check for finding in findings} == ALL_MEASURES
    assert all(finding.evidence["step"] == drawn[0] for finding in findings)


def test_verdict_is_repeated_to_the_byte_from_the_case_alone(trainer: HonestTrainer) -> None:
    """As `assay verify` does it: the case travels as JSON, and the same steps are drawn from it."""
    bundle = trainer.write(with_gradients(trainer, turned_in(1)))
    context = LoadedContext(trainer.policy, trainer.environment)
    case = trainer.case(bundle)
    again = parse_case(parse_canonical_json(canonical_json(case.json())))
    assert again.steps_replayed(STEPS) == case.steps_replayed(STEPS)
    one, other = (judge(each, context, bundle.directory, bundle.manifest).verdict for each in (case, again))
    assert canonical_json(one.json()) == canonical_json(other.json())


def test_submission_without_anything_to_learn_has_no_states_and_passes(trainer: HonestTrainer) -> None:
    alike = replace(trainer, environment=Indifferent(trainer.environment))
    parts = alike.parts(alike.roll_out())
    assert parts.states == () and parts.trace == ()
    assert outcome(alike.judge(parts)) == (SCORE_FULL, None)


@dataclass(frozen=True)
class Indifferent:
    """The same prompts; every answer is worth the same."""

    inner: Environment

    def prompt(self, seed: Seed, index: int) -> Prompt:
        return self.inner.prompt(seed, index)

    def reward(self, prompt: Prompt, completion: str) -> float:
        return 0.5


# ---- states that do not hang together: found in every submission, worth nothing


def swapped(parts: Draft, number: int, **changes: Arrays) -> Draft:
    changed = replace(parts.states[number], **changes)
    trace = tuple(
        replace(step, state=changed.digest()) if place == number else step for place, step in enumerate(parts.trace)
    )
    return replace(parts, trace=trace, states=(*parts.states[:number], changed, *parts.states[number + 1 :]))


def scaled(tensors: Arrays, factor: float) -> Arrays:
    return {name: value * np.float32(factor) for name, value in tensors.items()}


def larger_first(parts: Draft) -> Draft:
    return swapped(parts, 1, first=scaled(parts.states[1].first, 1.5))


def no_second(parts: Draft) -> Draft:
    return swapped(parts, 1, second=scaled(parts.states[1].second, 0.0))


def standing_still(parts: Draft) -> Draft:
    return swapped(parts, 2, parameters=parts.states[1].parameters)


def other_update(parts: Draft) -> Draft:
    return replace(parts, update=dict(scaled(parts.update, 1.01)))


def not_as_traced(parts: Draft) -> Draft:
    return replace(parts, states=(*parts.states[:2], parts.states[1], parts.states[3]))


def one_missing(parts: Draft) -> Draft:
    return replace(parts, states=parts.states[:-1])


def one_too_many(parts: Draft) -> Draft:
    return replace(parts, states=(*parts.states, parts.states[-1]))


def none_at_all(parts: Draft) -> Draft:
    return replace(parts, states=())


@pytest.mark.parametrize(
    ("break_it", "check"),
    [
        (larger_first, states.NAME_STEPS),
        (no_second, states.NAME_STEPS),
        (standing_still, states.NAME_STEPS),
        (other_update, states.NAME),
        (not_as_traced, states.NAME),
        (one_missing, "bytes"),
        (one_too_many, "bytes"),
        (none_at_all, "bytes"),
    ],
)
def test_states_that_do_not_hang_together_are_worth_nothing(
    trainer: HonestTrainer, break_it: Callable[[Draft], Draft], check: str
) -> None:
    verdict = trainer.judge(break_it(trainer.parts())).verdict
    assert verdict.score == SCORE_UNPAID
    assert verdict.reason is (Reason.MALFORMED if check == "bytes" else Reason.BAD_UPDATE)
    assert verdict.findings[-1].check == check


def test_gradient_longer_than_it_may_be_is_found_in_every_submission(trainer: HonestTrainer) -> None:
    """Clipping is part of the step: what is not clipped weighs more in the moments than all steps after it."""
    loose = trainer.spec.recipe.model_copy(update={"max_grad_norm": 1e6})
    unclipped = replace(trainer, spec=trainer.spec.model_copy(update={"recipe": loose}))

    def grow(number: int, gradients: Gradients) -> None:
        if number == 1:
            for gradient in gradients.values():
                gradient.mul_(1e3)

    verdict = trainer.judge(with_gradients(unclipped, grow)).verdict
    assert (verdict.score, verdict.reason) == (SCORE_UNPAID, Reason.BAD_UPDATE)
    assert "gradient norm" in verdict.findings[-1].detail


def test_state_that_is_none_is_worth_nothing(trainer: HonestTrainer) -> None:
    def truncate(folder: Path) -> None:
        path = folder / state_name(1)
        path.write_bytes(path.read_bytes()[:-8])

    verdict = trainer.judge(trainer.parts(), truncate).verdict
    assert (verdict.score, verdict.reason) == (SCORE_UNPAID, Reason.BAD_UPDATE)


def test_states_in_a_task_that_replays_submissions_whole_are_surplus(trainer: HonestTrainer) -> None:
    whole = replace(trainer, spec=trainer.spec.model_copy(update={"checks": CheckSpec()}))
    assert outcome(whole.judge(whole.parts())) == (SCORE_FULL, None)
    assert outcome(whole.judge(replace(whole.parts(), states=trainer.parts().states))) == (
        SCORE_UNPAID,
        Reason.MALFORMED,
    )
