"""What is asked of a node over HTTP, and of the next one where one fails; each question is counted.

Nodes refuse in many ways: with a status, an HTML page, a JSON-RPC error inside a 200. All become `NodeTrouble` with the
node's own words; a question that may soon be answered is asked again, after growing waits.
"""

import json
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from assay_core.protocol.web import ca_bundle, is_loopback, public_url

log = logging.getLogger(__name__)

MOST_WORDS = 200
MOST_RETRY_AFTER_S = 10.0
RETURN_S = 300.0  # after so long the first URL is tried again
HEADERS = {"Content-Type": "application/json", "User-Agent": "assay"}
BUSY_STATUS = frozenset({429, 500, 502, 503, 504, 529})
BUSY_CODES = frozenset({-32005, -32016, -32029, -32090, 429})
BUSY_WORDS = re.compile(
    r"rate.?limit|too many requests|quota|compute unit|capacity|throttl|(request|daily).{0,20}limit"
)
# What nodes say when a range of logs is too large: a smaller one helps, waiting does not.
RANGE_WORDS = re.compile(
    r"more than \d|query returned|block.?range|range (is )?too|response size|(max|exceed|limit).{0,30}(range|blocks|"
    r"results|logs)|too (many|large|big|wide)\b(?! requests)|timeout|timed out"
)
NO_PENDING_WORDS = re.compile(r"pending|(block|header) not found|unknown block")
PENDING_AT = {"eth_call": 1, "eth_estimateGas": 1, "eth_getTransactionCount": 1}  # where the block's name stands
QUANTITY = re.compile(r"0x[0-9a-fA-F]+")
DATA = re.compile(r"0x([0-9a-fA-F]{2})*")
# What an answer looks like, where anything else would break what reads it.
ANSWERS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(
        ("eth_chainId", "eth_blockNumber", "eth_gasPrice", "eth_getBalance", "eth_getTransactionCount",
         "eth_estimateGas", "eth_maxPriorityFeePerGas"),
        lambda result: isinstance(result, str) and QUANTITY.fullmatch(result) is not None,
    ),
    **dict.fromkeys(
        ("eth_call", "eth_getCode", "eth_sendRawTransaction"),
        lambda result: isinstance(result, str) and DATA.fullmatch(result) is not None,
    ),
    **dict.fromkeys(
        ("eth_getBlockByNumber", "eth_getBlockByHash", "eth_getTransactionReceipt", "eth_getTransactionByHash"),
        lambda result: result is None or isinstance(result, dict),
    ),
    "eth_getLogs": lambda result: isinstance(result, list),
}  # fmt: skip


class NodeTrouble(Exception):
    """No node answered. The text is the last one's own words, without its URL's secrets."""

    def __init__(
        self,
        words: str,
        kind: str = "refused",
        *,
        is_passing: bool = False,
        helps_to_ask_less: bool = False,
        retry_after_s: float = 0.0,
    ) -> None:
        """`kind`: timeout, unreachable, busy, refused, nonsense or wrong_chain. `is_passing`: the same question may
        soon be answered. `helps_to_ask_less`: a smaller one may be.
        """
        super().__init__(words)
        self.kind = kind
        self.is_passing, self.helps_to_ask_less, self.retry_after_s = is_passing, helps_to_ask_less, retry_after_s


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """`timeout_s` bounds one request; between rounds through all URLs there are `waits_s`."""

    timeout_s: float = 30.0
    waits_s: tuple[float, ...] = (0.5, 1.0, 2.0)


