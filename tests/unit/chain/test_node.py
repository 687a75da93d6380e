"""What nodes answer that is none, told in their own words; and which node is asked when, and how often."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3
from web3.exceptions import ContractLogicError, Web3RPCError

from assay_core.chain.connection import Chain
from assay_core.chain.headers import header_of
from assay_core.chain.node import NodeLimits, NodeProvider
from assay_core.chain.node_logs import NodeLogs, TooMuchAsked
from assay_core.chain.rpc import asking_node, client_of, connect_http
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.web import is_loopback, node_urls, public_url
from tests.integration.fake_node import Answer, Ask, FakeNode, Raw, error, result, saying
from tests.unit.chain import places

HTML = b"<html><head><style>p {}</style><title>Bad gateway</title></head><body><p>The origin is down</p></body></html>"
QUOTA = error(-32005, "daily request count exceeded, request rate limited", data={"see": "https://node.example"})


@pytest.fixture
def node() -> Iterator[FakeNode]:
    with FakeNode() as node:
        yield node


class Waits(list[float]):
    """How long was slept; nobody sleeps."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def client(*nodes: FakeNode, waits: Waits | None = None, timeout_s: float = 5.0) -> Web3:
    urls = [node.url for node in nodes]
    return client_of(NodeProvider(urls, NodeLimits(timeout_s), Waits() if waits is None else waits))


def chain_id(web3: Web3) -> int:
    with asking_node("chain id"):
        return web3.eth.chain_id


# -- answers that are none


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (QUOTA, "error -32005: daily request count exceeded"),
        (error(-32016, "over rate limit"), "error -32016: over rate limit"),
        (error(-32097, "Your app has exceeded its compute units per second capacity"), "compute units per second"),
        (Raw(HTML), "no JSON-RPC: Bad gateway The origin is down)"),
        (Raw(HTML, 502), "HTTP 502: Bad gateway The origin is down)"),
        (Raw(b"slow down", 429, {"Retry-After": "7"}), "HTTP 429: slow down"),
        (Raw(json.dumps({"error": {"code": 1, "message": "too many"}}).encode(), 429), "too many"),
        (Raw(b"Payload Too Large", 413), "HTTP 413: Payload Too Large"),
        (Raw(b"<b>forbidden</b>", 403), "HTTP 403: forbidden"),
        (Raw(b""), "no JSON-RPC"),
        (Raw(b"\xff\xfe{"), "no JSON-RPC"),
        (Raw(b"[]"), "no JSON-RPC"),
        (Raw(b'{"message": "no such route"}'), "no such route"),
        (result("zebra"), "zebra"),
        (result(None), "null"),
        (error(-32603, "internal error"), "refused (chain id: internal error)"),
    ],
)
def test_an_answer_that_is_none_is_unavailable_in_the_nodes_own_words(
    node: FakeNode, answer: Answer, words: str
) -> None:
    node.rule = saying(answer)
    with pytest.raises(Unavailable) as caught:
        chain_id(client(node))
    assert words in str(caught.value) and "try again" in str(caught.value)
    assert caught.value.__cause__ is None and "\n" not in str(caught.value)


def test_a_busy_node_is_asked_again_after_growing_waits(node: FakeNode) -> None:
    node.rule = saying(QUOTA, Raw(HTML, 503), result("0x7a69"))
    waits = Waits()
    assert chain_id(client(node, waits=waits)) == 31_337
    assert waits == [0.5, 1.0] and node.calls["eth_chainId"] == 3


def test_a_node_that_says_when_to_come_again_is_obeyed_within_reason(node: FakeNode) -> None:
    node.rule = saying(Raw(b"", 429, {"Retry-After": "7"}), Raw(b"", 429, {"Retry-After": "86400"}), result("0x1"))
    waits = Waits()
    assert chain_id(client(node, waits=waits)) == 1
    assert waits == [7.0, 10.0]


def test_a_node_that_never_answers_is_not_asked_for_ever(node: FakeNode) -> None:
    node.rule = saying(QUOTA)
    waits = Waits()
    with pytest.raises(Unavailable):
        chain_id(client(node, waits=waits))
    assert waits == [0.5, 1.0, 2.0] and node.calls["eth_chainId"] == 4


