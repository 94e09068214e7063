"""install.sh, env.sh and test/run.sh, run in copies of the repository with a torch of a few bytes and no network."""

import fcntl
import os
import re
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SET_UP_READS = ["install.sh", "env.sh", "CMakeLists.txt", "package.xml", "setup.py"]
SET_UP_FOLDERS = ["msg", "srv", "nodes", "config", "launch", "placenet_ros"]


def write_wheel(folder: Path, name: str, version: str) -> None:
    """A wheel of an empty package."""
    info = f"{name}-{version}.dist-info"
    contents = {
        f"{name}/__init__.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*contents, f"{info}/RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in {**contents, f"{info}/RECORD": record}.items():
            wheel.writestr(path, text)


def write_program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


def copy_of_the_repository(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in SET_UP_READS:
        shutil.copy(ROOT / name, folder)
    for name in SET_UP_FOLDERS:
        shutil.copytree(ROOT / name, folder / name)
    (folder / "requirements.txt").write_text("torch>=2.0\n")
    (folder / "requirements-test.txt").write_text("")
    (folder / "requirements-training.txt").write_text("")
    write_wheel(folder.parent / "wheels", "torch", "2.5")
    return folder


def torch_folder(repository: Path) -> Path:
    (site_packages,) = (repository / ".venv" / "lib").glob("python3*/site-packages")
    return site_packages / "torch"


def install(repository: Path, programs: str = "", **variables: str) -> subprocess.CompletedProcess:
    """Runs install.sh there; programs: a folder of programs that come before the system's."""
    environment = {
        "HOME": str(repository.parent),
        "PATH": f"{programs}:/usr/bin:/bin" if programs else "/usr/bin:/bin",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(repository.parent / "wheels"),
        **variables,
    }
    return subprocess.run(
        [repository / "install.sh"], env=environment, cwd="/", capture_output=True, text=True, timeout=300, check=False
    )


def shell(command: str) -> subprocess.CompletedProcess:
    environment = {"HOME": os.environ.get("HOME", "/"), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        ["bash", "-c", command], env=environment, cwd="/", capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def programs_that_must_not_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("programs")
    for name in ["apt-get", "catkin_make", "sudo"]:
        write_program(folder / name, 'echo "$0 was run" >&2; exit 1')
    return str(folder)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_the_repository(tmp_path_factory.mktemp("set_up") / "placenet_ros")


@pytest.fixture
def repository(copy: Path) -> Path:
    """A copy that is set up, whatever the last test did to it."""
    done = install(copy)
    assert done.returncode == 0, done.stderr
    return copy


def files_and_times(repository: Path) -> dict:
    made = [path for folder in (".venv", ".ws") for path in (repository / folder).rglob("*")]
    return {path: path.lstat().st_mtime_ns for path in made if "__pycache__" not in path.parts}


def test_a_second_run_changes_nothing(repository: Path, programs_that_must_not_run: str):
    before = files_and_times(repository)
    done = install(repository, programs_that_must_not_run)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:-1] == []
    assert files_and_times(repository) == before


def test_a_changed_message_is_built(repository: Path):
    with open(repository / "msg" / "Surprise.msg", "a") as message:
        message.write("float32 of_a_test\n")
    assert install(repository).returncode == 0
    print_fields = "from placenet_ros.msg import Surprise; print(Surprise.__slots__)"
    shown = shell(f"source {repository}/env.sh && python -c '{print_fields}'")
    assert "of_a_test" in shown.stdout, shown.stderr


def test_a_damaged_venv_is_mended(repository: Path):
    shutil.rmtree(torch_folder(repository))
    done = install(repository)
    assert done.returncode == 0, done.stderr
    assert (torch_folder(repository) / "__init__.py").exists()


def test_env_sh_gives_workspace_venv_and_training_from_any_folder_even_twice(repository: Path):
    (repository / "training").mkdir()
    (repository / "training" / "__init__.py").write_text("")
    command = "import os, sys, training, placenet_ros.msg, rospy; print(sys.prefix, os.environ['PYTHONPATH'])"
    twice = f"source {repository}/env.sh && source {repository}/env.sh && python -c \"{command}\""
    shown = shell(twice)
    assert shown.returncode == 0, shown.stderr
    prefix, path = shown.stdout.split()
    assert prefix == f"{repository}/.venv"
    assert len(path.split(":")) == len(set(path.split(":")))


def test_torch_comes_from_the_index_that_is_asked_for_and_stays(repository: Path, programs_that_must_not_run: str):
    index = repository.parent / "index"
    write_wheel(index / "torch", "torch", "2.4+cpu")
    (wheel,) = (index / "torch").iterdir()
    (index / "torch" / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    torch_version = f"{repository}/.venv/bin/python -c 'import importlib.metadata as m; print(m.version(\"torch\"))'"

    with_network = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": ""}
    done = install(repository, TORCH_INDEX_URL=index.as_uri(), **with_network)
    assert done.returncode == 0, done.stderr
    assert shell(torch_version).stdout == "2.4+cpu\n"
    assert install(repository, programs_that_must_not_run).returncode == 0
    shutil.rmtree(torch_folder(repository))
    assert install(repository, **with_network).returncode == 0
    assert shell(torch_version).stdout == "2.4+cpu\n"


def test_a_repository_that_moved_is_set_up_where_it_is_now(repository: Path):
    moved = repository.rename(repository.parent / "moved")
    try:
        done = install(moved)
        assert done.returncode == 0, done.stderr
        print_places = "import sys, placenet_ros; print(sys.prefix, placenet_ros.__file__)"
        shown = shell(f"source {moved}/env.sh && python -c '{print_places}'")
        assert shown.stdout.count(str(moved)) == 2, shown.stderr
    finally:
        moved.rename(repository)


def test_a_failing_apt_is_one_line_that_says_what_and_where(tmp_path: Path):
    repository = copy_of_the_repository(tmp_path / "placenet_ros")
    programs = tmp_path / "programs"
    write_program(programs / "dpkg-query", "exit 1")
    write_program(programs / "apt-get", 'echo Reading; echo "E: Unable to locate package ros-core"; echo Bye; exit 100')
    write_program(programs / "sudo", 'exec "$@"')
    failed = install(repository, str(programs))
    assert failed.returncode == 1
    (line,) = failed.stderr.splitlines()
    assert "Python (apt)" in line and "E: Unable to locate package ros-core" in line and "apt-get update" in line
    assert not (repository / ".venv").exists()


def test_a_step_says_where_its_output_goes_and_now_and_then_what_it_does(tmp_path: Path):
    repository = copy_of_the_repository(tmp_path / "placenet_ros")
    script = (repository / "install.sh").read_text()
    assert "seconds_between_lines=20 " in script
    (repository / "install.sh").write_text(script.replace("seconds_between_lines=20 ", "seconds_between_lines=1 "))
    programs = tmp_path / "programs"
    write_program(programs / "dpkg-query", "exit 1")
    write_program(programs / "apt-get", 'echo "Get:1 of them"; sleep 4; echo "E: no network"; exit 100')
    write_program(programs / "sudo", 'exec "$@"')
    said = install(repository, str(programs)).stdout.splitlines()
    assert said[0] == f"install.sh: apt-get update ... (its output: {repository}/out/install/update.log)"
    assert re.fullmatch("install.sh: apt-get update: [1-4] s: Get:1 of them", said[1])


def test_two_at_once_take_turns_and_the_second_says_so(repository: Path, tmp_path: Path):
    output = tmp_path / "output"
    with open(repository / "install.sh") as lock, open(output, "w") as stdout:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen([repository / "install.sh"], stdout=stdout)
        deadline = time.monotonic() + 30
        while "waiting for another install.sh" not in output.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        said = output.read_text()
        assert second.poll() is None
    assert second.wait(timeout=60) == 0
    assert "waiting for another install.sh" in said


def test_neither_root_nor_sudo_is_one_line_that_names_the_packages(tmp_path: Path):
    repository = copy_of_the_repository(tmp_path / "placenet_ros")
    programs = tmp_path / "programs"
    write_program(programs / "dpkg-query", "exit 1")
    write_program(programs / "apt-get", "exit 1")
    write_program(programs / "id", "echo 1000")
    needed = "bash cat comm cut dirname env flock grep mkdir sed sleep sort tail tr"
    for name in needed.split():
        (programs / name).symlink_to(shutil.which(name))
    failed = install(repository, PATH=str(programs))
    assert failed.returncode == 1
    (line,) = failed.stderr.splitlines()
    assert "not root" in line and "python3-venv" in line


def test_a_requirement_that_is_nowhere_is_one_line_that_names_it(tmp_path: Path):
    repository = copy_of_the_repository(tmp_path / "placenet_ros")
    (repository / "requirements.txt").write_text("torch>=3.0\n")
    failed = install(repository)
    assert failed.returncode == 1
    (line,) = failed.stderr.splitlines()
    assert "Python packages" in line and "torch>=3.0" in line


def test_a_folder_with_a_space_is_refused(tmp_path: Path):
    repository = copy_of_the_repository(tmp_path / "placenet ros")
    failed = install(repository)
    assert failed.returncode == 1
    (line,) = failed.stderr.splitlines()
    assert "with a space" in line and f"move {repository}" in line


def test_env_sh_without_set_up_says_so_in_one_line(tmp_path: Path):
    shutil.copy(ROOT / "env.sh", tmp_path)
    sourced = shell(f"source {tmp_path}/env.sh")
    assert sourced.returncode != 0
    (line,) = sourced.stderr.splitlines()
    assert f"{tmp_path}/install.sh" in line


def test_every_part_of_the_tests_runs_and_one_that_fails_fails_all(tmp_path: Path):
    (tmp_path / "test" / "node").mkdir(parents=True)
    (tmp_path / "test" / "node" / "a.test").write_text("")
    shutil.copy(ROOT / "test" / "run.sh", tmp_path / "test")
    (tmp_path / "env.sh").write_text(f"PATH={tmp_path}/programs:$PATH\n")
    for name, status in {"ruff": 1, "catkin_lint": 0, "pytest": 5, "rostest": 0}.items():
        write_program(tmp_path / "programs" / name, f"echo {name} ran; exit {status}")
    done = shell(f"{tmp_path}/test/run.sh")
    assert done.returncode == 1
    summary = done.stdout.split("---- summary\n")[1].splitlines()
    assert [line.split()[0] for line in summary] == ["FAILED", "passed", "FAILED", "passed"]

    for name in ["ruff", "pytest"]:
        write_program(tmp_path / "programs" / name, "exit 0")
    assert shell(f"{tmp_path}/test/run.sh").returncode == 0


def test_tests_of_nodes_run_beside_each_other_and_one_that_fails_is_named(tmp_path: Path):
    (tmp_path / "test" / "node").mkdir(parents=True)
    for name in ["a", "b", "c"]:
        (tmp_path / "test" / "node" / f"{name}.test").write_text("")
    shutil.copy(ROOT / "test" / "run.sh", tmp_path / "test")
    (tmp_path / "env.sh").write_text(f"PATH={tmp_path}/programs:$PATH\n")
    write_program(tmp_path / "programs" / "nproc", "echo 2")
    begin = "mkdir -p begun; touch begun/$(basename $3)"
    wait_for_another = 'until [ "$(ls begun | wc -l)" -gt 1 ]; do sleep 0.05; done'
    end = "echo $3 ran; [ $3 != test/node/b.test ]"
    write_program(tmp_path / "programs" / "rostest", f"{begin}; {wait_for_another}; {end}")
    done = shell(f"timeout 60 {tmp_path}/test/run.sh rostest")
    assert done.returncode == 1
    said, summary = done.stdout.split("---- summary\n")
    assert sorted(line.split()[0] + line[-7:] for line in summary.splitlines()) == [
        "FAILED/b.test",
        "passed/a.test",
        "passed/c.test",
    ]
    assert "---- the end of out/test/parts/rostest-test-node-b.test.log\ntest/node/b.test ran\n" in said
    assert "1 of 3 parts failed" in done.stderr


def test_failed_test_of_nodes_is_shown_at_the_end_with_its_traceback_and_what_was_printed(tmp_path: Path):
    (tmp_path / "test" / "node").mkdir(parents=True)
    (tmp_path / "test" / "node" / "a.test").write_text("")
    shutil.copy(ROOT / "test" / "run.sh", tmp_path / "test")
    (tmp_path / "env.sh").write_text(f"PATH={tmp_path}/programs:$PATH\n")
    names = ["test_short", f"test_{'long_' * 20}"]
    headings = [f"[placenet_ros.rosunit-a/{name}][{kind}]" for name, kind in zip(names, ["ERROR", "FAILURE"])]
    difference = "".join(f"difference {number}\n" for number in range(100))
    said = f"{headings[0]:-<80}\nboom\n-----\n  File a.py, line 1\n{'-' * 80}\n\n"
    said += "[placenet_ros.rosunit-a/test_good][passed]\n"
    said += f"{headings[1]}\n{difference}  File a.py, line 2\n{'-' * 80}\n\n"
    said += f"[placenet_ros.rosunit-b/test_other][FAILURE]\nbang\n{'-' * 80}\n\n" + "a count\n" * 50
    (tmp_path / "said").write_text(said)
    printed = "".join(f"printed {number}\n" for number in range(100))
    for suite, text in {"a": printed, "b": "by another\n"}.items():
        (tmp_path / f"rosunit-{suite}.xml").write_text(f"<testcase/><system-out>[\n{text}]</system-out><system-err/>")
    results = f"mkdir -p $ROS_HOME/test_results/placenet_ros; cp {tmp_path}/rosunit-*.xml $_"
    write_program(tmp_path / "programs" / "rostest", f"{results}; cat {tmp_path}/said; exit 1")
    done = shell(f"{tmp_path}/test/run.sh rostest")
    assert (done.returncode, done.stderr) == (1, "1 of 1 parts failed\n")
    shown = done.stdout.split("---- the failed tests of out/test/parts/rostest-test-node-a.test.log\n")[1].splitlines()
    assert shown[:5] == said.splitlines()[:5]
    end_of_a, end_of_b = [shown.index(f"---- the end of what {suite} printed") for suite in "ab"]
    other = shown.index("[placenet_ros.rosunit-b/test_other][FAILURE]")
    assert shown[other + 1 : other + 3] == ["bang", "-" * 80] and other + 3 == end_of_a
    long = shown[5:other]
    assert long[0] == headings[1] and long[1] == "difference 0" and long[-2] == "  File a.py, line 2"
    assert len(long) == 12 + 1 + 16
    assert shown[end_of_a + 1 : end_of_b] == [f"printed {number}" for number in range(60, 100)]
    assert shown[end_of_b + 1 : -2] == ["by another"]
    assert "a count" not in shown and "[passed]" not in "".join(shown)
