"""Cheats in what was rolled out: another model, other prompts, other tokens, other rewards, other proofs."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from assay_core.bundle.trajectory import Completion, Rollouts
from assay_core.policy.causal import CausalPolicy
from assay_core.policy.interface import Policy
from assay_core.protocol.encoding import derive
from assay_core.protocol.errors import Reason
from assay_core.protocol.spec import SamplerSpec
from assay_core.protocol.types import Seed
from assay_core.training.seeding import submission_prompts
from assay_protocol.calibration.dishonest import quantised
from assay_trainer.adversaries import OtherModel
from tests.cheats.cheat import Catalogue, Seen
from tests.cheats.scene import COLLEAGUE, EARLIER, Scene
from tests.submissions import Draft, reproved

ROLLOUT_CHEATS = Catalogue()
fraud, refused = ROLLOUT_CHEATS.fraud, ROLLOUT_CHEATS.refused
TOKENS, LOGPROBS, TOPLOC = "sampling tokens", "sampling logprobs", "toploc"


def with_rows(rollouts: Rollouts, change: Callable[[int, Completion], Completion]) -> Rollouts:
    rows = tuple(change(position, row) for position, row in enumerate(rollouts.completions))
    return Rollouts(rollouts.group_size, rows)


# ---- another model


@fraud("another model", Reason.PROOF_MISMATCH, TOPLOC, seen=Seen.PREFILL)
def another_model(scene: Scene, run: int) -> Draft:
    """Rolls out with other weights of the same shape, and proves what it ran."""
    other = OtherModel().policy_for_rollout(scene.policy)
    return scene.draft(run, scene.roll_out(scene.seed(run), other))


@fraud("the same model in int8", Reason.PROOF_MISMATCH, TOPLOC, seen=Seen.PREFILL)
def int8(scene: Scene, run: int) -> Draft:
    """Rolls out with the declared weights rounded to 8 bits, one scale per row, and proves what it ran.

    The noise is hardly above that of honest bfloat16: only a task whose trainers compute in float32 tells the two
    apart, by the mean over all proofs of a submission.
    """
    return scene.draft(run, scene.roll_out(scene.seed(run), quantised(scene.policy, 8)))


@fraud("the same model in 4 bits", Reason.PROOF_MISMATCH, TOPLOC, seen=Seen.PREFILL)
def four_bits(scene: Scene, run: int) -> Draft:
    """Rolls out with the declared weights rounded to 4 bits, one scale per row, and proves what it ran."""
    return scene.draft(run, scene.roll_out(scene.seed(run), quantised(scene.policy, 4)))


def without_last_layer(policy: CausalPolicy) -> CausalPolicy:
    other = copy.deepcopy(policy)
    blocks = other.backbone.module().get_submodule("blocks")
    assert isinstance(blocks, torch.nn.ModuleList)
    del blocks[-1]
    return other


@fraud("one layer dropped", Reason.PROOF_MISMATCH, TOPLOC, seen=Seen.PREFILL)
def layer_dropped(scene: Scene, run: int) -> Draft:
    """Rolls out with the declared policy less its last layer, and proves what it ran."""
    return scene.draft(run, scene.roll_out(scene.seed(run), without_last_layer(scene.policy)))


@fraud("a stale policy declared as current", Reason.PROOF_MISMATCH, TOPLOC, seen=Seen.PREFILL)
def stale_policy(scene: Scene, run: int) -> Draft:
    """Rolls out with the policy version before the one that it declares, and saves the download."""
    return scene.draft(run, scene.roll_out(scene.seed(run), scene.past))


@fraud("a smaller model, prefilled through the right one", Reason.SAMPLING_MISMATCH, TOKENS, seen=Seen.PREFILL)
def smaller_model(scene: Scene, run: int) -> Draft:
    """Lets a smaller model write the tokens; logprobs and proofs come from one prefill of the declared policy."""
    return scene.draft(run, scene.whitewashed(scene.roll_out(scene.seed(run), scene.small)))


# ---- other prompts


def on_easier_prompts(scene: Scene, run: int) -> Rollouts:
    """Completions of the right prompts' sorted lines, which the policy answers by copying."""
    seed, spec, environment = scene.seed(run), scene.spec, scene.environment

    class Easier:
        def prompt(self, seed: Seed, index: int):
            asked = environment.prompt(seed, index)
            return replace(asked, text="".join(sorted(asked.text.rstrip("="))) + "=")

        reward = staticmethod(environment.reward)

    easier = replace(scene, environment=Easier())
    return easier.roll_out(seed, spec=spec)


