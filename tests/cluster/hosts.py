"""Several hosts on this machine: network namespaces, each with an address of its own, on one switch.

    this machine, 10.77.n.1: NameNode, ResourceManager, driver
      └─ the switch, a namespace with a bridge
           ├─ 10.77.n.2: a DataNode and a NodeManager
           └─ 10.77.n.3: likewise

All traffic between two hosts goes over their links, whose counters give its size; a link can be cut. A namespace exists
as long as the process that was started in it, and the reaper ends that process with the test run: a killed run leaves
no namespace.
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
    """This machine and `count` more hosts. Needs root."""
    network, ours = _free_network(), f"tm{os.getpid()}"
    with ExitStack() as stack:
        switch = stack.enter_context(_namespace())
        _ip("link", "add", "bridge", "type", "bridge", inside=switch)
        _ip("link", "set", "bridge", "up", inside=switch)
        _ip("link", "add", ours, "type", "veth", "peer", "name", "port1", "netns", str(switch))
        _ip("addr", "add", f"{network}.1/24", "dev", ours)
        _ip("link", "set", ours, "up")
        _plug(switch, "port1")
        created = []
        for number in range(2, count + 2):
            host, port = stack.enter_context(_namespace()), f"port{number}"
            _ip("link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", str(switch), inside=host)
            _plug(switch, port)
            _ip("addr", "add", f"{network}.{number}/24", "dev", "eth0", inside=host)
            for device in ("lo", "eth0"):
                _ip("link", "set", device, "up", inside=host)
            created.append(Host(f"{network}.{number}", _inside(host)))
        yield Host(f"{network}.1"), created


def received(host: Host) -> int:
    """The bytes that a host has received over its link."""
    return _counter(host, "rx")


def sent(host: Host) -> int:
    """The bytes that a host has sent over its link."""
    return _counter(host, "tx")


def cut(host: Host) -> None:
    """Cut a host off: nothing reaches it or leaves it."""
    subprocess.run([*host.prefix, "ip", "link", "set", "eth0", "down"], check=True)


def join(host: Host) -> None:
    """Connect a host again."""
    subprocess.run([*host.prefix, "ip", "link", "set", "eth0", "up"], check=True)


@contextmanager
def _namespace() -> Iterator[int]:
    """Start a process in a network namespace of its own; yields its id."""
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
    """The first three bytes of a network that no interface of this machine uses."""
    listed = subprocess.run(["ip", "-json", "address"], capture_output=True, text=True, check=True).stdout
    taken = {address.get("local", "") for link in json.loads(listed) for address in link["addr_info"]}
    # Each process starts its search elsewhere, so that two that search at once do not choose the same.
    candidates = [f"10.77.{(os.getpid() + offset) % 256}" for offset in range(256)]
    return next(each for each in candidates if f"{each}.1" not in taken)


def _plug(switch: int, port: str) -> None:
    _ip("link", "set", port, "master", "bridge", "up", inside=switch)


def _counter(host: Host, direction: str) -> int:
    command = [*host.prefix, "ip", "-json", "-statistics", "link", "show", "eth0"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(json.loads(output)[0]["stats64"][direction]["bytes"])


def _inside(holder: int) -> tuple[str, ...]:
    return ("nsenter", f"--net=/proc/{holder}/ns/net")


def _ip(*arguments: str, inside: int | None = None) -> None:
    subprocess.run([*(_inside(inside) if inside else ()), "ip", *arguments], check=True)
