"""Transfers against a real loopback host that breaks, changes and misbehaves."""

import socket
from pathlib import Path
from typing import Any

import pytest

from pipeline.acquisition import transfer
from pipeline.acquisition.transfer import TransferPolicy, fetch, may_follow
from pipeline.runtime.errors import SourceError, SpaceError
from tests.loopback import certificate, serving
from tests.skips import LINUX_ONLY


class Waits(list[float]):
    """Remembers the waits instead of waiting."""

    def __call__(self, seconds: float) -> None:
        """Take note of one wait."""
        self.append(seconds)


def bring(host: Any, folder: Path, *, waits: Waits | None = None, url: str | None = None, **changes: Any) -> bytes:
    """Fetch the host's file without ever sleeping and return its bytes."""
    policy = {"attempts": 4, "timeout": 2.0, "max_bytes": 10**9, "pinned": False} | changes
    sleep = Waits() if waits is None else waits
    path = fetch(url or host.url, folder, policy=TransferPolicy(**policy), report=lambda *_: None, sleep=sleep)
    return path.read_bytes()


def ranges(host: Any) -> list[str | None]:
    """Return the Range header of every request."""
    return [headers.get("Range") for headers in host.asked]


def test_a_whole_file_arrives_in_one_request(host: Any, tmp_path: Path) -> None:
    """The plain case asks once, without Range and without compression."""
    assert bring(host, tmp_path) == host.content
    assert ranges(host) == [None]
    assert host.asked[0]["Accept-Encoding"] == "identity"


def test_a_cut_connection_is_resumed_where_it_broke(host: Any, tmp_path: Path, reply: Any) -> None:
    """Only the missing bytes are asked for, under the condition that the file is the same."""
    host.script = [reply(cut_after=1000), reply(cut_after=500), reply()]
    waits = Waits()
    assert bring(host, tmp_path, waits=waits) == host.content
    assert ranges(host) == [None, "bytes=1000-", "bytes=1500-"]
    assert host.asked[1]["If-Range"] == '"v1"'
    assert len(waits) == 2


def test_waits_grow_with_tries_that_bring_nothing_and_begin_anew_after_one_that_does(
    host: Any, tmp_path: Path, reply: Any
) -> None:
    """Half a second, then twice as long each time, up to half a second more."""
    gone = reply(status=503)
    host.script = [gone, gone, gone, reply(cut_after=1000), gone, gone, reply()]
    waits = Waits()
    assert bring(host, tmp_path, waits=waits, attempts=9) == host.content
    least = [0.5, 1.0, 2.0, 0.5, 0.5, 1.0]
    assert all(low <= wait <= low + 0.5 for low, wait in zip(least, waits, strict=True)), waits


def test_a_transfer_that_advances_is_never_given_up(host: Any, tmp_path: Path, reply: Any) -> None:
    """Attempts count tries without a new byte; 20 breaks under a limit of 2 still finish."""
    host.script = [*[reply(cut_after=1000)] * 20, reply()]
    assert bring(host, tmp_path, attempts=2) == host.content


def test_a_transfer_goes_on_in_the_next_run(host: Any, tmp_path: Path, reply: Any) -> None:
    """What a failed run brought is kept, and the message says so."""
    host.script = [reply(cut_after=1000), reply(status=503)]
    with pytest.raises(SourceError, match=r"503.*1\.00kB are kept: run the same command again"):
        bring(host, tmp_path)
    host.script = [reply()]
    assert bring(host, tmp_path) == host.content
    assert ranges(host)[-1] == "bytes=1000-"


@pytest.mark.parametrize("obedient", [True, False])
def test_a_changed_file_is_fetched_anew_and_never_spliced(
    host: Any, tmp_path: Path, reply: Any, obedient: bool
) -> None:
    """Whether the host obeys If-Range or sends the rest of the new file with its new ETag."""
    host.script = [reply(cut_after=1000), reply(obey_if_range=obedient)]

    def change(host: Any) -> None:
        host.content, host.etag = host.content[::-1], '"v2"'
        host.after_request = lambda _: None

    host.after_request = change
    assert bring(host, tmp_path) == host.content
    assert host.content[:1] == b"\xff"


