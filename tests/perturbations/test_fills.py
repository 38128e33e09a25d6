"""What stands where pixels were hidden: exact answers, and what every fill must keep to."""

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage, sparse
from scipy.sparse.linalg import spsolve
from torch.nn import functional

import perturb
from perturb.core.settings import check_settings, shown
from perturb.images.image import to_tensor
from perturb.methods.occlusion import windows
from perturb.methods.rise import SoftGrids
from perturb.perturbations.fills import imputation, multigrid
from perturb.perturbations.fills.imputation import impute
from perturb.perturbations.fills.registry import FILL_SETTINGS, FILLS, make_fill
from perturb.perturbations.fills.soft import SoftWindow
from perturb.perturbations.masks import Masks, Ranked
from tests.analytic import Additive, DarkIsObject, dark_square, picture

HEIGHT, WIDTH = 21, 34


def fill_of(image, name, seed=3, **settings):
    return make_fill(image, check_settings(FILL_SETTINGS, {"fill": name, **settings}, name), seed)


def painted(image, hidden, name, first=0, **settings):
    """Perturbed pictures of an image, `(N, H, W, 3)`."""
    clean = to_tensor(image, torch.device("cpu"))
    made = fill_of(image, name, **settings).paint(clean, torch.from_numpy(np.asarray(hidden)), first)
    assert made.dtype == torch.float32
    assert made.shape == (len(hidden), *clean.shape)
    return made.permute(0, 2, 3, 1).numpy()


def some_masks(height=HEIGHT, width=WIDTH, seed=0):
    """Windows inside and at corners, a scatter, stripes, nearly everything."""
    masks = np.zeros((7, height, width), dtype=bool)
    masks[0, 4:15, 6:20] = True
    masks[1, :9, :7] = True
    masks[2, -5:, -11:] = True
    masks[3] = np.random.default_rng(seed).random((height, width)) < 0.9
    masks[4, ::2] = True
    masks[5] = True
    masks[5, height // 2, width - 1] = False
    masks[6, 7, 9] = True
    return masks


def direct(pixels, mask):
    """Linear imputation by a sparse direct solve: pixels float64 `(H, W, C)`, mask `(H, W)`."""
    height, width = mask.shape
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(mask.sum())
    matrix = sparse.lil_matrix((mask.sum(), mask.sum()))
    known = np.zeros((mask.sum(), pixels.shape[2]))
    for y, x in np.argwhere(mask):
        i = number[y, x]
        for dy, dx in [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]:
            if 0 <= y + dy < height and 0 <= x + dx < width:
                weight = 1 / 12 if dy and dx else 1 / 6
                matrix[i, i] += weight
                if mask[y + dy, x + dx]:
                    matrix[i, number[y + dy, x + dx]] -= weight
                else:
                    known[i] += weight * pixels[y + dy, x + dx]
    result = pixels.astype(np.float64)
    result[mask] = spsolve(matrix.tocsc(), known).reshape(known.shape)
    return result


def solved(pixels, *masks, **more):
    """`impute` on `(H, W, 3)` arrays."""
    clean = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32))
    return impute(clean, torch.from_numpy(np.stack(masks)), **more).permute(0, 2, 3, 1).numpy()


# Linear imputation -----------------------------------------------------------------------------------------------------

NINE = np.arange(1, 10, dtype=np.float32).reshape(3, 3, 1) / 10
EVERYWHERE_BUT_THE_CORNER = [(y, x) for y in range(3) for x in range(3) if (y, x) != (0, 0)]


@pytest.mark.parametrize(
    ("hidden", "answers"),
    [
        ([(1, 1)], [5]),
        ([(0, 0)], [3.4]),
        ([(0, 1)], [3.5]),
        ([(1, 1), (1, 2)], [113 / 23, 126 / 23]),
        (EVERYWHERE_BUT_THE_CORNER, [1] * 8),
    ],
)
def test_imputation_by_hand(hidden, answers):
    mask = np.zeros((3, 3), dtype=bool)
    mask[tuple(np.transpose(hidden))] = True
    image = perturb.images.image.image_from_pixels(np.repeat(NINE, 3, axis=2), name="nine")
    result = painted(image, mask[None], "linear", noise=0)[0]
    for pixel, answer in zip(hidden, answers, strict=True):
        assert_allclose(result[pixel], answer / 10, atol=1e-6)


