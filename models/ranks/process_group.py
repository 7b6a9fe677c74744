"""The group of ranks that torchrun started: RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT."""

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
# A rank waits longer for another one than a rank may stand still, so that the stuck rank, which is the cause, is
# reported first.
GRACE_S = 15.0


@dataclass(frozen=True)
class ProcessGroup:
    """Rank `rank` of `size` ranks, computing on `device`.

    A single rank joins no group of torch.distributed, and its collective operations do nothing.
    """

    rank: int
    size: int
    device: torch.device = CPU

    def sum(self, values: Tensor) -> Tensor:
        """The sum of `values` over all ranks, in place and equal on each rank."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def max(self, value: float) -> float:
        """The largest of the ranks' values."""
        values = torch.tensor(value, dtype=torch.float64, device=self.device)
        if self.size > 1:
            distributed.all_reduce(values, op=distributed.ReduceOp.MAX)
        return values.item()

    def gather(self, values: Tensor) -> list[Tensor]:
        """The `values` of each rank, in the order of the ranks; they must have the same shape on all ranks."""
        if self.size == 1:
            return [values]
        gathered = [torch.empty_like(values) for _ in range(self.size)]
        distributed.all_gather(gathered, values)
        return gathered


def rank() -> int:
    """The rank of this process; 0 if no launcher started it."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def join(*, timeout_s: float, gpu: bool = False) -> Iterator[ProcessGroup]:
    """The process group, for the duration of the block.

    A rank that waits for another for more than `timeout_s` + `GRACE_S` seconds fails. With `gpu` each rank uses the GPU
    of its LOCAL_RANK.
    """
    device = _deterministic_gpu() if gpu else CPU
    group = ProcessGroup(rank(), int(os.environ.get("WORLD_SIZE", "1")), device)
    if group.size == 1:
        yield group
        return
    timeout = timedelta(seconds=timeout_s + GRACE_S)
    # gloo would take the interface that the host's own name leads to, which on many hosts is the loopback interface.
    if name := network_interface(os.environ["MASTER_ADDR"]):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
    distributed.init_process_group("nccl" if gpu else "gloo", timeout=timeout)
    yield group
    # Not after a failure: the other ranks would see their connections close, and could record this consequence before
    # this rank has recorded the cause.
    distributed.destroy_process_group()


def _deterministic_gpu() -> torch.device:
    """This rank's GPU. Its sums are computed in a fixed order, so that a resumed run ends as it would have ended."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def configure_processor(threads: int) -> None:
    """Set the number of torch's threads (0: its default), and treat numbers that are almost zero as zero."""
    # The optimizer's moments of rare terms fall below 1e-38 within some 800 steps, and processors are far slower
    # with numbers that small.
    torch.set_flush_denormal(True)
    if threads:
        torch.set_num_threads(threads)


def network_interface(address: str) -> str | None:
    """The network interface through which this host reaches `address` (a name or IPv4); None if there is none."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))  # for a datagram socket this looks up the route and sends nothing
            own = probe.getsockname()[0]
    except OSError:
        return None
    return next((name for _, name in socket.if_nameindex() if _ipv4_address(name) == own), None)


def _ipv4_address(interface: str) -> str | None:
    """The first IPv4 address of a network interface (netdevice(7), SIOCGIFADDR)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe, 0x8915, struct.pack("256s", interface.encode()))
        except OSError:
            return None
    return socket.inet_ntoa(answer[20:24])
