"""What is asked of an external signer over HTTP: one question at a time, answered in bounded bytes and bounded time.

Whatever is no JSON-RPC answer (nobody there, a proxy's page, a time limit) is `Unavailable` with the words that came:
daemons wait. A login that is refused is `Stop`. A JSON-RPC error is `SignerError`: the caller knows what it means.
"""

import json
import re
import time
from dataclasses import dataclass
from typing import Any

import requests

from assay_core.chain.node import open_session, plain_words
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.web import ca_bundle, is_url, public_url

SPARE_BYTES, TIMES_ASKED = 65_536, 8  # an answer holds what was asked once or twice, in hex and as JSON
CHUNK_BYTES = 4_096
LOGIN_STATUS = frozenset({401, 403, 407})
UNKNOWN_CODES = frozenset({-32_601, -32_604})
INVALID_CODES = frozenset({-32_600, -32_602, -32_700})
DENIED_CODES = frozenset({4_001, 4_100, -32_007, -40_100})
# web3signer passes on what it does not know itself, perhaps to no node at all.
UNKNOWN_WORDS = re.compile(
    r"method.{0,80}(not (found|exist|available|supported|enabled)|unsupported|unknown)|unknown method"
    r"|unsupported method|not implemented|downstream node"
)
DENIED_WORDS = re.compile(r"denied|deny|declin|reject|not (authori[sz]ed|allowed|permitted)|unauthori[sz]ed|forbidden")


class SignerError(Exception):
    """A JSON-RPC error. The text is the signer's own words, without its URL's secrets."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code, self._lower = code, words.lower()

    @property
    def is_unknown_method(self) -> bool:
        return self.code in UNKNOWN_CODES or UNKNOWN_WORDS.search(self._lower) is not None

    @property
    def is_denial(self) -> bool:
        """Whether a person or a rule said no: asking again would only annoy."""
        return self.code in DENIED_CODES or DENIED_WORDS.search(self._lower) is not None

    @property
    def is_invalid(self) -> bool:
        """Whether the signer does not understand what it is asked in this form."""
        return self.code in INVALID_CODES


@dataclass(frozen=True, slots=True)
class SignerLimits:
    """How long it may take to reach a signer, and until it has answered: perhaps a person has to say yes."""

    connect_s: float = 10.0
    answer_s: float = 60.0


class SignerRpc:
    """One signer. Safe to use from several threads: each question has a connection of its own."""

    def __init__(self, url: str, limits: SignerLimits | None = None) -> None:
        """Raises Stop: this is no HTTP URL, or the certificates that the environment names are not there."""
        if not is_url(url):
            raise Stop(f"the signer's URL is none ({public_url(url)!r}): write http://HOST:PORT with --signer")
        self.shown = public_url(url)
        self._url, self._limits = url, limits or SignerLimits()
        self._certificates: str | bool = ca_bundle() or True

    def ask(self, method: str, params: list[Any]) -> Any:
        """The result. Raises SignerError: the signer refuses. Unavailable: it is away. Stop: it refuses our login."""
        question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        status, body = self._post(json.dumps(question).encode())
        try:
            answer: Any = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        said = answer if isinstance(answer, dict) else {}
        error: Any = said.get("error")  # pyright: ignore[reportUnknownVariableType,reportUnknownMemberType]
        if status in LOGIN_STATUS:
            words = self._words(body)
            raise Stop(f"the signer at {self.shown} lets us in no further (HTTP {status}: {words}): correct its URL")
        if isinstance(error, dict):
            code, words = error.get("code"), self._words(error.get("message"))  # pyright: ignore
            raise SignerError(code if isinstance(code, int) else 0, words or "no reason given")
        if status == 200 and error is None and "result" in said:
            return said["result"]  # pyright: ignore[reportUnknownVariableType]
        what = "no JSON-RPC" if status == 200 else f"HTTP {status}"
        raise Unavailable(f"the signer at {self.shown} did not answer ({what}: {self._words(body)}); try again")

    def _post(self, data: bytes) -> tuple[int, bytes]:
        limits, deadline = self._limits, time.monotonic() + self._limits.answer_s
        most, body = SPARE_BYTES + TIMES_ASKED * len(data), bytearray()
        try:
            with (
                open_session(self._url) as session,
                session.post(
                    self._url,
                    data=data,
                    timeout=(limits.connect_s, limits.answer_s),
                    verify=self._certificates,
                    stream=True,
                    allow_redirects=False,  # what is signed is for this signer alone
                ) as answer,
            ):
                for chunk in answer.iter_content(CHUNK_BYTES):
                    body += chunk
                    if len(body) > most:
                        raise Unavailable(f"the answer of the signer at {self.shown} is too large to be one; try again")
                    if time.monotonic() > deadline:
                        raise requests.Timeout
                return answer.status_code, bytes(body)
        except requests.RequestException as error:  # its text holds the URL, and that a password
            kind = type(error).__name__
            raise Unavailable(f"the signer at {self.shown} did not answer ({kind}); try again") from None

    def _words(self, text: object) -> str:
        return plain_words(self._url, text.decode(errors="replace") if isinstance(text, bytes) else text or "")
