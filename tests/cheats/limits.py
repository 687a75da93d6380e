"""What is not caught, or not always: deviations within the tolerances, measured so that nobody has to guess."""

from dataclasses import replace

import numpy as np

from assay_core.bundle.trajectory import Completion
from assay_core.protocol.errors import Reason
from tests.cheats.cheat import Catalogue, Seen
from tests.cheats.rollout_cheats import LOGPROBS, TOKENS, solved, with_rows
from tests.cheats.scene import Scene
from tests.cheats.update_cheats import DIRECTION, poisoned, with_update
from tests.submissions import Draft

LIMITS = Catalogue()
fraud = LIMITS.fraud


@fraud("a poison direction within the replay's tolerance", Reason.REPLAY_MISMATCH, DIRECTION, seen=Seen.REPLAY)
def small_poison(scene: Scene, run: int) -> Draft:
    """Adds a direction of its own, a hundredth as long as the update. A cosine of 0.9999 allows for 1.4 percent: the
    room that another machine's arithmetic needs is room for poison too.
    """
    return with_update(scene, run, lambda update: poisoned(scene, run, update, 0.01))


@fraud("logprobs bent within the tolerance", Reason.SAMPLING_MISMATCH, LOGPROBS, seen=Seen.PREFILL)
def bent_logprobs(scene: Scene, run: int) -> Draft:
    """Claims logprobs that are off by 0.0004 and trains on them: importance ratios, and so the update, shift a bit."""
    shift = np.float32(0.0004)
    rows = with_rows(scene.honest(run).rollouts, lambda _, row: replace(row, logprobs_T=row.logprobs_T - shift))
    return scene.draft(run, rows)


@fraud("a single edited completion", Reason.SAMPLING_MISMATCH, TOKENS, seen=Seen.PREFILL)
def one_edited(scene: Scene, run: int) -> Draft:
    """Replaces one wrong answer of the submission by the right one, with true reward, logprobs and proofs. It passes
    where its completion is not drawn, or where the right digit was so nearly drawn that noise might have done it.
    """
    rollouts = scene.honest(run).rollouts
    wrong = [position for position, row in enumerate(rollouts.completions) if row.reward < 1]
    chosen = int(scene.generator(run, "edit one").choice(wrong))

    def edit(position: int, row: Completion) -> Completion:
        return solved(scene, row) if position == chosen else row

    return scene.draft(run, scene.whitewashed(with_rows(rollouts, edit)))