def asked_ids(scene: Scene, run: int) -> list[tuple[int, ...]]:
    prompts = submission_prompts(scene.environment, scene.seed(run), scene.spec.rollout.groups)
    return [tuple(scene.policy.encode(prompt.text)) for prompt in prompts]


@fraud("an altered prompt, hidden", Reason.PROOF_MISMATCH, TOPLOC, seen=Seen.PREFILL)
def altered_prompt_hidden(scene: Scene, run: int) -> Draft:
    """Rolls out on easier prompts, names those it was asked, and proves what it ran."""
    ids = asked_ids(scene, run)
    rollouts = with_rows(on_easier_prompts(scene, run), lambda _, row: replace(row, prompt_ids=ids[row.group]))
    return scene.draft(run, rollouts)


@fraud("an altered prompt, prefilled", Reason.SAMPLING_MISMATCH, TOKENS, seen=Seen.PREFILL)
def altered_prompt_prefilled(scene: Scene, run: int) -> Draft:
    """Rolls out on easier prompts, then proves the answers as if they had been given to the right ones."""
    ids = asked_ids(scene, run)
    rollouts = with_rows(on_easier_prompts(scene, run), lambda _, row: replace(row, prompt_ids=ids[row.group]))
    return scene.draft(run, scene.whitewashed(rollouts))


@fraud("an altered prompt, declared", Reason.WRONG_PROMPTS, "prompts")
def altered_prompt_declared(scene: Scene, run: int) -> Draft:
    """Rolls out on easier prompts and says so."""
    return scene.draft(run, on_easier_prompts(scene, run))


@fraud("replayed rollouts of an earlier epoch", Reason.WRONG_PROMPTS, "prompts")
def earlier_rollouts(scene: Scene, run: int) -> Draft:
    """Submits last epoch's rollouts again, and trains on them."""
    return scene.draft(run, scene.honest(run + EARLIER).rollouts)


@fraud("earlier answers under today's prompts", Reason.SAMPLING_MISMATCH, TOKENS, seen=Seen.PREFILL)
def earlier_answers(scene: Scene, run: int) -> Draft:
    """Puts last epoch's completions under this epoch's prompts, with true rewards, logprobs and proofs."""
    ids = asked_ids(scene, run)
    rows = with_rows(scene.honest(run + EARLIER).rollouts, lambda _, row: replace(row, prompt_ids=ids[row.group]))
    return scene.draft(run, scene.whitewashed(rows))


@fraud("somebody else's rollouts", Reason.WRONG_PROMPTS, "prompts")
def somebody_elses_rollouts(scene: Scene, run: int) -> Draft:
    """Takes a colleague's rollouts from a relay and trains on them under its own name."""
    return scene.draft(run, scene.honest(run, COLLEAGUE).rollouts)


@refused("somebody else's submission", Reason.WRONG_IDENTITY, "identity")
def somebody_elses_submission(scene: Scene, run: int) -> Draft:
    """Commits to a colleague's whole submission, header and all. Worth nothing, since the header names its trainer."""
    return scene.honest(run, COLLEAGUE)


# ---- other tokens


def solved(scene: Scene, row: Completion) -> Completion:
    """The right answer in place of a wrong one."""
    digits = sorted(scene.policy.decode(row.prompt_ids).rstrip("="))
    ids = (*scene.policy.encode("".join(digits)), scene.policy.eos_id)
    return replace(row, completion_ids=ids, finish="eos", logprobs_T=np.zeros(len(ids), np.float32))


