"""Certificates made for a test, signed by themselves."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


def make_certificate(folder: Path, *names: str) -> Path:
    """One file with a key and a certificate for `names`, as `IP:127.0.0.1` or `DNS:provider.test`; the certificate is its own CA."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("needs the openssl command to make a certificate")
    both, certificate = folder / "both.pem", folder / "certificate.pem"
    request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test"]
    where = ["-addext", f"subjectAltName={','.join(names)}", "-keyout", str(both), "-out", str(certificate)]
    subprocess.run([openssl, *request, *where], check=True, capture_output=True)
    both.write_text(both.read_text() + certificate.read_text())
    return both


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
