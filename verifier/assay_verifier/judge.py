"""Judges one submission: runs the checks in order, cheapest first, and stops at the first that decides.

The same function serves the attesting verifier and `assay verify`: it reads local directories, and knows no chain, no
relay, no database and no clock.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from assay_core.aggregation.codecs import codec_named
from assay_core.aggregation.updates import read_update
from assay_core.bundle.manifest import Manifest
from assay_core.environments import Environment
from assay_core.policy.interface import Policy
from assay_core.protocol.errors import MalformedUpdate, Reason, Rejected
from assay_core.protocol.types import Root, Seed, SubmissionIndex
from assay_core.training.inner import repeat_inner_step, run_inner_steps
from assay_core.training.seeding import submission_prompts
from assay_core.training.states import read_state
from assay_verifier.case import Case
from assay_verifier.checks import (
    content,
    duplicates,
    identity,
    prompts,
    replay,
    rewards,
    sampling,
    states,
    termination,
    toploc,
    update,
)
from assay_verifier.checks.duplicates import Sketch
from assay_verifier.checks.prefilled import prefill_rollouts
from assay_verifier.verdict import Finding, Verdict, conclude, failed


class JudgeContext(Protocol):
    """What judging needs besides the case; asked for only once the cheap checks have passed."""

    def policy(self, root: Root) -> Policy:
        """Raises Unavailable: not to be had now. Stop: the bundle that the chain names is no policy."""
        ...

    def environment(self) -> Environment: ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and what is worth showing beside it."""

    verdict: Verdict
    mean_reward: float | None = None


def judge(
    case: Case,
    context: JudgeContext,
    directory: Path,
    manifest: Manifest,
    others: Sequence[Sketch] = (),
    on_finding: Callable[[Finding], None] | None = None,
) -> Judgement:
    """Judge the submission in a verified directory. Deterministic but for float noise of the prefill and the replay.

    Args:
        others: sketches of the submissions that it must not repeat, see `sketch_submission`; of no use where all is
        checked anyway.
        on_finding: told what each check found, as soon as it has.
    Raises Unavailable, Stop: from the context; nothing that the submission holds raises.
    """
    run = _Run(case, context, directory, manifest, others)
    findings: list[Finding] = []
    try:
        for finding in run.findings():
            findings.append(finding)
            if on_finding is not None:
                on_finding(finding)
            if finding.reason is not None:
                break
    except Rejected as error:
        findings.append(failed(run.stage, error.reason, 1, 0, str(error), fraud=False))
    return Judgement(conclude(findings, run.update_norm), run.mean_reward)


def measure_norm(case: Case, context: JudgeContext, directory: Path, manifest: Manifest) -> float | None:
    """The norm of a submission's update; None: a check that needs no forward pass fails. Raises Unavailable, Stop."""
    run = _Run(case, context, directory, manifest, ())
    try:
        is_fine = all(finding.reason is None for finding in run.cheap_findings())
    except Rejected:
        return None
    return run.update_norm if is_fine else None


def sketch_submission(
    case: Case, policy: Policy, directory: Path, manifest: Manifest, epoch_seed: Seed
) -> Sketch | None:
    """What others are compared with, drawn with the seed of the epoch that is judged; None: its bytes are no
    submission.
    """
    try:
        contents = content.read_contents(directory, manifest, case.spec)
        claimed = read_update(directory, manifest, _shapes(policy), codec_named(case.spec.codec))
    except Rejected:
        return None
    return duplicates.sketch(str(case.submission_id), contents.rollouts, claimed, epoch_seed)


def _shapes(policy: Policy) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in policy.trainable().items()}


def _weights(policy: Policy) -> dict[str, npt.NDArray[np.float32]]:
    return {name: value.detach().numpy() for name, value in policy.trainable().items()}


