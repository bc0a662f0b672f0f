"""The scripted upstream speaks HTTPS where it is given a certificate."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from telex.testing import Reset, ScriptedUpstream, Send, Stall, say

from .client import PATIENT, RawClient


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1, signed by itself."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("needs the openssl command to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", str(path.with_suffix(".crt"))]
    subprocess.run([openssl, *request, *name], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


class TlsClient(RawClient):
    def __init__(self, port: int, trusted: Path | None) -> None:
        super().__init__(port)
        context = ssl.create_default_context(cafile=trusted)
        self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_answers_and_sees_who_leaves(certificate: Path) -> None:
    with ScriptedUpstream(say("Hello"), (Stall(),), tls=serving(certificate)) as upstream, TlsClient(upstream.port, certificate) as client:
        assert upstream.url.startswith("https://")
        assert client.ask().answer().end == "complete"
        client.ask()
        call = upstream.wait_for(2)[1]
        client.socket.close()
        call.wait("left_at")


def test_resets(certificate: Path) -> None:
    with ScriptedUpstream((Send(b"x"), Reset()), tls=serving(certificate)) as upstream, TlsClient(upstream.port, certificate) as client:
        client.ask()
        with socket.socket(fileno=os.dup(client.socket.fileno())) as under, pytest.raises(ConnectionResetError):  # noqa: PT012
            under.settimeout(PATIENT)
            while under.recv(1 << 16):  # the ssl module would call it an end of file
                pass


def test_is_not_trusted_by_who_does_not_know_it(certificate: Path) -> None:
    with ScriptedUpstream(tls=serving(certificate)) as upstream:
        with pytest.raises(ssl.SSLCertVerificationError):
            TlsClient(upstream.port, None)
        assert upstream.calls == []
        with socket.create_connection(("127.0.0.1", upstream.port)) as plain:  # and gone before the handshake
            plain.sendall(b"\x16")
