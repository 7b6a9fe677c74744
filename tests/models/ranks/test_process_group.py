"""Over which network ranks speak."""

import socket

import psutil

from models.ranks.process_group import interface


def test_the_interface_by_which_an_address_is_reached() -> None:
    assert interface("127.0.0.1") == interface("127.1.2.3") == "lo"
    for name, addresses in psutil.net_if_addrs().items():
        first = next((each.address for each in addresses if each.family == socket.AF_INET), None)
        assert first is None or interface(first) == name


def test_an_address_that_there_is_not_leaves_the_choice_to_gloo() -> None:
    assert interface("no.such.host.invalid") is None
