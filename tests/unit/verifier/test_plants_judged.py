"""What trainers plant passes all checks but a replay: so it tells who looks from who does not."""

from dataclasses import replace

import pytest

from assay_trainer.adversaries import HalfRead
from assay_verifier.judge import judge
from tests.submissions import LoadedContext
from tests.unit.verifier.honest import HonestTrainer


@pytest.mark.parametrize("way", ["whole", "steps"])
@pytest.mark.parametrize(("sampling_bps", "score"), [(0, 100), (10_000, 255)], ids=["not drawn", "drawn"])
def test_a_plant_is_fraud_to_who_replays_it_and_to_nobody_else(
    trainer: HonestTrainer, way: str, sampling_bps: int, score: int
) -> None:
    checks = trainer.spec.checks.model_copy(update={"replay": way})
    trainer = replace(trainer, spec=trainer.spec.model_copy(update={"checks": checks}))
    rollouts = trainer.roll_out()
    half = trainer.parts(HalfRead().rollouts_for_training(rollouts))
    bundle = trainer.write(replace(half, rollouts=rollouts))
    case = replace(trainer.case(bundle), sampling_bps=sampling_bps)
    context = LoadedContext(trainer.policy, trainer.environment)
    assert judge(case, context, bundle.directory, bundle.manifest).verdict.score == score