def large_holes(height=120, width=160):
    random = np.random.default_rng(0)
    holes = {name: np.zeros((height, width), dtype=bool) for name in ("solid", "corner", "walls")}
    holes["solid"][10:110, 30:130] = True
    holes["corner"][:100, :100] = True
    holes["walls"][:] = True
    holes["walls"][::9] = holes["walls"][:, ::7] = False
    holes["scatter"] = random.random((height, width)) < 0.9
    holes["blobs"] = ndimage.gaussian_filter(random.normal(size=(height, width)), 6) < 0.02
    holes["all but two"] = np.ones((height, width), dtype=bool)
    holes["all but two"][3, 100] = holes["all but two"][119, 0] = False
    return holes


@pytest.mark.parametrize("hole", large_holes())
def test_imputation_is_the_direct_solve(hole):
    mask = large_holes()[hole]
    pixels = picture(*mask.shape, seed=4).pixels
    result = solved(pixels, mask)[0]
    assert_allclose(result, direct(pixels, mask), atol=1e-5)
    assert_array_equal(result[~mask], pixels[~mask])
    assert result.min() >= pixels[~mask].min()
    assert result.max() <= pixels[~mask].max()


def test_a_processors_ways_give_what_an_accelerators_do():
    values = torch.from_numpy(np.random.default_rng(0).random((2, 3, 12, 14), dtype=np.float32))
    assert_allclose(multigrid.neighbours(values), multigrid._neighbours_anywhere(values), rtol=1e-6)
    wide = functional.interpolate(values, scale_factor=2, mode="bilinear", align_corners=False)
    assert_allclose(multigrid.prolong(values, torch.empty((2, 3, 24, 28))), wide, atol=1e-6)
    narrow = multigrid.restrict(values, torch.empty((2, 3, 6, 7)), torch.empty_like(values))
    assert_allclose(narrow, multigrid._restrict_anywhere(values), atol=1e-6)


def test_the_preconditioner_is_symmetric_and_positive():
    """Conjugate gradients ask for it: its matrix, column by column, on a ragged hole of odd size."""
    random = np.random.default_rng(0)
    hole = torch.from_numpy(np.pad(random.random((1, 1, 25, 33)) < 0.8, ((0, 0), (0, 0), (0, 1), (0, 1))))
    hole[..., 3:20, 5:25] = True
    degrees = multigrid.neighbours(torch.nn.functional.pad(torch.ones((1, 1, 25, 33)), (0, 1, 0, 1))).clamp(min=1)
    cells = hole.flatten().nonzero()[:, 0]
    grids = multigrid.Multigrid(1, len(cells), 25, 33, torch.device("cpu"))
    grids.load(hole.float(), degrees)
    grids.residual.zero_().flatten(2)[0, torch.arange(len(cells)), cells] = 1
    answers = grids.cycle().flatten(2)[0].double()
    assert not answers[:, ~hole.flatten()].any()
    matrix = answers[:, cells].numpy()
    assert_allclose(matrix, matrix.T, atol=1e-6)
    assert np.linalg.eigvalsh((matrix + matrix.T) / 2).min() > 0


@pytest.mark.parametrize(("height", "width"), [(1, 2), (1, 40), (33, 1), (2, 2), (2, 71), (16, 17), (5, 130)])
def test_imputation_of_odd_sizes(height, width):
    random = np.random.default_rng(height + width)
    pixels = random.random((height, width, 3), dtype=np.float32)
    mask = random.random((height, width)) < 0.7
    mask[0, 0], mask[-1, -1] = True, False
    assert_allclose(solved(pixels, mask)[0], direct(pixels, mask), atol=1e-5)
    far = torch.full((3, height, width), 50.0)
    assert_allclose(solved(pixels, mask, start=far)[0], direct(pixels, mask), atol=1e-5)


