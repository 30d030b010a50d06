"""Secrets of URLs: recognised in settings, left out of what is shown, and read from the environment.

A secret is a user name with its password, or a part of the query that grants access, such as a signature or a token.
"""

import os
import re
from urllib.parse import parse_qsl, unquote, urlsplit

VARIABLE = "RVERNET_URLS"
"""Environment variable of whole URLs, separated by blanks; see `with_secrets`."""

# Every repetition that may begin anywhere is bounded: a line of 70,000 letters would take minutes otherwise.
_NAME = r"[^=&;?#\s]{0,80}(?:key|sig|token|secret|pass|pwd|credential|auth|jwt|session)[^=&;?#\s]{0,80}"
_QUERY = re.compile(rf"([?&;#]{_NAME}=)[^&;#\s'\"`)]+", re.IGNORECASE)
_LOGIN = re.compile(r"[^\s/\\:@'\"`]{1,200}:[^\s/\\@]{0,1000}@(?=[\w\[])")
"""`user:password@`, wherever it stands."""
_USER = re.compile(r"(?:https?|ftps?):[/\\]{0,9}[^/\\?#]{0,1000}@", re.IGNORECASE)
"""A user name before a host of the web; other schemes have names there that are none, such as a container of Azure."""
_PORT = re.compile(r"://[^/?#@\[\]]*:(?!\d*(?:[/?#]|$))")
"""No port follows the colon: it is a password with a slash or a question mark in it."""
_URL = re.compile(r"([a-z][a-z0-9+.-]{1,30}:/{1,2})([^\s'\"`<>]*)", re.IGNORECASE)
_PUNCTUATION = ":;,.)]}"


def holds_secret(value: str) -> bool:
    """Tell whether a setting that may be a URL, or a chain of them, holds a password, key, token or signature."""
    plain = unquote(value)
    return any(pattern.search(plain) for pattern in (_LOGIN, _USER, _PORT, _QUERY))


def without_secrets(text: str) -> str:
    """Return a text fit to be shown: its URLs without user, password, query and fragment."""
    return _LOGIN.sub("", _QUERY.sub(r"\1hidden", _URL.sub(_plain_url, text)))


def _plain_url(found: re.Match[str]) -> str:
    scheme, rest = found.groups()
    body = rest.rstrip(_PUNCTUATION)
    authority = re.split(r"[/?#]", body)[0]
    if "@" in authority:
        plain = body[authority.rindex("@") + 1 :]
    else:
        plain = body.rpartition("@")[2] if _PORT.search(f"://{body}") else body
    return scheme + re.split(r"[?#]", plain)[0] + rest[len(body) :]


def with_secrets(url: str) -> str:
    """Return the URL in the environment variable `RVERNET_URLS` that adds secrets to `url`, or `url` if none does.

    It adds nothing else: scheme, host, port and path are the same, and it has every part of the query of `url`.
    """
    for listed in os.environ.get(VARIABLE, "").split():
        if without_secrets(listed) == without_secrets(url) and _query(url) <= _query(listed):
            return listed
    return url


def _query(url: str) -> set[tuple[str, str]]:
    return set(parse_qsl(urlsplit(url).query, keep_blank_values=True))
