"""Object code on disk: found again, made anew where it is not what it should be, and bounded."""

import hashlib
import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import staticgraph as sg
from oplibrary.core.op import Kind, Op
from oplibrary.machine import cache
from oplibrary.machine.target import assemble
from staticgraph.backends.native.planning import planning
from staticgraph.backends.native.run import fingerprint

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


def entries(folder, suffix=""):
    return sorted(path for path in folder.iterdir() if path.name.endswith(suffix))


@pytest.fixture
def planned(monkeypatch):
    """The programs that were planned."""
    programs = []
    make_plan = planning.make_plan

    def observed(program):
        programs.append(program)
        return make_plan(program)

    monkeypatch.setattr(planning, "make_plan", observed)
    return programs


def test_the_second_time_nothing_is_planned_or_compiled(folder, built, planned):
    run()
    assert len(built) == len(planned) == 1
    assert [entry.suffix for entry in entries(folder)] in ([".o", ".image"], [".image", ".o"])
    run()
    assert len(built) == len(planned) == 1
    run(3.0)
    assert len(built) == len(planned) == 2
    assert len(entries(folder)) == 4


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
def test_a_damaged_entry_is_made_anew(folder, built, planned, damage):
    run()
    for suffix in (".o", ".image"):
        (entry,) = entries(folder, suffix)
        whole = entry.read_bytes()
        entry.write_bytes(damage(whole))
        run()
        assert len(built) == 2  # the object code that an image does not lead to is found by its IR
        assert entry.read_bytes() == whole
    assert len(planned) == 3


def test_an_entry_of_another_version_is_another_entry(folder, built, monkeypatch):
    run()
    import llvmlite

    monkeypatch.setattr(llvmlite, "__version__", "0.0.1")
    (image,) = entries(folder, ".image")
    image.unlink()
    run()
    assert len(built) == 2
    assert len(entries(folder, ".o")) == 2


@pytest.mark.parametrize("changed", ["_library_hash", "version", "host_target", "thread_count"])
def test_an_image_of_other_surroundings_is_not_used(folder, planned, monkeypatch, changed):
    run()
    fingerprint._surroundings.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, changed, lambda *arguments: "other")
        run()
    fingerprint._surroundings.cache_clear()
    assert len(planned) == 2
    assert len(entries(folder, ".image")) == 2
    run()
    assert len(planned) == 2


def compiled(build, backend="native"):
    """Compile on a graph of its own what `build` returns: outputs and inputs."""
    with sg.Graph():
        outputs, inputs = build()
        return sg.compile(outputs, inputs, backend=backend)


def two_outputs():
    x = sg.placeholder("x", X.shape)
    return [x + 1.0, x * 2.0], [x]


def other_order():
    x = sg.placeholder("x", X.shape)
    return [x * 2.0, x + 1.0], [x]


def other_dtype():
    x = sg.placeholder("x", X.shape, "float64")
    return [x + 1.0, x * 2.0], [x]


def other_shape():
    x = sg.placeholder("x", (8,))
    return [x + 1.0, x * 2.0], [x]


def integers_for_floats():
    x = sg.placeholder("x", X.shape)
    return [sg.clip(x, 0, 1), x], [x]


def floats_for_integers():
    x = sg.placeholder("x", X.shape)
    return [sg.clip(x, 0.0, -0.0), x], [x]


def a_loop():
    x = sg.placeholder("x", X.shape)
    return sg.fori_loop(0, 3, lambda i, y: y * 1.5, x), [x]


def a_longer_loop():
    x = sg.placeholder("x", X.shape)
    return sg.fori_loop(0, 4, lambda i, y: y * 1.5, x), [x]


def another_body():
    x = sg.placeholder("x", X.shape)
    return sg.fori_loop(0, 3, lambda i, y: y + 1.5, x), [x]


def a_constant():
    x = sg.placeholder("x", X.shape)
    return x * sg.constant(np.arange(7, dtype="float32")), [x]


def another_constant():
    x = sg.placeholder("x", X.shape)
    return x * sg.constant(np.arange(1, 8, dtype="float32")), [x]


