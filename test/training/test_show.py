"""Pictures for people: sheets and flights show what the network was asked and what it said."""

import numpy as np
import pytest
import torch
from PIL import Image
from round_room import round_room

import training.contact_sheet
import training.show
from placenet_ros.model import PlaceNet, PlaceNetConfig
from training.configuration import UserError
from training.contact_sheet import (
    OUTLINE,
    PAPER,
    Row,
    Tile,
    classes_in_colours,
    contact_sheet,
    depth_in_colours,
    enlarged,
    uncertainty_picture,
)
from training.data.shards import Description
from training.data.writing import write_dataset
from training.fly_through import smooth_path, write_gif
from training.houses import TrajectoryMaker, WalkConfig

MODEL = PlaceNetConfig(image_size=16, representation_channels=16, hidden_channels=16, canvas_channels=16, layers=2,
                       shared_core=True, reprojection_channels=8)  # fmt: skip
ASKED = ["views=2", "observations=3", "sampling.window=12", "sampling.most_observations=4", "fly_window=20",
         "fly_observations=4", "fly_frames=8", "device=cpu"]  # fmt: skip


def weights_of(folder, **changed):
    torch.manual_seed(0)
    model = PlaceNet(PlaceNetConfig.from_dict({**MODEL.to_dict(), **changed}))
    model.save_pretrained(folder / "weights", {})
    return str(folder / "weights")


def stored_rooms(folder, modalities=("rgb", "depth", "objects")):
    def rooms_of(seed):
        room = round_room(seed)
        yield room if "depth" in modalities else room._replace(depth=None, objects=None)

    write_dataset(folder / "data", Description(16, None, modalities), range(3), rooms_of, 2, 1)
    return str(folder / "data")


def test_a_tile_shows_every_pixel_as_a_square_and_outlines_what_was_never_seen():
    picture = np.random.default_rng(0).integers(0, 200, (16, 16, 3), np.uint8)
    plain = np.asarray(enlarged(Tile(picture), 8))
    assert np.array_equal(plain[4::8, 4::8], picture) and np.array_equal(
        plain[:8, :8], np.broadcast_to(picture[0, 0], (8, 8, 3))
    )
    unseen = np.zeros((16, 16), bool)
    unseen[:, 8:] = True
    unseen[3, 3] = True  # a speckle
    outlined = np.asarray(enlarged(Tile(picture, unseen), 8))
    lines = (outlined == OUTLINE).all(axis=2)
    assert lines[:, 64].all() and not lines[:, :64].any() and not lines[:, 68:].any()
    assert np.array_equal(outlined[~lines], plain[~lines])


def test_colours_of_depth_spread_and_classes_are_the_same_in_every_sheet():
    assert (depth_in_colours(np.zeros((2, 2))) == 0).all()
    near, far = depth_in_colours(np.array([[0.5, 5.0]]))[0]
    assert near.astype(int).sum() > far.astype(int).sum()
    low, high = uncertainty_picture(np.array([[0.0, 60.0]]))[0]
    assert low.astype(int).sum() < 10 < 300 < high.astype(int).sum()
    assert len({tuple(colour) for colour in classes_in_colours(np.arange(40)[None])[0]}) == 40


def test_a_sheet_has_room_for_all_its_rows_and_tiles():
    picture = np.full((16, 16, 3), 90, np.uint8)
    one = contact_sheet(["truth"], [Row([picture] * 3, [Tile(picture)], "house 1")], 4, {})
    more = contact_sheet(["truth", "spread"], [Row([picture] * 3, [Tile(picture)] * 2, "house 1")] * 3, 4, {2: "floor"})
    assert more.width - one.width == 64 + 10 and more.height > one.height + 2 * 64
    pixels = np.asarray(more)
    assert (pixels == 90).all(axis=2).sum() == 3 * (2 * 64 * 64 + 3 * 29 * 29)
    assert (pixels[0] == PAPER).all() and (pixels[:, 0] == PAPER).all()


def test_the_flight_follows_the_walk_without_its_jerks():
    turn = np.linspace(0, 2 * np.pi, 40)
    walk = np.stack([np.cos(turn), np.sin(turn), 0 * turn + 1, (turn + np.pi) % (2 * np.pi) - np.pi, 0 * turn], axis=1)
    walk[::2, :2] *= 1.02  # steps to and fro
    path = smooth_path(walk.astype(np.float32), 200)
    assert path.shape == (200, 5) and path.dtype == np.float32
    radius = np.hypot(path[:, 0], path[:, 1])[20:-20]
    assert np.ptp(radius) < 0.004 and abs(radius.mean() - 1.01) < 0.04  # a curve is cut a little
    assert np.abs(np.diff(path[:, 3])).max() < 0.05  # across the turn of pi to -pi, too


def test_a_gif_goes_there_and_back_without_end_and_shows_prediction_beside_truth(tmp_path):
    truth = np.zeros((5, 16, 16, 3), np.uint8)
    truth[..., 0] = 50 * np.arange(5)[:, None, None]
    write_gif(tmp_path / "it.gif", np.full_like(truth, 120), truth, 4, 10.0)
    gif = Image.open(tmp_path / "it.gif")
    assert gif.info["loop"] == 0 and gif.n_frames == 8
    reds = []
    for number in range(8):
        gif.seek(number)
        pixels = np.asarray(gif.convert("RGB")).astype(int)
        assert np.abs(pixels[60, 30] - 120).max() < 10 and gif.info["duration"] == 100
        reds.append(int(pixels[60, 100, 0]))
    assert np.allclose(reds, [0, 50, 100, 150, 200, 150, 100, 50], atol=10)