def test_a_host_that_ignores_ranges_sends_everything_again(host: Any, tmp_path: Path, reply: Any) -> None:
    """A 200 after a Range request replaces what is here."""
    host.script = [reply(cut_after=1000), reply(ranges=False)]
    assert bring(host, tmp_path) == host.content


def test_the_date_stands_in_for_a_weak_etag(host: Any, tmp_path: Path, reply: Any) -> None:
    """Weak ETags may not resume (RFC 9110), the date may."""
    host.etag, host.last_modified = 'W/"v1"', "Mon, 01 Jan 2024 00:00:00 GMT"
    host.script = [reply(cut_after=1000), reply()]
    assert bring(host, tmp_path) == host.content
    assert host.asked[1]["If-Range"] == host.last_modified


@pytest.mark.parametrize(("pinned", "second"), [(False, None), (True, "bytes=1000-")])
def test_without_etag_and_date_only_a_pinned_file_is_resumed(
    host: Any, tmp_path: Path, reply: Any, pinned: bool, second: str | None
) -> None:
    """Splicing cannot be told then, unless a hash tells it afterwards."""
    host.etag, host.script = None, [reply(cut_after=1000), reply()]
    assert bring(host, tmp_path, pinned=pinned) == host.content
    assert ranges(host) == [None, second]


@pytest.mark.parametrize("ranged", [True, False])
def test_a_complete_file_is_not_sent_again(host: Any, tmp_path: Path, reply: Any, ranged: bool) -> None:
    """A second run learns from 416, or from the same ETag and size, that nothing is missing."""
    bring(host, tmp_path)
    host.script = [reply(ranges=ranged, cut_after=0)]
    assert bring(host, tmp_path) == host.content
    assert len(host.asked) == 2


def test_more_bytes_than_the_host_has_are_thrown_away(host: Any, tmp_path: Path) -> None:
    """A 416 that does not fit what is here restarts the transfer."""
    bring(host, tmp_path)
    host.content = host.content[:5000]
    assert bring(host, tmp_path) == host.content


def test_a_damaged_state_file_restarts(host: Any, tmp_path: Path, reply: Any) -> None:
    """Nobody can tell which version the bytes belong to, so they are not used."""
    host.script = [reply(cut_after=1000), reply(status=404)]
    with pytest.raises(SourceError):
        bring(host, tmp_path)
    (tmp_path / "transfer.json").write_text("{", encoding="utf-8")
    host.script = [reply()]
    assert bring(host, tmp_path) == host.content
    assert ranges(host)[-1] is None


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_trouble_is_tried_again(host: Any, tmp_path: Path, reply: Any, status: int) -> None:
    """Overloaded hosts get another chance."""
    host.script = [reply(status=status), reply()]
    assert bring(host, tmp_path) == host.content


@pytest.mark.parametrize(
    ("status", "advice"), [(404, "nothing is there"), (403, "give the path"), (401, "login"), (400, "correct the URL")]
)
def test_a_lasting_trouble_is_told_at_once(host: Any, tmp_path: Path, reply: Any, status: int, advice: str) -> None:
    """One request, one line that says what to do."""
    host.script = [reply(status=status)]
    with pytest.raises(SourceError, match=f"HTTP {status} .*{advice}"):
        bring(host, tmp_path)
    assert len(host.asked) == 1


def test_a_web_page_is_refused_before_it_is_stored(host: Any, tmp_path: Path, reply: Any) -> None:
    """Login and licence pages come with status 200."""
    host.content, host.script = b"<!DOCTYPE html><p>Please log in", [reply(content_type="text/html; charset=utf-8")]
    with pytest.raises(SourceError, match="web page instead of the file"):
        bring(host, tmp_path)
    assert not (tmp_path / "transfer.part").exists()


def test_silence_counts_as_broken(host: Any, tmp_path: Path, reply: Any) -> None:
    """No byte for `timeout` seconds: the rest is asked for on a new connection."""
    host.script = [reply(cut_after=1000, hang=True), reply()]
    assert bring(host, tmp_path, timeout=0.2) == host.content
    assert ranges(host) == [None, "bytes=1000-"]


def test_a_file_of_unknown_size_arrives(host: Any, tmp_path: Path, reply: Any) -> None:
    """Without Content-Length the end of the connection is the end of the file."""
    host.script = [reply(length=False)]
    assert bring(host, tmp_path) == host.content