class NodeProvider(JSONBaseProvider):
    """The nodes behind some URLs as one. `calls` counts requests by method, `troubles` those that failed, by kind."""

    def __init__(
        self, urls: Sequence[str], limits: NodeLimits | None = None, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        super().__init__()
        self.urls, self.calls, self.troubles = tuple(urls), Counter[str](), Counter[str]()
        self._limits, self._sleep = limits or NodeLimits(), sleep
        self._at, self._moved_at = 0, 0.0
        self._chain_id: int | None = None
        self._checked: set[str] = set()
        self._has_pending = True
        self._certificates: str | bool = ca_bundle() or True
        self._local = threading.local()

    def require_chain(self, chain_id: int) -> None:
        """What the node in use serves; another one that serves something else is passed over."""
        self._chain_id = chain_id
        self._checked.add(self.urls[self._at])

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Raises NodeTrouble: no node answers. Errors that are answers (a revert, an unknown method) are returned."""
        if not self._has_pending:
            params = _at_latest(method, params)
        response = self._ask_in_rounds(method, params)
        if self._has_pending and _lacks_pending(method, params, response):
            again = self._ask_in_rounds(method, _at_latest(method, params))
            if "error" not in again:
                self._has_pending = False
                log.warning("the node knows no pending block, the latest is taken for it")
            return again
        return response

    def _ask_in_rounds(self, method: str, params: Any) -> RPCResponse:
        waits_s = self._limits.waits_s
        for number in range(len(waits_s) + 1):
            try:
                return self._ask_each(method, params)
            except NodeTrouble as trouble:
                if number == len(waits_s) or not trouble.is_passing:
                    raise
                self._sleep(max(waits_s[number], trouble.retry_after_s))
        raise AssertionError("unreachable")

    def _ask_each(self, method: str, params: Any) -> RPCResponse:
        """Ask the node in use, then the others. Raises NodeTrouble: none answers."""
        if self._at and time.monotonic() - self._moved_at > RETURN_S:
            self._at = 0
        troubles: list[NodeTrouble] = []
        for step in range(len(self.urls)):
            at = (self._at + step) % len(self.urls)
            try:
                self._check_chain(self.urls[at])
                response = self._ask(self.urls[at], method, params)
            except NodeTrouble as trouble:
                self.troubles[trouble.kind] += 1
                troubles.append(trouble)
                continue
            if troubles:
                self._at, self._moved_at = at, time.monotonic()
                told = {"why": str(troubles[0]), "url": public_url(self.urls[at])}
                log.warning("a node does not answer, another one is asked", extra=told)
            return response
        raise _together(troubles)

    def _check_chain(self, url: str) -> None:
        if self._chain_id is None or url in self._checked:
            return
        found = int(str(self._ask(url, "eth_chainId", []).get("result", "0x0")), 16)
        if found != self._chain_id:
            raise NodeTrouble(f"{public_url(url)} serves chain {found}, not {self._chain_id}", "wrong_chain")
        self._checked.add(url)

    def _ask(self, url: str, method: str, params: Any) -> RPCResponse:
        self.calls[method] += 1
        data = self.encode_rpc_request(RPCEndpoint(method), params)
        try:
            answer = self._post(url, data)
        except requests.Timeout as error:
            raise NodeTrouble(type(error).__name__, "timeout", helps_to_ask_less=True) from None
        except requests.RequestException as error:
            raise NodeTrouble(type(error).__name__, "unreachable") from None
        return _read(url, method, answer)

    def _post(self, url: str, data: bytes) -> requests.Response:
        session, timeout_s = self._session(url), self._limits.timeout_s
        try:
            return session.post(url, data=data, timeout=timeout_s, verify=self._certificates)
        except requests.Timeout:
            raise
        except requests.ConnectionError:  # perhaps only a connection that stood open for too long
            self._sleep(0.1)
            return session.post(url, data=data, timeout=timeout_s, verify=self._certificates)

    def _session(self, url: str) -> requests.Session:
        """One for each thread and URL."""
        sessions: dict[str, requests.Session] = self._local.__dict__.setdefault("sessions", {})
        if url not in sessions:
            sessions[url] = open_session(url)
        return sessions[url]


def _together(troubles: Sequence[NodeTrouble]) -> NodeTrouble:
    return NodeTrouble(
        "; ".join(dict.fromkeys(map(str, troubles))),
        is_passing=any(each.is_passing for each in troubles),
        helps_to_ask_less=any(each.helps_to_ask_less for each in troubles),
        retry_after_s=min(each.retry_after_s for each in troubles),
    )


def open_session(url: str) -> requests.Session:
    """Proxies as the environment names them, but never for this machine itself."""
    session = requests.Session()
    session.headers.update(HEADERS)
    session.trust_env = not is_loopback(url)
    return session


def _at_latest(method: str, params: Any) -> Any:
    place = PENDING_AT.get(method)
    if place is None or len(params) <= place or params[place] != "pending":
        return params
    return [*params[:place], "latest", *params[place + 1 :]]


def _lacks_pending(method: str, params: Any, response: RPCResponse) -> bool:
    """Whether a node refused because it makes no block ahead."""
    words = str(_error(response).get("message", "")).lower()
    return _at_latest(method, params) is not params and NO_PENDING_WORDS.search(words) is not None


def _error(response: Mapping[str, Any]) -> Mapping[str, Any]:
    error = response.get("error")
    return error if isinstance(error, Mapping) else {}


def _read(url: str, method: str, answer: requests.Response) -> RPCResponse:
    """Raises NodeTrouble: this is no answer, or only a refusal to give one now."""
    status = answer.status_code
    try:
        body: Any = json.loads(answer.content)
    except ValueError:
        body = None
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return _read_error(url, method, answer, error)
    is_whole = isinstance(body, dict) and "result" in body and error is None
    if status == 200 and is_whole and ANSWERS.get(method, _any)(body["result"]):
        return {"jsonrpc": "2.0", "id": body.get("id", 0), "result": body["result"]}
    words = (
        f"HTTP {status}: {plain_words(url, answer.text)}"
        if status != 200
        else f"no JSON-RPC: {plain_words(url, answer.text)}"
    )
    raise NodeTrouble(
        words,
        "busy" if status in BUSY_STATUS else "nonsense" if status == 200 else "refused",
        is_passing=status in BUSY_STATUS or (status == 200 and not is_whole),
        helps_to_ask_less=status in (200, 413, 500, 502, 503, 504),
        retry_after_s=_retry_after_s(answer),
    )


def _read_error(url: str, method: str, answer: requests.Response, error: dict[str, Any]) -> RPCResponse:
    code, words = error.get("code"), str(error["message"]).lower()
    is_range = method == "eth_getLogs" and RANGE_WORDS.search(words) is not None
    says_busy = answer.status_code == 429 or BUSY_WORDS.search(words) is not None
    if (says_busy or code in BUSY_CODES) and not is_range and "revert" not in words:
        raise NodeTrouble(
            f"error {code}: {plain_words(url, error['message'])}",
            "busy",
            is_passing=True,
            helps_to_ask_less=not says_busy,  # "limit exceeded" may mean either
            retry_after_s=_retry_after_s(answer),
        )
    told: dict[str, Any] = {
        "code": code if isinstance(code, int) else -32_000,
        "message": plain_words(url, error["message"]) or "no reason given",
    }
    data = error.get("data")
    # web3 takes each error with data, even null, for a revert.
    if isinstance(data, str) or (data is not None and "revert" in words):
        told["data"] = data
    return {"jsonrpc": "2.0", "id": 0, "error": told}  # pyright: ignore[reportReturnType]


def _any(_result: object) -> bool:
    return True


def _retry_after_s(answer: requests.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), MOST_RETRY_AFTER_S) if text.isdigit() else 0.0


def plain_words(url: str, text: object) -> str:
    """A node's words for people: no tags, no secrets of its URL, not too many."""
    plain = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", str(text)[:10_000], flags=re.DOTALL | re.IGNORECASE)
    for secret in _secrets(url):
        plain = plain.replace(secret, "…")
    words = " ".join("".join(char if char.isprintable() else " " for char in plain).split())
    return words if len(words) <= MOST_WORDS else words[:MOST_WORDS] + "…"


def _secrets(url: str) -> Iterable[str]:
    """Parts of a URL in which providers put keys, the longest first."""
    parts = urlsplit(url)
    found = {parts.username or "", parts.password or "", parts.query, *parts.path.split("/"), *parts.query.split("=")}
    found |= {unquote(each) for each in found}
    return sorted((each for each in found if len(each) >= 6), key=len, reverse=True)
