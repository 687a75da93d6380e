"""`ASSAY_*` variables: those that are read are known, and all others are told."""

from collections.abc import Iterator

import click
import pytest
from pydantic_settings import BaseSettings

from assay_core.chain.ape import APE_VARIABLE
from assay_core.chain.deployment import FOLDER_VARIABLE
from assay_core.transport.choose import BucketSettings, SwarmSettings, UploadSettings
from assay_core.transport.relay.server import RelaySettings
from assay_protocol.cli import main
from assay_protocol.cli.settings import SETTINGS
from assay_protocol.cli.variables import OTHERS
from assay_trainer.settings import AssistantSettings, TrainerSettings
from assay_verifier.settings import ServeSettings, VerifierSettings
from tests.unit.cli.conftest import Assay

SERVICES: tuple[type[BaseSettings], ...] = (
    *(AssistantSettings, TrainerSettings, ServeSettings, VerifierSettings),
    *(BucketSettings, SwarmSettings, UploadSettings, RelaySettings),
)
TABLES = {"ASSAY_ENGINES"}  # of a settings file; no variable can hold them


def of_options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter.envvar, str):
            yield parameter.envvar
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if (each := command.get_command(context, name)) is not None:
                yield from of_options(each, context)


def test_the_list_holds_what_is_read_and_nothing_else() -> None:
    read = {f"{kind.model_config.get('env_prefix')}{name}".upper() for kind in SERVICES for name in kind.model_fields}
    read |= set(of_options(main, click.Context(main))) | {APE_VARIABLE, FOLDER_VARIABLE}
    assert read - TABLES - {setting.env for setting in SETTINGS.values()} == OTHERS


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ASSAY_NETWROK", "did you mean ASSAY_NETWORK?"),
        ("ASSAY_RELAY_UPSTREAM", "did you mean ASSAY_RELAY_UPSTREAMS?"),
        ("ASSAY_XYZZY_QQQQQQQ", "`assay config` lists"),
    ],
)
def test_a_variable_that_means_nothing_is_refused_with_the_nearest_name(assay: Assay, name: str, hint: str) -> None:
    result = assay("keys", "list", env={name: "1"})
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"there is no variable {name}: {hint}" in result.stderr
    assert assay("keys", "list", "--help", env={name: "1"}).exit_code == 0


def test_variables_that_kubernetes_makes_of_services_are_not_ours(assay: Assay) -> None:
    made = {"ASSAY_RELAY_SERVICE_HOST": "10.0.0.1", "ASSAY_WEB_PORT_8080_TCP_ADDR": "10.0.0.1"}
    assert assay("keys", "list", env=made).exit_code == 0
