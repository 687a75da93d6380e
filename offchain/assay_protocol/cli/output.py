"""What commands print: lines for people, or one JSON document for programs, made from the same data."""

import json
from collections.abc import Iterable
from typing import Any

import click

from assay_core.inspect.formatting import jsonable


def emit(is_json: bool, data: Any, lines: Iterable[str]) -> None:
    """Print a command's result on stdout."""
    if is_json:
        click.echo(json.dumps(jsonable(data), indent=2, allow_nan=False))
    else:
        for line in lines:
            click.echo(line)