class _Run:
    """The checks of one submission, in order, and what is learned on the way."""

    def __init__(
        self, case: Case, context: JudgeContext, directory: Path, manifest: Manifest, others: Sequence[Sketch]
    ) -> None:
        self._case, self._context, self._directory, self._manifest = case, context, directory, manifest
        self._others = others
        self._read: tuple[content.Contents, Policy, update.Tensors]  # once the cheap checks have passed
        self.stage = content.NAME
        self.update_norm: float | None = None
        self.mean_reward: float | None = None

    def findings(self) -> Iterator[Finding]:
        """Raises Rejected, while `stage` says where: the submission's bytes are not what they must be."""
        yield from self.cheap_findings()
        contents, policy, claimed = self._read
        yield from self._duplicates(contents, claimed)
        yield from self._sampling(contents, policy)
        if self._case.is_replayed:
            yield from self._replay(contents, policy, claimed)

    def cheap_findings(self) -> Iterator[Finding]:
        """Those of the checks that need neither a forward pass nor another submission."""
        contents = content.read_contents(self._directory, self._manifest, self._case.spec)
        yield content.finding(contents)
        self.mean_reward = contents.rollouts.mean_reward
        self.stage = identity.NAME
        yield identity.check(self._case, contents.header)
        policy, environment = self._context.policy(contents.header.policy_root), self._context.environment()
        yield from self._tokens_and_rewards(contents, policy, environment)
        claimed = self._read_update(policy)
        yield from self._update(contents, policy, claimed)
        if self._case.spec.checks.replay == "steps":
            yield from self._states(contents, policy, claimed)
        self._read = contents, policy, claimed

    def _tokens_and_rewards(
        self, contents: content.Contents, policy: Policy, environment: Environment
    ) -> Iterator[Finding]:
        spec, rollouts = self._case.spec, contents.rollouts
        asked = submission_prompts(environment, self._case.trainer_seed, spec.rollout.groups)
        self.stage = prompts.NAME
        yield prompts.check(rollouts, asked, policy)
        self.stage = termination.NAME
        yield termination.check(rollouts, spec, policy.eos_ids)
        self.stage = rewards.NAME
        yield rewards.check(rollouts, asked, environment, policy, spec.checks.reward_tolerance)

    def _read_update(self, policy: Policy) -> update.Tensors:
        self.stage = update.NAME_NORM
        return read_update(self._directory, self._manifest, _shapes(policy), codec_named(self._case.spec.codec))

    def _update(self, contents: content.Contents, policy: Policy, claimed: update.Tensors) -> Iterator[Finding]:
        spec = self._case.spec
        self.update_norm = update.norm(claimed)
        yield update.check_norm(claimed, _weights(policy), spec.recipe)
        self.stage = update.NAME_TRACE
        yield update.check_trace(claimed, contents.trace, contents.rollouts, spec, self._case.trainer_seed)

    def _states(self, contents: content.Contents, policy: Policy, claimed: update.Tensors) -> Iterator[Finding]:
        spec = self._case.spec
        self.stage = states.NAME
        read = partial(read_state, self._directory, self._manifest, shapes=_shapes(policy))
        yield from states.check(_weights(policy), read, contents.trace, claimed, spec.recipe, codec_named(spec.codec))

    def _duplicates(self, contents: content.Contents, claimed: update.Tensors) -> Iterator[Finding]:
        """A submission that resembles another is checked in full from here on."""
        if self._case.epoch_seed is None or not self._others:
            return
        self.stage = duplicates.NAME
        own = duplicates.sketch(str(self._case.submission_id), contents.rollouts, claimed, self._case.epoch_seed)
        finding, resembles = duplicates.check(own, self._others, self._case.spec.checks.max_update_cosine)
        if resembles:
            self._case = self._case.everything_checked()
        yield finding

    def _sampling(self, contents: content.Contents, policy: Policy) -> Iterator[Finding]:
        spec, rollouts = self._case.spec, contents.rollouts
        self.stage = toploc.NAME
        positions = self._case.completions_checked(len(rollouts.completions))
        checked = prefill_rollouts(policy, rollouts, positions, spec, self._case.trainer_seed)
        yield toploc.check(checked, spec.toploc)
        self.stage = sampling.NAME_TOKENS
        yield sampling.check_logprobs(checked, spec.checks)
        yield sampling.check_tokens(checked, spec.checks)
        yield termination.check_plausible(checked, spec.checks.min_eos_probability)

    def _replay(self, contents: content.Contents, policy: Policy, claimed: update.Tensors) -> Iterator[Finding]:
        spec, seed = self._case.spec, self._case.trainer_seed
        self.stage = replay.NAME_DIRECTION
        try:
            if spec.checks.replay == "whole" or not contents.trace:
                ours = run_inner_steps(policy, contents.rollouts, spec, seed).pseudo_gradient
                yield from replay.compare(claimed, ours, codec_named(spec.codec), spec.checks)
            else:
                yield from replay.check_steps(
                    self._case.steps_replayed(len(contents.trace)),
                    _weights(policy),
                    partial(read_state, self._directory, self._manifest, shapes=_shapes(policy)),
                    partial(repeat_inner_step, policy, contents.rollouts, spec, seed),
                    spec.checks,
                )
        except MalformedUpdate as error:
            raise Rejected(
                f"the replay fails where the submission claims to have trained: {error}", error.reason
            ) from error


def unavailable(detail: str) -> Verdict:
    """The verdict on a submission that nobody could give us: worth nothing, and no fraud."""
    return conclude([failed(content.NAME, Reason.UNAVAILABLE, 1, 0, detail)])


def malformed(detail: str) -> Verdict:
    """The verdict on a commitment that leads to an impossible bundle."""
    return conclude([failed(content.NAME, Reason.MALFORMED, 1, 0, detail)])


def undigested(error: Exception) -> Judgement:
    """What our checks cannot digest is not accepted."""
    return Judgement(malformed(f"a check cannot digest it: {type(error).__name__}: {str(error)[:200]}"))


def compare_with_peers(verdicts: Sequence[Verdict], max_ratio: float) -> list[Verdict]:
    """The last check, over a whole epoch: each acceptable submission's update against the median of them all."""
    norms = [each.update_norm for each in verdicts if each.reason is None and each.update_norm is not None]
    return [compare_with(verdict, norms, max_ratio) for verdict in verdicts]


def compare_again(
    verdict: Verdict, index: SubmissionIndex, norms: Mapping[SubmissionIndex, float], max_ratio: float
) -> Verdict:
    """The last check of a submission that is judged again, against the very updates that its first judgement knew.

    Args:
        norms: of all updates that were acceptable before this check, whether or not they passed it.
    """
    own = {} if verdict.update_norm is None else {index: verdict.update_norm}
    return compare_with(verdict, list({**norms, **own}.values()), max_ratio)


def compare_with(verdict: Verdict, norms: Sequence[float], max_ratio: float) -> Verdict:
    """The last check for one submission, given the norms of its epoch's acceptable updates."""
    if verdict.reason is not None or verdict.update_norm is None:
        return verdict
    last = update.check_peers(verdict.update_norm, norms, max_ratio)
    return conclude([*verdict.findings, last], verdict.update_norm)
