"""Several hosts on this machine: network namespaces, each with an address of its own on one bridge.

    this machine, 10.77.0.1 on the bridge: NameNode, ResourceManager, driver
      ├─ 10.77.0.2: a DataNode and a NodeManager
      └─ 10.77.0.3: likewise

What two hosts say to each other goes over their links, whose counters tell how much it was; a link can be cut.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.cluster.daemons import Host

NETWORK = "10.77.0"


@contextmanager
def hosts(count: int) -> Iterator[tuple[Host, list[Host]]]:
    """This machine, and so many hosts beside it. Needs root; nothing of it is left afterwards."""
    tag = f"tm{os.getpid() % 10_000}"
    bridge = f"{tag}br"
    with ExitStack() as stack:
        _ip("link", "add", bridge, "type", "bridge")
        stack.callback(_ip, "link", "del", bridge)
        _ip("addr", "add", f"{NETWORK}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        found = []
        for number in range(2, count + 2):
            name, link = f"{tag}h{number}", f"{tag}l{number}"
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name)  # its end of the link goes with it, and so does ours
            _ip("link", "add", link, "master", bridge, "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", link, "up")
            _ip("-n", name, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", name, "link", "set", device, "up")
            found.append(Host(f"{NETWORK}.{number}", ("ip", "netns", "exec", name)))
        yield Host(f"{NETWORK}.1"), found


def received(host: Host) -> int:
    """Bytes that came to a host over its link."""
    return _counter(host, "rx_bytes")


def sent(host: Host) -> int:
    """Bytes that a host sent over its link."""
    return _counter(host, "tx_bytes")


def cut(host: Host) -> None:
    """Nothing gets to the host or from it any more."""
    subprocess.run([*host.prefix, "ip", "link", "set", "eth0", "down"], check=True)


def join(host: Host) -> None:
    """The host is back."""
    subprocess.run([*host.prefix, "ip", "link", "set", "eth0", "up"], check=True)


def _counter(host: Host, name: str) -> int:
    command = [*host.prefix, "cat", f"/sys/class/net/eth0/statistics/{name}"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