def test_masks_solved_together_are_the_masks_solved_alone():
    pixels = picture(HEIGHT, WIDTH).pixels
    clean, masks = torch.from_numpy(pixels.transpose(2, 0, 1).copy()), some_masks()
    together, _ = imputation._impute(clean, torch.from_numpy(masks), None, 1e-5, len(masks))  # as an accelerator does
    assert_allclose(together.permute(0, 2, 3, 1), solved(pixels, *masks), atol=3e-5)
    for mask, result in zip(masks, solved(pixels, *masks), strict=True):
        assert_array_equal(result, solved(pixels, mask)[0])


def test_a_start_changes_the_steps_and_not_the_solution():
    mask = large_holes()["blobs"]
    pixels = picture(*mask.shape, seed=4).pixels
    clean = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    cold, steps = imputation._impute(clean, torch.from_numpy(mask[None]), None, 1e-5, 1)
    warm, fewer = imputation._impute(clean, torch.from_numpy(mask[None]), cold[0], 1e-5, 1)
    assert fewer < steps < 8
    assert_allclose(warm, cold, atol=3e-5)
    wild = impute(clean, torch.from_numpy(mask[None]), start=torch.full_like(clean, 50.0)[None])
    assert_allclose(wild, cold, atol=3e-5)


@pytest.mark.parametrize("hole", large_holes())
def test_a_large_hole_takes_a_handful_of_steps(hole):
    """Plain conjugate gradients take hundreds; a good guess saves some, a low tolerance more, at its price and no other."""
    mask = large_holes()[hole]
    pixels = picture(*mask.shape, seed=4).pixels
    clean = torch.from_numpy(pixels.transpose(2, 0, 1).copy())

    def steps(**more):
        told = {"start": None, "tolerance": 1e-5} | more
        found, taken = imputation._impute(clean, torch.from_numpy(mask[None]), **told, together=1)
        error = np.abs(found[0].permute(1, 2, 0).numpy() - direct(pixels, mask)).max()
        assert error < 1.5 * told["tolerance"] + 1e-6
        return taken

    taken = steps()
    assert taken <= 7
    assert taken <= steps(start=torch.zeros_like(clean)) <= 8
    assert steps(tolerance=1e-2) <= 2


def test_a_cycle_that_stalls_is_given_up_for_one_that_does_not():
    """Two bands far apart: the quick cycle is tried for so many steps, and the other one then takes no more than it needs."""
    hidden = np.ones((360, 480), dtype=bool)
    hidden[:32] = hidden[-8:] = False
    clean = torch.from_numpy(np.random.default_rng(0).random((3, 360, 480), dtype=np.float32))
    _, taken = imputation._impute(clean, torch.from_numpy(hidden[None]), None, 1e-5, 1)
    assert imputation.STALLED < taken <= imputation.STALLED + 8


@pytest.mark.parametrize(("top", "bottom"), [(32, 8), (96, 8), (31, 1), (1, 1)])
@pytest.mark.parametrize("half", [False, True])
def test_between_two_bands_far_apart_stands_the_ramp(top, bottom, half):
    """A cycle that visits a grid twice is not positive definite here, on which conjugate gradients once failed."""
    hidden = np.ones((360, 480), dtype=bool)
    hidden[:top] = hidden[-bottom:] = False
    rows = np.arange(360)
    ramp = np.clip((rows - top + 1) / (360 - bottom - top + 1), 0, 1)  # from 0 in the last known row to 1 in the next
    if half:  # known pixels on the ramp change nothing
        hidden[-bottom - 1 :, :240] = False
    clean = torch.from_numpy(np.repeat(ramp[None, :, None], 3, 0).repeat(480, 2).astype(np.float32))
    found = impute(clean, torch.from_numpy(hidden[None]))[0].numpy()
    assert_allclose(found, clean.numpy(), atol=1e-4)


