"""conf/secure.conf on a real standalone cluster: it trains, strangers are refused, nobody on the way can read along."""

import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.cluster.daemons import free_port
from tests.cluster.standalone import Standalone, standalone, variables, worker, workers
from tests.cluster.wire import Wire
from tests.conftest import last_json
from tests.jobs import ROOT, small
from tests.pages import page

pytestmark = pytest.mark.cluster

PROFILE = ROOT / "conf" / "secure.conf"
PLANTED = "zanzibarquartz"  # in no program and no path of anybody's but in the lake's address


@dataclass(frozen=True)
class Secured:
    """The cluster, its secret, and the settings that hold it."""

    cluster: Standalone
    secret: str
    properties: Path

    @property
    def options(self) -> tuple[str, ...]:
        """What a job needs."""
        return ("--load-spark-defaults", "--properties-file", str(self.properties))


def settings(path: Path, secret: str) -> Path:
    """The profile with a secret, as the profile tells to write it."""
    path.touch(mode=0o600)
    path.write_text(f"{PROFILE.read_text()}\nspark.authenticate.secret {secret}\n")
    return path


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder, secret = tmp_path_factory.mktemp("secured"), secrets.token_hex(32)
    properties = settings(folder / "secure.conf", secret)
    with standalone(folder, properties) as cluster:
        yield Secured(cluster, secret, properties)


def relayed(wire: Wire) -> tuple[str, ...]:
    """Settings of a driver that executors reach by way of the wire alone."""
    port, blocks = wire.ports
    return (
        *("--conf", f"spark.driver.host={wire.outside}", "--conf", f"spark.driver.bindAddress={wire.inside}"),
        *("--conf", f"spark.driver.port={port}", "--conf", f"spark.driver.blockManager.port={blocks}"),
    )


def test_two_ranks_train_and_show_nothing(secured: Secured, tmp_path: Path) -> None:
    """Neither on the wire, nor the secret in a command line, nor a port of the driver's to all the world."""
    command_lines: set[str] = set()
    listening: set[str] = set()
    with Wire((free_port(), free_port())) as wire:
        arguments = [*small(tmp_path), f"lake={tmp_path}/{PLANTED}", "train.ranks=2"]
        command = secured.cluster.command(*arguments, options=(*secured.options, *relayed(wire)))
        with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
            running = subprocess.Popen(command, cwd="/", env=variables(), stdout=out, stderr=err)
            while running.poll() is None:
                command_lines |= {
                    " ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])
                }
                listening |= addresses(running.pid)
                time.sleep(0.3)
    assert running.returncode == 0, (tmp_path / "err").read_text()[-3000:]
    report = last_json((tmp_path / "out").read_text())
    assert (report["train"]["ranks"], report["metrics"]["test"]["accuracy"]) == (2, 1.0)
    assert wire.total > 100_000
    assert not wire.saw(PLANTED)
    assert any("CoarseGrainedExecutorBackend" in line for line in command_lines)
    assert not [line for line in command_lines if secured.secret in line]
    assert listening
    assert all(address.removeprefix("::ffff:").startswith("127.") for address in listening), listening
    secured.cluster.assert_idle()


def addresses(process: int) -> set[str]:
    """Where a process and its children listen now."""
    found = set()
    for one in (psutil.Process(process), *psutil.Process(process).children(recursive=True)):
        try:
            found |= {entry.laddr.ip for entry in one.net_connections("tcp") if entry.status == psutil.CONN_LISTEN}
        except psutil.Error:
            continue
    return found


def test_without_the_profile_the_wire_shows_it(tmp_path: Path) -> None:
    """That the test above would notice."""
    with standalone(tmp_path) as plain, Wire((free_port(), free_port())) as wire:
        arguments = [*small(tmp_path), f"lake={tmp_path}/{PLANTED}", "train.ranks=2"]
        done = plain.submit(*arguments, options=relayed(wire))
        assert done.returncode == 0, done.stderr[-3000:]
    assert wire.saw(PLANTED)


def test_the_readmes_command(tmp_path: Path) -> None:
    """On this machine alone, where Spark makes a secret itself."""
    (command,) = page("security").commands
    done = command.run(*small(tmp_path), f"lake={tmp_path}/lake")
    assert done.returncode == 0, done.stderr[-3000:]
    assert last_json(done.stdout)["train"]["ranks"] == 2


def test_strangers_are_refused(secured: Secured, tmp_path: Path) -> None:
    """Drivers with no secret and with another, which give up after a minute, and a worker with none."""
    another = settings(tmp_path / "another.conf", secrets.token_hex(32))
    options: list[tuple[str, ...]] = [(), ("--load-spark-defaults", "--properties-file", str(another))]
    running = []
    with worker(tmp_path / "stranger", secured.cluster.address) as stranger:
        for number, given in enumerate(options):
            command = secured.cluster.command(*small(tmp_path), options=given)
            with (tmp_path / f"err{number}").open("w") as err:
                running.append(subprocess.Popen(command, cwd="/", env=variables(), stdout=err, stderr=err))
        try:
            for number, process in enumerate(running):
                assert process.wait(timeout=180) == 1, (tmp_path / f"err{number}").read_text()[-3000:]
        finally:
            for process in running:
                process.terminate()
                process.wait(timeout=60)
        assert stranger.is_running()
        assert workers(secured.cluster.page) == 2, "one that is let in is there after five seconds"
    assert not (tmp_path / "lake").exists()
    assert secured.cluster.executors() == []
