"""Addresses and heads: nothing that came from outside becomes a line of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.upstream.address import BadAddress, Origin, parse_url, render_head, render_request

ORIGIN = Origin(False, "h", 80)
BAD = st.builds(lambda a, mark, b: a + mark + b, st.text(max_size=9), st.sampled_from(["\r", "\n", "\0", "\r\n"]), st.text(max_size=9))


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("http://h", "http://h", ""),
        ("https://h/v1/", "https://h", "/v1"),
        ("http://h:8000/a/b", "http://h:8000", "/a/b"),
        ("https://h:443", "https://h", ""),
        ("http://[::1]:9/v1", "http://[::1]:9", "/v1"),
        ("HTTP://Example.COM/V1", "http://example.com", "/V1"),
    ],
)
def test_urls(url: str, origin: str, path: str) -> None:
    found, prefix = parse_url(url)
    assert (str(found), prefix) == (origin, path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h",
        "h/v1",
        "ftp://h",
        "http://",
        "http:///v1",
        "http://h:x",
        "http://h:70000",
        "http://h?q",
        "http://h#f",
        "http://h/a b",
        "http://[::1",
        "http://ü",
        "http://h/ü",
        "file:///etc/passwd",
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(BadAddress):
        parse_url(url)


@given(BAD)
def test_no_address_has_line_ends(bad: str) -> None:
    for url in (f"http://h/{bad}", f"http://{bad}/v1", f"http{bad}://h", bad):
        with pytest.raises(BadAddress):
            parse_url(url)


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for url in (text, f"http://{text}", f"http://h/{text}"):
        try:
            origin, path = parse_url(url)
        except BadAddress:
            continue
        head = render_head("POST", origin, path + "/chat/completions", {})
        assert head.count(b"\n") == 4


@given(BAD)
def test_no_header_has_line_ends(bad: str) -> None:
    for headers in ({"authorization": bad}, {bad: "x"}):
        with pytest.raises(ValueError, match="holds characters"):
            render_head("POST", ORIGIN, "/", headers)


@given(BAD)
def test_no_request_line_has_line_ends(bad: str) -> None:
    for method, path in (("POST", bad), (bad, "/")):
        with pytest.raises(ValueError, match="holds characters"):
            render_head(method, ORIGIN, path, {})


@given(BAD)
def test_an_error_about_a_header_does_not_show_it(bad: str) -> None:
    with pytest.raises(ValueError, match=r"^the header 'authorization' holds characters that no header may$"):
        render_head("POST", ORIGIN, "/", {"authorization": bad})


def test_a_request() -> None:
    head = render_head("POST", Origin(True, "h", 8443), "/v1", {"x": "y"})
    assert render_request(head, b"{}") == (
        b"POST /v1 HTTP/1.1\r\nhost: h:8443\r\naccept-encoding: identity\r\nuser-agent: telex\r\nx: y\r\ncontent-length: 2\r\n\r\n{}"
    )
