"""Batches made ready in a thread are those of the stream, in its order; what goes wrong arrives where it happened."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from training.data import prefetch
from training.data.prefetch import Prefetch
from training.data.sampling import SamplingConfig, assemble
from training.data.scenes import StepScenes, scene_stream
from training.data.shards import StoredFrames
from training.data.trajectories import TrajectorySet
from training.nested import form_of, tensors_of
from training.trajectory import Trajectory

CPU = torch.device("cpu")
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CONFIG = SamplingConfig(window=10, fewest_observations=2, most_observations=6, queries=3, drop_depth=0.3)
SCALE = 3.0


@pytest.fixture(scope="module")
def scenes():
    random = np.random.default_rng(0)

    def trajectory(number):
        poses = random.random((30, 5), np.float32)
        rgb = random.integers(0, 256, (30, 16, 16, 3), np.uint8)
        depth = random.integers(0, 65536, (30, 16, 16)).astype(np.uint16)
        return Trajectory(poses, rgb, depth, random.integers(0, 40, (30, 16, 16), np.uint8), str(number))

    return StepScenes(TrajectorySet.of([trajectory(number) for number in range(5)]), CONFIG, 4, 7)


def stream(scenes):
    return scene_stream(scenes, 0, 0)


def assert_equal_batches(one, other):
    assert form_of(one) == form_of(other)
    assert all(torch.equal(a, b) for a, b in zip(tensors_of(one), tensors_of(other), strict=True))


def test_batches_are_those_of_the_stream_in_its_order(scenes):
    with Prefetch(stream(scenes), SCALE, CPU) as batches:
        forms = set()
        for _, (draw, frames) in zip(range(12), stream(scenes), strict=False):
            made_ready = next(batches)
            assert_equal_batches(made_ready, assemble(draw, frames, SCALE, CPU))
            forms.add(form_of(made_ready))
        assert len(forms) > 3, "sizes and modalities changed on the way"


def test_a_stream_that_ends_ends(scenes):
    few = [scenes[step] for step in range(5)]
    batches = Prefetch(iter(few), SCALE, CPU)
    assert len(list(batches)) == 5
    with pytest.raises(StopIteration):
        next(batches)


def test_what_the_stream_raises_arrives_after_the_batches_before_it(scenes):
    def breaking():
        yield scenes[0]
        raise OSError("disk gone")

    batches = Prefetch(breaking(), SCALE, CPU)
    assert_equal_batches(next(batches), assemble(*scenes[0], SCALE, CPU))
    for _ in range(2):
        with pytest.raises(OSError, match="disk gone"):
            next(batches)


def test_no_more_is_made_ready_than_asked_for_and_closing_ends_the_thread(scenes):
    taken, enough = [], threading.Event()

    def counting():
        for item in stream(scenes):
            taken.append(1)
            if len(taken) > prefetch.STEPS_AHEAD:
                enough.set()
            yield item

    batches = Prefetch(counting(), SCALE, CPU)
    assert enough.wait(30)
    time.sleep(0.1)
    assert len(taken) == prefetch.STEPS_AHEAD + 1, "those that wait, and the one that finds no place yet"
    batches.close()
    assert "prefetch" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize("device", [CPU, pytest.param(torch.device("cuda"), marks=NEEDS_GPU)], ids=str)
def test_the_time_waited_is_told(scenes, device):
    def slow():
        for item in stream(scenes):
            time.sleep(0.05)
            yield item

    with Prefetch(slow(), SCALE, device) as batches:
        for _ in range(4):
            next(batches)
        if device.type == "cuda":
            torch.cuda.synchronize()
        assert batches.seconds_waited > 0.1


class Event:
    """Stands in for a CUDA event that is recorded at a time, in milliseconds; None: it is yet to come."""

    def __init__(self, time):
        self.time = time

    def query(self):
        return self.time is not None

    def elapsed_time(self, later):
        return later.time - self.time


def test_a_gpu_waits_from_its_last_work_until_the_batch_is_ready(scenes):
    with Prefetch(stream(scenes), SCALE, CPU) as batches:
        before = batches.seconds_waited
        last = Event(None)
        batches._waits.extend([(Event(100), Event(130)), (Event(200), Event(150)), (Event(300), last)])
        assert batches.seconds_waited - before == pytest.approx(0.030), "the second was ready before it was needed"
        last.time = 305
        assert batches.seconds_waited - before == pytest.approx(0.035)
        assert not batches._waits


def test_page_locked_buffers_hold_the_frames_and_wait_for_the_copy_before(scenes, monkeypatch):
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *shape, pin_memory, **options: empty(*shape, **options))
    buffer, waited = prefetch._PinnedFrames(), []
    places = set()
    for step in range(6):
        _, frames = scenes[step]
        held = buffer.holding(frames)
        assert form_of(held) == form_of(frames)
        assert all(torch.equal(a, b) for a, b in zip(tensors_of(held), tensors_of(frames), strict=True))
        assert not {tensor.data_ptr() for tensor in tensors_of(frames)} & {t.data_ptr() for t in tensors_of(held)}
        places.add(held.rgb.data_ptr())
        buffer.used = SimpleNamespace(synchronize=lambda step=step: waited.append(step))
    assert waited == [0, 1, 2, 3, 4]
    assert len(places) < 6, "memory is used again"
    without = StoredFrames(frames.rgb, None, None, frames.poses)
    assert buffer.holding(without).depth is None


@NEEDS_GPU
def test_on_a_gpu_batches_are_the_same(scenes):
    device = torch.device("cuda")
    with Prefetch(stream(scenes), SCALE, device) as batches:
        for _, (draw, frames) in zip(range(20), stream(scenes), strict=False):
            made_ready = next(batches)
            assert_equal_batches(made_ready, assemble(draw, frames, SCALE, device))
