"""What the worker gets of what the callbacks received."""

import time
from types import SimpleNamespace

import pytest

from placenet_ros.node.companions import CompanionBuffer
from placenet_ros.node.drops import DropCounter
from placenet_ros.node.episodes import EpisodeWatch
from placenet_ros.node.inbox import MAX_QUERIES, Inbox, PosedImage
from placenet_ros.node.odometry import OdometrySample
from placenet_ros.node.request import Request, RequestError
from placenet_ros.node.rigid_pose import RigidPose

SECOND = 1_000_000_000
WAIT = 0.15


class Stamp(int):
    def to_nsec(self):
        return int(self)


def picture(seconds, name=""):
    return SimpleNamespace(header=SimpleNamespace(stamp=Stamp(round(seconds * SECOND))), name=name)


def odometry(seconds, x=0.0, frame_id="odom"):
    return OdometrySample(round(seconds * SECOND), RigidPose.checked((x, 0, 0), (0, 0, 0, 1)), frame_id, "base", ())


@pytest.fixture
def drops():
    return DropCounter(print, print)


@pytest.fixture
def inbox(drops):
    inbox = Inbox(2.0, WAIT, 1.0, 0.02, EpisodeWatch(True), drops)
    inbox.put_camera_info("the camera")
    return inbox


def drive(inbox, start, end):
    for tenth in range(round(start * 10), round(end * 10) + 1):
        inbox.put_odometry(odometry(tenth / 10, x=tenth / 100))


def test_newest_image_wins(inbox):
    drive(inbox, 10.0, 11.0)
    for seconds in (10.1, 10.2, 10.3):
        inbox.put_image(picture(seconds))
    found = inbox.take(0.0)
    assert found.image.header.stamp == 10.3 * SECOND
    assert found.odometry.pose.position[0] == pytest.approx(1.03)
    assert (inbox.images_received, inbox.images_superseded) == (3, 2)
    assert inbox.take(0.0) is None


def test_a_busy_worker_gets_an_image_as_soon_as_it_has_all_it_needs(inbox):
    drive(inbox, 9.0, 10.0)
    inbox.put_request(Request(lambda tasks: None))
    assert inbox.take_image() is None
    inbox.put_image(picture(10.05))
    assert inbox.take_image() is None
    inbox.put_odometry(odometry(10.06))
    assert inbox.take_image().image.header.stamp == 10.05 * SECOND
    assert inbox.take_image() is None
    assert isinstance(inbox.take(0.0), Request)


def test_image_waits_for_odometry_while_newer_images_come(inbox):
    drive(inbox, 9.0, 10.0)
    inbox.put_image(picture(10.05))
    assert inbox.take(0.0) is None
    inbox.put_image(picture(10.08))
    inbox.put_odometry(odometry(10.06))
    assert inbox.take(0.0).image.header.stamp == 10.05 * SECOND
    assert inbox.take(0.0) is None
    inbox.put_odometry(odometry(10.1))
    assert inbox.take(0.0).image.header.stamp == 10.08 * SECOND


def test_image_without_odometry_is_dropped_and_counted_and_the_next_is_served(inbox, drops):
    inbox.put_image(picture(10.0))
    assert inbox.take(2 * WAIT) is None
    assert drops.counts() == {"no odometry": 1}
    drive(inbox, 10.0, 11.0)
    inbox.put_image(picture(10.5))
    assert isinstance(inbox.take(0.0), PosedImage)


def test_image_older_than_all_odometry_is_dropped_at_once(inbox, drops):
    drive(inbox, 10.0, 11.0)
    inbox.put_image(picture(9.0))
    assert inbox.take(0.0) is None
    assert drops.counts() == {"late": 1}


def test_first_image_waits_for_camera_info(drops):
    inbox = Inbox(2.0, WAIT, 1.0, 0.02, EpisodeWatch(True), drops)
    drive(inbox, 10.0, 11.0)
    inbox.put_image(picture(10.5))
    assert inbox.take(0.0) is None
    inbox.put_camera_info("the camera")
    assert inbox.take(0.0).camera_info == "the camera"


def test_image_without_camera_info_is_dropped_and_counted(drops):
    inbox = Inbox(2.0, WAIT, 1.0, 0.02, EpisodeWatch(True), drops)
    drive(inbox, 10.0, 11.0)
    inbox.put_image(picture(10.5))
    assert inbox.take(2 * WAIT) is None
    assert drops.counts() == {"no camera_info": 1}


def test_companions_are_joined_by_exact_or_near_stamp(inbox):
    drive(inbox, 10.0, 11.0)
    for name in ("depth", "objects"):
        inbox.expect_companion(name, lambda: True)
    for seconds in (10.48, 10.515, 10.6):
        inbox.put_companion("depth", picture(seconds))
    inbox.put_companion("objects", picture(10.7))  # too far off, and it is past
    inbox.put_image(picture(10.5))
    found = inbox.take(0.0).companions
    assert found["depth"].header.stamp == 10.515 * SECOND
    assert "objects" not in found


