"""Stay with the host that the user named: a redirect leads elsewhere only where a hash will prove what comes."""

from urllib.parse import urljoin, urlsplit

import requests

from pipeline.errors import SourceError
from pipeline.url_secrets import without_secrets

PORTS = {"http": 80, "https": 443}


def may_follow(before: str, after: str, *, pinned: bool) -> bool:
    """Tell whether a redirect is followed: within one scheme, host and port, or from HTTP to HTTPS of the same host.

    Args:
        before: URL that was asked.
        after: URL that it sends us on to.
        pinned: Whether the whole SHA-256 of what comes is known, so that any host may send it.
    """
    here, there = _origin(before), _origin(after)
    upgraded = here == ("http", there[1], PORTS["http"]) and there == ("https", here[1], PORTS["https"])
    return pinned or here == there or upgraded


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)


class OneHost(requests.Session):
    """A session that asks `may_follow` before it follows a redirect."""

    def __init__(self, *, pinned: bool) -> None:
        """Start a session.

        Args:
            pinned: Whether the whole SHA-256 of what comes is known.
        """
        super().__init__()
        self.pinned = pinned

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where an answer sends us, if anywhere.

        Raises:
            SourceError: If `may_follow` says no.
        """
        target = super().get_redirect_target(resp)
        if target is None:
            return None
        after = urljoin(resp.url, target)
        if not may_follow(resp.url, after, pinned=self.pinned):
            raise SourceError(
                f"{without_secrets(resp.url)}: sends us on to {without_secrets(after)}; pin the whole SHA-256 of what "
                "should come to follow it, or give the other URL if you trust it"
            )
        return target
