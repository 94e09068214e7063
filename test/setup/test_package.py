"""The catkin package in a workspace of one's own: built and installed by plain catkin_make, without install.sh."""

import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from catkin_pkg.changelog import get_changelog_from_path

ROOT = Path(__file__).parents[2]
FOLDERS_FOR_USERS = ["config", "launch", "rviz", "weights"]


def shell(command: str, cwd: Path) -> subprocess.CompletedProcess:
    """Runs it with the system's Python and ROS, and nothing of .venv or .ws."""
    noetic = "if [ -f /opt/ros/noetic/setup.bash ]; then source /opt/ros/noetic/setup.bash; fi; "
    environment = {"HOME": str(cwd), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        ["bash", "-c", noetic + command], env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The install space of a workspace that holds the package."""
    workspace = tmp_path_factory.mktemp("workspace")
    (workspace / "src").mkdir()
    (workspace / "src" / "placenet_ros").symlink_to(ROOT)
    built = shell("catkin_make install", workspace)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    return workspace / "install"


def files_below(folder: Path) -> set:
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path for path in files if "__pycache__" not in path.parts}


def test_everything_a_user_needs_is_installed(installed: Path):
    share = installed / "share" / "placenet_ros"
    for name in FOLDERS_FOR_USERS:
        expected = files_below(ROOT / name)
        assert expected, name
        assert files_below(share / name) == expected
    assert {path.name for path in (ROOT / "nodes").iterdir()} <= {
        path.name for path in (installed / "lib" / "placenet_ros").iterdir()
    }
    (packages,) = (installed / "lib").glob("python3*/dist-packages")
    modules = {path for path in files_below(ROOT / "placenet_ros") if path.suffix == ".py"}
    assert modules <= files_below(packages / "placenet_ros")


def test_every_message_and_service_is_there(installed: Path):
    names = [f"placenet_ros.{path.parent.name}.{path.stem}" for path in ROOT.glob("[ms][sr][gv]/*")]
    assert names
    lines = "; ".join(f"from {name.rsplit('.', 1)[0]} import {name.rsplit('.', 1)[1]}" for name in names)
    done = shell(f"source {installed}/setup.bash && python3 -c '{lines}'", installed)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("launch", sorted((ROOT / "launch").glob("*.launch")), ids=lambda path: path.name)
def test_launch_files_are_found_there_and_explain_their_arguments(installed: Path, launch: Path):
    done = shell(f"source {installed}/setup.bash && roslaunch --ros-args placenet_ros {launch.name}", installed)
    assert done.returncode == 0, done.stderr
    assert "undocumented" not in done.stdout


def test_package_and_changelog_agree_on_the_version():
    version = ElementTree.parse(ROOT / "package.xml").findtext("version")
    newest = next(iter(get_changelog_from_path(str(ROOT / "CHANGELOG.rst")).foreach_version()))[0]
    assert version == newest