def test_no_secret_of_the_url_is_told(node: FakeNode) -> None:
    node.rule = saying(Raw(b"key s3cretkey of user somebody is unknown", 401))
    url = node.url.replace("http://", "http://somebody:passw0rd@") + "/v2/s3cretkey"
    with pytest.raises(Unavailable, match=r"key … of user … is unknown") as caught:
        chain_id(connect_http(url))
    assert "s3cretkey" not in repr(caught.value)


@pytest.mark.parametrize("data", [None, {"see": "https://node.example"}])
def test_an_error_with_data_is_not_taken_for_a_revert(node: FakeNode, data: Any) -> None:
    node.rule = saying(error(-32603, "internal error", data=data))
    with pytest.raises(Web3RPCError, match="internal error"):
        client(node).eth.call({"to": places.DEPLOYMENT.token})
    node.rule = saying(error(3, "execution reverted", data="0x12345678"))
    with pytest.raises(ContractLogicError):
        client(node).eth.call({"to": places.DEPLOYMENT.token})


# -- logs


@pytest.mark.parametrize(
    "answer",
    [
        error(-32602, "exceed maximum block range: 500"),
        error(-32005, "query returned more than 10000 results. Try with this block range [0x0, 0x1f]."),
        error(-32005, "limit exceeded"),
        error(-32000, "query timeout exceeded"),
        error(-32600, "eth_getLogs is limited to a 10 blocks range"),
        error(-32000, "one of a kind"),
        Raw(b"Payload Too Large", 413),
        Raw(b'{"jsonrpc": "2.0", "id": 1, "result": [{"address": "0x', 200),
        Raw(b"{}", after_s=0.3),
    ],
)
def test_logs_that_are_too_many_are_told_apart(node: FakeNode, answer: Answer) -> None:
    node.rule = saying(answer)
    with pytest.raises(TooMuchAsked):
        NodeLogs(client(node, timeout_s=0.1 if isinstance(answer, Raw) and answer.after_s else 5)).logs(0, 99, [])


def test_logs_that_a_busy_node_refuses_are_not_too_many(node: FakeNode) -> None:
    node.rule = saying(QUOTA)
    with pytest.raises(Unavailable) as caught:
        NodeLogs(client(node)).logs(0, 99, [])
    assert not isinstance(caught.value, TooMuchAsked)


def test_a_header_that_is_refused_is_not_one_that_nobody_tells(node: FakeNode) -> None:
    node.rule = saying(error(-32000, "no state"))
    with pytest.raises(Unavailable, match="no state"):
        header_of(client(node), 5)


# -- blocks ahead


def test_where_there_is_no_pending_block_the_latest_is_taken(node: FakeNode) -> None:
    def no_pending(method: str, params: list[Any], ask: Ask) -> Answer:
        if "pending" in params:
            return error(-32000, "pending state is not available")
        return result("0x05")

    node.rule = no_pending
    web3 = client(node)
    assert web3.eth.get_transaction_count(places.DEPLOYMENT.token, "pending") == 5  # pyright: ignore[reportArgumentType]
    assert bytes(web3.eth.call({"to": places.DEPLOYMENT.token}, "pending")) == b"\x05"  # pyright: ignore[reportArgumentType]
    assert [params[1] for _, params in node.asked] == ["pending", "latest", "latest"], "it is remembered"


@pytest.mark.parametrize("pending", [result(None), error(-32000, "unknown block"), result({"number": "0x5"})])
def test_without_a_pending_block_time_is_that_of_the_latest_and_of_our_clock(
    node: FakeNode, pending: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1_000.0)
    newest = {"number": "0x4", "hash": "0x" + "11" * 32, "timestamp": hex(900)}

    def at_latest(method: str, params: list[Any], ask: Ask) -> Answer:
        return pending if params[0] == "pending" else result(newest)

    node.rule = at_latest
    chain = object.__new__(Chain)
    object.__setattr__(chain, "web3", client(node))
    assert chain.now() == 1_000
    newest["timestamp"] = hex(5_000)  # a local chain whose clock was put forward
    assert chain.now() == 5_000


# -- several nodes


def test_another_node_is_asked_when_one_fails_and_stays_in_use(node: FakeNode) -> None:
    with FakeNode(rule=saying(result("0x2"))) as other:
        node.rule = saying(QUOTA)
        waits = Waits()
        web3 = client(node, other, waits=waits)
        assert [chain_id(web3) for _ in range(3)] == [2, 2, 2]
        assert (node.calls.total(), other.calls.total(), waits) == (1, 3, [])
        other.rule = saying(Raw(b"", 503))
        node.rule = saying(result("0x1"))
        assert chain_id(web3) == 1


