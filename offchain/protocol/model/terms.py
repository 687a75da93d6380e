"""Which terms a task may have: the checks of `openTask`, in its order."""

from offchain.protocol.economics import greatest_gain, needed_slash
from offchain.protocol.model.clock import require
from offchain.protocol.types import BPS, TaskParams


def check_terms(params: TaskParams, unbonding_period_s: int) -> None:
    """Raises Refused: BadParams, WindowsTooLong or CheatingPays."""
    worst = max(params.absence_slash, params.verdict_slash)
    appeals = params.appeal_window >= max(params.attest_window, params.reveal_window) and params.challenge_bond > 0
    are_good = (
        params.unit_price > 0,
        params.max_work_units > 0,
        params.max_epoch_units >= params.max_work_units,
        params.trainer_bond > 0 and params.trainer_bond >= params.fraud_slash,
        params.verifier_bond > 0 and params.verifier_bond >= worst,
        BPS // 2 < params.quorum_bps <= BPS,
        0 < params.sampling_bps <= BPS,
        params.commit_window > 0 and params.attest_window > 0 and params.reveal_window > 0,
        params.challenge_window == 0 or appeals,
    )
    require(all(are_good), "BadParams")
    windows = params.commit_window + params.attest_window + 3 * params.reveal_window
    windows += params.challenge_window + 2 * params.appeal_window
    require(windows < unbonding_period_s, "WindowsTooLong")
    require(params.fraud_slash >= needed_slash(greatest_gain(params), params.sampling_bps), "CheatingPays")
