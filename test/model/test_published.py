"""PublishedPlaceNet against a slow, literal calculation of what the authors' code does, and the loading of checkpoints.

The calculation (`Literal`) works on the checkpoint's tensors alone, observation by observation, with a softmax over the
one key, the layout read as it stands in memory, and states that the caller stores the other way round.
"""
from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Normal, kl_divergence

from placenet_ros.model import PublishedConfig, PublishedPlaceNet, WeightsError, evidence_lower_bound, load_published

HIDDEN, LATENT, CHANNELS, GRID, SIZE = 8, 2, 16, 4, 16
SCENES = 2
MODALITIES = "rdo"
TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}
ATT_WEIGHT = 0.1  # the published start of gamma


def checkpoint_shapes(layers, attention, hidden=HIDDEN, latent=LATENT, channels=CHANNELS):
    """Every weight of a checkpoint of the authors' code, those that nothing uses included."""
    grid = math.isqrt(channels)
    shapes = {}

    def layer(name, *weight, bias=True, outputs=0):
        shapes[name + ".weight"] = weight
        if bias:
            shapes[name + ".bias"] = (weight[outputs],)

    for number, (inputs, outputs, kernel) in enumerate([
            (3, channels, 2), (channels, channels, 2), (channels, channels // 2, 3), (channels // 2, channels, 2),
            (channels + 7, channels, 3), (channels + 7, channels // 2, 3), (channels // 2, channels, 3),
            (channels, channels, 1)], start=1):
        layer(f"phi.conv{number}", outputs, inputs, kernel, kernel)
    shapes.update({"phi.bn.weight": (3,), "phi.bn.bias": (3,), "phi.bn.running_mean": (3,), "phi.bn.running_var": (3,),
                   "phi.bn.num_batches_tracked": ()})
    for number in range(layers):
        inference, generation = f"inf_core.{number}", f"gen_core.{number}"
        layer(inference + ".downsample_x", 3, 3, 4, 4, bias=False)
        layer(inference + ".downsample_u", hidden, hidden, 4, 4, bias=False)
        layer(inference + ".core.conv", 4 * hidden, 3 * hidden + 3 + 7 + channels, 5, 5)
        layer(generation + ".upsample_h", hidden, hidden, 4, 4, bias=False)
        layer(generation + ".core.conv", 4 * hidden, hidden + 7 + channels + latent, 5, 5)
        for core in (inference, generation):
            layer(core + ".upsample_v", 7, 7, grid, grid, bias=False)
            layer(core + ".upsample_r", channels, channels, grid, grid, bias=False)
    layer("eta_pi", 2 * latent, hidden, 5, 5)
    layer("eta_e", 2 * latent, hidden, 5, 5)
    layer("eta_g", 3, hidden, 1, 1)
    for modality in attention:
        layer(f"a_q_{modality}", channels, hidden)
        layer(f"a_k_{modality}", channels, channels)
        layer(f"a_v_{modality}", channels, channels)
        shapes[f"gamma_{modality}"] = ()
    return shapes


def random_checkpoint(layers=2, attention=MODALITIES, seed=0):
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in checkpoint_shapes(layers, attention).items():
        fan_in = math.prod(shape[1:]) if len(shape) > 1 else 4
        state[name] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
    state["phi.bn.num_batches_tracked"] = torch.tensor(0)
    state["eta_g.weight"] *= 5  # pixels fall inside and outside [0, 1]
    state["eta_g.bias"] = torch.full((3,), 0.5)
    return state


def save(path, state, **others):
    torch.save({"epoch": 3, "optimizer": {"state": {0: {"step": 7, "exp_avg": torch.zeros(3)}}, "param_groups": []},
                "state_dict": state, **others}, path)
    return path


@pytest.fixture
def load(tmp_path):
    """Loads a state dict by way of a checkpoint's file."""
    return lambda state, **options: load_published(save(tmp_path / "model.pth", state), **options)


def inputs(observations, seed=1):
    """images, viewpoints, query, target"""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(SCENES, 3, observations, 3, SIZE, SIZE, generator=generator),
            torch.randn(SCENES, observations, 7, generator=generator), torch.randn(SCENES, 7, generator=generator),
            torch.rand(SCENES, 3, SIZE, SIZE, generator=generator))


def noise(seed=2):
    return torch.Generator().manual_seed(seed)


class Literal:
    """What the authors' code computes, step by step as it computes it."""

    def __init__(self, state, layers, attention, sigma=0.7, delay=True):
        self.state, self.layers, self.attention, self.sigma, self.delay = state, layers, attention, sigma, delay

    def paint(self, images, viewpoints, query, target, generator):
        """Mean of the image, and for each layer the posterior and the prior; no target: latents from the prior."""
        scene = sum(self.tower(images[:, 0, k], viewpoints[:, k]) for k in range(images.shape[2]))
        pooled = self.pooled(images, viewpoints)
        zeros = torch.zeros(SCENES, HIDDEN, GRID, GRID)
        c_e, h_e, c_g, h_g = zeros, zeros, zeros, zeros
        canvas = torch.zeros(SCENES, HIDDEN, SIZE, SIZE)
        distributions = []
        for layer in range(self.layers):
            latents = prior = self.normal("eta_pi", h_g)
            if target is not None:
                # the core takes and returns (hidden, cell); its caller calls them (c, h)
                hidden, cell = self.inference_core(layer, h_e, c_e, h_g, target, query, scene, canvas)
                c_e, h_e = hidden, cell
                latents = self.normal("eta_e", h_e)
                distributions.append((latents, prior))
            z = latents.mean + latents.stddev * torch.randn(latents.mean.shape, generator=generator)
            hidden, cell, canvas = self.generation_core(layer, h_g, c_g, z, query, scene, canvas)
            c_g, h_g = hidden, cell
            for modality in self.attention:
                attended = sum(self.attend(modality, h_g, pooled[modality][k]) for k in range(images.shape[2]))
                scene = scene + self.gamma(modality) * attended
        return self.conv("eta_g", canvas), distributions

    def conv(self, name, x, **options):
        return F.conv2d(x, self.state[name + ".weight"], self.state.get(name + ".bias"), **options)

    def up(self, name, x, stride):
        return F.conv_transpose2d(x, self.state[name + ".weight"], stride=stride)

    def linear(self, name, x):
        return F.linear(x, self.state[name + ".weight"], self.state[name + ".bias"])

    def tower(self, x, v):
        a = F.relu(self.conv("phi.conv1", x, stride=2))
        skip = F.relu(self.conv("phi.conv2", a, stride=2))
        x = F.relu(self.conv("phi.conv4", F.relu(self.conv("phi.conv3", a, padding=1)), stride=2)) + skip
        b = torch.cat([x, v.view(-1, 7, 1, 1).repeat(1, 1, GRID, GRID)], dim=1)
        skip = F.relu(self.conv("phi.conv5", b, padding=1))
        x = F.relu(self.conv("phi.conv7", F.relu(self.conv("phi.conv6", b, padding=1)), padding=1)) + skip
        return F.relu(self.conv("phi.conv8", x))

    @torch.no_grad()
    def pooled(self, images, viewpoints):
        """For each modality and observation, the tower's features averaged over their places."""
        return {modality: [F.avg_pool2d(self.tower(images[:, MODALITIES.index(modality), k], viewpoints[:, k]), GRID)
                           for k in range(images.shape[2])] for modality in self.attention}

    def attend(self, modality, h, pooled):
        places = h.view(SCENES, HIDDEN, GRID * GRID).permute(0, 2, 1)
        queries = self.linear(f"a_q_{modality}", places)
        keys = self.linear(f"a_k_{modality}", pooled.view(SCENES, 1, CHANNELS))
        values = self.linear(f"a_v_{modality}", pooled.view(SCENES, 1, CHANNELS))
        attention = torch.softmax(queries @ keys.transpose(1, 2) / math.sqrt(CHANNELS), dim=-1)
        return (attention @ values).view(SCENES, CHANNELS, GRID, GRID)

    def gamma(self, modality):
        return ATT_WEIGHT if self.delay and self.sigma > 0.7 else self.state[f"gamma_{modality}"]

    def normal(self, name, h):
        mean, raw = self.conv(name, h, padding=2).chunk(2, dim=1)
        return Normal(mean, F.softplus(raw) + 1e-8)

    def lstm(self, name, x, hidden, cell):
        gates = self.conv(name, torch.cat([hidden, x], dim=1), padding=2)
        i, f, o, g = gates.split(HIDDEN, dim=1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(cell), cell

    def inference_core(self, layer, hidden, cell, h_g, target, query, scene, canvas):
        name = f"inf_core.{layer}"
        x = torch.cat([h_g, self.conv(name + ".downsample_x", target, stride=4),
                       self.up(name + ".upsample_v", query.view(-1, 7, 1, 1), GRID), scene,
                       self.conv(name + ".downsample_u", canvas, stride=4)], dim=1)
        return self.lstm(name + ".core.conv", x, hidden, cell)

    def generation_core(self, layer, hidden, cell, z, query, scene, canvas):
        name = f"gen_core.{layer}"
        x = torch.cat([self.up(name + ".upsample_v", query.view(-1, 7, 1, 1), GRID), scene, z], dim=1)
        hidden, cell = self.lstm(name + ".core.conv", x, hidden, cell)
        return hidden, cell, canvas + self.up(name + ".upsample_h", hidden, 4)


@pytest.mark.parametrize("observations", [1, 5])
@pytest.mark.parametrize("attention", ["", "r", "do", "rdo"])
@pytest.mark.parametrize("layers", [1, 3])
def test_predictions_and_reconstructions_are_those_of_the_published_code(load, layers, attention, observations):
    state = random_checkpoint(layers, attention)
    images, viewpoints, query, target = inputs(observations)
    model, literal = load(state), Literal(state, layers, attention)
    prior_mean, _ = literal.paint(images, viewpoints, query, None, noise())
    posterior_mean, _ = literal.paint(images, viewpoints, query, target, noise())
    inside = (prior_mean > 0) & (prior_mean < 1)
    assert 0.2 < inside.float().mean() < 0.8  # both what the clamp passes and what it cuts are compared
    torch.testing.assert_close(model.predict(images, viewpoints, query, generator=noise()), prior_mean.clamp(0, 1),
                               **TOLERANCE)
    torch.testing.assert_close(model.reconstruct(images, viewpoints, query, target, generator=noise()),
                               posterior_mean.clamp(0, 1), **TOLERANCE)


def test_the_objective_is_that_of_the_published_code(load):
    state = random_checkpoint(layers=3)
    images, viewpoints, query, target = inputs(observations=2)
    mean, distributions = Literal(state, 3, MODALITIES).paint(images, viewpoints, query, target, noise())
    kl = torch.stack([kl_divergence(*pair).sum(dim=(1, 2, 3)) for pair in distributions], dim=1)
    elbo = Normal(mean, 0.7).log_prob(target).sum(dim=(1, 2, 3)) - kl.sum(dim=1)
    bits = -(elbo / target[0].numel() - math.log(256)) / math.log(2)
    reconstruction = load(state)(images, viewpoints, query, target, generator=noise())
    bound = evidence_lower_bound(reconstruction, target[:, None], 0.7)
    torch.testing.assert_close(bound.kl_per_layer[:, 0], kl, **TOLERANCE)
    torch.testing.assert_close(bound.elbo[:, 0], elbo, **TOLERANCE)
    torch.testing.assert_close(bound.bits_per_dimension[:, 0], bits, **TOLERANCE)


@pytest.mark.parametrize("sigma", [0.7, 2.0])
def test_gradients_are_those_of_the_published_code(load, sigma):
    state = {name: tensor.clone().requires_grad_(tensor.is_floating_point())
             for name, tensor in random_checkpoint().items()}
    images, viewpoints, query, target = inputs(observations=3)
    mean, _ = Literal(state, 2, MODALITIES, sigma).paint(images, viewpoints, query, target, noise())
    mean.square().sum().backward()
    model = load({name: tensor.detach() for name, tensor in state.items()})
    model(images, viewpoints, query, target, sigma, noise()).images.square().sum().backward()
    for name, parameter in model.named_parameters():
        expected = state[name].grad
        assert (parameter.grad is None) == (expected is None), name  # gamma has none while it is held
        if expected is not None:
            torch.testing.assert_close(parameter.grad, expected, atol=1e-3, rtol=1e-3, msg=name)


@pytest.mark.parametrize("delay", [True, False])
def test_attention_weights_are_held_while_sigma_anneals_only_with_att_weight_delay(load, delay):
    state = random_checkpoint()
    images, viewpoints, query, _ = inputs(observations=2)
    model = load(state, att_weight_delay=delay)
    for sigma in (0.7, 0.71):
        mean, _ = Literal(state, 2, MODALITIES, sigma, delay).paint(images, viewpoints, query, None, noise())
        predicted = model.predict(images, viewpoints, query, sigma, noise())
        torch.testing.assert_close(predicted, mean.clamp(0, 1), **TOLERANCE)


def test_attention_weights_that_were_not_learned_are_given_by_the_caller(load):
    state = random_checkpoint()
    images, viewpoints, query, _ = inputs(observations=2)
    state.update({f"gamma_{modality}": torch.tensor(0.3) for modality in MODALITIES})
    mean, _ = Literal(state, 2, MODALITIES).paint(images, viewpoints, query, None, noise())
    stored = {name: tensor for name, tensor in state.items() if not name.startswith("gamma_")}
    with pytest.raises(WeightsError, match="gamma_d, gamma_o, gamma_r.*att_weight"):
        load(stored)
    model = load(stored, att_weight=0.3)
    predicted = model.predict(images, viewpoints, query, generator=noise())
    torch.testing.assert_close(predicted, mean.clamp(0, 1), **TOLERANCE)


@pytest.mark.parametrize("layout", ["as saved", "module. prefix", "bare", "before torch 1.6", "half precision"])
def test_a_checkpoint_is_read_however_it_was_saved(tmp_path, layout):
    state, path = random_checkpoint(layers=3, attention="do"), tmp_path / "model.pth"
    if layout == "module. prefix":
        save(path, {"module." + name: tensor for name, tensor in state.items()})
    elif layout == "bare":
        torch.save(state, path)
    elif layout == "before torch 1.6":
        torch.save({"epoch": 0, "optimizer": {}, "state_dict": state}, path, _use_new_zipfile_serialization=False)
    elif layout == "half precision":
        state = {name: tensor.half().float() for name, tensor in state.items()}
        save(path, {name: tensor.half() for name, tensor in state.items()})
    else:
        save(path, state)
    model = load_published(path)
    assert not model.training
    assert model.config == PublishedConfig(layers=3, attention="do", hidden_channels=HIDDEN, latent_channels=LATENT,
                                           representation_channels=CHANNELS)
    unused = ("upsample_r", "phi.bn", "a_q_", "a_k_")
    assert set(model.state_dict()) == {name for name in state if not any(part in name for part in unused)}
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name])


