"""Servers on loopback that a team's remote may live on: SSH and S3. Real ones, of this process."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import boto3
from moto.server import ThreadedMotoServer

HOST = "127.0.0.1"
PASSWORD = "of-the-test"  # noqa: S105 - a server of this process alone
BUCKET = "team-bucket"


class _Account(asyncssh.SSHServer):
    """Lets in whoever knows the password."""

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:  # noqa: ARG002 - asyncssh's signature
        return password == PASSWORD


class _MovingOut(asyncssh.SFTPServer):
    """Serves files until `uploads_left` are written, then hangs up on everybody."""

    uploads_left = 10**9

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if pflags & asyncssh.FXF_WRITE:
            type(self).uploads_left -= 1
            if type(self).uploads_left < 0:
                self.channel.get_connection().abort()
        return super().open(path, pflags, attrs)


async def _listen(folder: Path, files: type[_MovingOut]) -> object:
    return await asyncssh.listen(
        HOST,
        0,
        server_factory=_Account,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        sftp_factory=lambda channel: files(channel, chroot=str(folder).encode()),
    )


@contextmanager
def ssh_server(folder: Path, uploads: int = 10**9) -> Iterator[int]:
    """Serve SFTP and yield the port; after `uploads` files every connection breaks."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    files = type("Files", (_MovingOut,), {"uploads_left": uploads})
    server: Any = asyncio.run_coroutine_threadsafe(_listen(folder, files), loop).result()
    try:
        yield server.get_port()
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def s3_account(url: str) -> dict[str, str]:
    """Return the variables by which S3's own tools find the server at `url`."""
    return {
        "AWS_ACCESS_KEY_ID": "team",
        "AWS_SECRET_ACCESS_KEY": PASSWORD,
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@contextmanager
def s3_server() -> Iterator[str]:
    """Serve S3 with one empty bucket and yield the endpoint's URL."""
    server = ThreadedMotoServer(ip_address=HOST, port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    account = {"aws_access_key_id": "team", "aws_secret_access_key": PASSWORD, "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=url, **account).create_bucket(Bucket=BUCKET)
    try:
        yield url
    finally:
        server.stop()
