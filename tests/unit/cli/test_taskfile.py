"""Task files: the examples are valid, and each mistake is named."""

from pathlib import Path

import pytest

from offchain.cli.taskfile import read_task_file
from offchain.policy.initial import parse_start
from offchain.protocol.errors import Stop
from tests.unit.cli.conftest import Assay

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.toml"))
SORTING = next(path for path in EXAMPLES if path.name == "sorting.toml")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_a_task_on_which_cheating_does_not_pay(path: Path, assay: Assay) -> None:
    task = read_task_file(path)
    parse_start(task.policy)
    assert assay("economics", str(path)).exit_code == 0


def test_terms_become_the_contracts_parameters() -> None:
    params = read_task_file(SORTING).params(18)
    assert params.unit_price == 10**16
    assert (params.sampling_bps, params.quorum_bps) == (5_000, 6_666)
    assert (params.max_work_units, params.max_epoch_units) == (64, 512)
    assert (params.commit_window, params.appeal_window) == (600, 600)


def test_amounts_follow_the_tokens_decimals() -> None:
    task = read_task_file(SORTING)
    assert task.params(6).unit_price == 10_000
    assert task.budget_wei(6) == 200_000_000


def test_an_amount_finer_than_the_token_is_named() -> None:
    with pytest.raises(Stop, match=r"terms\.unit_price: amount '0\.01' has more than the token's 1 decimal places"):
        read_task_file(SORTING).params(1)


def test_the_policys_seed_is_a_function_of_the_file() -> None:
    assert read_task_file(SORTING).seed == read_task_file(SORTING).seed
    assert "seed" not in read_task_file(SORTING).policy


def changed(folder: Path, old: str, new: str) -> Path:
    """The sorting example with one thing changed."""
    text = SORTING.read_text()
    assert old in text
    path = folder / "task.toml"
    path.write_text(text.replace(old, new, 1))
    return path


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
        ('unit_price = "0.01"', 'price = "0.01"', r"terms\."),
        ('sampling = "0.5"', 'sampling = "1.5"', r"terms\.sampling: rate '1\.5' must lie between 0 and 1"),
        ('sampling = "0.5"', "sampling = 0.5", r"terms\.sampling: write a rate as a string"),
        ("commit_window = 600", "commit_window = -1", r"terms\.commit_window"),
        ("groups = 64", "groups = 0", r"task\.rollout\.groups"),
        ("groups = 64", "groups = 64\nturns = 2", r"task\.rollout\.turns"),
        ('lr = "0.0002"', 'lr = "fast"', r"task\.recipe\.lr"),
        ("max_epoch_units = 512", "max_epoch_units = 512\nmax_work_units = 8", "no work could be committed"),
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
        read_task_file(changed(tmp_path, old, new))


def test_what_slashes_the_file_leaves_out_are_parts_of_the_bond(tmp_path: Path) -> None:
    silent = SORTING.read_text()
    for name in ("absence_slash", "verdict_slash", "challenge_bond"):
        silent = "\n".join(line for line in silent.splitlines() if not line.startswith(name))
    path = tmp_path / "task.toml"
    path.write_text(silent)
    params = read_task_file(path).params(18)
    assert (params.absence_slash, params.verdict_slash, params.challenge_bond) == (10**17, 5 * 10**18, 5 * 10**17)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('fraud_slash = "5"', 'fraud_slash = "0.7"', "cheating would pay"),
        ('sampling = "0.5"', 'sampling = "0"', "cheating always pays"),
        ('trainer_bond = "10"', 'trainer_bond = "4"', "trainer_bond must be at least"),
        ('absence_slash = "1"', 'absence_slash = "11"', "verifier_bond must be at least"),
        ('verdict_slash = "5"', 'verdict_slash = "11"', "verifier_bond must be at least terms.verdict_slash"),
        ('challenge_bond = "1"', 'challenge_bond = "0"', "challenging would cost nothing"),
        ("appeal_window = 600", "appeal_window = 599", "appeal_window must be at least"),
        ("max_epoch_units = 512", "max_epoch_units = 16", "no work would fit"),
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