def test_a_loaded_model_does_not_depend_on_its_file(tmp_path):
    path = save(tmp_path / "model.pth", random_checkpoint())
    model = load_published(path)
    before = model.eta_g.bias.clone()
    path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(model.eta_g.bias, before)


def test_cores_that_are_equal_in_all_layers_are_held_once(load):
    state = random_checkpoint(layers=3)
    for name in list(state):
        kind, _, rest = name.partition(".")
        if kind in ("inf_core", "gen_core"):
            state[name] = state["{}.0.{}".format(kind, rest.split(".", 1)[1])]
    images, viewpoints, query, target = inputs(observations=2)
    model = load(state)
    assert model.config.shared_core
    assert len(list(model.gen_core.parameters())) == len(list(model.gen_core[0].parameters()))
    mean, _ = Literal(state, 3, MODALITIES).paint(images, viewpoints, query, target, noise())
    torch.testing.assert_close(model.reconstruct(images, viewpoints, query, target, generator=noise()),
                               mean.clamp(0, 1), **TOLERANCE)


def test_published_sizes_hold_what_the_paper_counts():
    shapes = checkpoint_shapes(12, MODALITIES, hidden=128, latent=3, channels=256)
    count = {name: math.prod(shape) for name, shape in shapes.items()}
    assert round(sum(count.values()) / 1e6) == 572
    assert round(sum(size for name, size in count.items() if "upsample_r" in name) / 1e6) == 403
    with torch.device("meta"):
        model = PublishedPlaceNet(PublishedConfig())
    assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}.items() <= shapes.items()
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6) == 169


