"""Weights in and out: what is damaged or does not belong is refused in one line that says what."""
import json

import pytest
import torch

from placenet_ros.model import PlaceNet, PlaceNetConfig, WeightsError

SMALL = PlaceNetConfig(image_size=32, representation_channels=8, hidden_channels=4, canvas_channels=4, layers=2,
                       reprojection_channels=4)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    PlaceNet(SMALL).save_pretrained(tmp_path / "weights", {"samples": 12})
    return tmp_path / "weights"


def edit(folder, **changes):
    path = folder / "model.json"
    path.write_text(json.dumps(dict(json.loads(path.read_text()), **changes)))


def refusal(path):
    with pytest.raises(WeightsError) as caught:
        PlaceNet.from_pretrained(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    return message


def test_weights_come_back_as_they_were_with_their_description(folder):
    torch.manual_seed(0)
    original, loaded = PlaceNet(SMALL), PlaceNet.from_pretrained(folder)
    assert loaded.config == SMALL and not loaded.training
    assert loaded.about["samples"] == 12 and len(loaded.about["model_id"]) == 12
    for name, tensor in original.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name
    assert PlaceNet.from_pretrained(folder / "model.safetensors").about == loaded.about


def test_half_precision_halves_the_file_and_loads_as_float32(folder, tmp_path):
    PlaceNet.from_pretrained(folder).save_pretrained(tmp_path / "half", {}, half_precision=True)
    size, half = ((path / "model.safetensors").stat().st_size for path in (folder, tmp_path / "half"))
    assert half < 0.6 * size
    assert {weight.dtype for weight in PlaceNet.from_pretrained(tmp_path / "half").parameters()} == {torch.float32}


def test_a_missing_file_is_named(folder, tmp_path):
    assert "no weights here" in refusal(tmp_path / "nowhere")
    (folder / "model.safetensors").unlink()
    assert "no weights here" in refusal(folder)


@pytest.mark.parametrize("cut", [0, 7, 1000])
def test_a_truncated_file_is_refused(folder, cut):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    assert "damaged" in refusal(folder)


def test_one_flipped_bit_is_noticed(folder):
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert "damaged" in refusal(folder)


def test_a_damaged_description_is_refused(folder):
    (folder / "model.json").write_text('{"format": 1, "arch')
    assert "not JSON" in refusal(folder)
    (folder / "model.json").write_text("[]")
    assert "'config'" in refusal(folder)


def test_another_architecture_or_size_is_named(folder):
    edit(folder, config=dict(SMALL.to_dict(), hidden_channels=8))
    assert "another model" in refusal(folder) and "of another shape" in refusal(folder)
    edit(folder, config=dict(SMALL.to_dict(), shared_core=False, layers=3))
    assert "missing: generation_cores.2" in refusal(folder)
    edit(folder, config=dict(SMALL.to_dict(), layrs=3))
    assert "did you mean 'layers'" in refusal(folder)
    edit(folder, config=dict(SMALL.to_dict(), hidden_channels=60000))  # would take 1.6 TB
    assert "of another shape" in refusal(folder)
    edit(folder, config=dict(SMALL.to_dict(), layers=10**9))
    assert "layers must be 1 to 100" in refusal(folder)
    edit(folder, architecture="ResNet")
    assert "'ResNet'" in refusal(folder)


def test_weights_that_are_not_finite_are_not_written_over_good_ones(folder):
    model = PlaceNet.from_pretrained(folder)
    with torch.no_grad():
        model.prior_head.bias[0] = float("nan")
    with pytest.raises(WeightsError, match="prior_head.bias"):
        model.save_pretrained(folder, {})
    PlaceNet.from_pretrained(folder)
