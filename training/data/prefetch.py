"""Batches made ready some steps ahead, so that training does not wait for them.

A thread takes the stream's frames, and on a GPU copies them through page-locked buffers on a stream of its own, 8-bit
as they are stored, and makes the batch there: so the copy and the conversion run beside the step before. On the CPU the
thread does the same without buffers. Order and values are those of the stream, `assemble`d one by one.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

from training.data.sampling import Batch, Draw, assemble
from training.data.shards import StoredFrames
from training.nested import tensors_of

STEPS_AHEAD = 2  # batches that wait to be taken; as much memory


class Prefetch:
    """Iterates over the batches of a stream of draws and their frames; `close` it, or use it in a `with`.

    position_scale, device: as `assemble` takes them.
    Raises, when the batch is asked for, what the stream raised at that place.
    """

    def __init__(
        self, stream: Iterator[tuple[Draw, StoredFrames]], position_scale: float, device: torch.device
    ) -> None:
        self._seconds_waited = 0.0
        self._waits: deque[tuple[torch.cuda.Event, torch.cuda.Event]] = deque()  # last work before a batch, batch ready
        if device.type == "cuda" and device.index is None:  # a thread begins on the first GPU
            device = torch.device("cuda", torch.cuda.current_device())
        self._stream, self._scale, self._device = stream, position_scale, device
        self._ready: queue.Queue = queue.Queue(STEPS_AHEAD)
        self._closed = threading.Event()
        self._buffers = [_PinnedFrames() for _ in range(STEPS_AHEAD)] if device.type == "cuda" else []
        self._thread = threading.Thread(target=self._work, name="prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Prefetch:
        return self

    def __next__(self) -> Batch:
        start, before = time.monotonic(), None
        if self._device.type == "cuda":
            before = torch.cuda.Event(enable_timing=True)
            before.record(torch.cuda.current_stream(self._device))
        batch, copied, error = self._ready.get()
        if before is None:
            self._seconds_waited += time.monotonic() - start
        if error is not None:
            self._ready.put((None, None, error))  # whoever asks again is told again
            raise error
        if copied is not None:
            here = torch.cuda.current_stream(self._device)
            here.wait_event(copied)
            self._waits.append((before, copied))
            self._count_waits()
            for tensor in tensors_of(batch):
                tensor.record_stream(here)  # its memory was taken on the thread's stream
        return batch

    @property
    def seconds_waited(self) -> float:
        """For batches in all, so far: by a GPU that had nothing else to do, or on the CPU by whoever asked for them."""
        self._count_waits()
        return self._seconds_waited

    def _count_waits(self) -> None:
        """Count those that are over. Whoever asks runs ahead of a GPU, so that its own waiting says nothing."""
        while self._waits and all(event.query() for event in self._waits[0]):
            before, ready = self._waits.popleft()
            self._seconds_waited += max(0.0, before.elapsed_time(ready)) / 1000

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the thread, once it has the batch that it works on. Batches not taken are dropped."""
        self._closed.set()
        while self._thread.is_alive():
            try:
                self._ready.get(timeout=0.05)
            except queue.Empty:
                pass

    # ---- In the thread

    def _work(self) -> None:
        side = torch.cuda.Stream(self._device) if self._device.type == "cuda" else None
        turn = 0
        while not self._closed.is_set():
            try:
                batch, copied = self._next_batch(side, turn)
            except StopIteration:
                self._ready.put((None, None, StopIteration()))
                return
            except Exception as error:  # belongs to who asks for the batch
                self._ready.put((None, None, error))
                return
            self._ready.put((batch, copied, None))
            turn += 1

    def _next_batch(self, side: torch.cuda.Stream | None, turn: int) -> tuple[Batch, torch.cuda.Event | None]:
        if side is None:
            return assemble(*next(self._stream), self._scale, self._device), None
        with torch.cuda.stream(side):
            draw, frames = next(self._stream)
            buffer = self._buffers[turn % len(self._buffers)]
            batch = assemble(draw, buffer.holding(frames), self._scale, self._device)
            copied = buffer.used = torch.cuda.Event(enable_timing=True)
            copied.record(side)
        return batch, copied


class _PinnedFrames:
    """Page-locked memory for one step's frames, from which a GPU copies while the processor goes on."""

    def __init__(self) -> None:
        self.used: torch.cuda.Event | None = None  # the GPU has copied what was held last
        self._memory: dict[int, Tensor] = {}  # by place among the frames' tensors, uint8, grown to the largest

    def holding(self, frames: StoredFrames) -> StoredFrames:
        """The same frames in this memory; those on a GPU already stay there. Waits until what it held is copied."""
        if self.used is not None:
            self.used.synchronize()
        return StoredFrames(*(self._pinned(place, tensor) for place, tensor in enumerate(frames)))

    def _pinned(self, place: int, tensor: Tensor | None) -> Tensor | None:
        if tensor is None or tensor.is_cuda:
            return tensor
        size = tensor.numel() * tensor.element_size()
        if place not in self._memory or self._memory[place].numel() < size:
            self._memory[place] = torch.empty(size, dtype=torch.uint8, pin_memory=True)
        return self._memory[place][:size].view(tensor.dtype).view(tensor.shape).copy_(tensor)
