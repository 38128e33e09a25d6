"""Runs that take turns on one segmenter: whatever runs completely between two batches of a run, no result changes.

A run stands still in its progress callback while another thread runs, as in the app. The oracle is each run alone, on a
segmenter of its own, bit for bit.
"""

import random
import threading
import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from threadpoolctl import ThreadpoolController, threadpool_limits

import perturb
from perturb.engine.incremental.graph import lower_network
from perturb.engine.incremental.known import Unknown
from perturb.metrics.curves import curves
from perturb.metrics.randomization import randomise, reseed
from perturb.segmenters.layers import layer_access
from perturb.segmenters.onnx.confined import ConfinedModel
from perturb.segmenters.onnx.segmenter import OnnxSegmenter
from perturb.segmenters.onnx.spec import complete
from perturb.segmenters.registry import load_segmenter
from perturb.segmenters.torch_layers import hooks
from tests import onnx_files as files
from tests.segmenters.onnx.test_confined import LIMITS

FEW = {"size": 40, "stride": 40, "samples": 12, "masks": 12, "count": 12, "steps": 5}
"""Settings with which a run takes a few batches."""
WITHOUT_GRADIENTS = [name for name, method in perturb.METHODS.items() if "gradients" not in method.needs]
CURVES = "curves"
RUNS = [*perturb.METHODS, CURVES]


@pytest.fixture(scope="module")
def image():
    whole = perturb.sample()
    return perturb.load_image(np.ascontiguousarray(whole.pixels[::3, ::3]))


def target(segmenter):
    return perturb.Target(segmenter.classes[0] if len(segmenter.classes) < 5 else "road", region="all")


def explained(name, image, segmenter, progress=None, **more):
    method = perturb.METHODS[name]
    known = {setting.name for setting in method.settings}
    settings = {key: value for key, value in (FEW | more).items() if key in known}
    return perturb.explain(image, segmenter, target(segmenter), method=name, progress=progress, **settings)


def values(name, image, segmenter, progress=None):
    """All numbers that a run gives."""
    if name == CURVES:
        # The map is computed without hindrance.
        made = curves(explained("occlusion", image, segmenter), steps=6, draws=2, progress=progress)
        return {key: np.asarray(value) for key, value in vars(made).items() if isinstance(value, np.ndarray | float)
                and key != "seconds"}  # fmt: skip
    result = explained(name, image, segmenter, progress)
    columns = {key: value for key, value in vars(result.readings).items() if isinstance(value, np.ndarray)}
    assert result.maps
    return columns | result.maps | {"facts": np.asarray(repr(result.facts)), "notes": np.asarray(repr(result.notes))}


def same(given, expected):
    assert given.keys() == expected.keys()
    for name, value in expected.items():
        assert_array_equal(given[name], value, err_msg=name)


def apart(function):
    """Call a function in another thread and wait for it."""
    made = []
    thread = threading.Thread(target=lambda: made.append(function()))
    thread.start()
    thread.join()
    assert made, "the other run failed"
    return made[0]


class Guests:
    """A progress callback that lets other runs pass completely, in rotation, at several of its calls."""

    def __init__(self, names, image, segmenter, expected, start):
        self.names, self.image, self.segmenter, self.expected = names, image, segmenter, expected
        self.next, self.calls, self.served = start, 0, []

    def __call__(self, fraction):
        self.calls += 1
        if self.calls not in (1, 2, 4) and fraction < 1:
            return
        name = self.names[self.next % len(self.names)]
        self.next += 1
        self.served.append(name)
        same(apart(lambda: values(name, self.image, self.segmenter)), self.expected[name])


def interleave(make, names, image):
    """Each run with other runs between its batches, on one segmenter; in the end each has had each as a guest."""
    expected = {name: values(name, image, make()) for name in names}
    shared, met = make(), set()
    for index, name in enumerate(names):
        guests = Guests(names, image, shared, expected, start=index)
        while not {(name, other) for other in names} <= met:
            before = len(guests.served)
            guests.calls = 0
            same(values(name, image, shared, guests), expected[name])
            assert len(guests.served) > before, f"{name} never calls progress"
            met |= {(name, other) for other in guests.served}


