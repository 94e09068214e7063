"""The cores as PlaceNet runs them equal the networks written out plainly: a canvas of pixels that each layer paints and
reads, attention by its formula at each layer, every layer's convolutions on their own."""
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from placenet_ros.model import Observations, PlaceNet, PlaceNetConfig
from placenet_ros.model import attention as attention_module
from placenet_ros.model.cores import Canvas

SHIPPED = Path(__file__).parents[2] / "weights" / "placenet-small"
SMALL = {"image_size": 32, "representation_channels": 16, "hidden_channels": 8, "canvas_channels": 6, "layers": 4,
         "reprojection_channels": 4}


def scene_of(model, observations=3, objects=True):
    """Representation of two scenes, and queries and images of three views of each."""
    generator, size = torch.Generator().manual_seed(1), model.config.image_size

    def random(*shape):
        return torch.rand(2, *shape, generator=generator)

    def viewpoints(count):
        return torch.cat([0.3 * random(count, 3), torch.tensor([1.0, 0.0, 1.0, 0.0]).expand(2, count, 4)], dim=-1)

    seen = Observations(random(observations, 3, size, size), viewpoints(observations),
                        0.5 + 3 * random(observations, 1, size, size),
                        random(observations, 3, size, size) if objects else None)
    return model.encode(seen), viewpoints(3), random(3, 3, size, size)