def test_a_hidden_ramp_comes_back():
    y, x = np.mgrid[:50, :70]
    ramp = np.stack([x / 70, y / 50, (x + y) / 120], axis=2).astype(np.float32)
    masks = np.zeros((2, 50, 70), dtype=bool)
    masks[0, 5:40, 10:60] = True
    masks[1, 1:-1, 1:-1] = np.random.default_rng(0).random((48, 68)) < 0.9
    for result in solved(ramp, *masks):
        assert_allclose(result, ramp, atol=5e-5)


def test_imputation_knows_nothing_of_what_was_hidden():
    pixels, masks = picture(HEIGHT, WIDTH).pixels, some_masks()
    for mask in masks:
        other = np.where(mask[..., None], 1 - pixels, pixels)
        assert_array_equal(solved(pixels, mask), solved(other, mask))


def test_imputation_noise_is_what_it_says():
    image = perturb.images.image.image_from_pixels(np.full((60, 80, 3), 0.5, dtype=np.float32), name="flat")
    masks = np.zeros((3, 60, 80), dtype=bool)
    masks[:, 5:55, 5:75] = True
    result = painted(image, masks, "linear", noise=0.05)
    assert_allclose(result[:, 5:55, 5:75].std((1, 2, 3)), 0.05, rtol=0.03)
    assert_allclose(result[:, 5:55, 5:75].mean((1, 2, 3)), 0.5, atol=0.002)
    assert np.abs(result[0] - result[1]).max() > 0.05, "every mask has its own noise"
    assert_array_equal(painted(image, masks[1:], "linear", first=1, noise=0.05), result[1:])
    assert np.abs(painted(image, masks, "linear", noise=0.05, seed=4) - result).max() > 0.05


def test_values_that_are_no_numbers_end_the_imputation():
    pixels = picture(HEIGHT, WIDTH).pixels.copy()
    pixels[8, 5] = np.nan  # on the rim
    with pytest.raises(ArithmeticError, match="are all values of the image finite"):
        solved(pixels, some_masks()[0])


# The others ------------------------------------------------------------------------------------------------------------


def test_window_mean_by_brute_force():
    image, masks = picture(HEIGHT, WIDTH), some_masks()
    for mask, result in zip(masks, painted(image, masks, "window-mean"), strict=True):
        assert_allclose(result[mask], np.broadcast_to(image.pixels[mask].mean(0), (mask.sum(), 3)), atol=1e-6)


@pytest.mark.parametrize(("size", "stride"), [(7, 4), (5, 5), (1, 1)])
def test_occlusion_of_an_additive_model_by_its_own_window_means(size, stride):
    height, width = 13, 18
    image = picture(height, width)
    weights = np.random.default_rng(1).normal(size=(height, width, 3))
    result = perturb.explain(
        image, Additive(weights), perturb.Target("thing"), size=size, stride=stride, fill="window-mean"
    )
    pixels = image.pixels.astype(np.float64)
    total, count = np.zeros((height, width)), np.zeros((height, width))
    for y in range(0, height - size + stride, stride):
        for x in range(0, width - size + stride, stride):
            window = slice(y, min(y + size, height)), slice(x, min(x + size, width))
            total[window] += (weights[window] * (pixels[window] - pixels[window].mean((0, 1)))).sum()
            count[window] += 1
    assert_allclose(result.heatmap, total / count, atol=1e-4)


def test_the_soft_edge_lies_inside_the_hole():
    image = perturb.images.image.image_from_pixels(np.ones((40, 60, 3), dtype=np.float32), name="white")
    masks = np.zeros((3, 40, 60), dtype=bool)
    masks[0, 10:31, 10:41] = True
    masks[1, :, 20:] = True  # to the border, which is no rim
    masks[2] = True
    result = 1 - painted(image, masks, "soft", colour="#000000", sigma=4)[..., 0]
    for mask, weight in zip(masks, result, strict=True):
        assert_array_equal(weight[~mask], 0)
        assert weight[mask].min() > 0
        assert weight.max() == 1
    y, x = np.argwhere(masks[0]).T
    distance = np.minimum.reduce([y - 9, 31 - y, x - 9, 41 - x])
    expected = (1 - np.exp(-(distance**2) / 32)) / (1 - np.exp(-(11**2) / 32))
    assert_allclose(result[0][masks[0]], expected, atol=1e-6)
    assert_allclose(result[1, 5, 20:], result[1, 20, 20:], atol=1e-6)
    assert_array_equal(result[2], 1)