@pytest.mark.parametrize("told", [True, False])
def test_an_endless_file_is_refused(host: Any, tmp_path: Path, reply: Any, told: bool) -> None:
    """By its declared size, or once more has come than is allowed."""
    host.script = [reply(length=told)]
    with pytest.raises(SourceError, match=r"larger than download.max_gigabytes allows \(2\.00kB\)"):
        bring(host, tmp_path, max_bytes=2000)


def test_a_closed_port_is_told_within_three_tries(host: Any, tmp_path: Path) -> None:
    """Without network nobody waits for minutes."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url, waits = f"http://127.0.0.1:{unused.getsockname()[1]}/a.zip", Waits()
        with pytest.raises(SourceError, match=r"Connection refused; check the network.*local copy"):
            bring(host, tmp_path, url=url, attempts=50, waits=waits)
    assert len(waits) == 2
    assert sum(waits) < 3


def test_an_unknown_host_is_told_within_three_tries(host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name resolution that fails means no network or a typing error."""

    def fail(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    waits = Waits()
    with pytest.raises(SourceError, match=r"no-such-host.*check the network and the URL"):
        bring(host, tmp_path, url="http://no-such-host.invalid/a.zip", attempts=50, waits=waits)
    assert len(waits) == 2


@pytest.mark.parametrize("url", ["http://", "http://[::1/a.zip", "http://127.0.0.1:99999/a.zip"])
def test_a_broken_url_is_one_line(host: Any, tmp_path: Path, url: str) -> None:
    """Whatever requests raises for it."""
    with pytest.raises(SourceError, match="correct"):
        bring(host, tmp_path, url=url)


def test_passwords_in_urls_stay_out_of_messages(host: Any, tmp_path: Path, reply: Any) -> None:
    """Nor do signed queries show."""
    host.script = [reply(status=404)]
    url = host.url.replace("http://", "http://me:secret@") + "?token=secret"
    with pytest.raises(SourceError) as caught:
        bring(host, tmp_path, url=url)
    assert "secret" not in str(caught.value)


def test_room_is_asked_for_before_the_first_byte(host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how much is needed and where."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(SpaceError, match=r"102kB are needed here and 10\.0B are free"):
        bring(host, tmp_path)


def test_room_is_asked_for_what_is_extracted_too(host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that half a disk too little is told before the transfer begins."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 150_000})())
    assert bring(host, tmp_path) == host.content
    (tmp_path / "transfer.part").unlink()
    with pytest.raises(SpaceError, match=r"205kB are needed here"):
        bring(host, tmp_path, copies=2)


@LINUX_ONLY
def test_a_disk_that_fills_up_is_one_line(host: Any, tmp_path: Path) -> None:
    """/dev/full gives what a full file system gives; it is not tried again."""
    (tmp_path / "transfer.part").symlink_to("/dev/full")
    with pytest.raises(SpaceError, match="the file system is full; 102kB are needed"):
        bring(host, tmp_path)
    assert len(host.asked) == 1


def test_the_report_begins_where_the_transfer_resumes(host: Any, tmp_path: Path, reply: Any) -> None:
    """So that bytes of an earlier run are not counted into the rate."""
    host.script = [reply(cut_after=1000), reply()]
    seen: list[tuple[int, int | None]] = []
    policy = TransferPolicy(attempts=2, timeout=2.0, max_bytes=10**9, pinned=False)
    transfer.fetch(host.url, tmp_path, policy=policy, report=lambda *at: seen.append(at), sleep=lambda _: None)
    assert seen[0] == (0, len(host.content))
    assert (1000, len(host.content)) in seen
    assert seen[-1] == (len(host.content), len(host.content))


def test_a_redirect_within_the_host_is_followed(host: Any, tmp_path: Path, reply: Any) -> None:
    """Releases move."""
    host.script = [reply(location="/moved/Food.zip"), reply()]
    assert bring(host, tmp_path) == host.content


def test_a_redirect_to_another_host_is_followed_over_https(
    host: Any, tmp_path: Path, reply: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As releases of GitHub, Zenodo and the hub are; told once, and the login stays with the host that it is for."""
    pem = certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    with serving(certificate=pem) as other:
        other.script = [reply(cut_after=1000), reply()]
        host.script = [reply(location=f"{other.url}?signature=secret")]
        url = host.url.replace("http://127.0.0.1", "http://me:password@localhost")
        assert bring(host, tmp_path, url=url) == other.content
        assert "Authorization" in host.asked[0]
        assert [asked.get("Range") for asked in other.asked] == [None, "bytes=1000-"]
        assert not any("Authorization" in asked for asked in other.asked)
    said = capsys.readouterr().err
    assert said.count("localhost sends us on to https://127.0.0.1\n") == 1
    assert "secret" not in said


def test_redirects_end(host: Any, tmp_path: Path, reply: Any) -> None:
    """Two hosts may send us to each other for ever."""
    host.script = [reply(location=host.url)]
    with pytest.raises(SourceError, match="Exceeded 10 redirects"):
        bring(host, tmp_path)
    assert len(host.asked) == 11


def test_over_http_a_redirect_to_another_host_needs_a_pinned_hash(host: Any, tmp_path: Path, reply: Any) -> None:
    """Anybody on the way may have written it. Another port is another host: another user's program may listen there."""
    for elsewhere in (host.url.replace("127.0.0.1", "localhost"), host.url.replace(str(host.port), "9")):
        host.asked.clear()
        host.script = [reply(location=elsewhere), reply()]
        with pytest.raises(SourceError, match=r"sends us on to http://\w+\S+, without HTTPS; pin the whole SHA-256"):
            bring(host, tmp_path)
        assert len(host.asked) == 1
    host.script = [reply(location=host.url.replace("127.0.0.1", "localhost")), reply()]
    assert bring(host, tmp_path, pinned=True) == host.content


@pytest.mark.parametrize(
    ("before", "after", "followed", "pinned"),
    [
        ("http://a.org/x", "http://a.org/y", True, True),
        ("http://a.org/x", "http://A.org:80/y", True, True),
        ("http://a.org/x", "https://a.org/x", True, True),
        ("https://a.org/x", "https://a.org:443/y", True, True),
        ("https://github.com/x", "https://objects.githubusercontent.com/y", True, True),
        ("http://a.org/x", "https://b.org:8443/x", True, True),
        ("http://a.org/x", "http://b.org/x", False, True),
        ("https://a.org/x", "http://a.org/x", False, False),
        ("https://a.org/x", "http://b.org/x", False, False),
        ("https://a.org/x", "ftp://a.org/x", False, False),
        ("http://a.org/x", "file:///etc/passwd", False, False),
    ],
)
def test_a_redirect_stays_or_goes_to_https(before: str, after: str, followed: bool, pinned: bool) -> None:
    """Never from HTTPS to anything else."""
    assert may_follow(before, after, pinned=False) == followed
    assert may_follow(before, after, pinned=True) == pinned


def test_a_handshake_that_breaks_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a proxy or an overloaded host closes the connection early."""
    pem = certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    waits = Waits()
    with serving(certificate=pem, broken_handshakes=2) as host:
        assert bring(host, tmp_path, waits=waits) == host.content
    assert len(waits) == 2


def test_a_certificate_that_nobody_vouches_for_is_final_and_what_came_is_kept(tmp_path: Path, reply: Any) -> None:
    """Another try would meet the same one; the message says what may be wrong, and what is kept."""
    with serving() as plain:
        plain.script = [reply(cut_after=1000), reply(status=404)]
        with pytest.raises(SourceError, match=r"HTTP 404 .*; 1\.00kB are kept"):
            bring(plain, tmp_path)
    waits = Waits()
    with (
        serving(certificate=certificate(tmp_path)) as host,
        pytest.raises(SourceError, match=r"certificate.*REQUESTS_CA_BUNDLE; 1\.00kB are kept$"),
    ):
        bring(host, tmp_path, waits=waits)
    assert waits == []


@pytest.mark.parametrize("last", [404, 503])
def test_what_does_not_outlive_a_failure_is_not_called_kept(host: Any, tmp_path: Path, reply: Any, last: int) -> None:
    """As of a photo by its URL, which lies in a temporary folder."""
    host.script = [reply(cut_after=1000), *[reply(status=last)] * 4]
    with pytest.raises(SourceError, match=f"HTTP {last}") as caught:
        bring(host, tmp_path, kept=False)
    assert "kept" not in str(caught.value)
