"""How services on the web are reached, the same for nodes and relays: past which proxy, by whose certificates."""

import os
from ipaddress import ip_address
from urllib.parse import urlsplit

from assay_core.protocol.errors import Stop

HOW_TO_NAME_NODES = "write http://HOST:PORT with --rpc-url, several divided by commas"
# As OpenSSL, requests and curl name them.
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR")


def is_url(text: str) -> bool:
    """Whether this is an HTTP URL with a host."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not match, a port that is no number
        return False


def node_urls(text: str) -> tuple[str, ...]:
    """URLs divided by commas. Raises Stop: one is none, or of a kind that is not spoken."""
    urls = tuple(part for each in text.split(",") if (part := each.strip()))
    for url in urls:
        if url.startswith(("ws://", "wss://")):
            raise Stop("nodes are asked over HTTP: give the http:// or https:// URL of the node, not its ws:// one")
        if not is_url(url):
            raise Stop(f"the node's URL is none ({_public(url)!r}): {HOW_TO_NAME_NODES}")
    if not urls:
        raise Stop(f"the node's URL is empty: {HOW_TO_NAME_NODES}")
    return urls


def public_url(text: str) -> str:
    """The URL, or each of several, without user, path or query, in which providers put their keys."""
    return ",".join(_public(each.strip()) for each in text.split(","))


def _public(url: str) -> str:
    if not is_url(url):
        return url.split("?")[0].rpartition("@")[2][:40]
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port}" if parts.port else f"{parts.scheme}://{host}"


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine, which no proxy can reach for us."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def ca_bundle() -> str | None:
    """A file or folder of certificates that the environment names; None: those of the system or the library.

    Raises Stop: there is none where it says.
    """
    for name in CA_VARIABLES:
        if path := os.environ.get(name):
            if not os.path.exists(path):
                raise Stop(f"{name} names {path}, which does not exist: correct it, or unset it")
            return path
    return None
