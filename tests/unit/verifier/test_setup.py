"""Settings, database and what goes wrong before anything runs."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from assay_core.protocol.errors import Stop
from assay_verifier.app import build_service, built_verifier
from assay_verifier.database import migrate, open_database
from assay_verifier.models import Base
from assay_verifier.settings import ServeSettings, VerifierSettings, load_serve_settings, load_verifier_settings


def test_migrations_make_the_schema_of_the_models(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'new/folder/verifier.db'}")
    migrate(engine)
    migrate(engine)  # nothing to do
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


@pytest.mark.parametrize("url", ["not a url", "oracle+nothing://here", "postgresql+absent://localhost/x"])
def test_database_that_cannot_be_opened_stops(url: str) -> None:
    with pytest.raises(Stop, match="database"):
        open_database(url)


def test_file_that_is_no_database_stops(tmp_path: Path) -> None:
    (tmp_path / "verifier.db").write_bytes(b"this is not SQLite" * 100)
    with pytest.raises(Stop, match="database"):
        build_service(ServeSettings(state_dir=tmp_path))


def test_argument_beats_environment_beats_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "assay.toml"
    config.write_text('task_id = 1\nkeystore = "file.json"\nthreads = 2\nrelays = ["http://a"]\n')
    monkeypatch.setenv("ASSAY_THREADS", "3")
    monkeypatch.setenv("ASSAY_RELAYS", "http://b http://c")
    settings = load_verifier_settings(config, task_id=7, keystore=None)
    assert (settings.task_id, settings.threads, settings.keystore) == (7, 3, Path("file.json"))
    assert settings.relays == ("http://b", "http://c")
    assert load_serve_settings(port=99).port == 99


def test_missing_or_impossible_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="task_id"):
        load_verifier_settings(keystore=tmp_path)
    with pytest.raises(Stop, match="poll_s"):
        load_verifier_settings(task_id=1, keystore=tmp_path, poll_s=-1)
    with pytest.raises(Stop, match="no configuration file"):
        load_verifier_settings(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("task_id = ")
    with pytest.raises(Stop, match="cannot read"):
        load_verifier_settings(broken)


def test_unknown_network_stops(tmp_path: Path) -> None:
    settings = VerifierSettings(task_id=1, keystore=tmp_path / "key.json", network="atlantis", state_dir=tmp_path)
    with pytest.raises(Stop, match="atlantis"), built_verifier(settings):
        pass