def gates_of(core, inputs, hidden, cell):
    enter, forget, leave, candidate = core.cell.gates(torch.cat([hidden, *inputs], dim=1)).chunk(4, dim=1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(candidate)
    return torch.sigmoid(leave) * torch.tanh(cell), cell


def attended(model, scene, hidden, views):
    """gamma softmax(q k^T / sqrt(c)) v of each modality, summed."""
    total = 0
    for modality, keys in scene.keys.items():
        module = model.attention[modality]
        for_each_view = [x.repeat_interleave(views, dim=0) for x in (keys, scene.values[modality])]
        scores = module.query(hidden.flatten(2).transpose(1, 2)) @ for_each_view[0].transpose(1, 2)
        result = torch.softmax(scores / keys.shape[-1] ** 0.5, dim=-1) @ for_each_view[1]
        total = total + module.gamma * result.transpose(1, 2).unflatten(2, hidden.shape[2:])
    return total


def plainly(model, scene, viewpoints, images, noise):
    """Images and KL (n, l) by the modules as they are defined; `images` None: from the prior."""
    config, n, grid = model.config, viewpoints[..., 0].numel(), model.config.grid_size
    views, viewpoint = viewpoints.shape[1], viewpoints.flatten(0, 1)[:, :, None, None]
    base = scene.total.expand(-1, -1, grid, grid).repeat_interleave(views, dim=0)
    seen = model._reprojected(scene.cloud, viewpoints)
    hidden_g = cell_g = hidden_e = cell_e = torch.zeros(n, config.hidden_channels, grid, grid)
    canvas, kl = torch.zeros(n, config.canvas_channels, config.image_size, config.image_size), []
    for layer in range(config.layers):
        core = 0 if config.shared_core else layer
        inference, generation = model.inference_cores[core], model.generation_cores[core]
        here = [base + attended(model, scene, hidden_g, views), F.relu(model.down_reprojection(seen))]
        mean, raw = model.prior_head(hidden_g).chunk(2, dim=1)
        prior = posterior = torch.distributions.Normal(mean, F.softplus(raw) + 1e-8)
        if images is not None:
            inputs = [hidden_g, inference.down_image(images.flatten(0, 1)), inference.up_viewpoint(viewpoint), *here,
                      inference.down_canvas(canvas)]
            hidden_e, cell_e = gates_of(inference, inputs, hidden_e, cell_e)
            mean, raw = model.posterior_head(hidden_e).chunk(2, dim=1)
            posterior = torch.distributions.Normal(mean, F.softplus(raw) + 1e-8)
        kl.append(torch.distributions.kl_divergence(posterior, prior).sum(dim=(1, 2, 3)))
        latent = posterior.mean + posterior.stddev * noise[layer]
        hidden_g, cell_g = gates_of(generation, [generation.up_viewpoint(viewpoint), *here, latent], hidden_g, cell_g)
        canvas = canvas + generation.up_hidden(hidden_g)
    return model.image_head(canvas, seen).images.unflatten(0, viewpoints.shape[:2]), torch.stack(kl, dim=1)


def noise_for(model):
    """What a generator of seed 3 draws, layer by layer."""
    generator, config = torch.Generator().manual_seed(3), model.config
    return torch.stack([torch.randn(6, config.latent_channels, config.grid_size, config.grid_size, generator=generator)
                        for _ in range(config.layers)])


def test_the_shipped_weights_predict_and_reconstruct_as_written_plainly():
    model = PlaceNet.from_pretrained(SHIPPED)
    with torch.inference_mode():
        scene, viewpoints, images = scene_of(model)
        expected, _ = plainly(model, scene, viewpoints, None, noise_for(model))
        predicted = model.predict(scene, viewpoints, torch.Generator().manual_seed(3))
        torch.testing.assert_close(predicted, expected.clamp(0, 1), rtol=0, atol=1e-4)
        expected, _ = plainly(model, scene, viewpoints, images, noise_for(model))
        reconstructed = model.reconstruct(scene, viewpoints, images, torch.Generator().manual_seed(3))
        torch.testing.assert_close(reconstructed, expected.clamp(0, 1), rtol=0, atol=1e-4)


@pytest.mark.parametrize("changes", [{}, {"shared_core": True}, {"attention_tokens": 16}, {"attention": "d"},
                                     {"attention": ""}, {"tower": "pool"}], ids=str)
def test_training_computes_what_is_written_plainly_and_its_gradients(changes):
    torch.manual_seed(0)
    model = PlaceNet(PlaceNetConfig(**dict(SMALL, **changes))).eval()
    scene, viewpoints, images = scene_of(model)
    painting, kl = model._paint(scene, viewpoints, images, None, 1.0, False, noise_for(model))
    results = [(painting.images.unflatten(0, (2, 3)), kl.flatten(0, 1)),
               plainly(model, scene, viewpoints, images, noise_for(model))]
    gradients = []
    for pictures, divergence in results:
        model.zero_grad()
        ((pictures - images).square().sum() + 0.01 * divergence.sum()).backward(retain_graph=True)
        gradients.append({name: weight.grad.clone() for name, weight in model.named_parameters()
                          if weight.grad is not None})
    for one, other in zip(*results):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[1].items():
        rounding = 1e-4 * (1 + gradient.abs().max().item())
        torch.testing.assert_close(gradients[0][name], gradient, rtol=1e-3, atol=rounding,
                                   msg=lambda text, name=name: f"{name}: {text}")


def test_modalities_with_different_numbers_of_tokens_are_attended_apart():
    """As where some observations came without objects; each modality has its own softmax."""
    torch.manual_seed(0)
    model = PlaceNet(PlaceNetConfig(**SMALL)).eval()
    with torch.inference_mode():
        scene, viewpoints, _ = scene_of(model)
        scene.keys["o"], scene.values["o"] = scene.keys["o"][:, :1] * 50, scene.values["o"][:, :1] * 50
        expected, _ = plainly(model, scene, viewpoints, None, noise_for(model))
        predicted = model.predict(scene, viewpoints, torch.Generator().manual_seed(3))
    torch.testing.assert_close(predicted, expected.clamp(0, 1), rtol=0, atol=1e-5)


def test_many_tokens_are_attended_to_without_all_scores_at_once(monkeypatch):
    torch.manual_seed(0)
    model = PlaceNet(PlaceNetConfig(**dict(SMALL, attention_tokens=16))).eval()
    with torch.inference_mode():
        scene, viewpoints, _ = scene_of(model)
        at_once = model.predict(scene, viewpoints, torch.Generator().manual_seed(3))
        monkeypatch.setattr(attention_module, "MOST_TOKENS_SCORED_AT_ONCE", 47)  # of the 48
        apart = model.predict(scene, viewpoints, torch.Generator().manual_seed(3))
    torch.testing.assert_close(apart, at_once, rtol=0, atol=1e-5)
    assert not torch.equal(apart, at_once), "the other way of computing it was not taken"


@pytest.mark.parametrize("shared", [False, True])
def test_a_canvas_is_the_sum_of_what_was_painted(shared):
    torch.manual_seed(0)
    brushes = [torch.nn.ConvTranspose2d(8, 6, 4, stride=4, bias=False) for _ in range(1 if shared else 3)]
    readers = [torch.nn.Conv2d(6, 6, 4, stride=4, bias=False) for _ in brushes]
    canvas, pixels = Canvas(brushes, readers, torch.zeros(2, 6, 5, 5)), torch.zeros(2, 6, 20, 20)
    for layer in range(3):
        torch.testing.assert_close(canvas.read(), readers[layer % len(readers)](pixels))
        hidden = torch.randn(2, 8, 5, 5)
        canvas.paint(hidden)
        pixels = pixels + brushes[layer % len(brushes)](hidden)
    torch.testing.assert_close(canvas.picture(), pixels)
    assert canvas.picture().is_contiguous(memory_format=torch.channels_last)
