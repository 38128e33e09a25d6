"""torchvision's segmenters: the framework's own predictions, weights from its cache or from a server, and without either."""

import functools
import hashlib
import http.server
import threading

import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torchvision.models import segmentation

import perturb
from perturb.segmenters import torchvision as ours
from perturb.segmenters.downloads import Download
from perturb.segmenters.registry import SEGMENTERS

SIZE = (96, 128)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty folder as torch's cache of checkpoints."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def framework(name):
    """torchvision's own model with drawn weights, as its builder makes it for a checkpoint: with the auxiliary head."""
    builder = getattr(segmentation, ours.MODELS[name][0])
    options = {} if name.startswith("lraspp") else {"aux_loss": True}
    with torch.device("meta"):  # drawing them all by the framework's own rule would take most of the test's time
        model = builder(weights=None, weights_backbone=None, num_classes=21, **options)
    model = model.to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(3)
    for key, values in model.state_dict().items():
        if key.endswith("running_var"):
            values.fill_(1.0)
        elif values.ndim > 1:
            values.normal_(0, (2 / values[0].numel()) ** 0.5, generator=generator)
        elif key.endswith("num_batches_tracked"):
            values.fill_(0)
        else:
            values.normal_(0.5, 0.1, generator=generator)
    return model


def publish(monkeypatch, name, url, data):
    """Make `data` the published weights of a segmenter: the address ends with the first digits of their hash."""
    digits = hashlib.sha256(data).hexdigest()[:8]
    weights = ours.official(name)
    renamed = f"{url}/{weights.url.rsplit('/', 1)[-1].rsplit('-', 1)[0]}-{digits}.pth"
    # The record is frozen, which is right for everyone but a test.
    patched = type(weights.value)(url=renamed, transforms=weights.transforms, meta=weights.meta)
    monkeypatch.setattr(ours, "official", lambda asked: patched)
    return renamed.rsplit("/", 1)[-1]


@pytest.mark.parametrize("name", ours.MODELS)
def test_predictions_are_the_frameworks_own(name, cache, monkeypatch):
    model = framework(name)
    file = cache / "checkpoint"
    torch.save(model.state_dict(), file)
    file.rename(cache / publish(monkeypatch, name, "https://nowhere.invalid", file.read_bytes()))
    segmenter = perturb.load_segmenter(name, device="cpu")
    pictures = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    preset = ours.official(name).transforms()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (preset.mean, preset.std))
    with torch.inference_mode():
        expected = model((pictures - mean) / std)["out"]
        got = segmenter(pictures)
    assert expected.std() > 1e-3
    assert_allclose(got, expected, atol=1e-4 * max(1.0, float(expected.abs().max())))
    assert not any("aux" in key for key, _ in segmenter.module.named_modules())
    assert segmenter.classes[0] == "background"
    assert segmenter.classes[1:] == tuple(ours.official(name).meta["categories"][1:])


def test_all_weights_of_torchvision_are_offered_with_the_hash_in_their_name():
    offered = {ours.official(name) for name in ours.MODELS}
    assert offered == {getattr(segmentation, each).DEFAULT for each in dir(segmentation) if each.endswith("_Weights")}
    for name in ours.MODELS:
        wanted = SEGMENTERS[name].weights()
        assert wanted.path.name == ours.official(name).url.rsplit("/", 1)[-1]
        assert f"-{wanted.sha256}." in wanted.path.name
        assert len(wanted.sha256) >= 8
        assert wanted.megabytes > 5


def test_the_palette_is_that_of_pascal_voc():
    palette = ours.voc_palette()
    assert palette.shape == (21, 3)
    assert_array_equal(palette[[0, 1, 2, 7, 15, 20]], [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 128),
                                                      (192, 128, 128), (0, 64, 128)])  # fmt: skip


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path):
    """A folder, and the address at which a server on this machine offers it."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_weights_are_downloaded_once_with_progress(cache, served, monkeypatch):
    folder, url = served
    file = folder / "checkpoint"
    torch.save(framework("lraspp-mobilenet").state_dict(), file)
    name = publish(monkeypatch, "lraspp-mobilenet", url, file.read_bytes())
    file.rename(folder / name)
    assert not SEGMENTERS["lraspp-mobilenet"].ready()
    seen = []
    first = perturb.load_segmenter("lraspp-mobilenet", device="cpu", progress=seen.append)
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert SEGMENTERS["lraspp-mobilenet"].ready()
    assert [each.name for each in cache.iterdir()] == [name]
    (folder / name).unlink()
    again = perturb.load_segmenter("lraspp-mobilenet", device="cpu", progress=seen.append)
    assert first.digest == again.digest


def test_a_download_that_is_cut_off_or_cancelled_leaves_nothing(cache, served):
    folder, url = served
    data = bytes(range(256)) * 8000
    wanted = Download(f"{url}/weights.pth", hashlib.sha256(data).hexdigest()[:8], 2)
    (folder / "weights.pth").write_bytes(data[:-1])
    with pytest.raises(
        perturb.SegmenterError, match="is not the published file.*expected [0-9a-f]{8}.*Nothing was kept"
    ):
        wanted.fetch()
    (folder / "weights.pth").write_bytes(data)

    def cancel(_fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wanted.fetch(cancel)
    assert list(cache.iterdir()) == []
    assert wanted.fetch().read_bytes() == data


@pytest.mark.usefixtures("cache")
def test_a_file_in_the_cache_is_checked_too():
    wanted = SEGMENTERS["fcn-resnet50"].weights()
    wanted.path.write_bytes(b"something else")
    with pytest.raises(
        perturb.SegmenterError, match=f"not the published ones.*expected {wanted.sha256}.*Delete the file"
    ):
        perturb.load_segmenter("fcn-resnet50")


def test_weights_that_do_not_fit_are_answered_in_words(cache, monkeypatch):
    file = cache / "checkpoint"
    torch.save({"backbone.0.0.weight": torch.zeros(1)}, file)
    file.rename(cache / publish(monkeypatch, "lraspp-mobilenet", "https://nowhere.invalid", file.read_bytes()))
    with pytest.raises(perturb.SegmenterError, match="cannot be loaded from.*Delete the file"):
        perturb.load_segmenter("lraspp-mobilenet")


def test_without_a_network_it_says_what_is_there(cache, monkeypatch):
    server = http.server.HTTPServer(("127.0.0.1", 0), Quiet)
    port = server.server_port
    server.server_close()  # nobody listens here now
    publish(monkeypatch, "fcn-resnet50", f"http://127.0.0.1:{port}", b"")
    with pytest.raises(perturb.SegmenterError) as caught:
        perturb.load_segmenter("fcn-resnet50")
    text = str(caught.value)
    assert "fcn_resnet50_coco-" in text
    assert str(cache) in text
    assert "cannot be downloaded" in text
    assert "available offline are streets-unet, streets-lraspp, streets-shortcut" in text
    assert "\n" not in text
    assert list(cache.iterdir()) == []
