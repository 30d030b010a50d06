"""Loaded by every Python process whose PYTHONPATH names this folder: no connection but to the hosts that are allowed.

`GUARD_LOG` names a file that gets a line for every process that was guarded and every connection or look-up it tried;
`GUARD_ALLOW` lists hosts, separated by commas. What is not allowed raises, and is in the log even where that is caught.
"""

import os
import socket
import sys

ALLOWED = set(filter(None, os.environ.get("GUARD_ALLOW", "").split(",")))


def _note(line: str) -> None:
    # One write under O_APPEND: processes do not tear each other's lines.
    log = os.open(os.environ["GUARD_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, f"{line}\n".encode())
    os.close(log)


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    match event, arguments:
        case "socket.connect" | "socket.sendto" | "socket.sendmsg", (socket.socket() as made, address):
            if made.family != socket.AF_UNIX:
                _judge(event, address[0] if isinstance(address, tuple) else address)
        case "socket.getaddrinfo" | "socket.gethostbyname" | "socket.gethostbyaddr", (host, *_):
            if host is not None:
                _judge(event, host.decode() if isinstance(host, bytes) else host)


def _judge(event: str, host: object) -> None:
    if host in ALLOWED:
        _note(f"allowed {event} {host}")
    else:
        _note(f"refused {event} {host} by {' '.join(sys.orig_argv)}")
        raise PermissionError(f"{event} {host}: no network here")


if "GUARD_LOG" in os.environ:
    _note(f"guarded {' '.join(sys.orig_argv)}")
    sys.addaudithook(_watch)