@fraud("edited completions", Reason.SAMPLING_MISMATCH, TOKENS, seen=Seen.PREFILL)
def edited(scene: Scene, run: int) -> Draft:
    """Replaces half of the wrong answers by right ones, with true rewards, logprobs and proofs."""
    rollouts = scene.honest(run).rollouts
    wrong = [position for position, row in enumerate(rollouts.completions) if row.reward < 1]
    chosen = set(scene.generator(run, "edit").permutation(wrong)[: -(-len(wrong) // 2)].tolist())
    changed = with_rows(rollouts, lambda position, row: solved(scene, row) if position in chosen else row)
    return scene.draft(run, scene.whitewashed(changed))


def sampled_at(scene: Scene, run: int, temperature: float) -> Rollouts:
    sampler = SamplerSpec(temperature=temperature, max_new_tokens=scene.spec.sampler.max_new_tokens)
    return scene.roll_out(scene.seed(run), spec=scene.spec.model_copy(update={"sampler": sampler}))


@fraud("a wrong temperature", Reason.SAMPLING_MISMATCH, TOKENS, seen=Seen.PREFILL)
def wrong_temperature(scene: Scene, run: int) -> Draft:
    """Samples at 0.7 in place of 1, for safer answers; logprobs are those of the declared sampler."""
    return scene.draft(run, scene.whitewashed(sampled_at(scene, run, 0.7)))


@fraud("greedy instead of sampling", Reason.SAMPLING_MISMATCH, TOKENS, seen=Seen.PREFILL)
def greedy(scene: Scene, run: int) -> Draft:
    """Takes the most likely token each time; logprobs are those of the declared sampler."""
    return scene.draft(run, scene.whitewashed(sampled_at(scene, run, 1e-5)))


def reshaped(policy: CausalPolicy, shape: Callable[[torch.Tensor], torch.Tensor]) -> CausalPolicy:
    """A copy whose logits pass through `shape`."""
    other = copy.deepcopy(policy)
    logits = other.backbone.logits
    other.backbone.logits = lambda hidden_MH: shape(logits(hidden_MH))  # pyright: ignore[reportAttributeAccessIssue]
    return other


def top_k(logits_MV: torch.Tensor, k: int = 3) -> torch.Tensor:
    return logits_MV.masked_fill(logits_MV < logits_MV.topk(k, dim=-1).values[:, -1:], -torch.inf)


def top_p(logits_MV: torch.Tensor, p: float = 0.8) -> torch.Tensor:
    values_MV, order_MV = logits_MV.softmax(-1).sort(dim=-1, descending=True)
    surplus_MV = values_MV.cumsum(-1) - values_MV >= p
    return logits_MV.masked_fill(torch.zeros_like(surplus_MV).scatter(-1, order_MV, surplus_MV), -torch.inf)


@fraud("top-k truncation", Reason.SAMPLING_MISMATCH, TOKENS, seen=Seen.PREFILL)
def top_k_truncation(scene: Scene, run: int) -> Draft:
    """Samples among the three most likely tokens only; logprobs are those of the declared sampler."""
    return scene.draft(run, scene.whitewashed(scene.roll_out(scene.seed(run), reshaped(scene.policy, top_k))))


@fraud("top-p truncation", Reason.SAMPLING_MISMATCH, TOKENS, seen=Seen.PREFILL)
def top_p_truncation(scene: Scene, run: int) -> Draft:
    """Samples within the most likely 80 percent only; logprobs are those of the declared sampler."""
    return scene.draft(run, scene.whitewashed(scene.roll_out(scene.seed(run), reshaped(scene.policy, top_p))))


@fraud("the best of four completions", Reason.SAMPLING_MISMATCH, TOKENS, seen=Seen.PREFILL)
def best_of_four(scene: Scene, run: int) -> Draft:
    """Draws every completion four times, once with the seed that it was given, and keeps the best."""
    tries = [scene.honest(run).rollouts, *(_resampled(scene, run, number) for number in range(3))]
    rows = zip(*(each.completions for each in tries), strict=True)
    return scene.draft(
        run, Rollouts(tries[0].group_size, tuple(max(row, key=lambda each: each.reward) for row in rows))
    )


def _resampled(scene: Scene, run: int, number: int) -> Rollouts:
    """The right prompts, sampled with a seed of one's own."""
    seed, own = scene.seed(run), derive(scene.seed(run), "again", number)
    environment = scene.environment

    class RightPrompts:
        def prompt(self, _seed: Seed, index: int):
            return environment.prompt(seed, index)

        reward = staticmethod(environment.reward)

    return replace(scene, environment=RightPrompts()).roll_out(own)


@fraud("cherry-picked groups", Reason.WRONG_PROMPTS, "prompts")
def cherry_picked(scene: Scene, run: int) -> Draft:
    """Rolls out twice as many groups as it was asked for and submits those with the highest reward."""
    spec = scene.spec
    twice = spec.model_copy(update={"rollout": spec.rollout.model_copy(update={"groups": 2 * spec.rollout.groups})})
    rollouts = scene.roll_out(scene.seed(run), spec=twice)
    mean = [np.mean([row.reward for row in rollouts.group(group)]) for group in range(rollouts.groups)]
    best = sorted(range(rollouts.groups), key=lambda group: -mean[group])[: spec.rollout.groups]
    return scene.draft(run, _renumbered(rollouts, sorted(best)))


def _renumbered(rollouts: Rollouts, groups: Sequence[int]) -> Rollouts:
    rows = [
        replace(row, group=place, prompt_index=place)
        for place, group in enumerate(groups)
        for row in rollouts.group(group)
    ]
    return Rollouts(rollouts.group_size, tuple(rows))


@refused("hidden groups", Reason.MALFORMED, "bytes")
def hidden_groups(scene: Scene, run: int) -> Draft:
    """Leaves out the groups whose reward is lowest."""
    return scene.draft(run, _renumbered(scene.honest(run).rollouts, range(2, scene.spec.rollout.groups)))


@fraud("hidden groups, filled up with others", Reason.WRONG_PROMPTS, "prompts")
def hidden_groups_filled(scene: Scene, run: int) -> Draft:
    """Puts copies of other groups where the hidden ones were."""
    return scene.draft(run, _renumbered(scene.honest(run).rollouts, [2, 3, *range(2, scene.spec.rollout.groups)]))


@refused("early truncation", Reason.BAD_TERMINATION, "termination")
def early_truncation(scene: Scene, run: int) -> Draft:
    """Stops every completion after two tokens and says that the length limit was met."""

    def cut(_: int, row: Completion) -> Completion:
        ids = row.completion_ids[:2]
        finish = "eos" if ids[-1] == scene.policy.eos_id else "length"
        return replace(row, completion_ids=ids, logprobs_T=row.logprobs_T[:2], finish=finish)

    return scene.draft(run, scene.whitewashed(with_rows(scene.honest(run).rollouts, cut)))


@fraud("early truncation with an end of sequence", Reason.SAMPLING_MISMATCH, TOKENS, seen=Seen.PREFILL)
def early_end(scene: Scene, run: int) -> Draft:
    """Stops every completion after one token and writes an end of sequence, with true logprobs and proofs."""
    eos = scene.policy.eos_id

    def cut(_: int, row: Completion) -> Completion:
        ids = (row.completion_ids[0], eos) if row.completion_ids[0] != eos else (eos,)
        return replace(row, completion_ids=ids, finish="eos", logprobs_T=np.zeros(len(ids), np.float32))

    return scene.draft(run, scene.whitewashed(with_rows(scene.honest(run).rollouts, cut)))


@refused("over-long completions", Reason.MALFORMED, "bytes")
def over_long(scene: Scene, run: int) -> Draft:
    """Goes on for one token beyond the task's limit."""
    most = scene.spec.sampler.max_new_tokens + 1
    sampler = SamplerSpec(max_new_tokens=most)
    longer = scene.spec.model_copy(update={"sampler": sampler})
    endless = reshaped(scene.policy, _never_ends(scene.policy))
    return scene.draft(run, scene.roll_out(scene.seed(run), endless, longer))


def _never_ends(policy: Policy) -> Callable[[torch.Tensor], torch.Tensor]:
    eos = policy.eos_id

    def shape(logits_MV: torch.Tensor) -> torch.Tensor:
        logits_MV = logits_MV.clone()
        logits_MV[:, eos] = -torch.inf
        return logits_MV

    return shape


@fraud("completions that never end", Reason.SAMPLING_MISMATCH, TOKENS, seen=Seen.PREFILL)
def never_ends(scene: Scene, run: int) -> Draft:
    """Suppresses the end of sequence up to the length limit, with true logprobs and proofs."""
    endless = reshaped(scene.policy, _never_ends(scene.policy))
    return scene.draft(run, scene.whitewashed(scene.roll_out(scene.seed(run), endless)))


@fraud("random tokens with a high reward", Reason.WRONG_REWARD, "rewards")
def random_tokens(scene: Scene, run: int) -> Draft:
    """Writes random digits without any model's help and claims full reward."""
    rollouts = with_random_tokens(scene, run)
    return scene.draft(run, with_rows(scene.whitewashed(rollouts), lambda _, row: replace(row, reward=1.0)))


def with_random_tokens(scene: Scene, run: int) -> Rollouts:
    generator, eos = scene.generator(run, "tokens"), scene.policy.eos_id

    def scribble(_: int, row: Completion) -> Completion:
        ids = (*generator.integers(0, 10, 4).tolist(), eos)
        return replace(row, completion_ids=ids, finish="eos", logprobs_T=np.zeros(5, np.float32))

    return with_rows(scene.honest(run).rollouts, scribble)


@fraud("random tokens with their true reward", Reason.SAMPLING_MISMATCH, TOKENS, seen=Seen.PREFILL)
def random_tokens_true(scene: Scene, run: int) -> Draft:
    """Writes random digits without any model's help; rewards, logprobs and proofs are true."""
    return scene.draft(run, scene.whitewashed(with_random_tokens(scene, run)))


@fraud("right answers without the policy", Reason.SAMPLING_MISMATCH, TOKENS, seen=Seen.PREFILL)
def answers(scene: Scene, run: int) -> Draft:
    """Computes the answers; rewards, logprobs and proofs are true."""
    rows = with_rows(scene.honest(run).rollouts, lambda _, row: solved(scene, row))
    return scene.draft(run, scene.whitewashed(rows))


# ---- rewards and logprobs


@fraud("forged rewards", Reason.WRONG_REWARD, "rewards")
def forged_rewards(scene: Scene, run: int) -> Draft:
    """Claims full reward for one answer in every group."""
    size = scene.spec.rollout.group_size
    forged = with_rows(
        scene.honest(run).rollouts,
        lambda position, row: replace(row, reward=1.0 if position % size == 0 else row.reward),
    )
    return scene.draft(run, forged)


@fraud("invented logprobs", Reason.SAMPLING_MISMATCH, LOGPROBS, seen=Seen.PREFILL)
def invented_logprobs(scene: Scene, run: int) -> Draft:
    """Claims that every token was a little less likely, so that the gradient counts it more."""
    rows = with_rows(
        scene.honest(run).rollouts, lambda _, row: replace(row, logprobs_T=row.logprobs_T - np.float32(0.1))
    )
    return scene.draft(run, rows)


# ---- proofs


@fraud("proof bytes of other chunks", Reason.PROOF_MISMATCH, TOPLOC, seen=Seen.PREFILL)
def proofs_of_others(scene: Scene, run: int) -> Draft:
    """Puts the proofs of the next group's completions in place of its own."""
    rows = scene.honest(run).rollouts.completions
    by_length: dict[int, list[int]] = {}
    for position, row in enumerate(rows):
        by_length.setdefault(len(row.completion_ids), []).append(position)
    turned = {
        position: places[(place + scene.spec.rollout.group_size) % len(places)]
        for places in by_length.values()
        for place, position in enumerate(places)
    }
    return scene.draft(
        run,
        with_rows(scene.honest(run).rollouts, lambda position, row: replace(row, proofs=rows[turned[position]].proofs)),
    )


@fraud("proof bytes of another layer", Reason.PROOF_MISMATCH, TOPLOC, seen=Seen.PREFILL)
def proofs_of_another_layer(scene: Scene, run: int) -> Draft:
    """Proves the hidden states before the last layer."""
    honest = scene.honest(run)
    return replace(honest, rollouts=reproved(without_last_layer(scene.policy), honest.rollouts, scene.spec))


def with_proofs(scene: Scene, run: int, change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> Draft:
    draft = scene.honest(run)
    rows = with_rows(draft.rollouts, lambda _, row: replace(row, proofs=change(row.proofs)))
    return replace(draft, rollouts=rows)


@fraud("null proofs", Reason.PROOF_MISMATCH, TOPLOC, seen=Seen.PREFILL)
def zero_proofs(scene: Scene, run: int) -> Draft:
    """Sends proofs of the right length whose polynomial is zero."""
    return with_proofs(scene, run, lambda proofs: tuple(proof[:2] + bytes(len(proof) - 2) for proof in proofs))


@refused("no proofs", Reason.MALFORMED, TOPLOC, seen=Seen.PREFILL)
def no_proofs(scene: Scene, run: int) -> Draft:
    """Sends a null proof list, as the reference's builder does when it fails."""
    return with_proofs(scene, run, lambda _: ())


@refused("short proofs", Reason.MALFORMED, TOPLOC, seen=Seen.PREFILL)
def short_proofs(scene: Scene, run: int) -> Draft:
    """Cuts every proof by its last value."""
    return with_proofs(scene, run, lambda proofs: tuple(proof[:-2] for proof in proofs))


@refused("too few proofs", Reason.MALFORMED, TOPLOC, seen=Seen.PREFILL)
def few_proofs(scene: Scene, run: int) -> Draft:
    """Proves the prompts only: the reference's checker, which zips, lets this pass."""
    return with_proofs(scene, run, lambda proofs: proofs[:1])


@refused("too many proofs", Reason.MALFORMED, "bytes", TOPLOC)
def many_proofs(scene: Scene, run: int) -> Draft:
    """Appends a proof that belongs to no chunk."""
    return with_proofs(scene, run, lambda proofs: (*proofs, proofs[0]))
