"""`/health` and `/metrics` of a daemon, beside its work: a thread that neither blocks it nor keeps it alive."""

import json
import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from prometheus_client import CollectorRegistry

from assay_core.daemon.health import Health
from assay_core.daemon.metrics import CONTENT_TYPE, text_of
from assay_core.protocol.errors import Stop

log = logging.getLogger(__name__)

IDLE_S = 10.0  # for which a client may send nothing


class Monitor:
    """Serves until it is closed. Used as a context."""

    def __init__(self, host: str, port: int, health: Callable[[], Health], registry: CollectorRegistry) -> None:
        """Port 0: any. `health` and the registry's collectors are called in threads. Raises Stop: cannot listen."""
        try:
            self._server = _Server(host, port, _handler(health, registry))
        except OSError as error:
            raise Stop(
                f"cannot listen on {host}:{port}: {error.strerror}; choose another --metrics-port or --metrics-host"
            ) from error
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, name="monitor", daemon=True).start()

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a request to /health or /metrics failed", exc_info=True)


def _handler(health: Callable[[], Health], registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    def answer_to(path: str) -> tuple[int, str, bytes]:
        if path == "/health":
            found = health()
            return found.code, "application/json", json.dumps(found.json()).encode()
        if path == "/metrics":
            return 200, CONTENT_TYPE, text_of(registry)
        return 404, "application/json", b'{"detail": "there are /health and /metrics"}'

    class Handler(BaseHTTPRequestHandler):
        timeout = IDLE_S

        def do_GET(self) -> None:
            self._answer(has_body=True)

        def do_HEAD(self) -> None:
            self._answer(has_body=False)

        def _answer(self, *, has_body: bool) -> None:
            status, kind, body = answer_to(self.path.partition("?")[0])
            self.send_response_only(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if has_body:
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: monitors ask all day."""

    return Handler