def test_the_soft_edge_is_the_same_bytes_in_every_call_and_by_scipy():
    """Distances by OpenCV differ in their last bits between two calls on the same mask."""
    masks = SoftGrids(90, 120, grid=8, keep=0.5, count=40, seed=0).hidden(0, 40)
    fill = SoftWindow((0.5, 0.5, 0.5), 12.0)
    image = torch.rand(3, 90, 120, generator=torch.Generator().manual_seed(0))
    first = fill.paint(image, masks, 0)
    assert all(torch.equal(fill.paint(image, masks, 0), first) for _ in range(4))
    for mask, painted_image in zip(masks[:5], first[:5], strict=True):
        weight = 1 - np.exp(-(ndimage.distance_transform_edt(mask > 0) ** 2) / (2 * 12.0**2))
        share = torch.from_numpy(weight / weight.max() * mask.numpy())
        assert_allclose(painted_image, image + share * (0.5 - image), atol=1e-6)


def test_soft_holes_that_are_all_rim_are_wholly_hidden():
    image = picture(HEIGHT, WIDTH)
    mask = np.zeros((1, HEIGHT, WIDTH), dtype=bool)
    mask[0, ::2, ::2] = True
    result = painted(image, mask, "soft", sigma=20, colour="#336699")[0]
    assert_allclose(result[mask[0]], np.broadcast_to(np.array([51, 102, 153]) / 255, (mask.sum(), 3)), atol=1e-6)


def test_soft_uses_the_exact_distance():
    mask = some_masks()[3]
    weight = SoftWindow((0, 0, 0), 2)._weight(mask)
    expected = 1 - np.exp(-(ndimage.distance_transform_edt(mask) ** 2) / 8)
    assert_allclose(weight, expected / expected.max(), atol=1e-6)


def test_telea_is_opencv():
    image, masks = dark_square(), np.zeros((2, 37, 53), dtype=bool)
    masks[0, 8:16, 12:22] = masks[1, :7, 30:] = True
    levels = np.rint(image.pixels * 255).astype(np.uint8)
    for mask, result in zip(masks, painted(image, masks, "telea", radius=5), strict=True):
        expected = cv2.inpaint(levels, mask.astype(np.uint8), 5, cv2.INPAINT_TELEA)
        assert_array_equal(np.rint(result[mask] * 255), expected[mask])


# What every fill keeps to ----------------------------------------------------------------------------------------------

every_fill = pytest.mark.parametrize("name", FILLS)


@every_fill
@pytest.mark.parametrize("noise", [0, 0.5])
def test_known_pixels_are_bit_identical_and_values_lie_in_the_range(name, noise):
    image, masks = picture(HEIGHT, WIDTH), some_masks()
    result = painted(image, masks, name, noise=noise, sigma=3)
    for mask, one in zip(masks, result, strict=True):
        assert_array_equal(one[~mask], image.pixels[~mask])
    assert result.min() >= 0
    assert result.max() <= 1
    changed = np.abs(result - image.pixels).max(-1) > 1e-4
    assert (changed.sum((1, 2)) > 0.9 * masks.sum((1, 2)))[:6].all(), "hidden is hidden"


@every_fill
def test_nothing_hidden_is_the_picture(name):
    image, masks = picture(HEIGHT, WIDTH), some_masks()
    masks[1] = False
    assert_array_equal(painted(image, masks, name)[1], image.pixels)
    assert_array_equal(painted(image, masks[1:2], name)[0], image.pixels)
    assert_array_equal(painted(image, masks[1:2].astype(np.float32), name)[0], image.pixels)


