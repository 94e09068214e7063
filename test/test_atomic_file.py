"""A file is written whole or not at all."""

import errno
import os
import resource
import shutil
import stat
import subprocess
import sys

import pytest

from placenet_ros import atomic_file
from placenet_ros.atomic_file import whole_file, write_whole


def test_a_file_takes_the_place_of_the_older_one(tmp_path):
    path = tmp_path / "file"
    for data in (b"first", b"second"):
        write_whole(path, data)
        assert path.read_bytes() == data and os.listdir(tmp_path) == ["file"]


def test_the_older_file_is_there_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with whole_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_what_fails_while_it_writes_leaves_the_older_file_and_nothing_else(tmp_path, failure):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(failure), whole_file(path) as file:
        file.write(b"new")
        raise failure
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_a_full_disk_leaves_the_older_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # bytes of a file: the kernel refuses more
    try:
        with pytest.raises(OSError) as error:
            write_whole(path, bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.errno == errno.EFBIG
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_an_error_is_told_although_the_unfinished_file_is_gone_with_its_folder(tmp_path):
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    with pytest.raises(ValueError, match="what went wrong"), whole_file(path):
        shutil.rmtree(path.parent)
        raise ValueError("what went wrong")


WRITER = """
import sys, time
from pathlib import Path
from placenet_ros.atomic_file import whole_file
with whole_file(Path(sys.argv[1])) as file:
    file.write(b"half")
    print("writing", flush=True)
    time.sleep(600)
"""


def test_what_killed_processes_left_of_a_file_is_gone_with_its_next_writing(tmp_path):
    path, unfinished = tmp_path / "file [1]", set()
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout.readline() == b"writing\n"
            left, = set(os.listdir(tmp_path)) - unfinished
            writer.kill()
        unfinished = {left}  # the second writer removes what the first one left
    write_whole(path, b"new")
    assert os.listdir(tmp_path) == ["file [1]"] and path.read_bytes() == b"new"


def test_what_a_running_process_writes_and_other_files_stay(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    others = {f"file.{os.getppid()}.part", f"file.bak.{ended.pid}.part", f"other.{ended.pid}.part", "file.part"}
    for name in others:
        (tmp_path / name).write_bytes(b"half")
    write_whole(tmp_path / "file", b"new")
    assert set(os.listdir(tmp_path)) == others | {"file"}


def test_file_and_folder_are_on_the_disk_in_the_order_that_a_loss_of_power_needs(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace

    def noting_fsync(descriptor):
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    monkeypatch.setattr(atomic_file.os, "fsync", noting_fsync)
    monkeypatch.setattr(atomic_file.os, "replace", lambda *paths: done.append("name") or replace(*paths))
    write_whole(tmp_path / "file", b"data")
    assert done == ["file", "name", "folder"]
