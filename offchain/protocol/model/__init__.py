"""The protocol as a program of its own: what the contracts must do, written a second time, in plain Python.

Pure: block, time and prevrandao are inputs. Functions that anybody may call take the caller first and then what the
contract's function takes; signatures are given as the addresses that signed. Tests drive it and the contracts with the
same calls and compare everything (docs/decisions/0029-the-model.md).
"""

from offchain.protocol.model.clock import Block, Refused
from offchain.protocol.model.network import KEEPERS_ONLY, Network, Places
from offchain.protocol.model.payouts import Payouts, WorkRef
from offchain.protocol.model.registry import Registry
from offchain.protocol.model.staking import NOBODY

__all__ = ["KEEPERS_ONLY", "NOBODY", "Block", "Network", "Payouts", "Places", "Refused", "Registry", "WorkRef"]
