"""What can go wrong between us and a node, in the protocol's words."""

from collections.abc import Generator
from contextlib import contextmanager

import requests
from web3 import Web3
from web3.exceptions import (
    BadResponseFormat,
    BlockNotFound,
    CannotHandleRequest,
    RequestTimedOut,
    TimeExhausted,
    TransactionIndexingInProgress,
    TransactionNotFound,
    Web3RPCError,
)

from assay_core.chain.node import NodeLimits, NodeProvider, NodeTrouble
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.web import node_urls

TRANSPORT_ERRORS = (
    requests.RequestException,
    ConnectionError,
    TimeoutError,
    BadResponseFormat,
    BlockNotFound,
    CannotHandleRequest,
    RequestTimedOut,
    TimeExhausted,
    TransactionIndexingInProgress,
)


@contextmanager
def asking_node(what: str) -> Generator[None]:
    """Turn a node that does not answer, or not sensibly, into Unavailable: retry."""
    try:
        yield
    except NodeTrouble as trouble:
        raise Unavailable(f"the node did not answer ({what}: {trouble}); try again") from None
    except TRANSPORT_ERRORS as error:
        # The exception's text may hold the URL, and that an API key: only its kind is told, and no traceback shows it.
        raise Unavailable(f"the node did not answer ({what}: {type(error).__name__}); try again") from None
    except TransactionNotFound:  # an answer: callers know what it means
        raise
    except Web3RPCError as error:
        raise Unavailable(f"the node refused ({what}: {node_words(error)}); try again") from None


def node_words(error: Web3RPCError) -> str:
    """What a node said when it refused."""
    details = (error.rpc_response or {}).get("error")
    return str(details.get("message", "")) if isinstance(details, dict) else str(error)


def connect_http(rpc_url: str, timeout_s: float = 30.0) -> Web3:
    """A client of a node, or of several, divided by commas, that stand in for each other.

    Its questions raise soon when no node answers; callers decide whether to wait. Raises Stop: a URL is none.
    """
    return client_of(NodeProvider(node_urls(rpc_url), NodeLimits(timeout_s)))


def client_of(provider: NodeProvider) -> Web3:
    """web3 over a provider."""
    web3 = Web3(provider)
    # It asks for the chain's id before each call, and refuses blocks of proof-of-authority chains.
    web3.middleware_onion.remove("validation")
    return web3


def provider_of(web3: Web3) -> NodeProvider:
    """What asks for a client that `connect_http` has made."""
    if not isinstance(web3.provider, NodeProvider):
        raise Stop("this client was not made by connect_http")
    return web3.provider
