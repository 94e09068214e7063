"""The authors' House `.pt` files, read without running anything that is in them.

Such a file is `torch.save` of a named tuple `Scene(image_r, image_d, image_o, poses)`: a pickle, bare (the legacy form)
or in a zip. Pickles name functions and have them called, so Python's own reader would run whatever a file asks for.
Here names are never looked up: the few that such files hold (`ADMITTED`) are answered with a plain marker, the three
operations that would call something are replaced by functions of this file that know those markers alone, and all
else is refused with its name. Arrays are rebuilt from their shape, type and bytes once these have been checked.

What the images and poses mean is left to `training.conversion.published`.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import struct
import zipfile
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import numpy as np

LARGEST_FILE = 64 * 2**20  # bytes; 900 images of 64 x 64 pixels take 1.5 MB, without any compression 11 MB
MOST_FRAMES = 10_000  # the authors' have 300
MOST_OPERATIONS = 500_000  # of a pickle; an image takes 8. Bounds memory: some make 64 bytes of one
LONG_TEXT = 64  # bytes; above, a text is an image or an array's numbers, not a name
MOST_MEMBERS = 64  # of a zip; torch.save writes six and one for each tensor
TORCH_MAGIC, TORCH_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # what the legacy form begins with
POSE_SIZE = 5  # x, y, z, yaw, pitch


class _Latin1:
    """Bytes as protocol 2 writes them: as text, a character for each, in UTF-8. Undone for what is used only."""

    def __init__(self, utf8: bytes) -> None:
        self._utf8 = utf8

    def __bytes__(self) -> bytes:
        try:
            return self._utf8.decode("utf-8").encode("latin1")
        except UnicodeError as error:
            raise RefusedFile("damaged: text that stands for no bytes") from error


class Images(Sequence):
    """Encoded images of a file; each is taken out of the pickle's text when it is asked for."""

    def __init__(self, images: list[bytes | _Latin1]) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> bytes:
        return bytes(self._images[index])


class RefusedFile(ValueError):
    """The file is damaged, too large or holds what no House file holds; one line that names it."""


class Scene(NamedTuple):
    """What one `.pt` file holds: encoded images (JPEG or PNG), and poses as they stand in the file."""

    image_r: Images
    image_d: Images
    image_o: Images
    poses: np.ndarray  # f 5 float64


class _Admitted(Enum):
    SCENE = "Scene"
    ENCODE = "_codecs.encode"
    BYTES = "bytes"
    RECONSTRUCT = "numpy _reconstruct"
    NDARRAY = "numpy.ndarray"
    DTYPE = "numpy.dtype"
    SCALAR = "numpy scalar"
    FROM_BUFFER = "numpy _frombuffer"


ADMITTED = {
    ("data_loader", "Scene"): _Admitted.SCENE,
    ("__main__", "Scene"): _Admitted.SCENE,
    ("_codecs", "encode"): _Admitted.ENCODE,
    ("__builtin__", "bytes"): _Admitted.BYTES,
    ("builtins", "bytes"): _Admitted.BYTES,
    ("numpy", "ndarray"): _Admitted.NDARRAY,
    ("numpy", "dtype"): _Admitted.DTYPE,
} | {
    (f"numpy.{core}.{module}", name): marker  # numpy 1 and numpy 2
    for core in ("core", "_core")
    for module, name, marker in (
        ("multiarray", "_reconstruct", _Admitted.RECONSTRUCT),
        ("multiarray", "scalar", _Admitted.SCALAR),
        ("numeric", "_frombuffer", _Admitted.FROM_BUFFER),
    )
}
# Operations that only put plain values together; GLOBAL, STACK_GLOBAL and BINPERSID ask find_class and
# persistent_load, which look nothing up.
PLAIN_OPERATIONS = frozenset(
    "PROTO STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT "
    "SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 "
    "EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 "
    "BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET GLOBAL STACK_GLOBAL BINPERSID".split()
)


# ---- Arrays, as they stand in a pickle -------------------------------------------------------------------------------


class _DtypeRecord:
    """A number type by its text, such as "f4"; "<f4" once the pickle has told the byte order."""

    def __init__(self, text: str) -> None:
        self.text, self.order = text, "|"

    def numpy_type(self) -> np.dtype:
        if not re.fullmatch("f[248]|[iu][1248]", self.text):
            raise RefusedFile(f"refused: a numpy array of type {_shown(self.text)}; poses are numbers")
        return np.dtype(self.order.replace("|", "<") + self.text)


class _ArrayRecord:
    """Shape, type and bytes of an array, unchecked."""

    shape: tuple = ()
    dtype: _DtypeRecord
    fortran: bool = False
    data: bytes | bytearray | _Latin1 | None = None

    def array(self) -> np.ndarray:
        """The array; RefusedFile where shape, type and bytes do not fit together."""
        if not isinstance(self.data, (bytes, bytearray, _Latin1)):
            raise RefusedFile("damaged: a numpy array without its numbers")
        data = bytes(self.data)
        dtype = self.dtype.numpy_type()
        shape_fits = isinstance(self.shape, tuple) and all(type(n) is int and n >= 0 for n in self.shape)
        if not shape_fits or math.prod(self.shape) * dtype.itemsize != len(data):
            raise RefusedFile(f"damaged: a numpy array of shape {_shown(self.shape)} with {len(data)} bytes")
        return np.frombuffer(data, dtype).reshape(self.shape, order="F" if self.fortran else "C")


