"""This process among the ranks that torchrun started: RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT."""

import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

CPU = torch.device("cpu")
GRACE_S = 15.0  # that a rank waits longer for another than that one may stand still: so the cause is told first


@dataclass(frozen=True)
class Group:
    """Rank `rank` of `size`, on `device`. One rank alone has no process group: nothing to set up or to copy."""

    rank: int
    size: int
    device: torch.device = CPU

    def sum(self, values: Tensor) -> Tensor:
        """The sum of `values` over the ranks, the same on each; in place."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def highest(self, value: float) -> float:
        """The largest of the ranks' values."""
        values = torch.tensor(value, dtype=torch.float64, device=self.device)
        if self.size > 1:
            distributed.all_reduce(values, op=distributed.ReduceOp.MAX)
        return values.item()

    def gather(self, values: Tensor) -> list[Tensor]:
        """Each rank's `values`, which have the same shape on all, in the ranks' order."""
        if self.size == 1:
            return [values]
        found = [torch.empty_like(values) for _ in range(self.size)]
        distributed.all_gather(found, values)
        return found


def rank() -> int:
    """This process's rank, 0 where nothing launched it."""
    return int(os.environ.get("RANK", "0"))


def _gpu() -> torch.device:
    """This rank's GPU, whose sums come in one order, so that a run which goes on ends as it would have ended."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def interface(address: str) -> str | None:
    """The network interface by which this host is known to `address` (IPv4); None where none is found."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))  # of a datagram socket: looks up the route, sends nothing
            own = probe.getsockname()[0]
    except OSError:
        return None
    return next((name for _, name in socket.if_nameindex() if _address(name) == own), None)


def _address(name: str) -> str | None:
    """An interface's first IPv4 address (netdevice(7), SIOCGIFADDR)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            answer = fcntl.ioctl(any_socket, 0x8915, struct.pack("256s", name.encode()))
        except OSError:
            return None
    return socket.inet_ntoa(answer[20:24])


@contextmanager
def join(*, timeout_s: float, gpu: bool = False) -> Iterator[Group]:
    """The group for as long as the block lasts; a rank that waits longer for another fails."""
    device = _gpu() if gpu else CPU
    group = Group(rank(), int(os.environ.get("WORLD_SIZE", "1")), device)
    if group.size == 1:
        yield group
        return
    timeout = timedelta(seconds=timeout_s + GRACE_S)
    # gloo would take the one that the host's name leads to, which is the loopback interface on many a host.
    if name := interface(os.environ["MASTER_ADDR"]):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
    distributed.init_process_group("nccl" if gpu else "gloo", timeout=timeout)
    yield group
    # Not after a failure: the other ranks would find their connections closed, and could record that consequence
    # before this rank has recorded the cause.
    distributed.destroy_process_group()