PROGRAMS = (
    two_outputs,
    other_order,
    other_dtype,
    other_shape,
    integers_for_floats,
    floats_for_integers,
    a_loop,
    a_longer_loop,
    another_body,
    a_constant,
    another_constant,
)


def test_programs_that_differ_are_told_apart(folder, built):
    for count in (len(PROGRAMS), 0):
        built.clear()
        for build in PROGRAMS:
            executable, oracle = compiled(build), compiled(build, "interpret")
            (given,) = executable.inputs
            x = np.linspace(-2, 2, given.type.size).astype(given.type.dtype)
            for found, wanted in zip(flatten(executable(x)), flatten(oracle(x)), strict=True):
                np.testing.assert_array_equal(found, wanted)
        assert len(entries(folder, ".image")) == len(PROGRAMS)
        assert bool(built) == bool(count)


def flatten(outputs):
    return outputs if isinstance(outputs, list) else [outputs]


def test_what_is_found_is_as_good_as_new(folder):
    new, found = compiled(a_longer_loop), compiled(a_longer_loop)
    assert str(found.program) == str(new.program)
    assert found.plan.table() == new.plan.table()
    assert found.source == new.source != ""
    assert "left to NumPy" not in found.report()
    np.testing.assert_array_equal(found(X), new(X))
    assert type(found.call) is type(new.call)  # made of machine code


def test_an_error_is_explained_by_what_was_found(folder):
    def rows():
        x, i = sg.placeholder("x", (3, 2)), sg.placeholder("i", (2,), "int64")
        return sg.take(x, i, axis=0), [x, i]

    for _ in range(2):
        run = compiled(rows)
        with pytest.raises(IndexError, match="take"):
            run(np.zeros((3, 2), "float32"), np.array([0, 3]))


def test_variables_are_the_programs_own(folder):
    for start in (1.0, 5.0):
        with sg.Graph():
            x = sg.placeholder("x", ())
            total = sg.variable(np.float32(start), name="total")
            step = sg.assign(total, total + x)
            run = sg.compile(step, [x], backend="native")
        assert run(2.0) == start + 2
        assert run(2.0) == start + 4
    assert len(entries(folder, ".image")) == 1


def test_a_large_constant_is_not_written_out(folder):
    table = np.arange(1 << 20, dtype="float32")
    for _ in range(2):
        with sg.Graph():
            x = sg.placeholder("x", (1,))
            run = sg.compile(x + sg.constant(table), [x], backend="native")
        np.testing.assert_array_equal(run(np.ones(1, "float32")), table + 1)
    assert sum(entry.stat().st_size for entry in entries(folder)) < 1 << 16


def test_a_program_with_an_op_of_the_users_is_not_kept(folder, built):
    def apply(factor):
        twice = Op(
            name="twice",
            kind=Kind.ELEMENTWISE,
            arity=1,
            kernel=lambda x: x * factor,
            infer=lambda x: x,
            expr=f"{{0}} * {factor}",
        )
        with sg.Graph():
            x = sg.placeholder("x", X.shape)
            run = sg.compile(twice(x), [x], backend="native")
        np.testing.assert_array_equal(run(X), X * np.float32(factor))

    apply(2)
    apply(3)
    assert entries(folder, ".image") == []


def test_a_build_may_be_cold(folder, built):
    run()
    with cache.bypassed():
        run()
    assert len(built) == 2
    run()
    assert len(built) == 2


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions as in Unix")
def test_what_others_can_write_is_not_run(folder, built):
    run()
    for entry in entries(folder):
        entry.chmod(0o666)
    run()
    assert len(built) == 2
    (image,) = entries(folder, ".image")
    image.chmod(0o666)
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
    assert set(made[:2]) <= set(left)
    assert made[2] not in left
    count = len(built)
    run(2.0)
    run(6.0)
    assert len(built) == count


