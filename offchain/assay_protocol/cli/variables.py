"""Which `ASSAY_*` variables there are, so that one that means nothing is told rather than ignored.

Listed, since to ask those who read them would import them all; a test holds the list to them.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from assay_core.protocol.errors import Stop

NAMES = """
APE CHALLENGE CONFIG DECOYS DEPLOYMENTS ENLIST GROUP GROUP_HOST GROUP_SECRET GROUP_WAIT_S LEADER METRICS_HOST
METRICS_PORT PASS_ON PLANTER_KEYSTORE PLANTER_PASSWORD_FILE PLANT_RATE RELAY_BUNDLE_BYTES RELAY_BUNDLE_FILES
RELAY_CHAIN_ID RELAY_COLLECT_EVERY_S RELAY_DIRECTORY RELAY_EVIDENCE_KEEP_S RELAY_FOLLOW_S RELAY_HOST RELAY_IDLE_S
RELAY_INCOMPLETE_S RELAY_MAX_CONNECTIONS RELAY_MAX_SIGNATURE_S RELAY_MIN_BYTES_PER_S RELAY_MIN_FREE_BYTES
RELAY_MIRROR_BYTES RELAY_NEWEST_KEPT RELAY_POLICY_KEEP_S RELAY_PORT RELAY_QUOTA_BYTES RELAY_STALE_AFTER_S
RELAY_SUBMISSION_KEEP_S RELAY_TASK_KEEP_S RELAY_UPSTREAMS ROOT_PATH S3_BUCKET S3_ENDPOINT S3_PREFIX S3_REGION
STALE_AFTER_S SUBMISSIONS_EACH SWARM_HOST SWARM_PORT SWARM_TRACKERS SWARM_UPLOAD_MBIT TASK_ID UPLOAD_TO WEIGHT_WEI
"""
OTHERS = frozenset(f"ASSAY_{name}" for name in NAMES.split())
"""Beside those of the shared settings."""
OF_KUBERNETES = re.compile(r"\w+_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP)(_\w+)?)")


def require_known(environment: Iterable[str], settings: Iterable[str]) -> None:
    """Raises Stop: a variable is named like ours, and means nothing."""
    known = OTHERS.union(settings)
    for name in environment:
        if name.startswith("ASSAY_") and name not in known and not OF_KUBERNETES.fullmatch(name):
            near = get_close_matches(name, sorted(known), n=1)
            hint = f"did you mean {near[0]}?" if near else "`assay config` lists those that all commands share"
            raise Stop(f"there is no variable {name[:80]}: {hint}")
