"""Homes and folders as other machines have them: none, another's, read-only, shut, on a full disk. One line each."""

from pathlib import Path

import pytest

from tests.machines import ROOT, fill, run_assay
from tests.unit.cli.conftest import Assay

NEW_KEY = ("keys", "new", "worker", "--light", "--password-file")


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("secret")
    return path


def shut(folder: Path) -> Path:
    (folder / ".assay").mkdir(parents=True)
    (folder / ".assay").chmod(0o000)
    return folder


def read_only(folder: Path) -> Path:
    folder.mkdir()
    folder.chmod(0o555)
    return folder


def require_one_line(result: tuple[int, str, str], complaint: str) -> None:
    code, out, err = result
    assert (code, out, err.count("\n")) == (1, "", 1), err
    assert err.startswith("assay: ") and complaint in err


@pytest.mark.slow
def test_a_user_without_home_is_told_what_needs_one(password_file: Path) -> None:
    require_one_line(run_assay(*NEW_KEY, str(password_file), as_stranger=True), "lies in your home, and you have none")


def test_a_user_without_home_may_do_what_needs_none(tmp_path: Path) -> None:
    code, out, err = run_assay("config", as_stranger=True)
    assert (code, "settings file: none" in out, err) == (0, True, "")


def test_a_home_that_is_shut_is_told(tmp_path: Path, password_file: Path) -> None:
    home = {"HOME": str(shut(tmp_path / "home"))}
    require_one_line(run_assay(*NEW_KEY, str(password_file), env=home, as_stranger=True), "Permission denied")
    code, out, _ = run_assay("keys", "new", "--help", env=home, as_stranger=True)
    assert (code, "Make a key" in out) == (0, True)


@pytest.mark.slow
def test_a_home_that_is_read_only_is_told(tmp_path: Path, password_file: Path) -> None:
    home = {"HOME": str(read_only(tmp_path / "home"))}
    require_one_line(run_assay(*NEW_KEY, str(password_file), env=home, as_stranger=True), "name another place")


@pytest.mark.parametrize("home", ["/proc/1", "/dev/null"])
def test_a_home_that_can_hold_nothing_is_told(assay: Assay, password_file: Path, home: str) -> None:
    result = assay(*NEW_KEY, str(password_file), env={"HOME": home})
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1), result.output
    assert result.stderr.startswith("assay: ") and "name another place" in result.stderr


def test_a_full_disk_is_told_as_what_may_pass(assay: Assay, password_file: Path, small_disk: Path) -> None:
    filler = fill(small_disk)
    result = assay(*NEW_KEY, str(password_file), "--keys-dir", str(small_disk))
    assert (result.exit_code, result.stderr.count("\n")) == (75, 1), result.output
    assert "No space left on device" in result.stderr and "make room" in result.stderr
    filler.unlink()
    assert assay(*NEW_KEY, str(password_file), "--keys-dir", str(small_disk)).exit_code == 0


def test_services_tell_where_they_cannot_keep_anything(assay: Assay) -> None:
    result = assay("verifier", "serve", "--port", "0", env={"HOME": "/proc/1"})
    assert (result.exit_code, "Traceback" in result.output) == (1, False)
    assert "assay: cannot open the database" in result.stderr


ASCII_ONLY = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.slow
def test_a_locale_without_utf_8_reads_and_writes_all_the_same(tmp_path: Path, password_file: Path) -> None:
    folder = tmp_path / "clés"
    folder.mkdir()
    env = {"HOME": str(folder), **ASCII_ONLY}
    (folder / "assay.toml").write_text('network = "zürich"\n', encoding="utf-8")
    code, out, err = run_assay("config", env=env, cwd=folder)
    assert (code, "zürich" in out, err) == (0, True, "")
    code, out, err = run_assay(*NEW_KEY, str(password_file), env=env, cwd=folder)
    assert (code, err) == (0, "") and (folder / ".assay" / "keys" / "worker.json").is_file()


def test_a_terminal_that_lacks_a_sign_gets_it_escaped(tmp_path: Path) -> None:
    (tmp_path / "assay.toml").write_text('network = "排序"\n', encoding="utf-8")
    code, out, err = run_assay("config", env={"HOME": str(tmp_path), "PYTHONIOENCODING": "latin-1"}, cwd=tmp_path)
    assert (code, r"\u6392\u5e8f" in out, err) == (0, True, "")


@pytest.mark.slow
def test_a_task_file_may_hold_any_sign_in_any_locale(tmp_path: Path) -> None:
    text = (ROOT / "examples" / "sorting.toml").read_text(encoding="utf-8")
    task = tmp_path / "tâche.toml"
    task.write_text(f"# für 排序\n{text}", encoding="utf-8")
    code, out, err = run_assay("economics", str(task), env=ASCII_ONLY)
    assert (code, "Traceback" in err) == (0, False), err
    assert out
