"""Reading a data set: any frame of any trajectory, decoded by itself.

Shapes: n trajectories, b scenes, k frames, s image size.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from training.configuration import UserError
from training.data.manifest import MANIFEST, read_manifest
from training.data.sampling import Draw
from training.data.shards import DamagedError, Description, NotFiniteError, Shard, StoredFrames, empty_frames

OPEN_SHARDS = 64  # files that a reader holds open at once
NAMED_AT_MOST = 10  # damaged trajectories are named up to this number
DAMAGED_IN_A_ROW = 20  # trajectories: so many, and the reader gives up


@dataclass
class ShardSet:
    """The trajectories of a data set, any frame of which can be read by itself.

    Holds the lengths of the trajectories and some open files, no pictures. Can be pickled; each process then opens its
    own files.

    skip_damaged: take the next trajectory instead of one that cannot be read, name it on stderr and count it in
        `damaged`; otherwise it is an error. One with a pose that is not finite is always passed over like that.
    fewest_frames: trajectories with fewer are left out.
    Raises UserError where the folder holds no complete data set.
    """

    folder: Path
    skip_damaged: bool = False
    fewest_frames: int = 1

    def __post_init__(self) -> None:
        self.folder = Path(self.folder)
        self._damaged = torch.zeros((), dtype=torch.int64).share_memory_()
        self.manifest = read_manifest(self.folder)
        if not self.manifest.complete:
            raise UserError(f"{self.folder}: the data set is not complete: run the command that makes it again")
        lengths = [np.array(entry.lengths, np.int64) for entry in self.manifest.shards]
        shards = np.repeat(np.arange(len(lengths)), [len(some) for some in lengths])
        rows = np.concatenate([np.arange(len(some)) for some in lengths])
        lengths = np.concatenate(lengths)
        long_enough = lengths >= self.fewest_frames
        self.left_out = int((~long_enough).sum())
        self._shards, self._rows = shards[long_enough].astype(np.int32), rows[long_enough].astype(np.int32)
        self.lengths = lengths[long_enough]  # n int64: frames of each trajectory
        if not len(self.lengths):
            raise UserError(f"{self.folder}: none of its trajectories has {self.fewest_frames} frames")
        self._open: OrderedDict[int, Shard] = OrderedDict()

    def __len__(self) -> int:
        return len(self.lengths)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_open": OrderedDict()}

    @property
    def description(self) -> Description:
        """What holds for all trajectories."""
        return self.manifest.description

    @property
    def modalities(self) -> tuple[str, ...]:
        """What its frames have: rgb, and perhaps depth and objects."""
        return self.description.modalities

    @property
    def damaged(self) -> int:
        """How often a trajectory was passed over, by this process and those that it handed the set to."""
        return int(self._damaged)

    def close(self) -> None:
        """Close the open files; they are opened again when they are needed."""
        while self._open:
            self._open.popitem()[1].close()

    def shard(self, index: int) -> tuple[Shard, int]:
        """The opened shard that holds a trajectory, and its row there. Raises DamagedError."""
        number, row = int(self._shards[index]), int(self._rows[index])
        if number in self._open:
            self._open.move_to_end(number)
        else:
            if len(self._open) >= OPEN_SHARDS:
                self._open.popitem(last=False)[1].close()
            shard = Shard(self.folder / self.manifest.shards[number].file)
            if shard.description != self.description:
                shard.close()
                raise DamagedError(f"{shard.path}: is of another data set than {self.folder / MANIFEST} describes")
            self._open[number] = shard
        return self._open[number], row

    def read(self, index: int, frames: Sequence[int] | np.ndarray | None = None) -> StoredFrames:
        """Frames (k,) of a trajectory; all of them by default.

        Raises IndexError for a trajectory or frame that there is not, DamagedError, naming file and row, for damage.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"expected a trajectory of 0 to {len(self) - 1}, found {index}")
        length = int(self.lengths[index])
        if frames is not None and len(frames) and not 0 <= min(frames) <= max(frames) < length:
            raise IndexError(f"expected frames of 0 to {length - 1} of trajectory {index}, found {list(frames)[:20]}")
        shard, row = self.shard(index)
        return shard.read(row, frames)

    def fetch(self, draw: Draw) -> StoredFrames:
        """The frames of a draw: tensors b k ... on the CPU."""
        read = empty_frames(self.description, draw.frames.shape)
        for scene, (index, frames) in enumerate(zip(draw.trajectories.tolist(), draw.frames, strict=True)):
            one = StoredFrames(*(None if array is None else array[scene] for array in read))
            self._read_or_next(one, index, frames)
        if read.depth is not None:
            read = read._replace(depth=read.depth.view(np.int16))  # the same bits: torch has little for uint16
        return StoredFrames(*(None if array is None else torch.from_numpy(array) for array in read))

    def _read_or_next(self, read: StoredFrames, index: int, frames: np.ndarray) -> None:
        for candidate in range(index, index + DAMAGED_IN_A_ROW):
            candidate %= len(self)
            try:
                shard, row = self.shard(candidate)
                return shard.read_into(read, row, frames % self.lengths[candidate])
            except DamagedError as error:
                if not self.skip_damaged and not isinstance(error, NotFiniteError):
                    raise DamagedError(f"{error}; skip_damaged=true goes on without it") from error
                self._damaged += 1
                if self.damaged <= NAMED_AT_MOST:
                    print(f"skipped: {error}", file=sys.stderr)
        raise DamagedError(f"{self.folder}: {DAMAGED_IN_A_ROW} trajectories in a row from number {index} are damaged")
