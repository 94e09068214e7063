"""Configuration of every command: nested frozen dataclasses, then a YAML file, then `key.sub=value` given by hand.

A command declares what it can be told as a frozen dataclass, beside the code that uses it:

    @dataclass(frozen=True)
    class BagConfig:
        '''Write a bag of a robot driving through a generated house.'''
        bag: str = argument("File to write.")
        seed: int = setting(0, "Seed of the house.")
        camera: CameraConfig = section(CameraConfig)

    def main(argv):
        config = parse(BagConfig, argv, program="training.make_bag")

    if __name__ == "__main__":
        run_command(main)

`python -m training.make_bag OUT.bag seed=3 camera.width=320` then gives `config.seed == 3`, and `--help` lists every
key with its default and its sentence. A true-or-false key can also be set as a flag: `--dry-run` is `dry_run=true`.
Rules across fields belong into `__post_init__` of the dataclass, as a ValueError that holds both numbers.

What is set here is checked here: unknown keys name the nearest known one, values are converted to the field's type.
What the settings mean is left to the modules that declare them.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import math
import sys
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

import yaml

from training.interruption import INTERRUPTED, exceptions_at_signals, forget_interrupt, tells

Config = TypeVar("Config")
REPOSITORY = Path(__file__).resolve().parents[1]


class UserError(Exception):
    """What the user of a command can put right: one line that says what was expected, what was found and what to do."""


class ConfigurationError(UserError):
    """An unknown key, a value of the wrong type or range, or a configuration file that cannot be read."""


# ---- Declaring -------------------------------------------------------------------------------------------------------


def setting(default: Any, sentence: str, may_change: bool = False) -> Any:
    """A key with its default and the sentence `--help` shows (with the unit).

    `may_change` marks what does not influence the result, so that a run may be resumed with another value of it.
    """
    return dataclasses.field(default=default, metadata={"help": sentence, "may_change": may_change})


def argument(sentence: str) -> Any:
    """A key that must be given, without its name, in the order of declaration: `OUT.bag` sets `bag`."""
    return dataclasses.field(metadata={"help": sentence, "positional": True})


def section(config_class: type) -> Any:
    """A group of keys, declared by a dataclass of its own: `key.sub`."""
    return dataclasses.field(default_factory=config_class)


@dataclasses.dataclass(frozen=True)
class Key:
    """One settable leaf of a configuration class."""

    name: str  # dotted: "data.houses.train"
    type: Any
    default: Any  # dataclasses.MISSING where it must be given
    sentence: str
    positional: bool
    may_change: bool


def keys_of(config_class: type) -> dict[str, Key]:
    """All keys of a configuration class by their dotted names, in the order of declaration."""
    return _keys_of(config_class, None, "")


def _keys_of(config_class: type, defaults: Any, prefix: str) -> dict[str, Key]:
    hints, keys = typing.get_type_hints(config_class), {}
    for field in dataclasses.fields(config_class):
        default = getattr(defaults, field.name) if defaults is not None else _default(field)
        name = prefix + field.name
        if dataclasses.is_dataclass(hints[field.name]):
            keys |= _keys_of(hints[field.name], default, name + ".")
        else:
            about = field.metadata
            keys[name] = Key(
                name,
                hints[field.name],
                default,
                about.get("help", ""),
                about.get("positional", False),
                about.get("may_change", False),
            )
    return keys


def _default(field: dataclasses.Field) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


# ---- Reading ---------------------------------------------------------------------------------------------------------


def parse(config_class: type[Config], argv: list[str], program: str, config_folder: Path | None = None) -> Config:
    """The configuration that a command line asks for.

    config_class: frozen dataclass built from `setting`, `argument` and `section`.
    argv: arguments after the program's name: positional ones, `key=value`, `--flag`, `--help`.
    program: the command's module, for `--help`.
    config_folder: where the command takes a YAML file, the folder of those known by name; the file's name or path is
        then the first positional argument, and may be left out.
    Raises ConfigurationError. Prints the help and leaves with status 0 for `--help`.
    """
    if "--help" in argv or "-h" in argv:
        print(help_text(config_class, program, config_folder))
        raise SystemExit(0)
    keys = keys_of(config_class)
    named, positional = [], []
    for word in argv:
        (named if word.startswith("-") or "=" in word else positional).append(word)
    values: dict[str, Any] = {}
    required = [key.name for key in keys.values() if key.positional]
    if config_folder is not None and len(positional) > len(required):
        values |= read_file(config_class, find_file(positional.pop(0), config_folder))
    if len(positional) > len(required):
        surplus = positional[len(required)]
        raise ConfigurationError(f"unexpected argument '{surplus}': settings are given as key=value, see --help")
    texts = dict(zip(required, positional, strict=False)) | dict(_name_and_text(word, keys) for word in named)
    for name, text in texts.items():
        key = _known(name, keys, "command line")
        values[name] = _converted(key, _from_text(text, key.type), "command line")
    missing = [name for name in required if name not in values]
    if missing:
        raise ConfigurationError(f"missing {missing[0].upper()} ({keys[missing[0]].sentence}), see --help")
    return build(config_class, values)


def _name_and_text(word: str, keys: dict[str, Key]) -> tuple[str, str]:
    if not word.startswith("-"):
        name, text = word.split("=", 1)
        return name, text
    name = word.lstrip("-").replace("-", "_")
    if "=" in name or _known(name, keys, "command line").type is not bool:
        raise ConfigurationError(f"unexpected flag '{word}': settings are given as key=value, see --help")
    return name, "true"


def find_file(name: str, config_folder: Path) -> Path:
    """The YAML file of that path, or of that name in the folder. Raises ConfigurationError, naming those it has."""
    for path in (Path(name), config_folder / f"{name}.yaml"):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in config_folder.glob("*.yaml"))) or "none"
    raise ConfigurationError(f"no configuration '{name}': neither a file nor one of those in {config_folder} ({known})")


def read_file(config_class: type, path: Path) -> dict[str, Any]:
    """Values by dotted key of a YAML file, checked and converted. Raises ConfigurationError."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if getattr(error, "problem_mark", None) else ""
        raise ConfigurationError(f"{path}:{line} no valid YAML: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(content, (dict, type(None))):
        raise ConfigurationError(f"{path}: expected keys and values, found {_shown(content)}")
    keys = keys_of(config_class)
    entries = _flat(content or {}, keys)
    return {name: _converted(_known(name, keys, str(path)), value, str(path)) for name, value in entries}


def _flat(content: dict, keys: dict[str, Key], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        dotted = f"{prefix}{name}"
        is_section = any(known.startswith(dotted + ".") for known in keys)
        if isinstance(value, dict) and dotted not in keys:
            yield from _flat(value, keys, dotted + ".")
        elif not (is_section and value is None):
            yield dotted, value


def _known(name: str, keys: dict[str, Key], where: str) -> Key:
    if name in keys:
        return keys[name]
    inside = [known for known in keys if known.startswith(name + ".")]
    if inside:
        raise ConfigurationError(f"{where}: '{name}' is a section: set one of {', '.join(inside)}")
    nearest = difflib.get_close_matches(name, keys, n=1, cutoff=0.0)[0]
    raise ConfigurationError(f"{where}: unknown key '{name}'; the nearest is '{nearest}'")


def build(config_class: type[Config], values: dict[str, Any]) -> Config:
    """The configuration of these values by dotted key, with defaults elsewhere.

    Raises ConfigurationError where the rules of one of its classes refuse them.
    """
    return _build(config_class, None, values, "")


def _build(config_class: type[Config], defaults: Any, values: dict[str, Any], prefix: str) -> Config:
    hints, arguments = typing.get_type_hints(config_class), {}
    for field in dataclasses.fields(config_class):
        name = prefix + field.name
        default = getattr(defaults, field.name) if defaults is not None else _default(field)
        if dataclasses.is_dataclass(hints[field.name]):
            arguments[field.name] = _build(hints[field.name], default, values, name + ".")
        else:
            arguments[field.name] = values.get(name, default)
    try:
        return config_class(**arguments)
    except ValueError as error:
        raise ConfigurationError(f"{prefix.rstrip('.') or 'configuration'}: {error}") from error


# ---- Values ----------------------------------------------------------------------------------------------------------


def _from_text(text: str, hint: Any) -> Any:
    """What the command line's text stands for: itself for text keys, else YAML; lists also without their brackets."""
    kinds = _alternatives(hint)
    if any(kind is str or (typing.get_origin(kind) is Literal and isinstance(kind.__args__[0], str)) for kind in kinds):
        return None if type(None) in kinds and text == "null" else text
    if any(typing.get_origin(kind) is tuple for kind in kinds) and not text.startswith("["):
        text = f"[{text}]"
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _alternatives(hint: Any) -> tuple:
    return typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else (hint,)


def _converted(key: Key, value: Any, where: str) -> Any:
    for kind in _alternatives(key.type):
        try:
            return _as_kind(value, kind)
        except (TypeError, ValueError):
            continue
    raise ConfigurationError(f"{where}: {key.name} expects {_expected(key.type)}, found {_shown(value)}")


def _as_kind(value: Any, kind: Any) -> Any:
    """`value` as a bool, int, float, str, None, Literal[...] or tuple[X, ...]; else ValueError or TypeError."""
    if typing.get_origin(kind) is Literal:
        if value in typing.get_args(kind):
            return value
    elif typing.get_origin(kind) is tuple:
        if isinstance(value, (list, tuple)):
            return tuple(_as_kind(item, typing.get_args(kind)[0]) for item in value)
    elif kind in (int, float) and not isinstance(value, bool):
        number = float(value)  # also "5e-4", which YAML 1.1 takes for text
        if kind is float and math.isfinite(number):
            return number
        if kind is int and number.is_integer():
            return int(number) if isinstance(value, float) else int(value)
    elif kind in (bool, str, type(None)) and isinstance(value, kind):
        return value
    raise ValueError


def _expected(hint: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(str(choice) for choice in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return f"a list, each {_expected(typing.get_args(hint)[0])}"
    alternatives = _alternatives(hint)
    return names[hint] if len(alternatives) == 1 else " or ".join(_expected(kind) for kind in alternatives)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


# ---- Showing and comparing -------------------------------------------------------------------------------------------


def as_dict(config: Any) -> dict:
    """The configuration as nested plain values (lists for tuples): what YAML, JSON and checkpoints hold."""
    return _plain(dataclasses.asdict(config))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def as_yaml(config: Any) -> str:
    """The configuration as a YAML file that `parse` reads back to an equal one."""
    return yaml.safe_dump(as_dict(config), sort_keys=False)


def differing_keys(old: Any, new: Any) -> list[str]:
    """'key: old -> new' for each key of two configurations of a class that differs and may not change."""
    lines = []
    for key in keys_of(type(old)).values():
        before, after = (_at(config, key.name) for config in (old, new))
        if before != after and not key.may_change:
            lines.append(f"{key.name}: {before} -> {after}")
    return lines


def _at(config: Any, name: str) -> Any:
    for part in name.split("."):
        config = getattr(config, part)
    return config


def help_text(config_class: type, program: str, config_folder: Path | None) -> str:
    """What `--help` prints: usage, the class's docstring, every key with its default and sentence."""
    keys = keys_of(config_class).values()
    words = ["[CONFIG]"] * (config_folder is not None) + [key.name.upper() for key in keys if key.positional]
    usage = " ".join(["usage: python -m", program, *words, "[key=value ...]"])
    lines = [usage, "", inspect.cleandoc(config_class.__doc__ or ""), ""]
    if config_folder is not None:
        names = ", ".join(sorted(path.stem for path in config_folder.glob("*.yaml")))
        lines += [f"CONFIG: a YAML file, or the name of one in {config_folder}: {names}", ""]
    width = max(len(key.name) for key in keys)
    for key in keys:
        default = "(required)" if key.default is dataclasses.MISSING else f"[{_default_text(key.default)}]"
        lines.append(f"  {key.name:<{width}}  {default:<12} {key.sentence}".rstrip())
    return "\n".join(lines)


def _default_text(value: Any) -> str:
    return yaml.safe_dump(_plain(value), default_flow_style=True).removesuffix("\n...\n").strip()


# ---- Running ---------------------------------------------------------------------------------------------------------


def run_command(main: Callable[[list[str]], None]) -> None:
    """Run a command's `main(argv)`; a UserError ends it as one line on stderr, with status 2.

    So does an OSError, such as of a full disk, with the file's name and the reason. Ctrl-C ends it with status 130,
    SIGTERM with 143, both after what `main` has to put in order.
    """
    try:
        with exceptions_at_signals():
            main(sys.argv[1:])
    except UserError as error:
        print("error: " + " ".join(str(error).split("\n")), file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        if tells():
            print("interrupted", file=sys.stderr)
        forget_interrupt()
        raise SystemExit(INTERRUPTED) from None
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}" if error.filename else f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
