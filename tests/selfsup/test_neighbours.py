"""Classification by nearest training clips."""

import torch
from seeds import shifted

from mmcl.selfsup import neighbours
from mmcl.selfsup.neighbours import joined_features, nearest_classes


def test_the_majority_of_the_nearest_by_angle(monkeypatch):
    from sklearn.neighbors import KNeighborsClassifier

    monkeypatch.setattr(neighbours, "CHUNK", 7)
    generator = torch.Generator().manual_seed(shifted(0))
    train, test = torch.randn(90, 6, generator=generator), torch.randn(40, 6, generator=generator)
    labels = torch.randint(0, 2, (90,), generator=generator)  # two classes: an odd k has no ties
    found = nearest_classes(train, labels, test, [1, 5, 11])
    for k, classes in found.items():
        expected = (
            KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(train, labels).predict(test)
        )
        assert classes.tolist() == expected.tolist()
    assert (found[1] != found[5]).any()
    # length is no matter
    assert torch.equal(nearest_classes(train * torch.rand(90, 1), labels, test, [5])[5], found[5])


def test_equal_votes_go_to_the_nearer_class():
    train = torch.tensor([[1.0, 0.0], [0.9, 0.5], [0.0, 1.0], [-1.0, 0.0]])
    labels = torch.tensor([2, 0, 1, 0])
    test = torch.tensor([[1.0, 0.1]])
    assert nearest_classes(train, labels, test, [1, 2, 3, 4]) == {
        k: torch.tensor([c]) for k, c in {1: 2, 2: 2, 3: 2, 4: 0}.items()
    }
    assert nearest_classes(train, labels, test, [100])[100].tolist() == [0]  # no more than there are


def test_encoders_side_by_side_have_the_same_say():
    features = torch.randn(2, 5, 4) * torch.tensor([1.0, 100.0])[:, None, None]
    joined = joined_features(features)
    similar = joined @ joined.T
    cosines = [torch.nn.functional.cosine_similarity(one[:, None], one[None], dim=2) for one in features]
    torch.testing.assert_close(similar, cosines[0] + cosines[1])