def test_image_waits_a_moment_for_its_depth_and_then_goes_without(inbox):
    drive(inbox, 10.0, 12.0)
    inbox.expect_companion("depth", lambda: True)
    inbox.put_image(picture(10.5))
    assert inbox.take(0.0) is None
    inbox.put_companion("depth", picture(10.5))
    assert "depth" in inbox.take(0.0).companions
    inbox.put_image(picture(10.6))
    begun = time.monotonic()
    assert inbox.take(2 * WAIT).companions == {}
    assert time.monotonic() - begun >= WAIT * 0.9


def test_image_that_waits_through_a_long_task_keeps_its_depth(inbox):
    inbox.expect_companion("depth", lambda: True)
    drive(inbox, 9.0, 10.0)
    inbox.put_image(picture(10.02))
    assert inbox.take(0.0) is None  # waits for odometry; then the worker is busy for a second and a half
    drive(inbox, 10.1, 11.6)
    for frame in range(45):
        inbox.put_companion("depth", picture(10.02 + frame / 30))
    found = inbox.take(0.0)
    assert (found.image.header.stamp, found.missing) == (10.02 * SECOND, ())
    assert found.companions["depth"].header.stamp == 10.02 * SECOND


def test_after_a_long_task_the_newest_image_goes_before_one_that_waited(inbox):
    inbox.expect_companion("depth", lambda: True)
    drive(inbox, 9.0, 12.0)
    inbox.put_image(picture(10.0))
    assert inbox.take(0.0) is None
    time.sleep(WAIT)
    inbox.put_companion("depth", picture(10.9))
    inbox.put_image(picture(10.9))
    assert inbox.take(0.0).image.header.stamp == 10.9 * SECOND
    assert inbox.images_superseded == 1
    assert inbox.take(0.0) is None


def test_images_go_on_without_depth_that_never_fits(inbox):
    inbox.expect_companion("depth", lambda: True)
    drive(inbox, 9.0, 12.0)
    inbox.put_image(picture(10.0))
    assert inbox.take(0.0) is None
    time.sleep(WAIT)
    inbox.put_image(picture(10.2))
    found = inbox.take(0.0)
    assert (found.image.header.stamp, found.companions, found.missing) == (10.0 * SECOND, {}, ("depth",))


def test_companions_are_bounded_in_time_and_in_number():
    buffer = CompanionBuffer(0.02, 2.0)
    for frame in range(90):
        buffer.add(picture(10 + frame / 30))
    assert buffer.near(round((10 + 29 / 30 - 0.02) * SECOND)) is not None
    assert buffer.near(round(10.5 * SECOND)) is None
    for frame in range(1000):
        buffer.add(picture(13 + frame / 1000))
    assert buffer.near(round(13.9 * SECOND)) is None


def test_image_does_not_wait_for_depth_that_nobody_publishes(inbox):
    drive(inbox, 10.0, 12.0)
    inbox.put_image(picture(10.5))
    found = inbox.take(0.0)
    assert (found.companions, found.missing) == ({}, ())


def test_requests_are_served_between_images(inbox):
    drive(inbox, 10.0, 11.0)
    for _ in range(2):
        inbox.put_request(Request(lambda tasks: None))
    order = []
    for number in range(4):
        inbox.put_image(picture(10.1 + number / 10))
        order.append(type(inbox.take(0.0)))
    assert order == [PosedImage, Request, PosedImage, Request]


def test_too_many_queries_refuse_the_oldest_and_never_a_service(inbox, drops):
    reset = Request(lambda tasks: None)
    inbox.put_request(reset)
    queries = [Request(lambda tasks: None, is_query=True) for _ in range(MAX_QUERIES + 1)]
    for query in queries:
        inbox.put_request(query)
    with pytest.raises(RequestError, match="gave way"):
        queries[0].wait(0.0)
    assert drops.counts() == {"queries refused": 1}
    assert inbox.take(0.0) is reset
    assert inbox.take(0.0) is queries[1]


def test_service_is_served_before_the_queries_that_wait(inbox):
    query, reset = Request(lambda tasks: None, is_query=True), Request(lambda tasks: None)
    inbox.put_request(query)
    inbox.put_request(reset)
    assert [inbox.take(0.0), inbox.take(0.0)] == [reset, query]


def test_requests_whose_callers_gave_up_do_not_pile_up(inbox):
    for _ in range(3):
        request = Request(lambda tasks: None)
        inbox.put_request(request)
        with pytest.raises(RequestError):
            request.wait(0.0)
    last = Request(lambda tasks: None)
    inbox.put_request(last)
    assert inbox.take(0.0) is last


def test_request_that_nobody_waits_for_is_not_run():
    ran = []
    request = Request(ran.append)
    with pytest.raises(RequestError, match="no answer within 0 s"):
        request.wait(0.0)
    request.run("tasks")
    assert not ran


@pytest.mark.parametrize(
    "is_loading, why", [(True, "the model is still loading; ask again when"), (False, "busy with what came before; ")]
)
def test_caller_who_gives_up_is_told_whether_the_model_loads_or_is_busy(is_loading, why):
    with pytest.raises(RequestError, match=f"no answer within 0 s: {why}"):
        Request(lambda tasks: None).wait(0.0, lambda: is_loading)


