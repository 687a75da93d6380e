"""The gas tables: the committed snapshot, the documents made of it, and what `make gas` would refuse."""

from dataclasses import replace
from pathlib import Path

import pytest

from tools import gas
from tools.gas import Figures, problems

KEPT = gas.read_figures(gas.KEPT)


def test_snapshot_keeps_every_bound() -> None:
    assert KEPT.bounds
    assert problems(KEPT, KEPT) == []


def test_documented_tables_are_those_of_the_snapshot() -> None:
    text = gas.DOCUMENT.read_text()
    assert gas.documented(text, KEPT) == text


def test_picture_shows_the_snapshot() -> None:
    assert f"figures {KEPT.digest}" in gas.PICTURE.read_text()


@pytest.mark.slow  # draws
def test_picture_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        gas.draw(tmp_path / name, KEPT)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_submission_costs_less_the_more_there_are() -> None:
    totals = [KEPT.per_submission(submissions) for submissions in gas.SUBMISSIONS]
    assert totals == sorted(totals, reverse=True)
    assert totals[-1] < gas.PEER_SUBMISSION


def test_every_bounded_operation_costs_less_than_the_peers() -> None:
    for name, (least, _) in gas.PEER.items():
        assert KEPT.operations[name] <= KEPT.bounds[name] < least


def test_crossed_bound_is_told() -> None:
    over = replace(KEPT, operations={**KEPT.operations, "commitSubmission": 97_001})
    assert "commitSubmission: 97,001 gas crosses its bound of 97,000" in problems(over, over)


@pytest.mark.parametrize("sign", [-1, 1])
def test_figure_that_moved_is_told(sign: int) -> None:
    used = KEPT.operations["finalise"]
    moved = used + sign * (int(used * gas.TOLERANCE) + 1)
    assert problems(_with("finalise", moved), KEPT) == [f"finalise: {moved:,} gas, the snapshot has {used:,}"]


def test_figure_within_the_tolerance_passes() -> None:
    used = KEPT.operations["finalise"]
    assert problems(_with("finalise", used + int(used * gas.TOLERANCE)), KEPT) == []


def test_epochs_count_too() -> None:
    moved = replace(KEPT, epochs={**KEPT.epochs, "10: attest": 1})
    assert len(problems(moved, KEPT)) == 1


def test_figures_that_appear_or_go_are_told() -> None:
    more = _with("another", 1)
    assert problems(more, KEPT) == ["another: not in the snapshot"]
    assert problems(KEPT, more) == ["another: no longer measured"]


def test_changed_bound_is_told() -> None:
    lax = replace(KEPT, bounds={**KEPT.bounds, "bond": 1_000_000})
    assert problems(lax, KEPT) == ["the bounds are not those of the snapshot"]


def test_document_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the table"):
        gas.written_into("text", "gas", "table")


def test_nothing_measured_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gas, "MEASURED", tmp_path)
    assert gas.main([]) == 2
    assert "run `make gas`" in capsys.readouterr().err


def test_main_fails_on_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in gas.GROUPS:
        (tmp_path / f"{name}.json").write_text((gas.KEPT / f"{name}.json").read_text())
    monkeypatch.setattr(gas, "MEASURED", tmp_path)
    assert gas.main([]) == 0
    content = (tmp_path / "GasTest.json").read_text()
    (tmp_path / "GasTest.json").write_text(content.replace(f'"{KEPT.operations["bond"]}"', '"112001"'))
    assert gas.main([]) == 1
    assert "crosses its bound" in capsys.readouterr().err


def _with(name: str, used: int) -> Figures:
    return replace(KEPT, operations={**KEPT.operations, name: used})
