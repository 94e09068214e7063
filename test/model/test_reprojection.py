"""Reprojection: what observations saw, carried into another view by its depth."""
import pytest
import torch

from placenet_ros.model.reprojection import FARTHEST_M, PointCloud, closed_gaps, draw_points, point_cloud, reproject
from placenet_ros.model.viewpoints import relative_viewpoints

SIZE, FOV, SCALE = 32, 60.0, 3.0
LEVEL = torch.tensor([0.0, 0.0, 0.5, 0.0, 0.0])
FOCAL = SIZE / 2 / torch.tan(torch.deg2rad(torch.tensor(FOV / 2)))
BOTH_WAYS = pytest.mark.parametrize("project", [draw_points, reproject])


def viewpoints(*poses):
    return relative_viewpoints(torch.stack(poses), torch.zeros(4), SCALE)[None]


def moved(forward=0.0, left=0.0):
    return LEVEL + torch.tensor([forward, left, 0.0, 0.0, 0.0])


def observed(depth, pose=LEVEL, seed=0, **further):
    rgb = torch.rand(1, 1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
    return rgb, point_cloud(rgb, depth, viewpoints(pose), SCALE, FOV, **further)


def wall(metres):
    return torch.full((1, 1, 1, SIZE, SIZE), metres)


def joined(*clouds):
    return PointCloud(*(torch.cat(parts, dim=1) for parts in zip(*clouds)))


def plain(colour, depth, pose=LEVEL, log_error=0.0):
    """One observation of one colour and depth."""
    rgb = torch.tensor(colour)[None, None, :, None, None].expand(1, 1, 3, SIZE, SIZE)
    error = torch.full_like(wall(depth), log_error)
    return point_cloud(rgb, wall(depth), viewpoints(pose), SCALE, FOV, log_error=error)


RED, GREEN = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


@BOTH_WAYS
def test_an_observation_seen_from_its_own_pose_is_itself(project):
    for pose in (LEVEL, torch.tensor([1.0, -2.0, 0.7, 2.5, -0.3])):
        rgb, cloud = observed(wall(2.0), pose)
        picture = project(cloud, viewpoints(pose), SCALE, FOV)
        assert picture.mask.all()
        torch.testing.assert_close(picture.colour, rgb, atol=2e-4, rtol=0)
        torch.testing.assert_close(picture.depth, wall(2.0), atol=1.1e-3, rtol=0)


@BOTH_WAYS
def test_a_step_to_the_left_moves_the_picture_to_the_right_by_the_parallax(project):
    pixels = 4
    rgb, cloud = observed(wall(2.0))
    picture = project(cloud, viewpoints(moved(left=pixels * 2.0 / FOCAL)), SCALE, FOV)  # wall at 2 m
    assert not picture.mask[..., :pixels - 1].any(), "nothing was seen beyond the observation's left edge"
    matches = ((picture.colour[..., pixels:] - rgb[..., :-pixels]).abs() < 1e-3).all(dim=2).float().mean()
    assert matches > 0.85  # the rest is rounding to the next pixel


@BOTH_WAYS
def test_the_nearer_of_two_surfaces_hides_the_farther(project):
    for clouds in ((plain(RED, 3.0), plain(GREEN, 2.0)), (plain(GREEN, 2.0), plain(RED, 3.0))):
        picture = project(joined(*clouds), viewpoints(moved(left=0.3)), SCALE, FOV)
        nearer = picture.depth < 2.5
        assert (picture.mask > nearer).any() and nearer[picture.mask > 0].float().mean() > 0.8
        assert (picture.colour[:, :, 1:2][nearer & (picture.mask > 0)] == 1.0).all()


@BOTH_WAYS
def test_points_behind_the_camera_too_far_or_without_depth_are_not_drawn(project):
    _, cloud = observed(wall(2.0))
    assert not project(cloud, viewpoints(moved(forward=4.0)), SCALE, FOV).mask.any()
    for depth in (1e9, 0.0):
        _, cloud = observed(wall(depth))
        for pose in (LEVEL, moved(forward=-1.0)):
            picture = project(cloud, viewpoints(pose), SCALE, FOV)
            assert not any(part.any() for part in picture)


def test_points_leave_gaps_in_a_nearer_view_and_surfaces_do_not():
    _, cloud = observed(wall(3.0))
    nearer = viewpoints(moved(forward=1.6))  # more than twice as large: less than one point for four pixels
    assert draw_points(cloud, nearer, SCALE, FOV).mask.mean() < 0.3
    assert reproject(cloud, nearer, SCALE, FOV).mask.all()


def test_colours_between_pixels_are_interpolated():
    ramp = torch.linspace(0, 1, SIZE).expand(1, 1, 3, SIZE, SIZE)
    cloud = point_cloud(ramp, wall(2.0), viewpoints(LEVEL), SCALE, FOV)
    picture = reproject(cloud, viewpoints(moved(left=0.5 * 2.0 / FOCAL)), SCALE, FOV)  # by half a pixel
    inner = slice(2, -2)
    torch.testing.assert_close(picture.colour[..., inner], (ramp - 0.5 / (SIZE - 1))[..., inner], atol=1e-3, rtol=0)


def test_what_is_hidden_from_every_observation_is_not_invented():
    depth = wall(4.0)
    depth[..., SIZE // 2:] = 1.0  # a pillar on the right hides the wall behind it
    rgb, cloud = observed(depth)
    picture = reproject(cloud, viewpoints(moved(left=-0.8)), SCALE, FOV)  # a step to the right looks behind it
    hidden = picture.mask[0, 0, 0].mean(dim=0) < 0.5
    assert hidden.sum() > 4 and picture.mask.mean() > 0.3


def test_the_nearest_observation_shows_a_place_that_several_saw():
    near = plain(GREEN, 1.0, moved(forward=1.0))
    for clouds in ((plain(RED, 2.0), near), (near, plain(RED, 2.0))):
        middle = reproject(joined(*clouds), viewpoints(moved(forward=0.5)), SCALE, FOV).colour[0, 0, :, 12:20, 12:20]
        assert (middle[1] == 1.0).all()


def test_where_depth_is_uncertain_the_observation_beside_the_query_shows_a_place():
    aside, beside = moved(left=1.0), moved(left=0.05)
    for error, winner in ((0.0, 0), (0.2, 1)):
        clouds = plain(RED, 1.98, aside, error), plain(GREEN, 2.0, beside, error)
        assert reproject(joined(*clouds), viewpoints(LEVEL), SCALE, FOV).colour[0, 0, winner, 16, 5] == 1.0


@BOTH_WAYS
def test_certainty_falls_with_the_error_to_expect(project):
    def certainty(error):
        return project(plain(RED, 2.0, log_error=error), viewpoints(LEVEL), SCALE, FOV).certainty.mean().item()

    assert certainty(0.0) == 1.0
    assert abs(certainty(0.1) - 0.5) < 1e-6
    assert certainty(0.3) < certainty(0.2) < 0.5


@BOTH_WAYS
def test_what_else_points_carry_comes_out_where_their_colour_does(project):
    rgb = torch.rand(1, 1, 3, SIZE, SIZE)
    cloud = point_cloud(rgb, wall(2.0), viewpoints(LEVEL), SCALE, FOV, further=1 - rgb)
    picture = project(cloud, viewpoints(LEVEL + torch.tensor([0.0, 0.3, 0.0, 0.2, 0.0])), SCALE, FOV)
    seen = picture.mask.expand_as(picture.colour) > 0
    assert 0.3 < seen.float().mean() < 1
    torch.testing.assert_close(picture.further[seen], 1 - picture.colour[seen])
    assert not picture.further[~seen].any()


def test_gaps_are_closed_and_edges_grow_by_one_pixel_only():
    depth = torch.full((1, 1, 16, 16), FARTHEST_M)
    depth[..., :8, ::2] = 2.0  # a surface with gaps between its columns
    depth[..., 3, 4] = 5.0  # through which a farther point shines
    closed = closed_gaps(depth)[0, 0]
    torch.testing.assert_close(closed[:8, :15], torch.full((8, 15), 2.0))
    assert (closed[9:] == FARTHEST_M).all()
