"""A run of a second for tests that start real processes: its arguments, and what comes of it."""

import contextlib
import io
import subprocess

from round_room import round_room

import training.train
from placenet_ros.model import PlaceNet
from training.configuration import REPOSITORY
from training.data.shards import Description
from training.data.writing import write_dataset

SCRIPT = REPOSITORY / "training" / "run.sh"
SAMPLES = 48  # of the run, 8 a step
SMALL = [
    "device=cpu", "scenes=4", "model.image_size=16", "model.representation_channels=16", "model.hidden_channels=16",
    "model.canvas_channels=16", "model.layers=2", "model.shared_core=true", "model.reprojection_channels=8",
    "data.workers=0", "sampling.window=12", "sampling.fewest_observations=2", "sampling.most_observations=4",
    "sampling.queries=2", "sampling.drop_depth=0.3", f"schedule.samples={SAMPLES}", "schedule.learning_rate=2e-3",
    "schedule.average_half_life=20", "evaluation.queries=4", "evaluation.observations=2", "log_every=16",
    "evaluate_every=40", "evaluate_queries=4", "checkpoint_every=40", "half_precision=false",
]  # fmt: skip


def rooms_on_disk(folder, modalities=("rgb", "depth", "objects"), short=0):
    """Arguments that name a data set of round rooms, written there; `short`: so many more, too short for a scene."""
    frames = {seed: 40 if seed < 6 else 3 for seed in range(6 + short)}
    left_out = {name: None for name in ("depth", "objects") if name not in modalities}

    def room(seed):
        yield round_room(seed, frames[seed])._replace(**left_out)

    write_dataset(folder, Description(16, 60.0, modalities), list(frames), room, 3, 1)
    return [f"data.train={folder}", f"data.unseen={folder}"]


def train_here(*words):
    """Train in this process."""
    with contextlib.redirect_stdout(io.StringIO()):
        training.train.main([*words])


def run_sh(*words, **options):
    """What training/run.sh comes to."""
    return subprocess.run([SCRIPT, *words], capture_output=True, text=True, timeout=600, **options)


def start_sh(*words):
    """training/run.sh, running."""
    return subprocess.Popen([SCRIPT, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def assert_same_weights(run, other, tolerance=0.0):
    """That the results of two runs are equal.

    Where they need not be to the last bit, the keys' biases do not count: a softmax does not change with them, so that
    their gradient is rounding alone, and Adam makes whole steps of that.
    """
    one, two = (PlaceNet.from_pretrained(folder / "weights").state_dict() for folder in (run, other))
    names = [name for name in one if not (tolerance and name.endswith("key.bias"))]
    assert max(float((one[name] - two[name]).abs().max()) for name in names) <= tolerance
