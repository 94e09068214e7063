"""A flight through a place: the camera moves smoothly along a walk; what a network predicts beside what is there.

The flight goes there and back, so that it can be played without end. The network knows some frames of the walk and is
asked for all poses between them; latents are the prior's means, so that nothing flickers.

Shapes: f poses of the flight, k observations, s image size.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from placenet_ros.scene.depth import millimetres
from training.data.dataset import ShardSet
from training.data.sampling import Batch, Draw, assemble
from training.data.shards import StoredFrames
from training.houses import HousePictures, TrajectoryMaker
from training.networks import Network, poses_of

SMOOTHING = 1.5  # frames of the walk: standard deviation of the Gaussian that evens out its steps
AT_ONCE = 16  # views predicted at once
COLOURS = 96  # of the GIF
BAR = 26  # pixels of the line of text above each picture
BACKGROUND, INK = (18, 18, 22), (235, 235, 240)


class Flight(NamedTuple):
    """Frames along the flight, then the observations: arrays f + k ..."""

    frames: StoredFrames
    length: int  # f


def house_flight(maker: TrajectoryMaker, seed: int, window: int, observations: int, length: int) -> Flight:
    """A flight along the first `window` frames of a made house's walk, drawn in the house itself.

    Raises UserError where the house cannot be walked through or drawn.
    """
    place, walks = maker.walked(seed)
    walk = walks[0][:window]
    poses = np.concatenate([smooth_path(walk, length), walk[_spaced(window, observations)]])
    with HousePictures(maker.image_size, maker.image_size, maker.field_of_view_degrees) as camera:
        camera.load(place)
        pictures = camera.take(poses)
    depth = millimetres(pictures.depth)
    return Flight(StoredFrames(pictures.rgb, depth, pictures.objects, poses), length)


def stored_flight(data: ShardSet, index: int, window: int, observations: int) -> Flight:
    """A flight through the first frames of a stored trajectory, the only poses with pictures. Raises DamagedError."""
    return Flight(data.read(index, np.concatenate([np.arange(window), _spaced(window, observations)])), window)


def smooth_path(walk: np.ndarray, length: int) -> np.ndarray:
    """`length` poses, float32 (length, 5), evenly in time along a walk (frames, 5), without its jerks."""
    turned = walk.astype(np.float64)
    turned[:, 3] = np.unwrap(turned[:, 3])
    even = gaussian_filter1d(turned, SMOOTHING, axis=0, mode="nearest")
    path = CubicSpline(np.arange(len(walk)), even)(np.linspace(0, len(walk) - 1, length))
    return path.astype(np.float32)


def _spaced(window: int, observations: int) -> np.ndarray:
    """Frames to observe: evenly spaced over the window."""
    return np.linspace(0, window - 1, observations).round().astype(np.int64)


def batch_of(flight: Flight, network: Network, device: torch.device) -> Batch:
    """The flight as one scene whose queries are the flight's poses."""
    total = len(flight.frames.poses)
    numbers = np.arange(total)[None]
    box = poses_of(network) == "box"
    draw = Draw(np.zeros(1, np.int64), numbers[:, : flight.length], numbers[:, flight.length :],
                np.zeros((1, 3), np.float32), np.zeros(1, np.float32), box, True, True)  # fmt: skip
    frames = flight.frames
    if frames.depth is not None:
        frames = frames._replace(depth=frames.depth.view(np.int16))  # the same bits: torch has little for uint16
    tensors = StoredFrames(*(None if array is None else torch.from_numpy(array)[None] for array in frames))
    return assemble(draw, tensors, network.config.position_scale, device)


@torch.no_grad()
def flown(network: Network, batch: Batch) -> np.ndarray:
    """What a network predicts along a flight: uint8 (f, s, s, 3)."""
    scene, parts = network.encode(batch.observations), []
    for views in batch.query_viewpoints.split(AT_ONCE, dim=1):
        parts.append(network.predict_view(scene, views, temperature=0.0).images[0])
    return (255 * torch.cat(parts)).round().byte().movedim(1, -1).cpu().numpy()


def write_gif(path: Path, predicted: np.ndarray, truth: np.ndarray, scale: int, frames_a_second: float) -> None:
    """Prediction on the left, truth on the right, both uint8 (f, s, s, 3); there and back. Raises OSError."""
    pictures = [_side_by_side(one, two, scale) for one, two in zip(predicted, truth, strict=True)]
    colours = Image.fromarray(np.concatenate([np.asarray(picture)[::scale, ::scale] for picture in pictures]))
    palette = colours.quantize(COLOURS, Image.Quantize.MEDIANCUT)
    there = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    frames = [*there, *there[-2:0:-1]]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=round(1000 / frames_a_second), loop=0)


def _side_by_side(predicted: np.ndarray, truth: np.ndarray, scale: int) -> Image.Image:
    side, gap = scale * truth.shape[0], scale
    picture = Image.new("RGB", (2 * side + gap, side + BAR), BACKGROUND)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(15)
    for left, text, pixels in ((0, "predicted", predicted), (side + gap, "what is there", truth)):
        draw.text((left + 6, 4), text, INK, font)
        picture.paste(Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST), (left, BAR))
    return picture
