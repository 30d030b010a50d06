"""No secret of a URL is shown or taken into settings, and one in the environment reaches its own file only."""

import pytest

from pipeline.runtime.errors import URLS_VARIABLE, SourceError, holds_secret, with_secrets, without_secrets

HELD = [
    "https://me:SECRET@host/a.zip",
    "https://me:SEC/RET@host/a.zip",
    "https://me:my SECRET@host/a.zip",
    "https://me%3ASECRET@host/a.zip",
    "HTTPS://SECRET@host/a.zip",
    "https:/me:SECRET@host/a.zip",
    "me:SECRET@host:/a.zip",
    "s3://key:SECRET@bucket/a.zip",
    "zip://a.csv::s3://key:SECRET@bucket/a.zip",
    "http://me:SECRET@[::1]:80/a",
    "https://host/a.zip?X-Amz-Algorithm=AWS4&X-Amz-Signature=SECRET",
    "https://host/a.zip?AWSAccessKeyId=SECRET&Expires=1",
    "https://host/a.zip?sv=2024&sig=SECRET",
    "https://host/a.zip?%73ig=SECRET",
    "https://host/a.zip?dl=1;token=SECRET",
    "https://host/a.zip?rlkey=SECRET&dl=1",
    "https://host/a.zip#access_token=SECRET",
]
PLAIN = [
    "https://host/a.zip",
    "https://host:8080/a@b.zip",
    "http://[::1]:80/a",
    "https://host/download?id=3&format=zip",
    "https://research.larc.smu.edu.sg/downloads/datarepo/FoodSeg103.zip",
    "abfs://container@account.dfs.core.windows.net/x",
    "hdfs://me@host/x",
    "s3://bucket/a",
    "10.0.0.1:6379",
    "C:\\data\\a@b",
    "/data/a@b.zip",
    "deit_base_distilled_patch16_224.fb_in1k",
]


@pytest.mark.parametrize("value", HELD)
def test_a_secret_in_a_url_is_recognised(value: str) -> None:
    """A password, key, token or signature, however it is written."""
    assert holds_secret(value)


@pytest.mark.parametrize("value", PLAIN)
def test_what_holds_none_may_be_a_setting(value: str) -> None:
    """Ports, names with @, containers of Azure and harmless queries."""
    assert not holds_secret(value)


@pytest.mark.parametrize("value", [value for value in HELD if " " not in value])
@pytest.mark.parametrize("text", ["{}", "{}: HTTP 404 Not Found; correct the URL", "'{}' is no photo", "({})"])
def test_no_message_shows_one(value: str, text: str) -> None:
    """Whatever stands around it, the reason stays readable."""
    shown = str(SourceError(text.format(value)))
    assert "SECRET" not in shown
    assert "RET@" not in shown
    assert shown.endswith(text.partition("{}")[2])


@pytest.mark.parametrize(
    "value", [value for value in PLAIN if "?" not in value and not value.startswith(("abf", "hdf"))]
)
def test_what_holds_none_is_shown_as_it_is(value: str) -> None:
    """Also within a sentence."""
    assert without_secrets(f"{value}: no such file") == f"{value}: no such file"


def test_a_relative_url_loses_its_signature_too() -> None:
    """As libraries put it into their errors."""
    shown = without_secrets("Max retries exceeded with url: /a.zip?X-Amz-Signature=SECRET&b=1 (Caused by x)")
    assert shown == "Max retries exceeded with url: /a.zip?X-Amz-Signature=hidden&b=1 (Caused by x)"


def test_the_environment_adds_secrets_to_the_url_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """By scheme, host, port, path and what the setting has of the query."""
    signed, login = "https://host/a.zip?id=3&sig=S", "https://me:S@host/b.pth"
    monkeypatch.setenv(URLS_VARIABLE, f"{signed}\n{login}")
    assert with_secrets("https://host/a.zip") == with_secrets("https://host/a.zip?id=3") == signed
    assert with_secrets("https://host/b.pth") == login


@pytest.mark.parametrize(
    "url",
    [
        "http://host/a.zip",
        "https://other/a.zip",
        "https://host:8443/a.zip",
        "https://host/a.zip.sig",
        "https://host/a.zip?id=4",
    ],
)
def test_no_other_url_gets_them(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another host must not learn them."""
    monkeypatch.setenv(URLS_VARIABLE, "https://host/a.zip?id=3&sig=S")
    assert with_secrets(url) == url


@pytest.mark.parametrize("text", ["x", "a:", "?key", "key", "http:", "://a:", "@", "a:b@", "?key=", "/"])
def test_a_text_of_any_length_is_read_in_time_that_grows_with_it(text: str) -> None:
    """Messages quote lines of files that somebody else wrote; backtracking over such a line once took two minutes."""
    without_secrets(text * 30_000)
    holds_secret(text * 30_000)