def test_caller_who_gives_up_on_what_has_begun_is_told_that_it_will_be_done():
    done = []

    def work(_):
        with pytest.raises(RequestError, match="but it is being done"):
            request.wait(0.0)
        done.append(True)

    request = Request(work)
    request.run("tasks")
    assert done


def test_request_gives_its_answer():
    request = Request(lambda tasks: tasks + 1)
    request.run(41)
    assert request.wait(0.0) == 42


def test_jump_back_in_time_forgets_what_was_held_and_tells_the_new_episode(inbox):
    drive(inbox, 20.0, 21.0)
    inbox.put_image(picture(21.05))
    assert inbox.take(0.0) is None  # waits for odometry
    drive(inbox, 10.0, 11.0)
    inbox.put_image(picture(10.5))
    found = inbox.take(0.0)
    assert (found.image.header.stamp, found.episode) == (10.5 * SECOND, 2)


@pytest.mark.parametrize("seconds", [0.0, 2.0**32 - 1])
def test_stamp_that_is_no_time_is_dropped_and_begins_no_episode(inbox, drops, seconds):
    drive(inbox, 10.0, 11.0)
    inbox.put_image(picture(seconds))
    inbox.put_odometry(odometry(seconds))
    assert drops.counts() == {"image: no stamp": 1, "odom: no stamp": 1}
    assert inbox.newest_odometry().stamp == 11 * SECOND
    inbox.put_image(picture(10.5))
    assert inbox.take(0.0).episode == 1


def test_odometry_from_before_an_image_jump_does_not_place_the_image(inbox):
    drive(inbox, 20.0, 21.0)
    inbox.put_image(picture(20.5))
    assert inbox.take(0.0).episode == 1
    inbox.put_image(picture(10.5))  # the images jump first ...
    inbox.put_odometry(odometry(21.1))  # ... an old message is still on its way ...
    drive(inbox, 10.0, 11.0)  # ... and then odometry jumps
    found = inbox.take(0.0)
    assert (found.odometry.pose.position[0], found.episode) == (pytest.approx(1.05), 2)


@pytest.mark.parametrize("restarted", [odometry(11.1, x=50.0), odometry(11.1, x=0.1, frame_id="map")])
def test_odometry_that_restarts_begins_an_episode(inbox, restarted):
    drive(inbox, 10.0, 11.0)
    inbox.put_odometry(restarted)
    inbox.put_image(picture(11.1))
    assert inbox.take(0.0).episode == 2


@pytest.mark.parametrize("is_taken", [False, True], ids=["in the slot", "taken out of it"])
def test_an_image_that_comes_before_the_odometry_that_restarts_belongs_to_the_new_episode(inbox, drops, is_taken):
    drive(inbox, 10.0, 11.0)
    inbox.put_image(picture(11.15))
    if is_taken:
        assert inbox.take(0.0) is None
    inbox.put_odometry(odometry(11.1, x=50.0))
    inbox.put_odometry(odometry(11.2, x=50.0))
    found = inbox.take(0.0)
    assert (found.image.header.stamp, found.episode) == (11.15 * SECOND, 2)
    assert found.odometry.pose.position[0] == 50.0


@pytest.mark.parametrize("is_taken", [False, True], ids=["in the slot", "taken out of it"])
def test_an_image_from_before_odometry_restarts_is_forgotten(inbox, drops, is_taken):
    drive(inbox, 10.0, 11.0)
    inbox.put_image(picture(11.05))
    if is_taken:
        assert inbox.take(0.0) is None
    inbox.put_odometry(odometry(11.1, x=50.0))
    inbox.put_odometry(odometry(11.2, x=50.0))
    assert inbox.take(2 * WAIT) is None
    assert not drops.counts()


def test_gap_in_odometry_that_a_robot_can_have_driven_begins_no_episode(inbox):
    drive(inbox, 10.0, 11.0)
    inbox.put_odometry(odometry(14.0, x=1.1 + 3.0 * 0.6))
    inbox.put_image(picture(14.0))
    assert inbox.take(0.0).episode == 1


@pytest.mark.parametrize(
    "restarted, episode", [(odometry(11.1, x=50.0), 1), (odometry(11.1, x=0.1, frame_id="map"), 2)]
)
def test_without_a_jump_distance_only_another_frame_begins_an_episode(drops, restarted, episode):
    inbox = Inbox(2.0, WAIT, 0.0, 0.02, EpisodeWatch(True), drops)
    inbox.put_camera_info("the camera")
    drive(inbox, 10.0, 11.0)
    inbox.put_odometry(restarted)
    inbox.put_image(picture(11.1))
    assert inbox.take(0.0).episode == episode


def test_closed_inbox_lets_the_worker_go(inbox):
    inbox.close()
    begun = time.monotonic()
    assert inbox.take(60.0) is None
    assert time.monotonic() - begun < 30.0