# ---- The unpickler ---------------------------------------------------------------------------------------------------


class _SceneUnpickler(pickle._Unpickler):
    """Python's unpickler without anything that resolves a name or calls what a file names.

    The one written in Python, since the compiled one allocates as much memory as a file claims to have memoised.
    """

    dispatch = {}

    def load(self) -> object:
        """The object of the next pickle of the file.

        As in Python's own, without the reading ahead, and counting the operations.
        """
        self.read, self.readline = self._file_read, self._file_readline
        self.stack, self.metastack, self.proto = [], [], 0
        self.append = self.stack.append
        read, dispatch = self.read, self.dispatch
        try:
            for _ in range(MOST_OPERATIONS):
                dispatch[read(1)[0]](self)
        except pickle._Stop as stop:
            return stop.value
        raise RefusedFile(f"refused: a pickle of over {MOST_OPERATIONS} operations; 900 images take 7000")

    def find_class(self, module: str, name: str) -> _Admitted:
        """The marker of an admitted name. Nothing is imported."""
        if (module, name) not in ADMITTED:
            raise RefusedFile(f"refused: {_shown(module, '')}.{_shown(name, '')}")
        return ADMITTED[module, name]

    def persistent_load(self, identity: object) -> None:
        """Torch's tensors are persistent ids; House files have none."""
        kind = identity[1] if isinstance(identity, tuple) and len(identity) > 1 else identity
        raise RefusedFile(f"refused: a torch tensor or other persistent id ({_shown(kind)}); poses are a numpy array")

    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Admitted) or not isinstance(arguments, tuple):
            raise RefusedFile(f"refused: a call of {_shown(type(function).__name__, '')}")
        self.append(self._called(function, arguments))

    def _called(self, function: _Admitted, arguments: tuple) -> object:
        match function, arguments:
            case _Admitted.ENCODE, (_Latin1() as text, "latin1"):
                return text
            case _Admitted.ENCODE, (str() as text, "latin1"):
                return text.encode("latin1")
            case _Admitted.BYTES, ():
                return b""
            case _Admitted.DTYPE, (str() as text, *_):
                return _DtypeRecord(text)
            case _Admitted.RECONSTRUCT, (_Admitted.NDARRAY, *_):
                return _ArrayRecord()
            case _Admitted.FROM_BUFFER, (bytes() | bytearray() as data, _DtypeRecord() as dtype, tuple() as shape, _):
                return _array_record(shape, dtype, arguments[3] == "F", data)
            case _Admitted.SCALAR, (_DtypeRecord() as dtype, bytes() | _Latin1() as data):
                return _array_record((), dtype, False, data)
        raise RefusedFile(f"refused: {function.value} with arguments that no House file has")

    def _text(self) -> None:
        """BINUNICODE: names as text, what is longer as it stands."""
        utf8 = self._sized(4)
        self.append(utf8.decode("utf-8") if len(utf8) <= LONG_TEXT else _Latin1(utf8))

    def _bytearray(self) -> None:
        """BYTEARRAY8, without making room for as many bytes as the file claims."""
        self.append(bytearray(self._sized(8)))

    def _sized(self, digits: int) -> bytes:
        """Bytes with their number before them."""
        size = int.from_bytes(self.read(digits), "little")
        content = self.read(min(size, LARGEST_FILE))
        if len(content) < size:
            raise EOFError("it ends within a text")
        return content

    def _frame(self) -> None:
        """FRAME tells how many bytes to read at once; they are in memory already."""
        self.read(8)

    def _new_object(self) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        if kind is not _Admitted.SCENE or not isinstance(arguments, tuple) or len(arguments) != len(Scene._fields):
            raise RefusedFile("refused: an object that is no Scene(image_r, image_d, image_o, poses)")
        self.append(Scene(*arguments))

    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        match target, state:
            case _DtypeRecord(), (int(), "<" | ">" | "|" as order, None, None, None, int(), int(), int()):
                target.order = order
            case _ArrayRecord(), (int(), tuple() as shape, _DtypeRecord() as dtype, bool() as fortran, data):
                target.shape, target.dtype, target.fortran, target.data = shape, dtype, fortran, data
            case _:
                raise RefusedFile(f"refused: a state for {_shown(type(target).__name__, '')}")

    def _refuse_operation(self, name: str) -> None:
        raise RefusedFile(f"refused: pickle operation {name}, which no House file has")


