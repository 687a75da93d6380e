"""Task files: the examples are valid, and each mistake is named."""

from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from assay_core.policy.initial import parse_start
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import PROTOCOL_VERSION, KindTerms, SubmissionKind
from assay_protocol.task_file import load_task_file
from tests.unit.cli.conftest import Assay
from tests.unit.economics.terms import changed

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.toml"))
SORTING = next(path for path in EXAMPLES if path.name == "sorting.toml")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_a_task_on_which_cheating_does_not_pay(path: Path, assay: Assay) -> None:
    task = load_task_file(path)
    parse_start(task.policy)
    assert assay("economics", str(path)).exit_code == 0


def test_terms_become_the_contracts_parameters() -> None:
    params = load_task_file(SORTING).params(18)
    assert params.kinds_asked_for == [SubmissionKind.FULL]
    assert params.kinds[SubmissionKind.FULL] == KindTerms(unit_price=10**16, detection_bps=10_000)
    assert (params.absence_slash_bps, params.verdict_slash_bps, params.max_submissions_each) == (100, 5_000, 1)
    assert (params.panel_class, params.protocol_version) == (keccak(text="general"), PROTOCOL_VERSION)
    assert (params.sampling_bps, params.quorum_bps) == (5_000, 6_666)
    assert (params.max_submission_units, params.max_epoch_units) == (64, 512)
    assert (params.commit_window, params.appeal_window) == (600, 600)


def test_amounts_follow_the_tokens_decimals() -> None:
    task = load_task_file(SORTING)
    assert task.params(6).kinds[SubmissionKind.FULL].unit_price == 10_000
    assert task.budget_wei(6) == 200_000_000


def test_an_amount_finer_than_the_token_is_named() -> None:
    with pytest.raises(Stop, match=r"terms\.unit_price: amount '0\.01' has more than the token's 1 decimal places"):
        load_task_file(SORTING).params(1)


def test_the_policys_seed_is_a_function_of_the_file() -> None:
    assert load_task_file(SORTING).seed == load_task_file(SORTING).seed
    assert "seed" not in load_task_file(SORTING).policy


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('budget = "200"', "budget = ", "is not TOML"),
        ('budget = "200"', "", "budget: write an amount as a string"),
        ('budget = "200"', "budget = 200.5", "budget: write an amount as a string"),
        ('budget = "200"', 'budget = "200"\nreward = 1', "unknown entry 'reward'"),
        ("[policy]", "[policies]", "unknown entry 'policies'"),
        ('unit_price = "0.01"', "unit_price = 0.01", r"terms\.unit_price: write an amount as a string"),
        ('unit_price = "0.01"', "", r"terms\.unit_price: Field required"),
        ("unit_price", "unit_prise", r"terms\.unit_prise: Extra inputs are not permitted"),
        ('unit_price = "0.01"', 'price = "0.01"', r"terms\."),
        ('sampling = "0.5"', 'sampling = "1.5"', r"terms\.sampling: rate '1\.5' must lie between 0 and 1"),
        ('sampling = "0.5"', "sampling = 0.5", r"terms\.sampling: write a rate as a string"),
        ("commit_window = 600", "commit_window = -1", r"terms\.commit_window"),
        ('absence_slash = "1%"', 'absence_slash = "1"\nsubmissions_each = 0', r"terms\.submissions_each"),
        ('verdict_slash = "50%"', 'verdict_slash = "5"', r"terms\.verdict_slash: rate '5' must lie between 0 and 1"),
        ("max_epochs = 20", "max_epochs = 20\npanel_class = 7", r"terms\.panel_class: write the name of a pool"),
        ("max_epochs = 20", "max_epochs = 20\nprotocol_version = 2", "protocol_version is 2, and this program knows"),
        ("groups = 64", "groups = 0", r"task\.rollout\.groups"),
        ("groups = 64", "groups = 64\nturns = 2", r"task\.rollout\.turns"),
        ('lr = "0.0002"', 'lr = "fast"', r"task\.recipe\.lr"),
        (
            "max_epoch_units = 512",
            "max_epoch_units = 512\nmax_submission_units = 8",
            "no submission could be committed",
        ),
        ("seed = 7", "seed = 1.5", r"policy\.seed"),
        ("seed = 7", "seed = 0x" + "f" * 4_000, r"policy\.seed must not exceed"),
        ('budget = "200"', "budget = " + "[" * 3_000, "is not TOML"),
        ('budget = "200"', "budget = " + "9" * 5_000, "is not TOML"),
        ('budget = "200"', "budget = 0x" + "f" * 4_000, "budget"),
        ("groups = 64", "groups = 0x" + "f" * 4_000, r"task\.rollout\.groups"),
        ('lr = "0.0002"', "lr = 0x" + "f" * 4_000, r"task\.recipe\.lr"),
        ('lr = "0.0002"', "lr = inf", r"task\.recipe\.lr.*not finite"),
    ],
)
def test_each_mistake_is_named_with_its_place(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    with pytest.raises(Stop, match=complaint):
        load_task_file(changed(tmp_path, old, new))


def test_what_the_file_leaves_out_has_defaults_and_never_nothing(tmp_path: Path) -> None:
    """Rates of weight, and parts of the verifiers' bond: a full panel costs what the challenge does."""
    silent = SORTING.read_text()
    for name in ("absence_slash", "verdict_slash", "challenge_bond", "juror_fee"):
        silent = "\n".join(line for line in silent.splitlines() if not line.startswith(name))
    path = tmp_path / "task.toml"
    path.write_text(silent)
    params = load_task_file(path).params(18)
    assert (params.absence_slash_bps, params.verdict_slash_bps) == (100, 5_000)
    assert params.challenge_bond == 25 * 10**18 // 20
    assert 0 <= 15 * params.juror_fee - params.challenge_bond < 15
    path.write_text(silent.replace('verifier_bond = "25"', 'verifier_bond = "7 wei"'))
    assert load_task_file(path).params(18).juror_fee == load_task_file(path).params(18).challenge_bond == 1


@pytest.mark.parametrize(
    ("checks", "detection_bps"),
    [
        pytest.param("", 10_000, id="trained again as a whole"),
        pytest.param('replay = "steps"\nsteps_replayed = 1', 625, id="one of sixteen steps"),
        pytest.param('replay = "steps"\nsteps_replayed = 16', 10_000, id="every step"),
    ],
)
def test_a_cheat_in_one_step_is_found_as_often_as_that_step_is_replayed(
    tmp_path: Path, checks: str, detection_bps: int
) -> None:
    path = changed(tmp_path, "[task.checks]", f"[task.checks]\n{checks}")
    assert load_task_file(path).params(18).kinds[SubmissionKind.FULL].detection_bps == detection_bps
    path.write_text(path.read_text().replace("[terms]", '[terms]\ndetection = "0.3"'))
    assert load_task_file(path).params(18).kinds[SubmissionKind.FULL].detection_bps == 3_000


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('fraud_slash = "5"', 'fraud_slash = "0.7"', "cheating would pay"),
        ('sampling = "0.5"', 'sampling = "0"', "cheating always pays"),
        ('trainer_bond = "10"', 'trainer_bond = "4"', "trainer_bond must be at least"),
        ('challenge_bond = "1"', 'challenge_bond = "13"', "at most terms.verdict_slash of"),
        ('juror_fee = "0.05"', 'juror_fee = "0.77"', "at most terms.verdict_slash of"),
        ('challenge_bond = "1"', 'challenge_bond = "0"', "challenging would cost nothing"),
        ("appeal_window = 600", "appeal_window = 599", "appeal_window must be at least"),
        ("max_epoch_units = 512", "max_epoch_units = 16", "no submission would fit"),
        ('quorum = "0.6666"', 'quorum = "0.5"', "above one half"),
        ('budget = "200"', 'budget = "5"', "does not pay for one epoch"),
    ],
)
def test_terms_that_the_contracts_would_refuse_are_explained(
    assay: Assay, home: Path, old: str, new: str, complaint: str
) -> None:
    result = assay("economics", str(changed(home, old, new)))
    assert result.exit_code == 1
    assert complaint in result.stderr