def test_all_nodes_failing_is_told_with_what_each_said(node: FakeNode) -> None:
    with FakeNode(rule=saying(Raw(b"gone", 404))) as other:
        node.rule = saying(error(-32016, "over rate limit"))
        with pytest.raises(Unavailable, match="over rate limit; HTTP 404: gone"):
            chain_id(client(node, other))


def test_a_node_of_another_chain_does_not_stand_in(node: FakeNode) -> None:
    with FakeNode(rule=saying(result("0x2"))) as other:
        node.rule = saying(result("0x1"))
        web3 = client(node, other)
        assert chain_id(web3) == 1
        assert isinstance(web3.provider, NodeProvider)
        web3.provider.require_chain(1)
        node.rule = saying(Raw(b"", 503))
        with pytest.raises(Unavailable, match="serves chain 2, not 1"):
            chain_id(web3)


def test_a_node_that_is_down_is_passed_over(node: FakeNode) -> None:
    node.rule = saying(result("0x1"))
    assert chain_id(connect_http(f"http://127.0.0.1:1, {node.url}")) == 1


def test_questions_are_counted_by_method(node: FakeNode) -> None:
    node.rule = saying(result("0x1"))
    web3 = client(node)
    chain_id(web3)
    web3.eth.get_balance(places.DEPLOYMENT.token)  # pyright: ignore[reportArgumentType]
    assert isinstance(web3.provider, NodeProvider)
    assert web3.provider.calls == {"eth_chainId": 1, "eth_getBalance": 1}


# -- urls, proxies and certificates


@pytest.mark.parametrize("url", ["notaurl", "localhost:8545", "http://", "ftp://a", "http://a:b", "http://[::1", " , "])
def test_what_is_no_url_is_told_at_once(url: str) -> None:
    with pytest.raises(Stop, match="write http://HOST:PORT"):
        connect_http(url)


def test_urls_are_divided_by_commas_and_shown_without_their_secrets() -> None:
    text = "https://user:pass@a.example/v2/key, http://b.example:8545?token=1,http://[::1]:8545"
    assert node_urls(text) == tuple(part.strip() for part in text.split(","))
    assert public_url(text) == "https://a.example,http://b.example:8545,http://[::1]:8545"
    assert "pass" not in public_url("htp:/user:pass@a")


@pytest.mark.parametrize(
    ("url", "is_here"),
    [("http://127.0.0.1:1", True), ("http://127.8.0.1", True), ("http://localhost:1/x", True), ("http://[::1]:1", True),
     ("https://node.localhost", True), ("https://node.example", False), ("http://10.0.0.1", False)],
)  # fmt: skip
def test_loopback_is_known(url: str, is_here: bool) -> None:
    assert is_loopback(url) is is_here


def test_no_proxy_stands_between_us_and_this_machine(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    node.rule = saying(result("0x1"))
    assert chain_id(connect_http(node.url)) == 1


def test_a_proxy_stands_between_us_and_other_machines(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy is our fake node: it gets the question with the whole URL, which is what a proxy gets."""
    monkeypatch.setenv("http_proxy", node.url)
    monkeypatch.delenv("no_proxy", raising=False)
    node.rule = saying(result("0x1"))
    assert chain_id(connect_http("http://node.example")) == 1
    monkeypatch.setenv("no_proxy", "node.example")
    with pytest.raises(Unavailable):
        chain_id(connect_http("http://node.example"))


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed one of 127.0.0.1, with its key."""
    path = tmp_path / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=here"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", str(tmp_path / "ca.pem")]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + (tmp_path / "ca.pem").read_text())
    return path


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_certificate_authority_of_ones_own_is_believed(
    node: FakeNode, certificate: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    node.rule = saying(result("0x1"))
    node.use_tls(certificate)
    url = node.url.replace("http://", "https://")
    with pytest.raises(Unavailable, match="SSLError"):
        chain_id(connect_http(url))
    monkeypatch.setenv(variable, str(certificate.with_name("ca.pem")))
    assert chain_id(connect_http(url)) == 1
    monkeypatch.setenv(variable, "/nowhere/ca.pem")
    with pytest.raises(Stop, match=f"{variable} names /nowhere/ca.pem, which does not exist"):
        connect_http(url)
