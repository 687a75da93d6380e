"""What can go wrong between us and a node, in the protocol's words."""

from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
from web3 import HTTPProvider, Web3
from web3.exceptions import (
    BadResponseFormat,
    BlockNotFound,
    CannotHandleRequest,
    ProviderConnectionError,
    RequestTimedOut,
    TimeExhausted,
    TooManyRequests,
    TransactionIndexingInProgress,
)
from web3.middleware import ExtraDataToPOAMiddleware
from web3.providers.rpc.utils import ExceptionRetryConfiguration

from assay_core.protocol.errors import Stop, Unavailable

TRANSPORT_ERRORS = (
    requests.RequestException,
    ConnectionError,
    TimeoutError,
    BadResponseFormat,
    BlockNotFound,
    CannotHandleRequest,
    ProviderConnectionError,
    RequestTimedOut,
    TimeExhausted,
    TooManyRequests,
    TransactionIndexingInProgress,
)

NO_URL = (requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL)


@contextmanager
def asking_node(what: str) -> Generator[None]:
    """Turn a node that does not answer, or not sensibly, into Unavailable: retry; and a URL that is none into Stop."""
    try:
        yield
    except NO_URL:
        raise Stop("what was given as the node's URL is none: write http://HOST:PORT with --rpc-url") from None
    except TRANSPORT_ERRORS as error:
        # The exception's text may hold the URL, and that an API key: only its kind is told, and no traceback shows it.
        raise Unavailable(f"the node did not answer ({what}: {type(error).__name__}); try again") from None


def connect_http(rpc_url: str, timeout_s: float = 30.0) -> Web3:
    """A client that raises at once when the node is down; callers decide whether to wait."""
    web3 = Web3(
        HTTPProvider(
            rpc_url,
            request_kwargs={"timeout": timeout_s},
            exception_retry_configuration=ExceptionRetryConfiguration(
                errors=(requests.ConnectionError, requests.Timeout), retries=2
            ),
        )
    )
    # Blocks of proof-of-authority chains hold more extraData than web3 admits; on other chains this changes nothing.
    web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
    return web3


def public_url(rpc_url: str) -> str:
    """The URL without user, path or query, in which providers put their keys."""
    parts = urlsplit(rpc_url)
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}:{parts.port}" if parts.port else f"{parts.scheme}://{host}"
