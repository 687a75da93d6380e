"""Every known way for a trainer to cheat, in the order of `docs/cheats.md`."""

from tests.cheats.byte_cheats import BYTE_CHEATS
from tests.cheats.cheat import Cheat
from tests.cheats.rollout_cheats import ROLLOUT_CHEATS
from tests.cheats.step_cheats import STEP_CHEATS
from tests.cheats.update_cheats import UPDATE_CHEATS

CHAPTERS: dict[str, list[Cheat]] = {
    "Rollouts": ROLLOUT_CHEATS.cheats,
    "Training": UPDATE_CHEATS.cheats,
    "Training replayed step by step": STEP_CHEATS.cheats,
    "Bytes": BYTE_CHEATS.cheats,
}
CHEATS: list[Cheat] = [cheat for cheats in CHAPTERS.values() for cheat in cheats]