def test_what_to_change_when_cheating_pays_suffices(assay: Assay, home: Path) -> None:
    path = changed(home, 'fraud_slash = "5"', 'fraud_slash = "0.7"')
    complaint = assay("economics", str(path)).stderr
    assert "Raise terms.fraud_slash (and terms.trainer_bond) to 0.768" in complaint
    text = path.read_text()
    path.write_text(text.replace('fraud_slash = "0.7"', 'fraud_slash = "0.768"'))
    assert assay("economics", str(path)).exit_code == 0
    rate = complaint.split("terms.sampling to ")[1].split(",")[0]
    path.write_text(text.replace('sampling = "0.5"', f'sampling = "{rate}"'))
    assert assay("economics", str(path)).exit_code == 0


HF = '[policy]\nkind = "hf"\n'


def with_policy(folder: Path, table: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "task.toml"
    path.write_text(SORTING.read_text().partition("[policy]")[0] + table)
    return path


def test_a_models_folder_is_meant_from_where_the_file_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_policy(tmp_path / "tasks", HF + 'path = "../models/mine"\n')
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    policy = load_task_file("tasks/task.toml").policy
    monkeypatch.chdir("/")
    assert Path(policy["path"]).samefile(tmp_path / "models" / "mine")
    parse_start(policy)


@pytest.mark.parametrize("given", ["~/model", "/srv/model"])
def test_a_models_folder_may_be_named_from_home_or_from_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    policy = load_task_file(with_policy(tmp_path, f'{HF}path = "{given}"\n')).policy
    assert policy["path"] == given.replace("~", "/home/me")


def test_a_home_that_nobody_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(Stop, match=r"policy\.path: ~no-such-user/model names no home folder"):
        load_task_file(with_policy(tmp_path, HF + 'path = "~no-such-user/model"\n'))


def test_a_folder_that_is_no_text_is_left_to_the_policy_to_refuse(tmp_path: Path) -> None:
    with pytest.raises(Stop, match=r"policy\.hf\.path: Input should be a valid string"):
        parse_start(load_task_file(with_policy(tmp_path, HF + "path = 7\n")).policy)
