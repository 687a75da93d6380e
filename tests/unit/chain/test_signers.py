"""External signers: what they are asked in each dialect, what is believed of it, and what a failure means."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rlp
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_core.chain.keys import (
    PolicyWord,
    WorkerConsent,
    open_account,
    policy_message,
    recover_policy_signer,
    recover_worker_key_signer,
    sign_policy,
    sign_worker_key,
)
from assay_core.chain.signed import ORDER, checked_message, checked_transaction
from assay_core.chain.signer_rpc import SignerLimits
from assay_core.chain.signers import RemoteAccount
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import Address, Epoch, Root, Seed, TaskId
from assay_core.transport.relay.upload import recover_uploader, sign_upload
from assay_verifier.sealed import Envelope
from tests.examples import examples
from tests.integration.fake_node import HANG_UP, Answer, FakeNode, Raw, error, result, saying
from tests.integration.fake_signer import answering, signer

KEY: LocalAccount = Account.from_key(b"\x11" * 32)
OTHER: LocalAccount = Account.from_key(b"\x22" * 32)
CONTRACT = Address("0x" + "33" * 20)
CHAIN_ID = 31_337
CALL: dict[str, Any] = {
    "type": 2,
    "chainId": CHAIN_ID,
    "nonce": 7,
    "to": CONTRACT,
    "value": 0,
    "data": "0x1234",
    "gas": 90_000,
    "maxFeePerGas": 2_000_000_000,
    "maxPriorityFeePerGas": 1,
}
CREATION: dict[str, Any] = {
    "chainId": CHAIN_ID,
    "nonce": 0,
    "data": "0x" + "60" * 30_000,
    "value": 0,
    "gas": 3_000_000,
    "gasPrice": 10**9,
}
WORD = PolicyWord(TaskId(5), Epoch(2), Seed(b"\x05" * 32), Root(b"\x07" * 32))
TEXT = encode_defunct(text="hello")
HTML = b"<html><head><title>Bad gateway</title></head><body><p>The origin is down</p></body></html>"
QUICK = SignerLimits(connect_s=1.0, answer_s=0.3)


@pytest.fixture
def node() -> Iterator[FakeNode]:
    with FakeNode(rule=signer(KEY)) as node:
        yield node


@pytest.fixture
def remote(node: FakeNode) -> RemoteAccount:
    return RemoteAccount.connect(node.url, limits=QUICK)


# -- dialects


@pytest.mark.parametrize("dialect", ["node", "web3signer", "clef"])
def test_every_dialect_signs_what_a_key_of_ones_own_would(node: FakeNode, dialect: str) -> None:
    node.rule = signer(KEY, dialect=dialect)
    remote = RemoteAccount.connect(node.url)
    assert remote.address == KEY.address
    assert remote.sign_transaction(CALL) == KEY.sign_transaction(CALL)
    assert remote.sign_transaction(CREATION) == KEY.sign_transaction(CREATION)
    assert remote.sign_message(TEXT) == KEY.sign_message(TEXT)
    word = sign_policy(remote, CHAIN_ID, CONTRACT, WORD)
    assert word == sign_policy(KEY, CHAIN_ID, CONTRACT, WORD)
    assert recover_policy_signer(word, CHAIN_ID, CONTRACT, WORD) == KEY.address
    consent = WorkerConsent(CONTRACT, Address(KEY.address), nonce=0, deadline=2**256 - 1)  # more than JSON is exact for
    agreed = sign_worker_key(remote, CHAIN_ID, CONTRACT, consent)
    assert recover_worker_key_signer(agreed, CHAIN_ID, CONTRACT, consent) == KEY.address
    uploading = sign_upload(remote, CHAIN_ID, Root(b"\x01" * 32), 1_900_000_000)
    assert recover_uploader(CHAIN_ID, Root(b"\x01" * 32), 1_900_000_000, uploading) == KEY.address


def test_a_method_that_is_unknown_is_asked_for_once_only(node: FakeNode, remote: RemoteAccount) -> None:
    for _ in range(3):
        sign_policy(remote, CHAIN_ID, CONTRACT, WORD)
    assert (node.calls["eth_signTypedData"], node.calls["eth_signTypedData_v4"]) == (1, 3)


@pytest.mark.parametrize(
    "answer",
    [
        error(-32603, "Not implemented"),
        error(-32604, "Method not enabled"),
        error(-32602, "Invalid params"),
        error(-32000, "Failed to connect to downstream node"),
        error(-32004, "Method eth_signTypedData is not supported"),
        Raw(b'{"error": {"code": -32000, "message": "Connection to downstream node timed out"}}', 504),
    ],
)
def test_all_that_says_that_a_method_is_unknown_leads_to_the_next(node: FakeNode, answer: Answer) -> None:
    answering(node, signer(KEY), "eth_signTypedData", lambda _: answer)
    sign_policy(RemoteAccount.connect(node.url), CHAIN_ID, CONTRACT, WORD)


def test_a_signer_that_cannot_show_what_it_signs_is_not_used(node: FakeNode, remote: RemoteAccount) -> None:
    answering(node, signer(KEY), "eth_signTypedData_v4", lambda _: error(-32601, "Method not found"))
    with pytest.raises(Stop, match=rf"cannot sign typed data \(Policy\) for {KEY.address} .*: use one that can"):
        sign_policy(remote, CHAIN_ID, CONTRACT, WORD)


def test_the_signer_sees_what_it_signs(node: FakeNode, remote: RemoteAccount) -> None:
    sign_policy(remote, CHAIN_ID, CONTRACT, WORD)
    typed = node.asked[-1][1][1]
    assert typed["primaryType"] == "Policy" and typed["domain"]["verifyingContract"] == CONTRACT
    assert typed["message"] == {"taskId": 5, "epoch": 2, "seed": "0x" + "05" * 32, "policyRoot": "0x" + "07" * 32}


def test_typed_data_is_not_signed_as_a_text(remote: RemoteAccount) -> None:
    with pytest.raises(Stop, match="sign_typed_data"):
        remote.sign_message(policy_message(CHAIN_ID, CONTRACT, WORD))


# -- what is believed


@pytest.mark.parametrize("v", [0, 1])
def test_a_signature_has_the_v_that_contracts_take(node: FakeNode, remote: RemoteAccount, v: int) -> None:
    """As hardware wallets give it."""
    texts = (encode_defunct(text=str(number)) for number in range(64))
    wanted = next(each for each in texts if KEY.sign_message(each).v == 27 + v)

    def bare(honest: Answer) -> Answer:
        assert isinstance(honest, dict)
        return result(honest["result"][:-2] + f"{v:02x}")

    answering(node, signer(KEY), "eth_sign", bare)
    assert remote.sign_message(wanted) == KEY.sign_message(wanted)


def malleated(signature: bytes) -> bytes:
    """Another signature of the same key for the same message, which contracts refuse."""
    s = ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (OTHER.sign_message(TEXT).signature.to_0x_hex(), f"signed as {OTHER.address} what {KEY.address} was asked"),
        ("0x" + "00" * 65, "that contracts refuse"),
        ("0x" + malleated(bytes(KEY.sign_message(TEXT).signature)).hex(), "a high s"),
        ("0x" + "11" * 64 + "1b", "was asked to sign: sign nothing more"),
        ("0x" + "ff" * 32 + "11" * 32 + "1b", "signed as nobody"),
        ("0x1234", "sent no signature of 65 bytes"),
        ("1234", "sent no signature"),
        ("0x" + "zz" * 65, "sent no signature"),
        (None, "sent no signature"),
        ({"r": "0x1"}, "sent no signature"),
    ],
)
def test_a_signature_that_is_not_this_keys_is_refused(
    node: FakeNode, remote: RemoteAccount, answer: Any, complaint: str
) -> None:
    answering(node, signer(KEY), "eth_sign", lambda _: result(answer))
    with pytest.raises(Stop, match=complaint):
        remote.sign_message(TEXT)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nonce", 8), ("to", OTHER.address), ("value", 1), ("data", "0x1235"), ("chainId", 1), ("gas", 90_001),
        ("maxFeePerGas", 2_000_000_001), ("maxPriorityFeePerGas", 2),
        ("accessList", [{"address": CONTRACT, "storageKeys": []}]),
    ],
)  # fmt: skip
def test_a_changed_transaction_is_refused_by_the_name_of_its_field(
    node: FakeNode, remote: RemoteAccount, name: str, value: Any
) -> None:
    changed = KEY.sign_transaction({**CALL, name: value}).raw_transaction.to_0x_hex()
    answering(node, signer(KEY), "eth_signTransaction", lambda _: result(changed))
    with pytest.raises(Stop, match=rf"changed {name} of the transaction"):
        remote.sign_transaction(CALL)


@pytest.mark.parametrize(
    ("name", "value"), [("nonce", 1), ("chainId", 1), ("gasPrice", 1), ("data", "0x60"), ("to", CONTRACT)]
)
def test_a_changed_creation_is_refused_too(node: FakeNode, remote: RemoteAccount, name: str, value: Any) -> None:
    changed = KEY.sign_transaction({**CREATION, name: value}).raw_transaction.to_0x_hex()
    answering(node, signer(KEY), "eth_signTransaction", lambda _: result({"raw": changed, "tx": {}}))
    with pytest.raises(Stop, match=rf"changed {name} of the transaction"):
        remote.sign_transaction(CREATION)


def of_no_chain() -> str:
    """As before EIP-155: anyone could send it on another chain."""
    fields = {name: value for name, value in CREATION.items() if name != "chainId"}
    return KEY.sign_transaction(fields).raw_transaction.to_0x_hex()


@pytest.mark.parametrize(
    ("asked", "answer", "complaint"),
    [
        (CALL, OTHER.sign_transaction(CALL).raw_transaction.to_0x_hex(), f"signed as {OTHER.address} the transaction"),
        (CALL, KEY.sign_transaction(CREATION).raw_transaction.to_0x_hex(), "of another kind"),
        (CREATION, KEY.sign_transaction(CALL).raw_transaction.to_0x_hex(), "of another kind"),
        (CREATION, of_no_chain(), "changed chainId"),
        (CALL, KEY.sign_transaction(CALL).raw_transaction.to_0x_hex() + "00", "of another kind"),
        (CALL, "0x02" + rlp.encode([[b""]] * 12).hex(), "of another kind"),  # pyright: ignore
        (CALL, "0x02", "of another kind"),
        (CALL, "0x", "sent no signed transaction"),
        (CALL, {"tx": {}}, "sent no signed transaction"),
        (CALL, True, "sent no signed transaction"),
    ],
)
def test_what_is_not_the_transaction_signed_is_refused(
    node: FakeNode, remote: RemoteAccount, asked: dict[str, Any], answer: Any, complaint: str
) -> None:
    answering(node, signer(KEY), "eth_signTransaction", lambda _: result(answer))
    with pytest.raises(Stop, match=complaint):
        remote.sign_transaction(asked)


def damaged(data: st.DataObject, raw: bytes) -> str:
    """Some bytes are others, or the end is missing; not v alone, which has two names for the same."""
    changed = bytearray(raw)
    for place in data.draw(st.sets(st.integers(0, len(raw) - 2), min_size=1, max_size=3)):
        changed[place] ^= data.draw(st.integers(1, 255))
    return "0x" + bytes(changed[: data.draw(st.sampled_from([len(raw), len(raw) // 2, 1, 0]))]).hex()


@settings(max_examples=examples(100))
@given(st.data())
def test_damaged_answers_are_refused_and_nothing_else_happens(data: st.DataObject) -> None:
    asked: dict[str, Any] = data.draw(st.sampled_from([CALL, {**CREATION, "data": "0x60"}]))
    transaction = damaged(data, bytes(KEY.sign_transaction(asked).raw_transaction))
    with pytest.raises(Stop):
        checked_transaction(asked, transaction, KEY.address, "it")
    signature = damaged(data, bytes(KEY.sign_message(TEXT).signature))
    with pytest.raises(Stop):
        checked_message(TEXT, signature, KEY.address, "it")


# -- failures


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Raw(HTML), "no JSON-RPC: Bad gateway The origin is down"),
        (Raw(HTML, 502), "HTTP 502: Bad gateway The origin is down"),
        (Raw(b"", 500), "HTTP 500"),
        (Raw(b"slow down", 429), "HTTP 429: slow down"),
        (Raw(b"", 302, {"Location": "http://127.0.0.1:9/"}), "HTTP 302"),
        (Raw(b"[]"), "no JSON-RPC"),
        (Raw(b"[" * 40_000), "no JSON-RPC"),
        (Raw(b'{"result": "0x' + b"00" * 100_000 + b'"}'), "too large"),
        (Raw(b"{}", after_s=0.6), "ReadTimeout"),
        (HANG_UP, "ConnectionError"),
        (error(-32603, "the device is busy"), "the device is busy"),
        (error(-32000, "No unlocked account matches the Sender"), "No unlocked account"),
        (Raw(b'{"error": {"message": "vault is sealed"}}', 503), "vault is sealed"),
    ],
)
def test_a_signer_that_is_away_is_unavailable_in_its_own_words(
    node: FakeNode, remote: RemoteAccount, answer: Answer, words: str
) -> None:
    answering(node, signer(KEY), "eth_signTransaction", lambda _: answer)
    with pytest.raises(Unavailable) as caught:
        remote.sign_transaction(CALL)
    assert words in str(caught.value) and str(caught.value).endswith("try again") and node.url in str(caught.value)
    node.rule = signer(KEY)
    assert remote.sign_transaction(CALL) == KEY.sign_transaction(CALL)


def test_a_signer_that_hangs_is_not_waited_for_ever(node: FakeNode) -> None:
    remote = RemoteAccount.connect(node.url, limits=SignerLimits(answer_s=0.2))
    answering(node, signer(KEY), "eth_sign", lambda _: Raw(b"{}", after_s=3.0))
    started = time.monotonic()
    with pytest.raises(Unavailable):
        remote.sign_message(TEXT)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (error(-32000, "Request denied"), "Request denied"),
        (error(4001, "no"), "no"),
        (error(-32007, "Sender account not authorized to send transactions"), "not authorized"),
        (error(-32602, "bad field"), "bad field"),
    ],
)
def test_a_signer_that_refuses_for_good_stops_us(
    node: FakeNode, remote: RemoteAccount, answer: Answer, words: str
) -> None:
    answering(node, signer(KEY), "eth_signTransaction", lambda _: answer)
    with pytest.raises(Stop, match=words):
        remote.sign_transaction(CALL)


def test_a_signer_that_has_lost_the_key_stops_us(node: FakeNode, remote: RemoteAccount) -> None:
    node.rule = signer(OTHER)
    with pytest.raises(Stop, match="has no such account any more"):
        remote.sign_transaction(CALL)


@pytest.mark.parametrize("status", [401, 403, 407])
def test_a_login_that_is_refused_stops_us(node: FakeNode, status: int) -> None:
    node.rule = saying(Raw(b"who are you, passw0rd?", status))
    url = node.url.replace("http://", "http://somebody:passw0rd@")
    with pytest.raises(Stop, match=rf"HTTP {status}: who are you, …\?\): correct its URL") as caught:
        RemoteAccount.connect(url)
    assert "passw0rd" not in repr(caught.value)


def test_the_login_of_the_url_is_sent_and_never_told(node: FakeNode) -> None:
    remote = RemoteAccount.connect(node.url.replace("http://", "http://somebody:p%40ssw0rd@") + "/v1/s3cretkey")
    assert node.headers[-1]["Authorization"] == "Basic c29tZWJvZHk6cEBzc3cwcmQ="
    assert "ssw0rd" not in repr(remote) and "s3cretkey" not in repr(remote) and node.url in repr(remote)
    node.rule = saying(error(-32000, "s3cretkey of p@ssw0rd denied"))
    with pytest.raises(Stop, match="… of … denied"):
        remote.sign_message(TEXT)


# -- which account


def test_one_account_is_taken_and_several_are_told(node: FakeNode) -> None:
    node.rule = signer(KEY, OTHER)
    with pytest.raises(Stop, match=rf"several accounts: .*--keystore ADDRESS among {KEY.address}, {OTHER.address}$"):
        RemoteAccount.connect(node.url)
    assert RemoteAccount.connect(node.url, OTHER.address.lower()).address == OTHER.address
    with pytest.raises(Stop, match=f"has no account {CONTRACT}, but {KEY.address}"):
        RemoteAccount.connect(node.url, CONTRACT)
    node.rule = signer()
    with pytest.raises(Stop, match="has no account: give it a key"):
        RemoteAccount.connect(node.url)


def test_many_accounts_are_not_all_told(node: FakeNode) -> None:
    node.rule = saying(result([f"0x{number:040x}" for number in range(100)]))
    with pytest.raises(Stop, match=r"0x0{39}9 and 90 more$"):
        RemoteAccount.connect(node.url)


@pytest.mark.parametrize("answer", [result("0x1"), result([1]), result(["0x12"]), result(None), result({})])
def test_a_list_of_something_else_is_no_list_of_accounts(node: FakeNode, answer: Answer) -> None:
    node.rule = saying(answer)
    with pytest.raises(Stop, match="lists no addresses"):
        RemoteAccount.connect(node.url)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(-32601, "Method not found"), Stop),
        (error(-32000, "Request denied"), Stop),
        (error(-32603, "starting up"), Unavailable),
        (Raw(HTML, 502), Unavailable),
    ],
)
def test_a_signer_that_lists_nothing_is_told(node: FakeNode, answer: Answer, kind: type[Exception]) -> None:
    node.rule = saying(answer)
    with pytest.raises(kind):
        RemoteAccount.connect(node.url)


def test_a_daemon_opens_a_signers_account_or_a_keystore(node: FakeNode) -> None:
    assert open_account(node.url, None, None).address == KEY.address
    assert open_account(node.url, Path(KEY.address), None).address == KEY.address
    with pytest.raises(Stop, match="'worker' is no address: beside --signer"):
        open_account(node.url, Path("worker"), None)
    for signer_url in (None, ""):
        with pytest.raises(Stop, match="name a keystore"):
            open_account(signer_url, None, None)


# -- urls, proxies and certificates


@pytest.mark.parametrize("url", ["signer", "localhost:9000", "http://", "unix:///run/clef.ipc", "ws://127.0.0.1:1"])
def test_what_is_no_url_is_told_at_once(url: str) -> None:
    with pytest.raises(Stop, match="the signer's URL is none"):
        RemoteAccount.connect(url)


def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match=r"the signer at http://127\.0\.0\.1:9 did not answer \(ConnectionError\)"):
        RemoteAccount.connect("http://127.0.0.1:9")


def test_a_proxy_stands_between_us_and_other_machines_alone(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", node.url)
    monkeypatch.delenv("no_proxy", raising=False)
    assert RemoteAccount.connect("http://signer.example").address == KEY.address
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert RemoteAccount.connect(node.url).address == KEY.address


def test_a_certificate_authority_of_ones_own_is_believed(
    node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    path, authority = tmp_path / "server.pem", tmp_path / "ca.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=here"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", str(authority)]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + authority.read_text())
    node.use_tls(path)
    url = node.url.replace("http://", "https://")
    with pytest.raises(Unavailable, match="SSLError"):
        RemoteAccount.connect(url)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    assert RemoteAccount.connect(url).address == KEY.address


# -- what is sealed with a signature


def dancing() -> Callable[[Answer], Answer]:
    """A signer whose signatures are right, and never the same: r comes of chance, not of the message."""
    nonces = iter(range(3, 1_000))

    def sign(_honest: Answer) -> Answer:
        return result(signed_with(next(nonces)))

    return sign


def signed_with(nonce: int) -> str:
    """The typed data of the envelope, signed with this nonce in place of RFC 6979's."""
    from eth_keys.backends.native.ecdsa import G, N, fast_multiply, inv  # pyright: ignore

    digest = int.from_bytes(KEY.sign_typed_data(*SEALING).message_hash, "big")
    point: Any = fast_multiply(G, nonce)
    r = point[0] % N
    s = int(inv(nonce, N)) * (digest + r * int.from_bytes(KEY.key, "big")) % N
    v = 27 + point[1] % 2
    if s > N // 2:
        s, v = N - s, 55 - v
    return "0x" + (int(r).to_bytes(32, "big") + int(s).to_bytes(32, "big") + bytes([v])).hex()


SEALING: tuple[dict[str, Any], dict[str, Any], dict[str, Any]] = (
    {"name": "Assay sealed reports", "chainId": CHAIN_ID, "verifyingContract": CONTRACT},
    {"SealedReports": [{"name": "owner", "type": "address"}]},
    {"owner": KEY.address},
)


def test_reports_are_sealed_with_a_signature_that_is_the_same_each_time(node: FakeNode, remote: RemoteAccount) -> None:
    Envelope(remote, CHAIN_ID, CONTRACT)
    assert node.calls["eth_signTypedData_v4"] == 2
    answering(node, signer(KEY), "eth_signTypedData_v4", dancing())
    assert remote.sign_typed_data(*SEALING) != remote.sign_typed_data(*SEALING)  # both are right
    with pytest.raises(Stop, match=r"signs the same message otherwise each time.*RFC 6979"):
        Envelope(remote, CHAIN_ID, CONTRACT)
