"""The network interface over which ranks communicate."""

import socket

import psutil

from models.ranks.process_group import network_interface


def test_the_interface_is_the_one_through_which_an_address_is_reached() -> None:
    assert network_interface("127.0.0.1") == network_interface("127.1.2.3") == "lo"
    for name, addresses in psutil.net_if_addrs().items():
        first = next((each.address for each in addresses if each.family == socket.AF_INET), None)
        assert first is None or network_interface(first) == name


def test_an_unknown_address_has_no_interface() -> None:
    assert network_interface("no.such.host.invalid") is None