def test_entries_are_looked_through_as_bytes_are_written_not_with_each():
    looked = [cache._is_due(hashlib.sha256(b"%d" % n).hexdigest(), 8192) for n in range(20_000)]
    every = cache.LIMIT_BYTES / cache.TRIMS / 8192
    assert 0.5 < sum(looked) * every / len(looked) < 2
    assert cache._is_due("f" * 64, cache.LIMIT_BYTES // cache.TRIMS)


def test_what_a_process_left_half_written_is_cleared_away(folder, built, monkeypatch):
    monkeypatch.setattr(cache, "_is_due", lambda name, nbytes: True)
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
    assert all(entry.suffix in (".o", ".image") for entry in entries(folder))


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


# files that are not what their names say ----------------------------------------------------------


def swapped(first, second):
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


@pytest.mark.parametrize("suffixes", [(".o",), (".image",), (".o", ".image")])
def test_two_entries_that_changed_places_are_made_anew(folder, built, planned, suffixes):
    run(2.0)
    names = {path.name for path in entries(folder)}
    run(3.0)
    for suffix in suffixes:
        swapped(*entries(folder, suffix))
    whole = len(planned)
    for factor in (2.0, 3.0, 2.0):  # which compare the numbers
        run(factor)
    assert len(planned) == whole + 2
    assert len(entries(folder)) == 4 and names < {path.name for path in entries(folder)}


def test_an_entry_under_the_name_of_another_is_not_taken(folder):
    first, second = (digit * 64 + ".o" for digit in "12")
    cache.write_entry(first, b"code")
    assert cache.read_entry(first) == b"code"
    (folder / second).write_bytes((folder / first).read_bytes())
    (folder / second).chmod(0o600)
    assert cache.read_entry(second) is None


def as_link(path, content):
    elsewhere = path.parent / "elsewhere"
    elsewhere.write_bytes(content)
    elsewhere.chmod(0o600)
    path.symlink_to(elsewhere)


def as_endless_link(path, content):
    path.symlink_to(path)


def as_device(path, content):
    path.symlink_to("/dev/zero")


def as_pipe(path, content):
    os.mkfifo(path)


def as_folder(path, content):
    path.mkdir()


def as_full_folder(path, content):
    path.mkdir()
    (path / "kept").write_bytes(content)


def as_socket(path, content):
    import socket

    before = os.getcwd()
    os.chdir(path.parent)  # the whole path may be longer than that of a socket
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def as_huge_file(path, content):
    with path.open("wb") as file:
        file.truncate(1 << 40)


def as_writable_by_all(path, content):
    path.write_bytes(content)
    path.chmod(0o666)


@pytest.mark.skipif(os.name != "posix", reason="files of other kinds are made as POSIX has them")
@pytest.mark.parametrize("suffix", [".o", ".image"])
@pytest.mark.parametrize(
    "place",
    [
        as_link,
        as_endless_link,
        as_device,
        as_pipe,
        as_folder,
        as_full_folder,
        as_socket,
        as_huge_file,
        as_writable_by_all,
    ],
)
def test_what_is_no_file_of_ours_is_neither_followed_nor_waited_for(folder, place, suffix, built):
    run()
    (entry,) = entries(folder, suffix)
    whole = entry.read_bytes()
    other = "" if suffix == ".image" else next(iter(entries(folder, ".image")))
    if other:
        other.unlink()  # or the image would lead past the object code
    entry.unlink()
    place(entry, whole)
    assert cache.read_entry(entry.name) is None
    run()
    if place is as_full_folder:  # nobody's files are removed: there is no entry then
        assert (entry / "kept").read_bytes() == whole
    else:
        assert entry.is_file() and not entry.is_symlink() and entry.read_bytes() == whole
    if place is as_link:
        assert (folder / "elsewhere").read_bytes() == whole


@pytest.mark.skipif(os.name != "posix", reason="files of other kinds are made as POSIX has them")
def test_a_cache_that_is_no_folder_is_done_without(tmp_path, monkeypatch):
    for name, make in (("file", as_writable_by_all), ("pipe", as_pipe), ("loop", as_endless_link)):
        make(tmp_path / name, b"")
        monkeypatch.setenv(cache.VARIABLE, str(tmp_path / name))
        run()
