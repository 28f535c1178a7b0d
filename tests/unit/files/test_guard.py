"""Public addresses in each of their written forms, and the internal ones that the configuration opens."""

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtqs.config import FilesSection
from dtqs.files.guard import Guard, literal, nonpublic_kind
from dtqs.files.uri import parse_url

INTERNAL_V4 = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "10.0.0.1": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "100.64.0.1": "carrier",
    "100.100.100.200": "carrier",
    "169.254.169.254": "link-local",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "192.0.0.192": "reserved",
    "198.18.0.1": "reserved",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "168.63.129.16": "reserved",
}
PUBLIC_V4 = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "169.253.0.1",
    "223.255.255.255",
    "192.1.0.1",
]
FORMS = ["::ffff:{}", "::ffff:0:{}", "::{}", "64:ff9b::{}"]


@pytest.mark.parametrize(("address", "word"), INTERNAL_V4.items())
def test_an_internal_address_is_recognised_in_every_form(address: str, word: str) -> None:
    assert word in (nonpublic_kind(ipaddress.ip_address(address)) or "")
    for form in FORMS:
        assert nonpublic_kind(ipaddress.ip_address(form.format(address))), form
    number = int(ipaddress.IPv4Address(address))
    assert word in (nonpublic_kind(ipaddress.IPv6Address((0x2002 << 112) | number << 80)) or "")
    assert literal(str(number)) == literal(hex(number)) == ipaddress.ip_address(address)


@pytest.mark.parametrize("address", PUBLIC_V4)
def test_a_public_address_is_open_in_every_form_that_a_gateway_makes_of_it(address: str) -> None:
    assert nonpublic_kind(ipaddress.ip_address(address)) is None
    assert nonpublic_kind(ipaddress.ip_address(f"64:ff9b::{address}")) is None
    assert nonpublic_kind(ipaddress.ip_address(f"::ffff:{address}")) is None


@pytest.mark.parametrize(
    ("address", "word"),
    [
        *(
            ("::1", "loopback"),
            ("::", "unspecified"),
            ("fe80::1", "link-local"),
            ("fc00::1", "private"),
            ("fd00:ec2::254", "private"),
            ("fec0::1", "private"),
        ),
        *(
            ("ff02::1", "multicast"),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "reserved"),
            ("2001:db8::1", "reserved"),
            ("64:ff9b:1::808:808", "reserved"),
        ),
        *(("4000::1", "reserved"), ("100::1", "reserved"), ("3fff::1", "reserved")),
    ],
)
def test_internal_addresses_of_ipv6_are_recognised(address: str, word: str) -> None:
    assert word in (nonpublic_kind(ipaddress.ip_address(address)) or "")


@pytest.mark.parametrize("address", ["2606:4700:4700::1111", "2a00:1450:4001::8a", "2400::1"])
def test_public_addresses_of_ipv6_are_open(address: str) -> None:
    assert nonpublic_kind(ipaddress.ip_address(address)) is None


@given(st.ip_addresses())
def test_no_address_is_open_that_the_standard_library_calls_internal(address: Any) -> None:
    if (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or (address.is_private and address.version == 4)
    ):
        assert nonpublic_kind(address)


def refusal(url: str, **settings: Any) -> str:
    return Guard(FilesSection(**settings)).refusal(parse_url(url)) or ""


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://[::1]/",
        "http://[::ffff:7f00:1]/",
        "http://１２７.0.0.1/",
    ],
)
def test_a_literal_address_is_refused_without_a_look_up(url: str) -> None:
    assert (
        refusal(url)
        == "its host has a loopback address; allowed: public addresses, and the hosts of [files] fetch_allow_hosts"
    )


def test_ports_that_are_not_listed_are_refused() -> None:
    assert refusal("https://example.org/") == refusal("http://example.org/") == ""
    assert refusal("https://example.org:8443/") == "port 8443 is not allowed; allowed: 80, 443"
    assert refusal("https://example.org:8443/", fetch_ports=(8443,)) == ""
    assert "not configured" in refusal("https://example.org/", fetch_ports=())


@pytest.mark.parametrize("opened", ["10.1.0.0/16", "10.1.2.3", "files.internal", "*.internal", "FILES.internal"])
def test_a_configured_address_or_host_is_open(opened: str) -> None:
    guard = Guard(FilesSection(fetch_allow_hosts=(opened,)))
    assert guard.judge("files.internal", ipaddress.ip_address("10.1.2.3")) is None
    assert guard.judge("files.internal", ipaddress.ip_address("::ffff:10.1.2.3")) is None
    assert guard.judge("other.example", ipaddress.ip_address("10.2.2.3"))


@pytest.mark.parametrize("host", ["internal", "files.internal.example", "xinternal", "example"])
def test_a_wildcard_opens_only_the_hosts_below_its_domain(host: str) -> None:
    assert Guard(FilesSection(fetch_allow_hosts=("*.internal", "file.example"))).judge(
        host, ipaddress.ip_address("10.1.2.3")
    )
