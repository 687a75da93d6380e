"""A task as its initiator writes it: one TOML file with `budget`, `[task]`, `[terms]` and `[policy]`.

Amounts are strings in tokens ("10.5") or wei ("7 wei"), rates strings ("0.5", "50%"), windows whole seconds.
"""

import hashlib
import tomllib
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from assay_core.protocol.amounts import parse_amount, parse_rate
from assay_core.protocol.encoding import MAX_SAFE_INT, derive, panel_class
from assay_core.protocol.errors import Rejected, Stop
from assay_core.protocol.spec import TaskSpec, parse_spec
from assay_core.protocol.types import (
    BPS,
    DEFAULT_CLASS,
    MAX_SUBMISSIONS,
    PANEL_SEATS,
    PROTOCOL_VERSION,
    KindTerms,
    Seed,
    SubmissionKind,
    TaskParams,
    kinds_of,
)

MAX_FILE_BYTES = 2**20
MAX_UINT16 = 65_535
MAX_UINT32 = 2**32 - 1
# Where the file is silent: parts of the verifiers' bond. Judging one dispute, by a full panel, costs as much as the
# challenger's bond.
CHALLENGE_PART = 20
JUROR_PART = CHALLENGE_PART * PANEL_SEATS
MAX_CLASS_NAME = 100
MAX_SUBMISSIONS_BY_DEFAULT = 16  # capacity of an epoch, in submissions, where the file does not say


