"""Nobody puts a bond behind rules that this program does not know."""

from dataclasses import replace

import pytest

from assay_core.protocol.errors import Stop
from assay_core.protocol.types import PROTOCOL_VERSION, TaskId
from assay_core.protocol.version import require_version
from tests.unit.economics.terms import TERMS


def test_a_task_of_our_version_is_joined() -> None:
    require_version(TaskId(1), replace(TERMS, protocol_version=PROTOCOL_VERSION))


@pytest.mark.parametrize("version", [PROTOCOL_VERSION - 1, PROTOCOL_VERSION + 1, 65_535])
def test_a_task_of_another_version_is_refused_with_both_named(version: int) -> None:
    with pytest.raises(Stop, match=rf"task 7 goes by version {version} .* this program by version {PROTOCOL_VERSION}"):
        require_version(TaskId(7), replace(TERMS, protocol_version=version))
