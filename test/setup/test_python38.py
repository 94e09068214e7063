"""What ROS Noetic runs, its Python 3.8 understands: the package and its nodes, not training."""

import glob
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Compiles each file; then imports each module whose libraries there are, and prints how many of each.
IMPORTS = """
import importlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
files = sorted([*root.glob("placenet_ros/**/*.py"), *root.glob("nodes/*")])
for path in files:
    compile(path.read_text(), str(path), "exec", dont_inherit=True)
sys.path.insert(0, str(root))
imported = 0
for path in root.glob("placenet_ros/**/*.py"):
    name = ".".join(path.relative_to(root).with_suffix("").parts).replace(".__init__", "")
    try:
        importlib.import_module(name)
        imported += 1
    except ModuleNotFoundError as error:
        if (error.name or "placenet_ros").startswith("placenet_ros") and error.name != "placenet_ros.msg":
            raise
print(len(files), imported)
"""


def vermin(*paths) -> subprocess.CompletedProcess:
    """The linter that knows since when Python has which syntax, function and argument."""
    command = ["vermin", "--target=3.8-", "--no-tips", "--violations", *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def python38() -> "str | None":
    """An interpreter of that version, whether or not pyenv shows it on PATH."""
    candidates = [shutil.which("python3.8"), *glob.glob(os.path.expanduser("~/.pyenv/versions/3.8.*/bin/python"))]
    for candidate in filter(None, candidates):
        told = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)
        if told.stdout.startswith("Python 3.8."):
            return candidate
    return None


def test_node_uses_nothing_that_python_has_since_3_8_only():
    found = vermin(ROOT / "placenet_ros", *sorted((ROOT / "nodes").iterdir()))
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize(
    "line", ["'ab'.removeprefix('a')", "import zoneinfo", "import math; math.lcm(4, 6)", "match 1:\n    case _: pass"]
)
def test_what_python_3_8_has_not_would_be_found(tmp_path, line):
    (tmp_path / "newer.py").write_text(line + "\n")
    found = vermin(tmp_path / "newer.py")
    assert found.returncode != 0 and "Target versions not met" in found.stdout, found.stdout + found.stderr


def test_a_python_3_8_compiles_every_file_and_imports_what_it_has_the_libraries_for():
    interpreter = python38()
    if interpreter is None:
        pytest.skip("there is no Python 3.8 here: the linter alone has looked")
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}  # nothing of .venv, which is for another
    command = [interpreter, "-c", IMPORTS, str(ROOT)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    compiled, imported = map(int, found.stdout.split())
    assert compiled > 50 and imported >= 1, found.stdout