def _amount_text(value: Any) -> str:
    """An amount stays text until the token's decimals are known; a float of TOML would not be exact."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError('write an amount as a string, such as "10.5" (tokens) or "7 wei"')
    return str(value)


def _rate(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError('write a rate as a string, such as "0.5"')
    try:
        return parse_rate(str(value))
    except Stop as error:
        raise ValueError(str(error)) from error


def _class_name(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_CLASS_NAME or not value.isprintable():
        raise ValueError(f"write the name of a pool of jurors, of {MAX_CLASS_NAME} characters at most")
    return value


Amount = Annotated[str, BeforeValidator(_amount_text)]
Rate = Annotated[int, BeforeValidator(_rate)]
Window = Annotated[int, Field(ge=0, le=MAX_UINT32)]


class Terms(BaseModel):
    """The `[terms]` table: `ITaskRegistry.TaskParams` in words people use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit_price: Amount  # of full submissions, the only kind that this program makes and judges
    detection: Rate | None = None  # that a cheat is found in a submission that is drawn
    trainer_bond: Amount
    verifier_bond: Amount
    fraud_slash: Amount
    absence_slash: Rate = 100  # of a verifier's weight
    verdict_slash: Rate = 5_000  # of a verifier's weight
    challenge_bond: Amount | None = None
    juror_fee: Amount | None = None
    verifier_fee: Amount = "0"
    max_epoch_units: Annotated[int, Field(ge=1, le=MAX_UINT32)] | None = None
    max_submission_units: Annotated[int, Field(ge=1, le=MAX_UINT16)] | None = None
    submissions_each: Annotated[int, Field(ge=1, le=MAX_SUBMISSIONS)] = 1
    quorum: Rate = 6_666  # two of three equal verifiers: 6,667 would ask for all three
    sampling: Rate
    max_staleness: Annotated[int, Field(ge=0, le=MAX_UINT16)] = 2
    max_epochs: Annotated[int, Field(ge=0, le=MAX_UINT16)] = 0
    commit_window: Window = 3_600
    attest_window: Window = 3_600
    reveal_window: Window = 1_800
    challenge_window: Window = 3_600
    appeal_window: Window = 3_600
    panel_class: Annotated[str, BeforeValidator(_class_name)] = DEFAULT_CLASS
    protocol_version: Annotated[int, Field(ge=1, le=MAX_UINT16)] = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class TaskFile:
    """What an initiator asks for. `policy` goes to `assay_core.policy.initial_policy` together with `seed`."""

    path: Path
    budget: str
    spec: TaskSpec
    terms: Terms
    policy: dict[str, Any]
    seed: Seed

    def params(self, decimals: int) -> TaskParams:
        """The terms as the contracts take them. Raises Stop: an amount that the token cannot hold."""
        terms, groups = self.terms, self.spec.rollout.groups

        def wei(text: str, name: str) -> int:
            try:
                return parse_amount(text, decimals)
            except Stop as error:
                raise Stop(f"{self.path}: terms.{name}: {error}") from error

        verifier_bond = wei(terms.verifier_bond, "verifier_bond")

        def part(text: str | None, name: str, divisor: int) -> int:
            """What the file does not say is a part of the verifiers' bond, and never nothing."""
            return -(-verifier_bond // divisor) if text is None else wei(text, name)

        full = KindTerms(wei(terms.unit_price, "unit_price"), self.detection_bps)
        return TaskParams(
            kinds=kinds_of({SubmissionKind.FULL: full}),
            trainer_bond=wei(terms.trainer_bond, "trainer_bond"),
            verifier_bond=verifier_bond,
            fraud_slash=wei(terms.fraud_slash, "fraud_slash"),
            challenge_bond=part(terms.challenge_bond, "challenge_bond", CHALLENGE_PART),
            juror_fee=part(terms.juror_fee, "juror_fee", JUROR_PART),
            verifier_fee=wei(terms.verifier_fee, "verifier_fee"),
            max_epoch_units=terms.max_epoch_units or MAX_SUBMISSIONS_BY_DEFAULT * groups,
            max_submission_units=terms.max_submission_units or groups,
            max_submissions_each=terms.submissions_each,
            quorum_bps=terms.quorum,
            sampling_bps=terms.sampling,
            absence_slash_bps=terms.absence_slash,
            verdict_slash_bps=terms.verdict_slash,
            max_staleness=terms.max_staleness,
            max_epochs=terms.max_epochs,
            protocol_version=terms.protocol_version,
            commit_window=terms.commit_window,
            attest_window=terms.attest_window,
            reveal_window=terms.reveal_window,
            challenge_window=terms.challenge_window,
            appeal_window=terms.appeal_window,
            panel_class=panel_class(terms.panel_class),
        )

    @property
    def detection_bps(self) -> int:
        """Probability that a cheat is found in a submission that is drawn: where so many of its steps are replayed,
        their part of all steps, since it may cheat in a single one.
        """
        if self.terms.detection is not None:
            return self.terms.detection
        checks = self.spec.checks
        return BPS if checks.replay == "whole" else BPS * checks.steps_replayed // self.spec.recipe.inner_steps

    def budget_wei(self, decimals: int) -> int:
        try:
            return parse_amount(self.budget, decimals)
        except Stop as error:
            raise Stop(f"{self.path}: budget: {error}") from error


def load_task_file(path: str | PathLike[str]) -> TaskFile:
    """Read and check a task file.

    Raises Stop: unreadable, not TOML, or an entry that is missing, unknown or impossible, which it names.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise Stop(f"{path} is too large for a task file")
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise Stop(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, a number of thousands of digits, a deep list
        raise Stop(f"{path} is not TOML: {error}") from error
    if unknown := sorted(set(content) - {"budget", "task", "terms", "policy"}):
        raise Stop(f"{path}: unknown entry {unknown[0]!r}: a task file holds budget, [task], [terms] and [policy]")
    for name in ("task", "terms", "policy"):
        if not isinstance(content.get(name), dict):
            raise Stop(f"{path}: the table [{name}] is missing")
    try:
        budget = _amount_text(content.get("budget"))
        terms = Terms.model_validate(content["terms"])
    except ValidationError as error:
        raise _problem(path, "terms", error) from error
    except ValueError as error:
        raise Stop(f"{path}: budget: {error}") from error
    if terms.protocol_version != PROTOCOL_VERSION:
        raise Stop(
            f"{path}: terms.protocol_version is {terms.protocol_version}, and this program knows version "
            f"{PROTOCOL_VERSION}: leave it out, or open the task with a release of Assay for that version"
        )
    spec = _read_spec(path, content["task"])
    if terms.max_submission_units is not None and terms.max_submission_units < spec.rollout.groups:
        raise Stop(
            f"{path}: terms.max_submission_units is {terms.max_submission_units}, one has {spec.rollout.groups} units "
            "(task.rollout.groups): no submission could be committed"
        )
    policy = _with_full_path(path, content["policy"])
    return TaskFile(path, budget, spec, terms, policy, _policy_seed(path, policy.pop("seed", 0)))


def _with_full_path(path: Path, policy: dict[str, Any]) -> dict[str, Any]:
    """The `[policy]` table; a model's folder is meant from where the task file lies, not from where one stands."""
    folder = policy.get("path")
    if not isinstance(folder, str):  # what else it may be, the policy refuses
        return dict(policy)
    try:
        return policy | {"path": str(path.absolute().parent / Path(folder).expanduser())}
    except RuntimeError as error:  # ~nobody
        raise Stop(f"{path}: policy.path: {folder} names no home folder: {error}") from error


def _read_spec(path: Path, table: dict[str, Any]) -> TaskSpec:
    """The spec, checked to survive the canonical encoding that everybody else will read it from."""
    try:
        spec = TaskSpec.model_validate(table)
        if parse_spec(spec.to_bytes()) != spec:
            raise Stop(f"{path}: [task] does not read back as it was written")
    except ValidationError as error:
        raise _problem(path, "task", error) from error
    except Rejected as error:
        raise Stop(f"{path}: [task]: {error}") from error
    return spec


def _policy_seed(path: Path, value: Any) -> Seed:
    """Any number or word names a seed; equal names give equal policies."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise Stop(f"{path}: policy.seed must be a number or a word")
    if isinstance(value, int) and abs(value) > MAX_SAFE_INT:
        raise Stop(f"{path}: policy.seed must not exceed 2^53 - 1: write it as a word")
    return derive(Seed(hashlib.sha256(b"assay initial policy").digest()), value)


def _problem(path: Path, table: str, error: ValidationError) -> Stop:
    # what is not known first: a name that is misspelt is missing as well
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in (table, *first["loc"]))
    return Stop(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}")
