"""Stay with the host that the user named: a redirect leads elsewhere only where a hash will prove what comes."""

from urllib.parse import urljoin, urlsplit

import requests

from pipeline.errors import SourceError
from pipeline.url_secrets import without_secrets


class OneHost(requests.Session):
    """A session that follows redirects within one host and refuses those to others, or out of encryption."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where an answer sends us, if anywhere.

        Raises:
            SourceError: If that is another host, or plain HTTP after HTTPS.
        """
        target = super().get_redirect_target(resp)
        if target is None:
            return None
        before, after = urlsplit(resp.url), urlsplit(urljoin(resp.url, target))
        if after.hostname != before.hostname or (before.scheme, after.scheme) == ("https", "http"):
            raise SourceError(
                f"{without_secrets(resp.url)}: sends us on to {after.scheme}://{after.hostname}; pin the SHA-256 "
                "of what should come to follow it, or give the other URL if you trust it"
            )
        return target
