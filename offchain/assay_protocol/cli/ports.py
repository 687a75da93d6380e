"""Is a port free? Asked before anything is started, so that a second network does not talk to the first."""

import socket

from assay_core.protocol.errors import Stop


def require_free_port(host: str, port: int, option: str = "--port or --host") -> None:
    """Raises Stop: somebody listens there, or the host is not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise Stop(f"cannot listen on {host}:{port}: {error.strerror}; choose another {option}") from error