def without(name):
    return lambda state: state.pop(name)


def with_weight(name, tensor):
    return lambda state: state.update({name: tensor})


@pytest.mark.parametrize("spoil, named", [
    (without("phi.conv5.bias"), "missing: phi.conv5.bias"),
    (without("phi.conv1.weight"), "missing.*phi.conv1.weight"),
    (without("gen_core.1.core.conv.weight"), "missing: gen_core.1.core.conv.weight"),
    (without("a_v_d.weight"), "missing: a_v_d.weight"),
    (without("gamma_o"), "missing: gamma_o"),
    (with_weight("eta_e.weight", torch.zeros(4, 9, 5, 5)), r"of another shape: eta_e.weight \(4, 9, 5, 5\)"),
    (with_weight("eta_g.weight", torch.zeros(3, 10 ** 6, 1, 1)), "of another shape: eta_g.weight"),
    (with_weight("phi.conv1.weight", torch.zeros(18, 3, 2, 2)), "of another shape: phi.conv1.weight"),
    (lambda state: state.update({f"phi.conv{n}.weight": torch.zeros(18, 3, 2, 2) for n in (1, 2, 8)}),
     "representation_channels .* not 18"),
    (with_weight("phi.conv9.weight", torch.zeros(3)), "unknown: phi.conv9.weight"),
    (with_weight("gen_core.x.core", torch.zeros(3)), "unknown: gen_core.x.core"),
    (with_weight("eta_g.bias", torch.tensor([0.0, float("nan"), 0.0])), "'eta_g.bias' is not .* finite numbers"),
    (with_weight("eta_g.bias", "words"), "'eta_g.bias' is not .* finite numbers"),
    (lambda state: state.clear(), "no state dict"),
])
def test_weights_that_do_not_fit_are_named_in_one_line(load, spoil, named):
    state = random_checkpoint()
    spoil(state)
    with pytest.raises(WeightsError, match=named) as error:
        load(state)
    assert "model.pth: " in str(error.value) and "\n" not in str(error.value)


