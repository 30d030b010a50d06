"""The Hugging Face hub: whether it answers, and the errors of its library."""

import requests
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError

HUB_TIMEOUT = 10.0  # seconds without an answer after which the hub is unreachable
TRANSPORT_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]
"""Base of the errors of whichever HTTP library this version of the hub's own is built on."""


def hub_answers() -> bool:
    """Ask once: the library retries for 23 seconds and prints every try. Offline, nothing is asked."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        requests.head(constants.ENDPOINT, timeout=HUB_TIMEOUT)
    except requests.RequestException:
        return False
    return True