@every_fill
def test_everything_hidden_is_defined(name):
    image = picture(HEIGHT, WIDTH)
    masks = np.ones((2, HEIGHT, WIDTH), dtype=bool)
    masks[1, 5:, 5:] = False
    result = painted(image, masks, name, noise=0)[0]
    assert np.isfinite(result).all()
    assert result.min() >= 0
    assert result.max() <= 1
    if name in ("mean", "window-mean", "linear", "telea"):
        assert_allclose(result, np.broadcast_to(image.pixels.mean((0, 1)), result.shape), atol=1e-6)


@every_fill
def test_soft_masks_blend_between_the_picture_and_the_fill(name):
    image = picture(HEIGHT, WIDTH)
    hole = some_masks()[:1]
    full, half = (painted(image, hole.astype(np.float32) * weight, name) for weight in (1, 0.5))
    assert_allclose(full, painted(image, hole, name), atol=1e-6)
    assert_allclose(half, (full + image.pixels) / 2, atol=1e-6)
    assert_array_equal(half[~hole], full[~hole])


@every_fill
def test_settings_that_matter_are_the_ones_shown(name):
    names = {setting.name for setting in shown(FILL_SETTINGS, {"fill": name})} - {"fill"}
    matter = {
        "colour": {"colour"},
        "blur": {"sigma"},
        "soft": {"colour", "sigma"},
        "linear": {"noise"},
        "telea": {"radius"},
    }
    assert names == matter.get(name, set())


@every_fill
def test_a_fill_is_seeded_and_the_batch_changes_nothing(name):
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3, padding=1)
    )
    segmenter = perturb.TorchSegmenter(module, classes=list("abcd"))
    settings = {"size": 9, "stride": 6, "fill": name, "seed": 5}
    results = [
        perturb.explain(picture(31, 45), segmenter, perturb.Target("b", region="all"), batch=batch, **settings)
        for batch in (1, 7)
    ]
    assert_allclose(results[0].heatmap, results[1].heatmap, atol=1e-5)
    assert_array_equal(results[0].readings.lost, results[1].readings.lost)
    probe = perturb.probe(results[1], 10)
    image = picture(31, 45)
    masks = windows(image, results[1].settings)
    clean, fill = to_tensor(image, torch.device("cpu")), make_fill(image, results[1].settings, 5)
    batch = fill.paint(clean, masks.hidden(7, 14), 7)
    assert_array_equal(probe.pixels, batch[3].permute(1, 2, 0))


def test_a_deletion_curve_by_imputation_ends_at_the_mean():
    image, segmenter = dark_square(), DarkIsObject()
    result = perturb.explain(image, segmenter, perturb.Target("object"), size=12, stride=6, fill="linear", noise=0)
    made = perturb.curves(result, steps=6, draws=1, score="logit", fill=None)
    mean = np.full_like(image.pixels, image.pixels.mean((0, 1), dtype=np.float64))
    logits = segmenter(torch.from_numpy(mean.transpose(2, 0, 1)[None].copy()))
    assert_allclose(made.deletion.score[0, -1], logits[0, 1, 0, 0], atol=1e-4)
    assert_allclose(made.deletion.score[0, 0], result.clean.score[0])
    assert_allclose(made.insertion.score[0, [0, -1]], made.deletion.score[0, [-1, 0]])


def test_a_fill_keeps_no_memory_of_masks():
    """A fill is asked for any part of a stream in any order: curves start again, a probe looks at one mask."""
    rank = np.random.default_rng(0).permutation(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    stream: Masks = Ranked(rank, np.arange(0, rank.size, 97))
    image = picture(HEIGHT, WIDTH)
    clean, fill = to_tensor(image, torch.device("cpu")), fill_of(image, "linear")
    forwards = [fill.paint(clean, stream.hidden(i, i + 1), i)[0] for i in range(len(stream))]
    backwards = [fill.paint(clean, stream.hidden(i, i + 1), i)[0] for i in reversed(range(len(stream)))]
    for one, other in zip(forwards, reversed(backwards), strict=True):
        assert_array_equal(one, other)
