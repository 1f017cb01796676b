"""The contrastive loss."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from made_terms import fam as make
from seeds import shifted

from mmcl.colearn.fam import contrastive_loss
from mmcl.errors import UserError

GOLDEN = Path(__file__).parents[1] / "golden"


def made(seed, shape=(16, 256)):
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32))


def test_grace_loss_equals_the_reference():
    expected = json.loads((GOLDEN / "mmcl_losses.json").read_text())["grace_tau0.4"]
    assert contrastive_loss(made(1), made(2), 0.4, "grace").item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("negatives", ["grace", "eq6", "clip"])
def test_losses_as_written(negatives):
    """Sums of exponentials over named pairs, in plain numbers."""
    g, c = made(shifted(3), (5, 4)), made(shifted(4), (5, 4))

    def e(a, b):
        return math.exp(torch.cosine_similarity(a, b, dim=0).item() / 0.4)

    def one_way(u, v, i):
        below = sum(e(u[i], v[k]) for k in range(5))
        if negatives == "grace":
            below += sum(e(u[i], u[k]) for k in range(5) if k != i)
        if negatives == "eq6":
            below += sum(e(u[k], v[i]) for k in range(5) if k != i)
        return -math.log(e(u[i], v[i]) / below)

    expected = sum(0.5 * (one_way(g, c, i) + one_way(c, g, i)) for i in range(5)) / 5
    assert contrastive_loss(g, c, 0.4, negatives).item() == pytest.approx(expected, rel=1e-5)


def test_clips_without_a_picture_take_no_part():
    torch.manual_seed(shifted(0))
    fam = make(6, 8)
    skeleton, picture = made(shifted(5), (6, 8)).requires_grad_(), made(shifted(6), (6, 6))
    mask = torch.tensor([True, False, True, True, False, True])
    loss = fam.contrast(skeleton, picture, mask)
    assert loss.item() == pytest.approx(
        fam.contrast(skeleton[mask], picture[mask], torch.ones(4, dtype=torch.bool)).item()
    )
    loss.backward()
    assert (skeleton.grad[~mask] == 0).all()
    assert (skeleton.grad[mask] != 0).any(1).all()


@pytest.mark.parametrize("pictures", [0, 1])
def test_nothing_to_contrast_is_zero(pictures):
    fam = make(6, 8)
    mask = torch.arange(4) < pictures
    assert fam.contrast(made(1, (4, 8)), made(2, (4, 6)), mask).item() == 0


MASKS = [[1, 0, 1, 1, 0, 1, 1], [0, 0, 0, 1, 0, 0, 0], [0] * 7, [1] * 7, [0, 1, 1, 0, 0, 0, 0]]


@pytest.mark.parametrize("chunk", [None, 2, 3])
@pytest.mark.parametrize("negatives", ["grace", "eq6", "clip"])
@pytest.mark.parametrize("mask", MASKS)
def test_the_loss_is_that_of_the_selected_clips(mask, negatives, chunk):
    """Loss and gradients, as if only the clips that have a picture were there; nothing where fewer than two have."""
    torch.manual_seed(shifted(0))
    fam, chosen = make(6, 8, loss=negatives, chunk=chunk).double(), torch.tensor(mask, dtype=torch.bool)
    skeleton, picture = made(shifted(5), (7, 8)).double(), made(shifted(6), (7, 6)).double()
    skeleton.requires_grad_()
    losses = [
        contrastive_loss(skeleton[rows][here], fam.align(picture[rows][here]), 0.4, negatives)
        for rows, here in zip(torch.arange(7).split(chunk or 7), chosen.split(chunk or 7), strict=True)
        if here.sum() > 1
    ]
    nothing = 0 * (skeleton.sum() + sum(p.sum() for p in fam.parameters()))
    expected = torch.stack(losses).mean() if losses else nothing
    # what stands where there is no picture does not matter
    found = fam.contrast(skeleton, torch.where(chosen[:, None], picture, 1e4), chosen)
    wanted = [skeleton, *fam.parameters()]
    for ours, theirs in zip(
        (found, *torch.autograd.grad(found, wanted)),
        (expected, *torch.autograd.grad(expected, wanted)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-15)
    if all(mask):
        torch.testing.assert_close(fam.contrast(skeleton, picture, None), found, rtol=1e-12, atol=0)


def test_chunks_are_contrasted_by_themselves():
    """As the replicas of DataParallel did; here 5 clips in chunks of 2, and in the last one nothing to contrast."""
    torch.manual_seed(shifted(0))
    fam = make(6, 8, chunk=2)
    skeleton, picture = made(shifted(5), (7, 8)), made(shifted(6), (7, 6))
    mask = torch.tensor([True, True, True, False, True, True, True])
    aligned = fam.align(picture)
    expected = (
        contrastive_loss(skeleton[:2], aligned[:2], 0.4, "grace")
        + contrastive_loss(skeleton[4:6], aligned[4:6], 0.4, "grace")
    ) / 2
    assert fam.contrast(skeleton, picture, mask).item() == pytest.approx(expected.item(), rel=1e-6)
    fam.chunk = 100
    assert fam.contrast(skeleton, picture, mask).item() == pytest.approx(
        contrastive_loss(skeleton[mask], aligned[mask], 0.4, "grace").item(), rel=1e-6
    )


SPLITS = {
    "all have pictures": ([4, 4], [True] * 8),
    "some have": ([4, 4], [True, False, True, True, False, False, False, True]),
    "one rank has none": ([4, 4], [False] * 4 + [True] * 4),
    "uneven ranks": ([3, 5], [True] * 7 + [False]),
    "nobody has two": ([4, 4], [True] + [False] * 7),
}


def both(chunk=None):
    """A skeleton network of one layer, and a FAM; features (8, 6) of a batch for each."""
    torch.manual_seed(shifted(0))
    net = torch.nn.ModuleList([torch.nn.Linear(6, 8), make(6, 8, hidden=7, chunk=chunk, gather=True)])
    return net, made(shifted(5), (8, 6)), made(shifted(6), (8, 6))


def loss_and_gradients(net, x, picture, mask):
    net.zero_grad(set_to_none=False)
    for value in net.parameters():
        value.grad = torch.zeros_like(value)
    loss = net[1].contrast(net[0](x), picture, mask)
    if loss.requires_grad:
        loss.backward()
    return loss.detach(), torch.cat([value.grad.flatten() for value in net.parameters()])


def one_rank(rank, file, found):
    """What a rank of two gets for every split; the average of the gradients is DDP's."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    results = {}
    for chunk in (None, 3):
        net, x, picture = both(chunk)
        for name, (sizes, mask) in SPLITS.items():
            own = [part.split(sizes)[rank] for part in (x, picture, torch.tensor(mask))]
            loss, gradients = loss_and_gradients(net, *own)
            dist.all_reduce(gradients)
            results[name, chunk] = loss, gradients / 2
    torch.save(results, found / f"{rank}.pt")
    dist.destroy_process_group()


def test_gathered_ranks_learn_as_one_process_would(tmp_path):
    context = mp.spawn(one_rank, (tmp_path / "meet", tmp_path), nprocs=2, join=False)
    while not context.join():
        pass
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first.keys() == second.keys()
    for (name, chunk), (loss, gradients) in first.items():
        net, x, picture = both(chunk)
        expected, slopes = loss_and_gradients(net, x, picture, torch.tensor(SPLITS[name][1]))
        for got in (loss, second[name, chunk][0]):
            assert got.item() == pytest.approx(expected.item(), abs=1e-6), name
        torch.testing.assert_close(gradients, slopes, rtol=1e-5, atol=1e-6)
        assert (slopes.abs().sum() > 0.1) == (name != "nobody has two")


def test_large_similarities_stay_finite():
    g = made(1, (4, 8))
    assert contrastive_loss(g, g, 1e-3, "grace").isfinite()


def test_unknown_negatives():
    with pytest.raises(UserError, match="there are: grace, eq6, clip"):
        contrastive_loss(made(1), made(2), 0.4, "nce")
