"""Configuration: what users write is what commands get, and what they mistype is named."""

import dataclasses
import subprocess
import sys
from typing import Literal, Optional

import pytest
import yaml

from training.configuration import (
    ConfigurationError,
    argument,
    as_dict,
    as_yaml,
    differing_keys,
    find_file,
    help_text,
    keys_of,
    parse,
    read_file,
    run_command,
    section,
    setting,
)


@dataclasses.dataclass(frozen=True)
class Wheels:
    radius: float = setting(0.1, "Radius of a wheel, metres.")
    spokes: int = setting(6, "Spokes of a wheel.")

    def __post_init__(self) -> None:
        if self.radius < 0.01 * self.spokes:
            raise ValueError(f"radius {self.radius} is too small for {self.spokes} spokes")


@dataclasses.dataclass(frozen=True)
class Robot:
    """Build a robot."""

    name: str = argument("What it is called.")
    speed: Optional[float] = setting(None, "Greatest speed, m/s; null for none.")  # noqa: UP045 (Noetic's Python)
    sensors: tuple[str, ...] = setting(("rgb", "depth"), "Sensors it carries.")
    gears: tuple[int, ...] = setting((1, 2), "Gears it has.")
    drive: Literal["differential", "omni"] = setting("differential", "How it moves.")
    verbose: bool = setting(False, "Say more.", may_change=True)
    wheels: Wheels = section(Wheels)


def parsed(*words, folder=None):
    return parse(Robot, list(words), program="build", config_folder=folder)


def test_the_command_line_wins_over_the_file_and_the_file_over_the_defaults(tmp_path):
    (tmp_path / "fast.yaml").write_text("speed: 2\nwheels:\n  radius: 5e-1\n  spokes: 12\n")
    robot = parsed(
        "fast", "Ada", "wheels.spokes=8", "--verbose", "gears=3,4", "drive=omni", "sensors=[rgb]", folder=tmp_path
    )
    assert robot == Robot("Ada", 2.0, ("rgb",), (3, 4), "omni", True, Wheels(0.5, 8))
    assert isinstance(robot.speed, float)


def test_a_written_configuration_reads_back_equal(tmp_path):
    robot = parsed("Ada", "speed=1e-3", "wheels.radius=0.30000000000000004", "gears=[]")
    (tmp_path / "robot.yaml").write_text(as_yaml(robot))
    assert parsed(str(tmp_path / "robot.yaml"), "ignored", f"name={robot.name}", folder=tmp_path) == robot
    assert yaml.safe_load(as_yaml(robot)) == as_dict(robot)


@pytest.mark.parametrize(
    "words, parts",
    [
        (["Ada", "wheels.radios=1"], ["unknown key 'wheels.radios'", "'wheels.radius'"]),
        (["Ada", "sped=1"], ["unknown key 'sped'", "'speed'"]),
        (["Ada", "--verbos"], ["unknown key 'verbos'", "'verbose'"]),
        (["Ada", "wheels=3"], ["'wheels' is a section", "wheels.radius, wheels.spokes"]),
        (["Ada", "wheels.spokes=2.5"], ["wheels.spokes expects a whole number, found 2.5"]),
        (["Ada", "wheels.spokes=true"], ["wheels.spokes expects a whole number, found True"]),
        (["Ada", "speed=fast"], ["speed expects a number or null, found 'fast'"]),
        (["Ada", "speed=nan"], ["speed expects a number or null, found 'nan'"]),
        (["Ada", "gears=1,two"], ["gears expects a list, each a whole number, found [1, 'two']"]),
        (["Ada", "verbose=perhaps"], ["verbose expects true or false, found 'perhaps'"]),
        (["Ada", "drive=legs"], ["drive expects one of differential, omni, found 'legs'"]),
        (["Ada", "wheels.spokes=40"], ["wheels: radius 0.1 is too small for 40 spokes"]),
        ([], ["missing NAME"]),
        (["Ada", "Bob"], ["unexpected argument 'Bob'"]),
        (["Ada", "--speed"], ["unexpected flag '--speed'"]),
    ],
)
def test_a_mistake_is_one_line_that_names_it(words, parts):
    with pytest.raises(ConfigurationError) as error:
        parsed(*words)
    assert "\n" not in str(error.value)
    assert all(part in str(error.value) for part in parts), str(error.value)


@pytest.mark.parametrize(
    "content, part",
    [
        ("wheels:\n  spoke: 3\n", "unknown key 'wheels.spoke'; the nearest is 'wheels.spokes'"),
        ("speed: [1\n", "no valid YAML"),
        ("speed: {a: 1}\n", "speed expects a number or null, found {'a': 1}"),
        ("wheels: 3\n", "'wheels' is a section"),
        ("just text\n", "expected keys and values, found 'just text'"),
        ("speed: !!python/object/apply:os.getcwd []\n", "no valid YAML"),
    ],
)
def test_a_mistake_in_a_file_names_the_file(tmp_path, content, part):
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(ConfigurationError) as error:
        read_file(Robot, path)
    assert str(error.value).startswith(f"{path}:") and part in str(error.value), str(error.value)


def test_a_missing_file_names_those_there_are(tmp_path):
    (tmp_path / "fast.yaml").write_text("")
    with pytest.raises(ConfigurationError, match=r"no configuration 'fats'.*\(fast\)"):
        find_file("fats", tmp_path)


def test_help_lists_every_key_with_its_default_and_sentence():
    lines = help_text(Robot, "build", None).splitlines()
    for key in keys_of(Robot).values():
        (line,) = [line for line in lines if line.split()[:1] == [key.name]]
        assert key.sentence in line
    assert any("wheels.radius" in line and "[0.1]" in line for line in lines)


def test_differing_keys_leave_out_what_may_change():
    old, new = parsed("Ada"), parsed("Ada", "verbose=true", "wheels.spokes=3", "speed=1")
    assert differing_keys(old, new) == ["speed: None -> 1.0", "wheels.spokes: 6 -> 3"]


def test_a_users_error_ends_a_command_as_one_line_with_status_2():
    program = (
        "from training.configuration import *\ndef main(argv): raise UserError('no such house')\nrun_command(main)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", "error: no such house\n")


def test_a_file_that_cannot_be_written_ends_a_command_as_one_line_with_status_2():
    program = (
        "from training.configuration import *\n"
        "def main(argv): raise OSError(28, 'No space left on device', 'runs/one')\n"
        "run_command(main)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", "error: runs/one: No space left on device\n")


def test_ctrl_c_ends_a_command_in_one_line(capsys):
    def interrupted(argv):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run_command(interrupted)
    assert ended.value.code == 130 and capsys.readouterr().err == "interrupted\n"
