"""Prediction: a model made ready for a device, in float32 and bfloat16."""
import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from placenet_ros.model import Observations, PlaceNet, PlaceNetConfig, inference
from placenet_ros.model.inference import inference_precision, ready_for_inference

SMALL = PlaceNetConfig(image_size=32, representation_channels=16, hidden_channels=8, canvas_channels=8, layers=3,
                       reprojection_channels=4)
SHIPPED = Path(__file__).parents[2] / "weights" / "placenet-small"
CPU = torch.device("cpu")
QUERY = torch.tensor([[[0.1, 0.1, 0.0, 1.0, 0.0, 1.0, 0.0]]])


def build(**changes):
    torch.manual_seed(0)
    return PlaceNet(dataclasses.replace(SMALL, **changes))


def observe(depth=True, size=32):
    """Four observations of soft blotches of colour."""
    generator = torch.Generator().manual_seed(1)

    def pictures(channels):
        blotches = torch.rand(4, channels, 6, 6, generator=generator)
        return F.interpolate(blotches, size=(size, size), mode="bilinear")[None]

    level = torch.tensor([1.0, 0.0, 1.0, 0.0]).expand(1, 4, 4)
    return Observations(pictures(3), torch.cat([torch.rand(1, 4, 3, generator=generator) * 0.3, level], dim=-1),
                        pictures(1) * 3 + 0.5 if depth else None, pictures(3))


@pytest.mark.parametrize("changes, depth", [
    ({}, True), ({"shared_core": True}, True), ({"tower": "pyramid"}, True), ({"tower": "pool"}, True),
    ({"attention_tokens": 16}, True), ({"attention": "", "reprojection": False}, False),
    ({"depth_estimation_channels": 8, "predict_depth": True, "predicted_classes": 5}, False),
], ids=str)
def test_every_option_predicts_in_bfloat16(changes, depth):
    model = build(**changes).eval()
    with torch.inference_mode():
        expected = model.predict(model.encode(observe(depth)), QUERY, torch.Generator().manual_seed(3))
        ready = ready_for_inference(model, CPU, torch.bfloat16)
        predicted = ready.predict(ready.encode(observe(depth)), QUERY, torch.Generator().manual_seed(3))
    assert predicted.dtype == torch.float32
    assert (predicted - expected).abs().mean() < 2 / 255


def test_the_shipped_weights_predict_in_bfloat16_what_they_predict_in_float32():
    observations, predictions = observe(size=64), []
    for precision in (torch.float32, torch.bfloat16):
        model = ready_for_inference(PlaceNet.from_pretrained(SHIPPED), CPU, precision)
        with torch.inference_mode():
            predictions.append(255 * model.predict(model.encode(observations), QUERY, torch.Generator().manual_seed(3)))
    exact, rounded = predictions
    assert exact.std() > 20, "a picture, not a plain colour"
    assert (rounded - exact).square().mean().sqrt() < 1  # brightness levels of 0..255


def test_the_representation_is_summed_in_float32():
    ready = ready_for_inference(build(), CPU, torch.bfloat16)
    scene = ready.encode(observe())
    assert scene.total.dtype == scene.cloud.positions.dtype == torch.float32
    assert scene.keys["r"].dtype == torch.bfloat16


def test_a_model_is_made_ready_in_place_without_gradients():
    model = build()
    ready = ready_for_inference(model, CPU, torch.float32)
    assert ready is model and not ready.training
    assert not any(weight.requires_grad for weight in ready.parameters())
    assert next(ready.parameters()).dtype == torch.float32


@pytest.mark.parametrize("flags, expected", [
    ("flags\t\t: fpu sse2 avx512f avx512_bf16 vaes", torch.bfloat16),
    ("flags\t\t: fpu sse2 avx512f amx_bf16", torch.bfloat16),
    ("flags\t\t: fpu sse2 avx2 avx512f avx512_vnni", torch.float32),
    ("Features\t: fp asimd bf16", torch.float32),  # ARM: not measured, so not taken
])
def test_bfloat16_is_chosen_where_the_processor_multiplies_in_it(flags, expected, tmp_path, monkeypatch):
    description = tmp_path / "cpuinfo"
    description.write_text(f"processor\t: 0\n{flags}\nbugs\t\t: avx512_bf16\n")
    monkeypatch.setattr(inference, "PROCESSOR", description)
    assert inference_precision(CPU) == expected


def test_an_unknown_processor_predicts_in_float32(monkeypatch):
    monkeypatch.setattr(inference, "PROCESSOR", Path("/nowhere/cpuinfo"))
    assert inference_precision(CPU) == torch.float32
