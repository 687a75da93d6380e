"""URLs that hold a login: taken apart for those who send it, and shown without its secrets to all others."""

import re
from base64 import b64encode
from urllib.parse import unquote

LOGIN = re.compile(r"(?<=//)([^/?#]*)@")
SECRET = re.compile(r"([?&][^=&#]*(?:pass|pwd|token|secret|key)[^=&#]*=)[^&#]*", re.IGNORECASE)


def without_login(url: str) -> str:
    """The URL as it may be shown, and as HTTP asks for it."""
    return LOGIN.sub("", url, count=1)


def basic_authorisation(url: str) -> dict[str, str]:
    """The header for the `user:password@` in a URL; none for a URL without."""
    found = LOGIN.search(url)
    if found is None:
        return {}
    user, _, password = found[1].partition(":")
    token = b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def masked(url: str) -> str:
    """The URL with `***` for a password, be it in the login or in the query."""
    shown = LOGIN.sub(lambda found: f"{found[1].partition(':')[0]}{':***' if ':' in found[1] else ''}@", url, count=1)
    return SECRET.sub(r"\1***", shown)