class Intruder:
    """Unpickling it would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def flip_a_byte(data):
    return data[:len(data) // 2] + bytes([data[len(data) // 2] ^ 0xFF]) + data[len(data) // 2 + 1:]


@pytest.mark.parametrize("spoil, told", [
    (None, "No such file"),
    (lambda data: b"", "damaged"),
    (lambda data: b"<html>not found</html>", "damaged"),
    (lambda data: data[:len(data) // 2], "damaged"),
    (lambda data: data[:100], "damaged"),
    (flip_a_byte, "damaged, the checksum"),
    (lambda data: b"\x80\x02]q\x00.", "damaged"),  # a pickle, but none of torch.save
])
def test_a_missing_or_damaged_file_is_one_line_that_names_it(tmp_path, spoil, told):
    path = tmp_path / "model.pth"
    if spoil:
        save(path, random_checkpoint())
        path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(WeightsError, match=told) as error:
        load_published(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_checkpoint_that_holds_code_is_refused_and_not_run(tmp_path, new_format):
    path, trace = tmp_path / "model.pth", tmp_path / "trace"
    torch.save({"state_dict": random_checkpoint(), "epoch": Intruder(trace)}, path,
               _use_new_zipfile_serialization=new_format)
    with pytest.raises(WeightsError, match="refused, it holds '.*open'") as error:
        load_published(path)
    assert "\n" not in str(error.value)
    assert not trace.exists()


@pytest.mark.parametrize("index, wrong, told", [
    (0, torch.rand(SCENES, 3, 2, 3, 8, 8), "images must be of shape"),
    (0, torch.zeros(SCENES, 3, 2, 3, SIZE, SIZE, dtype=torch.uint8), "images must be floating point"),
    (1, torch.rand(SCENES, 0, 7), "at least one observation"),
    (2, torch.rand(SCENES, 5), "query must be of shape"),
    (3, torch.rand(SCENES, 3, 8, 8), "target must be of shape"),
])
def test_inputs_of_another_shape_or_type_are_named(load, index, wrong, told):
    arguments = list(inputs(observations=2))
    arguments[index] = wrong
    with pytest.raises(ValueError, match=told):
        load(random_checkpoint()).reconstruct(*arguments)
