"""Reprojection: colours carried into another view by their depth."""
import torch

from placenet_ros.model.reprojection import PointCloud, point_cloud, reproject
from placenet_ros.model.viewpoints import relative_viewpoints

SIZE, FOV, SCALE = 32, 60.0, 3.0
LEVEL = torch.tensor([0.0, 0.0, 0.5, 0.0, 0.0])


def viewpoints(*poses):
    return relative_viewpoints(torch.stack(poses), torch.zeros(4), SCALE)[None]


def observed(depth, pose=LEVEL, seed=0):
    rgb = torch.rand(1, 1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
    return rgb, point_cloud(rgb, depth, viewpoints(pose), SCALE, FOV)


def wall(metres):
    return torch.full((1, 1, 1, SIZE, SIZE), metres)


def coloured(colours, log_error=0.0):
    """Attributes (b, p, 4) of points: their colours (b, p, 3), and how uncertain their depth is."""
    return torch.cat([colours, torch.full((*colours.shape[:2], 1), log_error)], dim=2)


def test_an_observation_seen_from_its_own_pose_is_itself():
    for pose in (LEVEL, torch.tensor([1.0, -2.0, 0.7, 2.5, -0.3])):
        rgb, cloud = observed(wall(2.0), pose)
        picture = reproject(cloud, viewpoints(pose), SIZE, SCALE, FOV)
        assert picture.mask.all()
        torch.testing.assert_close(picture.colour, rgb)
        torch.testing.assert_close(picture.depth, wall(2.0), atol=1.1e-3, rtol=0)


def test_a_step_to_the_left_moves_the_picture_to_the_right_by_the_parallax():
    focal = SIZE / 2 / torch.tan(torch.deg2rad(torch.tensor(FOV / 2)))
    pixels = 4
    step_left = LEVEL + torch.tensor([0.0, pixels * 2.0 / focal, 0.0, 0.0, 0.0])  # y is left; wall at 2 m
    rgb, cloud = observed(wall(2.0))
    picture = reproject(cloud, viewpoints(step_left), SIZE, SCALE, FOV)
    assert not picture.mask[..., :pixels - 1].any(), "nothing was seen beyond the observation's left edge"
    matches = (picture.colour[..., pixels:] == rgb[..., :-pixels]).all(dim=2).float().mean()
    assert matches > 0.85  # the rest is rounding to the next pixel


def test_the_nearer_of_two_points_hides_the_farther():
    positions = torch.tensor([[[3.0, 0.0, 0.5], [1.0, 0.0, 0.5], [2.0, 0.0, 0.5]]])
    cloud = PointCloud(positions, coloured(torch.eye(3)[None]), torch.ones(1, 3, dtype=torch.bool))
    picture = reproject(cloud, viewpoints(LEVEL), SIZE, SCALE, FOV)
    assert picture.mask.sum() == 1
    assert picture.colour.sum(dim=(0, 1, 3, 4)).tolist() == [0.0, 1.0, 0.0]


def test_points_behind_the_camera_too_far_or_without_depth_are_not_drawn():
    behind = PointCloud(
        torch.tensor([[[-1.0, 0.0, 0.5]]]), coloured(torch.ones(1, 1, 3)), torch.ones(1, 1, dtype=torch.bool))
    assert not reproject(behind, viewpoints(LEVEL), SIZE, SCALE, FOV).mask.any()
    _, far = observed(wall(1e9))
    assert not reproject(far, viewpoints(LEVEL), SIZE, SCALE, FOV).mask.any()
    _, cloud = observed(wall(0.0))
    one_metre_back = LEVEL - torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0])
    assert not reproject(cloud, viewpoints(one_metre_back), SIZE, SCALE, FOV).mask.any()


def test_a_point_of_uncertain_depth_gives_way_to_a_surer_one_a_little_behind_it():
    positions = torch.tensor([[[1.0, 0.0, 0.5], [1.1, 0.0, 0.5]]])
    for error, winner in ((0.0, 0), (0.05, 0), (0.2, 1)):
        attributes = coloured(torch.eye(3)[None, :2])
        attributes[0, 0, 3] = error
        cloud = PointCloud(positions, attributes, torch.ones(1, 2, dtype=torch.bool))
        picture = reproject(cloud, viewpoints(LEVEL), SIZE, SCALE, FOV)
        assert picture.colour.sum(dim=(0, 1, 3, 4))[winner] == 1.0
        torch.testing.assert_close(picture.depth.max(), positions[0, winner, 0])


def test_certainty_falls_with_the_error_to_expect():
    def certainty(error):
        rgb, depth = torch.zeros(1, 1, 3, SIZE, SIZE), wall(2.0)
        cloud = point_cloud(rgb, depth, viewpoints(LEVEL), SCALE, FOV, log_error=torch.full_like(depth, error))
        return reproject(cloud, viewpoints(LEVEL), SIZE, SCALE, FOV).certainty.mean().item()

    assert certainty(0.0) == 1.0
    assert abs(certainty(0.1) - 0.5) < 1e-6
    assert certainty(0.3) < certainty(0.2) < 0.5


def test_what_else_points_carry_comes_out_where_their_colour_does():
    rgb = torch.rand(1, 1, 3, SIZE, SIZE)
    cloud = point_cloud(rgb, wall(2.0), viewpoints(LEVEL), SCALE, FOV, further=1 - rgb)
    picture = reproject(cloud, viewpoints(LEVEL + torch.tensor([0.0, 0.3, 0.0, 0.2, 0.0])), SIZE, SCALE, FOV)
    seen = picture.mask.expand_as(picture.colour) > 0
    assert 0.3 < seen.float().mean() < 1
    torch.testing.assert_close(picture.further[seen], 1 - picture.colour[seen])
    assert not picture.further[~seen].any()
