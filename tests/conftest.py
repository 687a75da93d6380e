"""What many tests need: no sockets but loopback, and for `-m chain` a local chain with the contracts and people on it.

People are roles: `sender_of("trainer")` is the sender of a funded key. Each test starts from the same chain: what it
does is taken back. Tests that stop or reorganise a chain make their own `Anvil`.
"""

import os
import signal
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

# Threads of torch that wait for each other spin: beside other tests they take minutes for nothing.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from hypothesis import settings

from assay_core.chain.connection import Chain
from assay_core.chain.deploy import DeploySettings, deploy
from assay_core.chain.deployment import Deployment
from assay_core.chain.keys import LOCAL_ROUNDS, development_account, write_keystore
from assay_core.chain.sender import Sender
from assay_core.protocol.types import Address
from assay_protocol.devnet.anvil import Anvil
from tests.examples import MOST_TRY
from tests.machines import mounted_disk

COIN_WEI = 100 * 10**18
TOKENS_WEI = 1_000_000 * 10**18
PASSWORD = "only for tests"

# Timing decides no test: machines are loaded, and compile. `--hypothesis-profile full`, of `make test`, tries more.
settings.register_profile("full", deadline=None, max_examples=MOST_TRY)
settings.register_profile("quick", deadline=None, max_examples=25)
settings.load_profile("quick")

# A shell starts what runs in the background with SIGINT ignored, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

SenderOf = Callable[[str], Sender]


def account_of_role(role: str) -> LocalAccount:
    """The same role has the same key; others in tests beside this one, whose chains and contracts are alike."""
    return Account.from_key(keccak(text=f"test key of the {role} {os.environ.get('PYTEST_XDIST_WORKER', '')}"))


@pytest.fixture(scope="session")
def anvil() -> Iterator[Anvil]:
    """A chain that mines a block for each transaction."""
    node = Anvil()
    node.start()
    yield node
    node.stop()


@pytest.fixture
def ticking_anvil() -> Iterator[Anvil]:
    """An empty chain that mines every second, as public chains do."""
    node = Anvil(block_time_s=1)
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="session")
def deployment(anvil: Anvil, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The contracts. Bonds unbond in 1,200 seconds."""
    folder = tmp_path_factory.mktemp("deployments")
    return deploy("local-tests", anvil.rpc_url, settings=DeploySettings(unbonding_period_s=1_200), folder=folder)


@pytest.fixture
def chain(anvil: Anvil, deployment: Deployment) -> Iterator[Chain]:
    """The deployment as it was; what the test does is taken back."""
    snapshot = anvil.snapshot()
    yield Chain.connect(deployment)
    anvil.revert(snapshot)


@pytest.fixture
def sender_of(anvil: Anvil, chain: Chain) -> SenderOf:
    """The sender of a role's key, which holds coin for fees and tokens; the same role has the same key."""
    deployer = Sender(chain, development_account())

    @cache
    def make(role: str) -> Sender:
        account = account_of_role(role)
        anvil.set_balance(Address(account.address), COIN_WEI)
        deployer.send(chain.token.transfer(Address(account.address), TOKENS_WEI))
        return Sender(chain, account)

    return make


@pytest.fixture
def keystore_of(sender_of: SenderOf, tmp_path: Path) -> Callable[[str], Path]:
    """The keystore of a role's key, under PASSWORD."""

    def make(role: str) -> Path:
        path = tmp_path / "keys" / f"{role}.json"
        if not path.exists():
            sender_of(role)  # funded
            write_keystore(path, account_of_role(role), PASSWORD, rounds=LOCAL_ROUNDS)
        return path

    return make


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    """Opens the keystores of `keystore_of`."""
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    return path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB."""
    with mounted_disk(tmp_path / "small-disk") as disk:
        yield disk
