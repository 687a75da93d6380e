"""An inner step of a submission, divided among the members of a group.

Every member holds the same parameters and moments. It computes the gradient of its share of the batch, divided by the
tokens of the whole batch; the sum over the members is the gradient that one process alone would have, up to float
noise, and all clip it and step in the same way. A member that is lost takes its share with it: the tokens behind the
sum fall short, and those who are left divide the step again. A member that joins takes the state over.

A step counts only with the leader in it: it writes the trace, of which it may miss no step.
"""

from collections.abc import Callable

import numpy as np

from assay_core.aggregation.codecs import Float32
from assay_core.aggregation.division import Added, Adder, Turn
from assay_core.protocol.errors import Malformed
from assay_core.training.inner import in_float32
from assay_trainer.group.shares import Counted, counted_in, mark_of, pack, share_of, unpack
from assay_trainer.group.training import Training, cost, tokens_of


@in_float32()
def take_step(
    training: Training,
    adder: Adder,
    *,
    is_leader: bool,
    keep_on: Callable[[], None],
    note: Callable[[Added], None] = lambda added: None,
) -> None:
    """The next inner step, with anyone who is there. Another member's state may move `training` further before it.

    `note` is told how the sum came about, before the step is taken. Raises MalformedUpdate: the gradient is not finite.
    Malformed: a member is at another submission. Unavailable: no exchange succeeded. And what `keep_on` raises.
    """
    peers, mark = 1, mark_of(training.submission)

    def share(turn: Turn) -> Float32:
        nonlocal peers
        peers = turn.peers
        if turn.step != training.step or training.is_done:
            raise Malformed(f"the group is at inner step {turn.step}, our state at {training.step}")
        batch = training.batch()
        mine = [batch[position] for position in share_of([cost(sample) for sample in batch], turn.rank, turn.peers)]
        gradients, loss = training.gradient(mine, tokens_of(batch))
        return pack(gradients, Counted(tokens_of(mine), loss, int(is_leader), mark))

    def is_whole(total: Float32) -> bool:
        counted = counted_in(total)
        if (counted.leaders, counted.tokens, counted.marks) != (1, tokens_of(training.batch()), peers * mark):
            return False
        return peers == 1 or bool(np.isfinite(total).all())  # of several, one may have gone mad: the leader tries alone

    added = adder.add_up(share, is_whole, keep_on)
    gradients, counted = unpack(added.total, training.parameters)
    note(added)
    training.advance(gradients, counted.loss)
