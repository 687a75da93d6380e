"""Clients of relays and trackers: past the proxies and by the certificates that the environment names."""

import ssl
from os.path import isdir

import httpx

from assay_core.protocol.web import ca_bundle

HERE = ("127.0.0.1", "localhost", "[::1]")


def open_http(timeout: httpx.Timeout | float) -> httpx.Client:
    """No proxy stands between us and this machine. Raises Stop: the certificates are not there."""
    path = ca_bundle()
    verify: ssl.SSLContext | bool = True
    if path is not None:
        verify = ssl.create_default_context(cafile=None if isdir(path) else path, capath=path if isdir(path) else None)
    return httpx.Client(timeout=timeout, verify=verify, mounts={f"all://{host}": None for host in HERE})
