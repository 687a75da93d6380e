"""What is simulated: a TOML file, checked. `simulate.toml` explains each setting."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assay_core.protocol.errors import Stop
from benchmarks.gossip.topology import Kind

MAX_NODES = 20_000
BITS_PER_MBIT = 1e6
SEGMENT_BYTES = 1_448  # of a TCP segment over Ethernet: MTU 1,500 less 20 + 32 bytes of headers
HEADER_BYTES = 66  # Ethernet 14, IPv4 20, TCP with time stamps 32
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkTable(Table):
    """The graphs, and the links of a peer. `slow_share` of the peers have both links `slow_factor` times slower."""

    nodes: tuple[Annotated[int, Field(ge=2, le=MAX_NODES)], ...]
    topologies: tuple[Kind, ...] = ("ring", "expander", "small-world")
    degree: Annotated[int, Field(ge=2, le=64)] = 4
    rewired: Share = 0.2
    uplink_mbit: Positive = 20.0
    downlink_mbit: Positive = 100.0
    latency_s: NotNegative = 0.05
    slow_share: Share = 0.0
    slow_factor: Annotated[float, Field(ge=1)] = 4.0
    loss: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of messages that break off: they cost the time and the bytes, and never arrive."""


class ChurnTable(Table):
    """Peers stay and stay away for exponentially distributed times; `mean_up_s = 0`: nobody leaves."""

    mean_up_s: NotNegative = 0.0
    mean_down_s: Positive = 60.0
    forgets: bool = False
    """Whether a peer that comes back is new: its own update has to be learnt from its neighbours."""


class ExchangeTable(Table):
    """`message_bytes`: one encoded state. A peer mixes every `interval_s` (H inner steps), give or take `jitter`."""

    message_bytes: Annotated[int, Field(gt=0)] = 1_000_000
    interval_s: Positive = 10.0
    jitter: Annotated[float, Field(ge=0, lt=1)] = 0.2
    fanout: Annotated[int, Field(ge=0)] = 0
    """Neighbours told per mix; 0: all."""


class MeasureTable(Table):
    """What ends a run, and what is reported of it."""

    seed: int = 0
    probes: Annotated[int, Field(ge=1, le=64)] = 8
    """So many peers' updates are followed; times to spread are means over them."""
    spread_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """An update has spread once that share of the peers present has some of it."""
    error_at_s: Positive = 300.0
    """When the consensus error is taken; a run lasts at least so long."""
    target_error: Annotated[float, Field(gt=0, lt=1)] = 0.05
    max_s: Positive = 20_000.0
    max_messages: Annotated[int, Field(gt=0)] = 2_000_000


class Scenario(Table):
    network: NetworkTable
    churn: ChurnTable = ChurnTable()
    exchange: ExchangeTable = ExchangeTable()
    measure: MeasureTable = MeasureTable()

    @property
    def wire_bytes(self) -> int:
        """What one message takes on the link, headers of packets included."""
        return with_headers(self.exchange.message_bytes)


def with_headers(size: int) -> int:
    """Bytes on the wire: a message of `size` bytes and the headers of its TCP segments."""
    return size + HEADER_BYTES * -(-size // SEGMENT_BYTES)


def read_scenario(path: Path) -> Scenario:
    """Raises Stop: no such file, not TOML, or an impossible setting."""
    try:
        return Scenario.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise Stop(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Stop(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise Stop(f"{path}: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
