"""Over which network ranks speak."""

import socket
import subprocess

from models.training.distributed import interface


def test_the_interface_by_which_an_address_is_reached() -> None:
    assert interface("127.0.0.1") == "lo"
    assert interface("127.1.2.3") == "lo"
    for _, name in socket.if_nameindex():
        shown = subprocess.run(["ip", "-4", "-o", "addr", "show", name], capture_output=True, text=True, check=False)
        for line in shown.stdout.splitlines()[:1]:
            assert interface(line.split()[3].partition("/")[0]) == name


def test_an_address_that_there_is_not_leaves_the_choice_to_gloo() -> None:
    assert interface("no.such.host.invalid") is None