@pytest.mark.long
@pytest.mark.parametrize("name", ["streets-unet", "streets-lraspp"])
def test_no_run_changes_another_on_a_torch_network(name, image):
    with threadpool_limits(2):
        interleave(lambda: perturb.SEGMENTERS[name].load(torch.device("cpu")), RUNS, image)


@pytest.mark.long
def test_no_run_changes_another_on_a_visitors_network(image):
    made = []

    def make():
        model = ConfinedModel(files.save(files.pixelwise()), "net", 1, LIMITS, most=4)
        made.append(model)
        graph = model.facts()
        return OnnxSegmenter(model, graph, complete(graph, {"scale": "unit"}, "net"), classes=graph.classes, name="net")

    # The network has no layer before its logits.
    interleave(make, [*(name for name in WITHOUT_GRADIENTS if name != "ablation-cam"), CURVES], image)
    for model in made:
        model.close()


@pytest.mark.long
def test_sanity_checks_bear_guests_and_leave_them_alone(image):
    def make():
        return load_segmenter("streets-unet")

    expected = {name: values(name, image, make()) for name in ("occlusion", "grad-cam", "ablation-cam")}
    result = explained("rise", image, make())
    for check in (lambda progress: randomise(result, stages=2, progress=progress),
                  lambda progress: reseed(result, progress=progress)):  # fmt: skip
        guests = Guests(list(expected), image, result.segmenter, expected, 0)
        assert repr(check(guests)) == repr(check(None))
        assert guests.served


def state(segmenter):
    """What a run could leave behind in this process while it stands still, as other threads see it."""
    blas = {lib["filepath"]: lib["num_threads"] for lib in ThreadpoolController().select(user_api="blas").info()}
    module = getattr(segmenter, "module", None)
    modules = [] if module is None else list(module.modules())
    return {
        "threads of products": blas,
        "threads of torch": torch.get_num_threads(),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "random numbers of torch": torch.get_rng_state().numpy().tobytes(),
        "random numbers of numpy": repr(np.random.get_state()),
        "random numbers of Python": random.getstate(),
        "warnings": list(warnings.filters),
        "errors of numpy": np.geterr(),
        "hooks": [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in modules],
        "functions": [type(m).__name__ for m in modules] + [id(vars(m).get("forward")) for m in modules],
        "training": [m.training for m in modules],
        "parameters": [(p.requires_grad, p.grad is None, p._version) for m in modules for p in m.parameters()],
        "default type": (torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled()),
    }


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_stands_still_holds_no_state_of_the_process(name, image):
    segmenter = perturb.SEGMENTERS["streets-unet"].load(torch.device("cpu"))
    with threadpool_limits(2, user_api="blas"):
        values(name, image, segmenter)  # lazy imports and caches
        before = apart(lambda: state(segmenter))
        during = []
        values(name, image, segmenter, lambda _: during.append(apart(lambda: state(segmenter))))
        assert during
        for seen in during:
            assert seen == before


def test_layers_can_be_observed_between_two_batches(image):
    """Pages show activations without queueing."""
    segmenter = perturb.SEGMENTERS["streets-unet"].load(torch.device("cpu"))
    access = layer_access(segmenter)
    layer = access.layers(image)[3].name
    _, alone = access.observe(image, layer)
    seen = []
    explained("grad-cam-plus-plus", image, segmenter, lambda _: seen.append(access.observe(image, layer)[1]))
    assert seen
    for other in seen:
        assert_array_equal(other, alone)


def test_hooks_of_another_thread_do_not_change_how_a_run_goes(image):
    """A page that observes a layer holds hooks while a run of another visitor chooses its passes."""
    segmenter = perturb.SEGMENTERS["streets-unet"].load(torch.device("cpu"))
    alone = values("occlusion", image, segmenter)
    calls = []
    module = dict(segmenter.module.named_modules())["decoder3"]
    with hooks((module, calls.append)):
        same(apart(lambda: values("occlusion", image, segmenter)), alone)
        assert apart(lambda: lower_network(segmenter, image.height, image.width)).steps
        assert not calls, "they act in their own thread only"
        with pytest.raises(Unknown, match="hooks are set"):
            lower_network(segmenter, image.height, image.width)
        perturb.engine.runner.clean_logits(image, segmenter)
        assert calls
