"""The authors' model as training sees it: its own arithmetic behind our model's interface."""

from dataclasses import replace

import pytest
import torch
import torch.distributed
from torch.nn.parallel import DistributedDataParallel

from placenet_ros.model import Observations, PlaceNet, PlaceNetConfig, WeightsError, evidence_lower_bound
from placenet_ros.model.modalities import depth_picture
from training.networks import build_network, poses_of, read_network
from training.published_network import PublishedNetwork

SCENES, OBSERVATIONS, SIZE, LAYERS = 3, 4, 16, 2
CONFIG = PlaceNetConfig(image_size=SIZE, representation_channels=16, hidden_channels=8, canvas_channels=8,
                        latent_channels=2, layers=LAYERS, reprojection=False, position_scale=50.0)  # fmt: skip


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = PublishedNetwork(CONFIG)
    with torch.no_grad():
        for letter in "rdo":  # each of another weight, far from the start
            getattr(network.network, f"gamma_{letter}").fill_(0.3 + 0.2 * "rdo".index(letter))
        network.network.eta_g.weight *= 5
        network.network.eta_g.bias.fill_(0.5)  # pixels fall inside and outside [0, 1]
    return network


def inputs(queries=1):
    generator = torch.Generator().manual_seed(1)

    def random(*shape):
        return torch.rand(*shape, generator=generator)

    observations = Observations(
        rgb=random(SCENES, OBSERVATIONS, 3, SIZE, SIZE),
        viewpoints=random(SCENES, OBSERVATIONS, 7) * 2 - 1,
        depth=random(SCENES, OBSERVATIONS, 1, SIZE, SIZE) * 6,
        objects=random(SCENES, OBSERVATIONS, 3, SIZE, SIZE),
    )
    return observations, random(SCENES, queries, 7) * 2 - 1, random(SCENES, queries, 3, SIZE, SIZE)


def pictures(observations):
    return torch.stack([observations.rgb, depth_picture(observations.depth), observations.objects], dim=1)


def noise(queries=1):
    return torch.randn(LAYERS, SCENES * queries, 2, 4, 4, generator=torch.Generator().manual_seed(2))


def seeded():
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("hold", [False, True])
def test_training_computes_what_the_published_model_computes(network, hold):
    observations, viewpoints, images = inputs()
    ours = network(observations, viewpoints, images, hold, noise())
    sigma = 2.0 if hold else 0.7
    theirs = network.network(
        pictures(observations), observations.viewpoints, viewpoints[:, 0], images[:, 0], sigma, noise=noise()
    )
    assert torch.equal(ours.images, theirs.images) and torch.equal(ours.kl, theirs.kl)


def test_predictions_are_those_of_the_published_model(network):
    observations, viewpoints, images = inputs()
    scene = network.encode(observations)
    asked = (pictures(observations), observations.viewpoints, viewpoints[:, 0])
    predicted = network.predict(scene, viewpoints, seeded())[:, 0]
    assert torch.equal(predicted, network.network.predict(*asked, generator=seeded()))
    reconstructed = network.reconstruct(scene, viewpoints, images, seeded())[:, 0]
    assert torch.equal(reconstructed, network.network.reconstruct(*asked, images[:, 0], generator=seeded()))
    assert not torch.equal(predicted, reconstructed)


def test_the_temperature_of_the_prior_takes_the_chance_out_of_predictions(network):
    observations, viewpoints, _ = inputs()
    scene = network.encode(observations)
    cold = [network.predict(scene, viewpoints, torch.Generator().manual_seed(seed), temperature=0.0) for seed in (0, 1)]
    assert torch.equal(*cold)
    assert not torch.equal(cold[0], network.predict_view(scene, viewpoints, seeded()).images)


def test_several_queries_of_a_scene_are_each_as_if_alone(network):
    observations, viewpoints, images = inputs(queries=2)
    drawn = noise(queries=2)
    both = network(observations, viewpoints, images, False, drawn)
    for query in range(2):
        one = slice(query, query + 1)
        alone = network(observations, viewpoints[:, one], images[:, one], False, drawn[:, query::2])
        torch.testing.assert_close(both.images[:, one], alone.images)
        torch.testing.assert_close(both.kl[:, one], alone.kl)


