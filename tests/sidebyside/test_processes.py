"""Processes of their own: what they answer, how they stand still, and how they are lost."""

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from sidebyside.measuring.processes import (
    CAN_STOP,
    MOST_SAID,
    LostProcessError,
    WorkerProcess,
)
from sidebyside.studies.mode_process import ModeProcess, ModeProcessError
from sidebyside.workloads.registry import load


def double(take, give):
    while True:
        message = take()
        if message == "abort":
            os.abort()
        if message == "sleep":
            time.sleep(60)
        if message == "read":
            message = sys.stdin.read()
        if message == "shout":
            os.write(2, b"x" * MOST_SAID)
            give(os.fstat(2).st_size)
            continue
        give((message * 2, os.environ.get("GIVEN")))


def test_a_process_answers_one_message_after_the_other():
    with WorkerProcess(double, {"GIVEN": "here"}) as process:
        process.send(21)
        assert process.receive(60) == (42, "here")
        process.send("a")
        assert process.receive(60) == ("aa", "here")


def test_a_program_reads_no_message_and_what_it_says_does_not_pile_up():
    with WorkerProcess(double) as process:
        process.send("read")
        assert process.receive(60) == ("", None)
        for size in (MOST_SAID, 2 * MOST_SAID, MOST_SAID):
            process.send("shout")
            assert process.receive(60) == size


def test_a_lost_process_says_how_it_ended():
    with WorkerProcess(double) as process:
        process.send("abort")
        with pytest.raises(LostProcessError, match="ended by SIGABRT: Fatal Python error") as lost:
            process.receive(60)
        assert not lost.value.timed_out
    with WorkerProcess(double) as process:
        process.send("sleep")
        with pytest.raises(LostProcessError, match=r"did not end within 0\.5 s") as lost:
            process.receive(0.5)
        assert lost.value.timed_out


@pytest.mark.skipif(not CAN_STOP or not Path("/proc").is_dir(), reason="needs signals and /proc")
def test_a_process_stands_still_between_requests():
    with WorkerProcess(double) as process:
        with process.running():
            process.send(1)
            process.receive(60)
        pid = process._process.pid
        deadline = time.monotonic() + 10
        while (state := Path(f"/proc/{pid}/stat").read_text().split()[2]) != "T":
            assert time.monotonic() < deadline, state
        with process.running():
            process.send(2)
            assert process.receive(60)[0] == 4


KILLED = """
import os, signal, sys
sys.path.insert(0, {folder!r})
from test_processes import WorkerProcess, double

process = WorkerProcess(double)
with process.running():
    process.send(1)
    process.receive(60)
print(process._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have no such call")
def test_a_process_that_stands_still_ends_with_the_one_that_started_it():
    program = KILLED.format(folder=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    status = Path(f"/proc/{int(done.stdout)}/stat")
    deadline = time.monotonic() + 10
    while status.exists() and status.read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_mode_runs_a_workload_in_its_process():
    with ModeProcess("dynamic") as process:
        seconds, results = process.ask("start", partial(load, "seed"), 1)
        assert seconds > 0
        np.testing.assert_allclose(results[0], [6.0])
        assert process.ask("warm_up") > 0
        assert process.ask("sample", 10) > 0
        assert process.ask("peak_bytes") > 0
        assert process.ask("planned_bytes") is None
        with pytest.raises(ModeProcessError, match="AttributeError"):
            process.ask("nothing")
    with pytest.raises(ModeProcessError, match="there is no mode 'dynamc'"):
        ModeProcess("dynamc")


def test_a_process_of_a_mode_loads_what_it_needs():
    code = (
        "import sys\nfrom sidebyside.studies import mode_process\n"
        "print([n for n in sys.modules if n.startswith(('staticgraph', 'sidebyside.report'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
