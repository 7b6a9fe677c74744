"""Several hosts on this machine: network namespaces, each with an address of its own, on one switch.

    this machine, 10.77.n.1: NameNode, ResourceManager, driver
      └─ the switch, a namespace with a bridge
           ├─ 10.77.n.2: a DataNode and a NodeManager
           └─ 10.77.n.3: likewise

What two hosts say to each other goes over their links, whose counters tell how much it was; a link can be cut. A
namespace lives as long as the process that holds it, which the reaper ends with us: nothing is left of tests that were
killed.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.cluster.daemons import Host


@contextmanager
def hosts(count: int) -> Iterator[tuple[Host, list[Host]]]:
    """This machine, and so many hosts beside it. Needs root."""
    network, ours = _free_network(), f"tm{os.getpid()}"
    with ExitStack() as stack:
        switch = stack.enter_context(_namespace())
        _ip("link", "add", "bridge", "type", "bridge", inside=switch)
        _ip("link", "set", "bridge", "up", inside=switch)
        _ip("link", "add", ours, "type", "veth", "peer", "name", "port1", "netns", str(switch))
        _ip("addr", "add", f"{network}.1/24", "dev", ours)
        _ip("link", "set", ours, "up")
        _plug(switch, "port1")
        found = []
        for number in range(2, count + 2):
            host, port = stack.enter_context(_namespace()), f"port{number}"
            _ip("link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", str(switch), inside=host)
            _plug(switch, port)
            _ip("addr", "add", f"{network}.{number}/24", "dev", "eth0", inside=host)
            for device in ("lo", "eth0"):
                _ip("link", "set", device, "up", inside=host)
            found.append(Host(f"{network}.{number}", _inside(host)))
        yield Host(f"{network}.1"), found


def received(host: Host) -> int:
    """Bytes that came to a host over its link."""
    return _counter(host, "rx")


def sent(host: Host) -> int:
    """Bytes that a host sent over its link."""
    return _counter(host, "tx")


def cut(host: Host) -> None:
    """Nothing gets to the host or from it any more."""
    subprocess.run([*host.prefix, "ip", "link", "set", "eth0", "down"], check=True)


def join(host: Host) -> None:
    """The host is back."""
    subprocess.run([*host.prefix, "ip", "link", "set", "eth0", "up"], check=True)


@contextmanager
def _namespace() -> Iterator[int]:
    """The id of a process that has a network of its own."""
    command = ["unshare", "--net", "sleep", "infinity"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as holder:
        try:
            deadline = time.monotonic() + 10
            while os.readlink(f"/proc/{holder.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
                assert holder.poll() is None, "unshare ended"
                assert time.monotonic() < deadline
                time.sleep(0.01)
            yield holder.pid
        finally:
            holder.kill()


def _free_network() -> str:
    """The first three bytes of a network that nobody has here."""
    listed = subprocess.run(["ip", "-json", "address"], capture_output=True, text=True, check=True).stdout
    taken = {address.get("local", "") for link in json.loads(listed) for address in link["addr_info"]}
    # Beginning at a place of our own: another test that looks in this very moment begins elsewhere.
    candidates = [f"10.77.{(os.getpid() + offset) % 256}" for offset in range(256)]
    return next(each for each in candidates if f"{each}.1" not in taken)


def _plug(switch: int, port: str) -> None:
    _ip("link", "set", port, "master", "bridge", "up", inside=switch)


def _counter(host: Host, direction: str) -> int:
    command = [*host.prefix, "ip", "-json", "-statistics", "link", "show", "eth0"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(json.loads(told)[0]["stats64"][direction]["bytes"])


def _inside(holder: int) -> tuple[str, ...]:
    return ("nsenter", f"--net=/proc/{holder}/ns/net")


def _ip(*arguments: str, inside: int | None = None) -> None:
    subprocess.run([*(_inside(inside) if inside else ()), "ip", *arguments], check=True)