def test_the_cores_compile_whole(network):
    """For speed on a GPU; generating code would take minutes here."""
    asked = (*inputs(), False, noise())
    before = network(*asked)
    for core in (*network.inference_cores, *network.generation_cores):
        core.compile(fullgraph=True, dynamic=False, backend="eager")
    compiled = network(*asked)
    torch.testing.assert_close(compiled.images, before.images)
    torch.testing.assert_close(compiled.kl, before.kl)


@pytest.mark.parametrize("hold", [False, True])
def test_gradients_are_those_of_the_published_model_and_none_is_missing(network, hold):
    observations, viewpoints, images = inputs()
    (
        -evidence_lower_bound(network(observations, viewpoints, images, hold, noise()), images, 0.7).elbo.mean()
    ).backward()
    ours = {name: parameter.grad for name, parameter in network.network.named_parameters()}
    network.zero_grad(set_to_none=True)
    theirs = network.network(
        pictures(observations),
        observations.viewpoints,
        viewpoints[:, 0],
        images[:, 0],
        2.0 if hold else 0.7,
        None,
        noise(),
    )
    (-evidence_lower_bound(theirs, images, 0.7).elbo.mean()).backward()
    for name, parameter in network.network.named_parameters():
        if hold and name.startswith("gamma_"):
            assert parameter.grad is None and ours[name] == 0
        else:
            assert torch.equal(ours[name], parameter.grad), name
            assert ours[name].any() or name == "inf_core.0.downsample_u.weight", name  # the first canvas is 0


def test_held_attention_weights_do_not_stop_distributed_training(network, tmp_path):
    """It waits for a gradient of every parameter, and says at the next step that one did not come."""
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        distributed = DistributedDataParallel(network)
        for _ in range(2):
            result = distributed(*inputs(), True)
            (result.images.sum() + result.kl.sum()).backward()
    finally:
        torch.distributed.destroy_process_group()


def test_what_observations_lack_is_black(network):
    observations, viewpoints, _ = inputs()
    black = replace(
        observations, depth=torch.zeros_like(observations.depth), objects=torch.zeros_like(observations.rgb)
    )
    lacking = replace(observations, depth=None, objects=None)
    views = [network.predict(network.encode(o), viewpoints, seeded()) for o in (lacking, black, observations)]
    assert torch.equal(views[0], views[1]) and not torch.equal(views[0], views[2])


@pytest.mark.parametrize("shared", [False, True])
def test_weights_are_read_back_as_the_network_that_they_are_of(tmp_path, shared):
    network = PublishedNetwork(replace(CONFIG, shared_core=shared))
    network.save_pretrained(tmp_path, {"configuration": {"sampling": {"poses": "box"}}})
    read = read_network(tmp_path)
    assert isinstance(read, PublishedNetwork) and not read.training and read.config == network.config
    assert all(torch.equal(tensor, read.state_dict()[name]) for name, tensor in network.state_dict().items())
    assert poses_of(read) == "box"
    with pytest.raises(WeightsError, match="architecture is 'PublishedPlaceNet', expected 'PlaceNet'"):
        PlaceNet.from_pretrained(tmp_path)


def test_our_own_weights_are_read_as_ours(tmp_path):
    PlaceNet(CONFIG).save_pretrained(tmp_path, {})
    read = read_network(tmp_path)
    assert isinstance(read, PlaceNet) and poses_of(read) == "scene"
    with pytest.raises(WeightsError, match="architecture is 'PlaceNet', expected 'PublishedPlaceNet'"):
        PublishedNetwork.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "setting, said",
    [
        ({"reprojection": True}, "model.reprojection=False, not True"),
        ({"canvas_channels": 16}, "model.canvas_channels=8, not 16"),
        ({"attention_tokens": 16}, "model.attention_tokens=1, not 16"),
        ({"tower": "pool"}, "model.tower=tower, not pool"),
        ({"predict_depth": True}, "model.predict_depth=False, not True"),
        ({"image_size": 32}, "model.representation_channels=64, as many as places, for images of 32 pixels, not 16"),
        ({"representation_channels": 18}, "representation_channels must be an even square"),
    ],
)
def test_what_the_published_model_has_not_is_refused_by_name(setting, said):
    with pytest.raises(ValueError, match=said):
        build_network("published", replace(CONFIG, **setting))
