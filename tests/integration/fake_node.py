"""A node on loopback that misbehaves by a script: in front of a real one, or all by itself.

    with FakeNode(anvil.rpc_url) as node:
        node.rule = saying(error(-32005, "quota"), None)  # the first question is refused, the others are passed on

A rule gets a method, its parameters and `ask`, which asks the real node; it returns an answer, or None to pass the
question on.
"""

import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

Ask = Callable[[str, list[Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Raw:
    """Any HTTP answer, after a while."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    after_s: float = 0.0


HANG_UP = Raw(b"", status=0)  # the connection ends without a word
Answer = dict[str, Any] | Raw | None
Rule = Callable[[str, list[Any], Ask], Answer]


def error(code: int, message: str, **more: Any) -> dict[str, Any]:
    """A JSON-RPC error, which comes with HTTP 200."""
    return {"error": {"code": code, "message": message, **more}}


def result(value: Any) -> dict[str, Any]:
    return {"result": value}


def pass_on(_method: str, _params: list[Any], _ask: Ask) -> Answer:
    return None


def saying(*answers: Answer) -> Rule:
    """These in turn, then the last one for ever."""
    left = list(answers)

    def say(_method: str, _params: list[Any], _ask: Ask) -> Answer:
        return left.pop(0) if len(left) > 1 else left[0]

    return say


class FakeNode:
    """Counts what it is asked in `calls`, and keeps it in `asked`, headers of HTTP in `headers`.

    Without `upstream` it answers by its rule alone.
    """

    def __init__(self, upstream: str | None = None, rule: Rule = pass_on) -> None:
        self.rule = rule
        self.calls, self.asked = Counter[str](), list[tuple[str, list[Any]]]()
        self.headers: list[dict[str, str]] = []
        self._upstream = upstream
        self._session = requests.Session()
        self._session.trust_env = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def use_tls(self, certificate: Path) -> None:
        """Speak HTTPS, by a file of key and certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> "FakeNode":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def ask(self, method: str, params: list[Any]) -> dict[str, Any]:
        """What the real node says."""
        assert self._upstream is not None, f"nobody knows an answer to {method}"
        question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return self._session.post(self._upstream, json=question, timeout=60).json()

    def answer(self, question: Mapping[str, Any]) -> Raw:
        method, params = str(question["method"]), list(question.get("params", []))
        self.calls[method] += 1
        self.asked.append((method, params))
        answer = self.rule(method, params, self.ask)
        if answer is None:
            answer = self.ask(method, params)
        if isinstance(answer, Raw):
            return answer
        return Raw(json.dumps({"jsonrpc": "2.0", **answer, "id": question.get("id")}).encode())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                node.headers.append(dict(self.headers.items()))
                answer = node.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                time.sleep(answer.after_s)
                if answer is HANG_UP:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
