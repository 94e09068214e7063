"""What a run tells while it runs, and how much of the device it says it uses."""

import json

import numpy as np
import pytest
import torch
from round_room import round_room
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from placenet_ros.model import PlaceNet, PlaceNetConfig
from training.contact_sheet import OUTLINE
from training.data.sampling import SamplingConfig
from training.data.trajectories import TrajectorySet
from training.peak import measured_peak, operations_of_a_sample, share_of_peak
from training.run_log import PICTURED_SCENES, RunLog, flat_figures, image_grid, status_line, time_left
from training.schedule import ScheduleConfig

CPU = torch.device("cpu")
MODEL = PlaceNetConfig(image_size=16, representation_channels=16, hidden_channels=16, canvas_channels=16, layers=2,
                       shared_core=True, reprojection_channels=8)  # fmt: skip
FIGURES = {"loss": 12.3, "bits_per_dimension": 5.2, "kl": 3.0, "sigma": 0.7, "learning_rate": 5e-4,
           "gradient_norm": 10.0, "samples_per_second": 1000.0, "minutes_left": 200.5}  # fmt: skip


def figure(mean):
    return {"mean": mean, "low": mean - 1, "high": mean + 1}


def test_figures_are_on_tensorboard_and_in_lines_of_json(tmp_path):
    log = RunLog(tmp_path, 0)
    log.write(100, {"loss": 3.5, "kl_of_layer/0": 0.25})
    log.draw(100, np.full((8, 12, 3), 77, np.uint8))
    log.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"samples": 100, "loss": 3.5, "kl_of_layer/0": 0.25}
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (loss,) = events.Scalars("loss")
    assert (loss.step, loss.value) == (100, 3.5)
    (picture,) = events.Images("views")
    assert (picture.width, picture.height) == (12, 8)


def test_figures_of_an_evaluation_have_a_name_for_each_row():
    figures = {"3": {"model": {"rmse": figure(20.0), "psnr": figure(22.0)}, "model, colour": {"rmse": figure(40.0)}}}
    assert flat_figures(figures, "unseen") == {
        "unseen/rmse_of_3_observations": 20.0,
        "unseen/psnr_of_3_observations": 22.0,
        "unseen/rmse_of_3_observations (model, colour)": 40.0,
    }


def test_what_is_noted_is_found_again_at_its_number_of_samples(tmp_path):
    log = RunLog(tmp_path, 0)
    log.write(100, {"loss": 3.5})
    log.write(100, {"unseen/rmse": 20.0})
    assert log.holds(100, "unseen/") and not log.holds(200, "unseen/") and not log.holds(100, "seen/")
    log.close()
    assert RunLog(tmp_path, 100).holds(100, "unseen/") and not RunLog(tmp_path, 90).holds(100, "unseen/")


def test_the_status_line_tells_progress_speed_and_time_left(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # a GPU that is not trained on
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda *_: 0)
    line = status_line(ScheduleConfig(), 1_234_567, 0.456, FIGURES)
    assert line.startswith("1,234,567 samples  45.6%  loss 12.3") and line.endswith("3 h 20 min left")
    assert "1000 samples/s" in line and "peak" not in line and "wait" not in line
    line = status_line(ScheduleConfig(), 1, 0.0, FIGURES | {"share_of_peak": 0.56, "data_wait": 0.021})
    assert "1000 samples/s (56% of peak)  data wait 2.1%" in line and "GiB" not in line
    assert "  3.2 GiB  " in status_line(ScheduleConfig(), 1, 0.0, FIGURES | {"gpu_memory_gib": 3.21})
    assert [time_left(minutes) for minutes in (0.75, 12.5, 125.0)] == ["45 s", "12.5 min", "2 h 05 min"]


def test_the_image_grid_shows_every_column_and_marks_what_was_never_seen():
    torch.manual_seed(0)
    rooms = TrajectorySet.of([round_room(seed) for seed in range(3)])
    sampling = SamplingConfig(window=12, fewest_observations=2, most_observations=4, drop_depth=1.0)
    before = torch.get_rng_state()
    grid = image_grid(PlaceNet(MODEL).eval(), rooms, sampling, 3, 0, CPU)
    heads = PlaceNet(PlaceNetConfig.from_dict({**MODEL.to_dict(), "predict_depth": True, "predicted_classes": 40}))
    more = image_grid(heads.eval(), rooms, sampling, 3, 0, CPU)
    assert grid.dtype == np.uint8 and grid.shape[0] > PICTURED_SCENES * 32 and grid.shape[2] == 3
    assert more.shape[1] - grid.shape[1] == 4 * (32 + 10)  # depth and objects, true and predicted
    assert (grid == OUTLINE).all(axis=2).any()
    assert not torch.equal(before, torch.get_rng_state())  # the networks were made
    before = torch.get_rng_state()
    image_grid(heads, rooms, sampling, 3, 0, CPU)
    assert torch.equal(before, torch.get_rng_state())  # pictures do not change what training draws


def test_operations_are_those_of_the_convolutions():
    """One more layer of the generation and inference cores adds what their convolutions cost, forward and backward."""
    sampling = SamplingConfig(queries=1, fewest_observations=4, most_observations=4)
    counts = [
        operations_of_a_sample("placenet", PlaceNetConfig(layers=layers, attention="", reprojection=False), sampling)
        for layers in (2, 3, 4)
    ]
    assert counts[2] - counts[1] == pytest.approx(counts[1] - counts[0], rel=0.03)
    gates = 2 * 16 * 16 * 25 * 512 * (650 + 394)  # multiplications and additions of both cores' 5 x 5 convolutions
    assert 3 * 0.8 * gates < counts[2] - counts[1] < 3 * 1.4 * gates


def test_more_queries_share_the_encoder():
    one, four = (
        operations_of_a_sample("placenet", MODEL, SamplingConfig(queries=q, fewest_observations=4, most_observations=4))
        for q in (1, 4)
    )
    assert four < 0.9 * one


def test_a_peak_is_measured_and_shared():
    assert 1e-4 < measured_peak(CPU, torch.float32, seconds=0.01) < 100
    assert share_of_peak(1000, 362e9, 780) == pytest.approx(0.464, abs=1e-3)
    assert share_of_peak(2000, 362e9, 780, devices=2) == share_of_peak(1000, 362e9, 780)
