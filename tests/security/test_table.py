"""Each failure that was seen in the wild, and the tests that hold what prevents it, wherever they stand.

What has no row here yet concerns what Telex does not have: webhooks, files, a page, metrics.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

ROWS = {
    "supply-chain: a wheel that is not the source, a .pth that runs": [
        "security/test_package.py::supply_chain",
    ],
    "SQL injection in the check of a key": [
        "stores/test_keys.py::words_of_sql_are_only_words",
        "gateway/test_access.py::whatever_opens_nothing",
    ],
    "privilege escalation": [
        "gateway/test_access.py::every_path_of_the_api_wants_a_key",
        "gateway/test_access.py::what_is_everybodys_is_for_admins",
        "gateway/test_access.py::other_models_are_not_there",
        "gateway/test_owners.py::an_admin_sees_and_stops",
    ],
    "a shortened key in a cache mixes users": [
        "stores/test_minting.py::a_digest_is_of_all_of_the_token",
        "gateway/test_owners.py::two_keys_may_have_the_same_ids",
    ],
    "one credential header is checked, another is not": [
        "gateway/test_dialects.py::two_credentials",
        "gateway/test_access.py::a_key_opens_in_every_form",
        "gateway/test_access.py::two_are_refused",
    ],
    "guessing keys by the time that they take": [
        "gateway/test_access.py::the_store_is_asked_alike",
        "gateway/test_access.py::whatever_opens_nothing",
    ],
    "the store of keys is out, and so is everything": [
        "gateway/test_keyring.py::row52",
    ],
    "another's answer by its id": [
        "gateway/test_owners.py::row44",
    ],
    "Host changes what is decided": [
        "gateway/test_bad_input.py::rebinding",
        "gateway/test_bad_input.py::two_hosts",
    ],
    "SSRF by a caller's api_base, a key that goes along": [
        "security/test_addresses.py::ssrf_base_url",
        "security/test_addresses.py::key_origin",
    ],
    "SSRF by the URL of an image or a file": [
        "security/test_addresses.py::ssrf_image_url",
    ],
    "keys in logs, errors, URLs, reprs": [
        "security/test_secrets.py::p17",
        "end_to_end/test_secrets.py::a_gateway",
        "config/test_config.py::secrets_are_never_shown",
        "upstream/test_address.py::an_error_about_a_header",
        "gateway/faults/test_beyond.py::an_answer_to_our_key",
    ],
    "the caller's credentials go upstream, the provider's headers come back": [
        "security/test_headers.py::forwarding",
    ],
    "CR, LF and NUL in headers that we build": [
        "security/test_headers.py::crlf",
        "upstream/test_address.py::no_header_has_line_ends",
    ],
    "request smuggling": [
        "gateway/test_bad_input.py::smuggling",
    ],
    "SSE injection": [
        "security/test_streams.py::sse",
        "core/test_sse.py::the_encoder_cannot_be_made_to_inject",
        "gateway/test_delivery.py::comments_and_ids_are_dropped",
    ],
    "a model or an id as a path": [
        "security/test_addresses.py::path",
        "dialects/test_gemini_paths.py::no_path_holds",
    ],
    "unbounded body, head, line, event, depth, unpacked size": [
        "security/test_sizes.py::row38",
        "security/test_sizes.py::row19",
        "gateway/test_bad_input.py::body_over_the_limit",
        "gateway/test_bad_input.py::compressed_bodies",
        "gateway/test_bad_input.py::nested_too_deep",
        "gateway/test_guard.py::a_head_without_end",
        "gateway/test_delivery.py::folded_from_a_stream_is_bounded",
        "gateway/faults/rows.py::row29_gzip_unasked|row28",
        "core/test_sse.py::an_event_has_a_limit",
        "upstream/test_connection.py::a_head_without_end",
    ],
    "slow heads, slow bodies, slow readers": [
        "gateway/test_guard.py::row37",
        "gateway/test_guard.py::row34",
        "gateway/test_guard.py::p15",
    ],
    "DNS rebinding and pages of other origins": [
        "gateway/test_bad_input.py::rebinding",
        "gateway/test_server.py::a_bad_line",
    ],
    "an answer by a connection that was another's": [
        "upstream/test_pool.py::never_goes_back",
        "upstream/test_pool.py::never_gets_the_connection",
    ],
    "an empty answer that counts as one": [
        "gateway/faults/rows.py::row24",
    ],
    "a client that leaves counts against the provider": [
        "gateway/test_routing.py::clients_that_leave_put_nobody_out",
    ],
}


@pytest.mark.parametrize("row", ROWS)
def test_each_row_has_tests(row: str) -> None:
    for place in ROWS[row]:
        file, _, part = place.partition("::")
        text = (TESTS / file).read_text()
        assert re.search(rf"^(async )?def test_\w*({part})|^    \"({part.replace('_', '-')})", text, re.MULTILINE), place
