"""Every codec that a task may name: honest submissions pass through it, and replay finds what it finds without a
codec.
"""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from assay_core.aggregation.codecs import CodecName, codec_named
from assay_core.protocol.errors import Reason
from assay_core.protocol.spec import TaskSpec
from assay_verifier.checks.replay import NAME_CHOICE
from assay_verifier.judge import Judgement
from tests.submissions import Draft
from tests.unit.verifier.honest import HonestTrainer

CODECS: tuple[CodecName, ...] = get_args(CodecName)
FLOAT_NOISE = 1e-4  # a thousand times what other hardware was seen to do


@pytest.fixture(params=CODECS)
def with_codec(request: pytest.FixtureRequest, trainer: HonestTrainer) -> HonestTrainer:
    codec: CodecName = request.param
    return replace(trainer, spec=TaskSpec.model_validate(trainer.spec.model_dump() | {"codec": codec}))


def outcome(judgement: Judgement) -> tuple[int, Reason | None]:
    return judgement.verdict.score, judgement.verdict.reason


def noisy(parts: Draft) -> Draft:
    random = np.random.default_rng(3)
    update = {
        name: (tensor * (1 + FLOAT_NOISE * random.standard_normal(tensor.shape))).astype(np.float32)
        for name, tensor in parts.update.items()
    }
    return replace(parts, update=update)


def test_each_codec_takes_the_honest_and_finds_the_altered(with_codec: HonestTrainer) -> None:
    parts = with_codec.parts()
    assert outcome(with_codec.judge(parts)) == (100, None)
    assert outcome(with_codec.judge(noisy(parts))) == (100, None)
    turned = replace(parts, update={name: -tensor for name, tensor in parts.update.items()})
    assert outcome(with_codec.judge(turned)) == (255, Reason.REPLAY_MISMATCH)


def test_each_codec_finds_a_skipped_step(with_codec: HonestTrainer) -> None:
    honest = with_codec.parts()
    recipe = with_codec.spec.recipe.model_copy(update={"inner_steps": 1})
    lazy = replace(with_codec, spec=with_codec.spec.model_copy(update={"recipe": recipe}))
    short = lazy.parts(honest.rollouts)
    assert outcome(with_codec.judge(replace(honest, update=short.update))) == (255, Reason.REPLAY_MISMATCH)


def test_where_all_elements_are_alike_noise_may_choose_what_is_kept(trainer: HonestTrainer) -> None:
    """After a single step of Adam every element has moved by the learning rate, so the largest are any."""
    once = trainer.spec.recipe.model_copy(update={"inner_steps": 1})
    sparse = replace(trainer, spec=trainer.spec.model_copy(update={"recipe": once, "codec": "topk4"}))
    parts = sparse.parts()
    codec = codec_named("topk4")
    kept, kept_by_noise = (
        {name: codec.decode(codec.encode(tensor), tensor.shape) != 0 for name, tensor in each.update.items()}
        for each in (parts, noisy(parts))
    )
    assert sum(int((kept[name] & ~kept_by_noise[name]).sum()) for name in kept) > 100
    assert outcome(sparse.judge(noisy(parts))) == (100, None)


@pytest.mark.parametrize("codec", ["topk4", "topk20"])
def test_keeping_small_elements_instead_of_large_ones_is_found(trainer: HonestTrainer, codec: CodecName) -> None:
    """Each element is what training made of it, but those that would move the policy most are left out."""
    sparse = replace(trainer, spec=trainer.spec.model_copy(update={"codec": codec}))
    parts = sparse.parts()
    middling = {name: np.where(np.abs(t) < np.quantile(np.abs(t), 0.5), t, 0) for name, t in parts.update.items()}
    judgement = sparse.judge(replace(parts, update=middling))
    assert outcome(judgement) == (255, Reason.REPLAY_MISMATCH)
    assert judgement.verdict.findings[-1].check == NAME_CHOICE