def _allow(unpickler: type[_SceneUnpickler]) -> None:
    """Fill the table of operations: the plain ones, ours, and the refusal of all others."""
    ours = {
        "REDUCE": unpickler._reduce,
        "NEWOBJ": unpickler._new_object,
        "BUILD": unpickler._build,
        "BINUNICODE": unpickler._text,
        "BYTEARRAY8": unpickler._bytearray,
        "FRAME": unpickler._frame,
    }
    for operation in pickletools.opcodes:
        code, name = ord(operation.code), operation.name
        if name in PLAIN_OPERATIONS:
            unpickler.dispatch[code] = pickle._Unpickler.dispatch[code]
        else:
            unpickler.dispatch[code] = ours.get(name, lambda reader, name=name: reader._refuse_operation(name))


_allow(_SceneUnpickler)


def _array_record(shape: tuple, dtype: _DtypeRecord, fortran: bool, data: bytes | bytearray | _Latin1) -> _ArrayRecord:
    record = _ArrayRecord()
    record.shape, record.dtype, record.fortran, record.data = shape, dtype, fortran, data
    return record


def _shown(value: object, quote: str = "'") -> str:
    """A short, printable form of what a file holds."""
    text = value if isinstance(value, str) else value.value if isinstance(value, _Admitted) else type(value).__name__
    if isinstance(value, tuple) and all(type(item) is int for item in value):
        text = str(value)
    printable = "".join(letter if letter.isprintable() else "?" for letter in text[:60])
    return f"{quote}{printable}{quote}"


# ---- Files -----------------------------------------------------------------------------------------------------------


def read_scene(path: Path) -> Scene:
    """The scene of a `.pt` file.

    Raises RefusedFile, one line without the file's name: damaged, too large, or holding anything but a Scene of encoded
    images and numbers; then nothing of it has run. OSError where it cannot be read.
    """
    with open(path, "rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise RefusedFile(f"refused: over {LARGEST_FILE >> 20} MiB, far more than 900 images of 64 x 64 pixels take")
    try:
        if not content.startswith((b"PK", pickle.PROTO)):
            raise RefusedFile("damaged or no torch.save file: it does not begin as one")
        if content.startswith(b"PK"):
            return _checked(_SceneUnpickler(io.BytesIO(_pickle_in_zip(content))).load())
        return _checked(_after_legacy_header(io.BytesIO(content)))
    except RefusedFile:
        raise
    except (pickle.UnpicklingError, EOFError, zipfile.BadZipFile) as error:
        raise RefusedFile(f"damaged or no torch.save file: {_shown(str(error), '')}") from error
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, struct.error) as error:
        # what zipfile and an unpickler meet in bytes that nobody wrote: missing memo entries and marks, wrong types,
        # places beyond any file, encrypted members
        raise RefusedFile(f"damaged: no valid pickle ({type(error).__name__})") from error


def _after_legacy_header(file: io.BytesIO) -> object:
    """The object of the legacy form: pickles of a magic number, a version and the machine's properties before it."""
    if _SceneUnpickler(file).load() != TORCH_MAGIC or _SceneUnpickler(file).load() != TORCH_PROTOCOL:
        raise RefusedFile("damaged or no torch.save file: it does not begin as one")
    _SceneUnpickler(file).load()  # the machine's byte order and sizes, which concern tensors alone
    return _SceneUnpickler(file).load()


def _pickle_in_zip(content: bytes) -> bytes:
    """`*/data.pkl` of the zip form; torch.save compresses nothing, so neither is a compressed member read."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        pickles = [member for member in members if re.fullmatch("[^/]*/data[.]pkl", member.filename)]
        if len(members) > MOST_MEMBERS or len(pickles) != 1:
            raise RefusedFile(
                f"refused: a zip of {len(members)} members, {len(pickles)} of them */data.pkl; torch.save writes one"
            )
        if pickles[0].compress_type != zipfile.ZIP_STORED:
            raise RefusedFile("refused: a compressed zip; torch.save does not compress")
        return archive.read(pickles[0])


def _checked(scene: object) -> Scene:
    if not isinstance(scene, Scene):
        raise RefusedFile(f"refused: expected a Scene, found {_shown(scene)}")
    images = [_images(getattr(scene, name), name) for name in Scene._fields[:3]]
    return Scene(*images, _poses(scene.poses))


def _images(images: object, name: str) -> Images:
    if not isinstance(images, (list, tuple)) or len(images) > MOST_FRAMES:
        raise RefusedFile(f"refused: {name} must be a list of at most {MOST_FRAMES} encoded images")
    if not all(isinstance(image, (bytes, bytearray, _Latin1)) for image in images):
        raise RefusedFile(f"refused: {name} must hold encoded images as bytes")
    return Images(list(images))


def _poses(poses: object) -> np.ndarray:
    """The first element of what the file has, as the authors' loader takes it."""
    if isinstance(poses, (list, tuple)) and poses and isinstance(poses[0], _ArrayRecord):
        first = poses[0].array()
    elif isinstance(poses, _ArrayRecord) and len(poses.shape) == 3 and poses.shape[0] > 0:
        first = poses.array()[0]
    else:
        raise RefusedFile("refused: poses must be an array whose first element is frames x 5 numbers")
    if first.ndim != 2 or first.shape[1] != POSE_SIZE:
        raise RefusedFile(f"refused: the first element of poses must be frames x 5 numbers, found {first.shape}")
    return first.astype(np.float64)