def test_the_command_draws_a_sheet_for_each_of_the_inputs_and_a_flight_through_stored_data(tmp_path, capsys):
    data, out = stored_rooms(tmp_path), tmp_path / "out"
    inputs = "inputs=colour+depth+objects,colour"
    training.show.main([weights_of(tmp_path), data, f"out={out}", inputs, *ASKED])
    assert {path.name for path in out.iterdir()} == {
        "sheet-colour+depth+objects.png", "sheet-colour.png", "fly-through.gif"
    }  # fmt: skip
    assert Image.open(out / "fly-through.gif").n_frames == 38
    one, two = (np.asarray(Image.open(out / f"sheet-{name}.png")) for name in ("colour+depth+objects", "colour"))
    assert one.shape == two.shape and not np.array_equal(one, two)
    assert str(out / "fly-through.gif") in capsys.readouterr().out


def test_depth_and_objects_have_columns_where_they_are_predicted_and_colour_alone_is_enough(tmp_path):
    colour = tmp_path / "colour"
    with_heads = weights_of(tmp_path, predict_depth=True, predicted_classes=40)
    training.show.main([with_heads, stored_rooms(tmp_path), f"out={tmp_path / 'all'}", "fly=false", *ASKED])
    training.show.main([with_heads, stored_rooms(colour, ("rgb",)), f"out={colour / 'out'}", "fly=false", *ASKED])
    wide, narrow = (Image.open(path / "sheet-colour+depth+objects.png") for path in (tmp_path / "all", colour / "out"))
    assert wide.width - narrow.width == 2 * (48 + 10)  # the true depth and objects
    assert not (tmp_path / "all" / "fly-through.gif").exists()


def test_a_sheet_shows_the_expected_error_in_place_of_the_spread_where_the_network_predicts_it(tmp_path, monkeypatch):
    titles, drawn = [], training.contact_sheet.contact_sheet

    def noted(columns, *others):
        titles.append(list(columns))
        return drawn(columns, *others)

    monkeypatch.setattr(training.contact_sheet, "contact_sheet", noted)
    data = stored_rooms(tmp_path)
    for name, changed in (("spread", {}), ("error", {"predict_error": True})):
        weights = weights_of(tmp_path / name, **changed)
        training.show.main([weights, data, f"out={tmp_path / name / 'out'}", "fly=false", *ASKED])
    assert titles == [["truth", "prediction", "spread"], ["truth", "prediction", "expected error"]]
    sheet = np.asarray(Image.open(tmp_path / "error" / "out" / "sheet-colour+depth+objects.png"))
    expected = uncertainty_picture(np.full((1, 1), 25.5))[0, 0]
    assert (sheet == expected).all(axis=2).sum() > 1000  # an untrained network expects that everywhere


def test_a_flight_through_a_made_house_is_drawn_in_the_house_itself(tmp_path):
    out = tmp_path / "out"
    training.show.main([weights_of(tmp_path), f"out={out}", "views=1", "walk.frames=30", *ASKED[1:]])
    assert Image.open(out / "fly-through.gif").n_frames == 14
    maker = TrajectoryMaker(WalkConfig(frames=30), 1, 16, 60.0)
    flight = training.show.house_flight(maker, 10_000_000, 20, 4, 8)
    assert flight.length == 8 and flight.frames.rgb.shape == (12, 16, 16, 3) and flight.frames.depth.dtype == np.uint16


@pytest.mark.parametrize(
    "words, message",
    [
        (["no/such/weights", "device=cpu"], "no/such/weights/model.json: no weights here"),
        (["w", "observations=20"], r"observations \(20\) must be under sampling.window \(20\)"),
        (["w", "fly_window=400"], r"fly_window \(400\) must be at most walk.frames \(300\)"),
        (["w", "fly_observations=50"], r"fly_observations \(50\) must be at most fly_window \(40\)"),
        (["w", "samples=1"], "samples must be 2 to 1000, not 1"),
        (["w", "inputs=depth"], "inputs.*one of colour"),
    ],
)
def test_bad_input_is_refused_in_one_line(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as refused:
        training.show.main(words)
    assert "\n" not in str(refused.value) and list(tmp_path.iterdir()) == []


def test_data_of_another_size_and_a_trajectory_that_there_is_not_are_refused(tmp_path):
    data = stored_rooms(tmp_path)
    with pytest.raises(UserError, match="has pictures of 16 pixels, the network takes 32"):
        training.show.main([weights_of(tmp_path, image_size=32), data, f"out={tmp_path / 'out'}", *ASKED])
    with pytest.raises(UserError, match="has trajectories 0 to 2, not fly_seed=7"):
        training.show.main([weights_of(tmp_path), data, f"out={tmp_path / 'out'}", "fly_seed=7", *ASKED])
