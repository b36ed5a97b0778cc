"""Object code on disk: found again, made anew where it is not what it should be, and bounded."""

import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import staticgraph as sg
from staticgraph.backends.native.run import cache
from staticgraph.backends.native.target import assemble

X = np.linspace(-1, 1, 7, dtype="float32")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache of its own."""
    place = tmp_path / "cache"
    monkeypatch.setenv(cache.VARIABLE, str(place))
    return place


@pytest.fixture
def built(monkeypatch):
    """The modules that LLVM compiled, one entry each."""
    texts = []

    def observed(text, target, level=2):
        texts.append(text)
        return assemble(text, target, level)

    monkeypatch.setattr(cache, "assemble", observed)
    return texts


def run(factor=2.0):
    with sg.Graph():
        x = sg.placeholder("x", X.shape)
        executable = sg.compile(sg.tanh(x) * factor, [x], backend="native")
    np.testing.assert_allclose(executable(X), np.tanh(X) * factor, rtol=1e-6)


def entries(folder):
    return sorted(folder.iterdir())


def test_the_second_time_nothing_is_compiled(folder, built):
    run()
    assert len(built) == 1
    (entry,) = entries(folder)
    assert entry.suffix == ".o"
    run()
    assert len(built) == 1
    run(3.0)
    assert len(built) == 2
    assert len(entries(folder)) == 2


def truncated(content):
    return content[: len(content) // 2]


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        truncated,
        flipped,
        lambda content: b"",
        lambda content: b"another program's file",
        lambda content: content + b"more",
        lambda content: content[:40],
        lambda content: os.urandom(len(content)),
    ],
)
def test_a_damaged_entry_is_made_anew(folder, built, damage):
    run()
    (entry,) = entries(folder)
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    run()
    assert len(built) == 2
    assert entry.read_bytes() == whole


def test_an_entry_of_another_version_is_another_entry(folder, built, monkeypatch):
    run()
    import llvmlite

    monkeypatch.setattr(llvmlite, "__version__", "0.0.1")
    run()
    assert len(built) == 2
    assert len(entries(folder)) == 2


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions as in Unix")
def test_what_others_can_write_is_not_run(folder, built):
    run()
    (entry,) = entries(folder)
    entry.chmod(0o666)
    run()
    assert len(built) == 2
    folder.chmod(0o777)
    run()
    assert len(built) == 3


@pytest.mark.parametrize("off", ["off", "OFF", "0", "no", "false"])
def test_it_is_turned_off(tmp_path, built, monkeypatch, off):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(cache.VARIABLE, off)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    run()
    run()
    assert len(built) == 2
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path, built, monkeypatch):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("no folder")
    for place in (in_the_way, in_the_way / "below", tmp_path / ("x" * 300)):
        monkeypatch.setenv(cache.VARIABLE, str(place))
        run()
    assert len(built) == 3
    assert in_the_way.read_text() == "no folder"


def test_a_full_disk_is_no_failure_and_leaves_nothing(folder, built, monkeypatch):
    def full(source, target):
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "replace", full)
    run()
    assert entries(folder) == []


def test_its_size_is_bounded_and_the_oldest_go_first(folder, built, monkeypatch):
    for factor in range(2, 6):
        run(float(factor))
    made = sorted(entries(folder), key=lambda entry: entry.stat().st_mtime_ns)
    for age, entry in enumerate(reversed(made), 1):
        os.utime(entry, (1_000_000_000 - age, 1_000_000_000 - age))
    run(2.0)  # used again: now it is the newest
    size = max(entry.stat().st_size for entry in made)
    monkeypatch.setattr(cache, "LIMIT_BYTES", 3 * size)
    run(6.0)
    left = entries(folder)
    assert sum(entry.stat().st_size for entry in left) <= 3 * size
    assert made[0] in left
    assert made[1] not in left
    count = len(built)
    run(2.0)
    run(6.0)
    assert len(built) == count


def test_what_a_process_left_half_written_is_cleared_away(folder, built):
    run()
    left = folder / "abandoned.new"
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    young = folder / "at work.new"
    young.write_bytes(b"half")
    run(3.0)
    assert not left.exists()
    assert young.exists()


PROGRAM = """
    import numpy as np, staticgraph as sg
    for n in range(6):
        with sg.Graph():
            x = sg.placeholder("x", (9,))
            run = sg.compile(sg.exp(x) * float(n + 2), [x], backend="native")
        x = np.linspace(-1, 1, 9).astype("float32")
        assert np.allclose(run(x), np.exp(x) * (n + 2))
    print("right")
"""


def test_processes_that_write_at_once_do_not_disturb_each_other(folder):
    environment = {**os.environ, cache.VARIABLE: str(folder)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROGRAM)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(4)
    ]
    for process in processes:
        output, errors = process.communicate(timeout=120)
        assert output == "right\n", errors
    assert all(entry.suffix == ".o" for entry in entries(folder))


def test_threads_that_compile_at_once(folder):
    failures = []

    def work(number):
        try:
            for factor in range(2, 6):
                run(float(factor + number % 2))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
