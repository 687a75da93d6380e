"""The daemons of both roles, run by a program instead of the command."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay_protocol.network import Network, require_task

if TYPE_CHECKING:
    from assay_core.daemon.stopping import StopFlag


def run_trainer(
    network: Network,
    task_id: int,
    *,
    keystore: str | PathLike[str] | None = None,
    signer: str | None = None,
    password_file: str | PathLike[str] | None = None,
    state_dir: str | PathLike[str] | None = None,
    stop: "StopFlag | None" = None,
    **settings: Any,
) -> None:
    """Submission on a task until it is over and all submissions are judged, or `stop` is set.

    Args:
        keystore: of an operator that has bonded, or of its worker key.
        signer: URL of an external signer that has the key instead; `keystore` may say which of its addresses.
        password_file: opens it; by default the terminal is asked.
        state_dir: what must outlive a restart; by default a folder of the network's.
        stop: a `threading.Event`; by default SIGINT and SIGTERM end it, which the main thread alone can listen to.
        settings: fields of `assay_trainer.settings.TrainerSettings`; those not given come from `ASSAY_*` variables.
    Raises Stop: the operator must act. Unavailable: the node is down at the very start; later it is waited for.
    """
    from assay_trainer import app
    from assay_trainer.settings import load_trainer_settings

    given = _settings(network, task_id, "trainer", keystore, signer, password_file, state_dir)
    app.run_trainer(load_trainer_settings(**given | settings), stop=stop)


def run_verifier(
    network: Network,
    task_id: int,
    *,
    keystore: str | PathLike[str] | None = None,
    signer: str | None = None,
    password_file: str | PathLike[str] | None = None,
    state_dir: str | PathLike[str] | None = None,
    stop: "StopFlag | None" = None,
    **settings: Any,
) -> None:
    """Verify a task until `stop` is set: check every submission, attest, settle, aggregate, publish, finalise, slash.

    Arguments and errors are those of `run_trainer`, `settings` fields of `assay_verifier.settings.VerifierSettings`.
    """
    from assay_verifier import app
    from assay_verifier.settings import load_verifier_settings

    given = _settings(network, task_id, "verifier", keystore, signer, password_file, state_dir)
    app.run_verifier(load_verifier_settings(**given | settings), stop=stop)


def _settings(
    network: Network,
    task_id: int,
    role: str,
    keystore: str | PathLike[str] | None,
    signer: str | None,
    password_file: str | PathLike[str] | None,
    state_dir: str | PathLike[str] | None,
) -> dict[str, Any]:
    """An unknown task is told before models are imported. Raises Stop, Unavailable."""
    require_task(network.chain, task_id)
    return {
        **network.settings,
        "task_id": task_id,
        "keystore": None if keystore is None else Path(keystore),
        "signer": signer,
        "password_file": None if password_file is None else Path(password_file),
        "state_dir": network.state_dir / role if state_dir is None else Path(state_dir),
    }
