"""A CNN trained on the training subjects' pictures: it learns, sees no test picture, resumes to the same bits."""

import itertools
import json
import logging

import numpy as np
import pytest
import torch
from made_stores import changed
from made_stores import train as train_made
from seeds import shifted

from mmcl import checkpoints, store
from mmcl.datasets.exclusion import plan_exclusion
from mmcl.engine.resume import only_writer
from mmcl.errors import UserError
from mmcl.models.cnn import open_cnn, pretrained
from mmcl.settings.base import replaced
from mmcl.settings.jobs import CnnTraining, Encoding
from mmcl.settings.model import PretrainSettings
from mmcl.training import pretrain_cnn as stage
from mmcl.video import jpeg
from mmcl.video.encode import encode_montages

pytest.importorskip("torchvision")

SETTINGS = {
    "architecture": "shufflenet_v2_x0_5",
    "image_size": 48,
    "protocol": "odd_subjects",
    "epochs": 3,
    "batch": 5,
    "learning_rate": 0.003,
    "weight_decay": 0.01,
    "warmup_epochs": 1,
    "label_smoothing": 0.1,
    "augment": {"mirror": True, "shift": 0.03, "contrast": 0.1, "brightness": 0.02, "erase": 0.2},
    "seed": shifted(0),
    "version": 1,
}
CNN = Encoding(
    architecture="shufflenet_v2_x0_5",
    weights=None,
    image_size=48,
    frozen=True,
    pretrain=PretrainSettings(protocol="odd_subjects"),
    batch=8,
)


@pytest.fixture
def stores(stores, tmp_path):
    """The made stores, with pictures in which a bright bar's height tells the class, among noise."""
    rng = np.random.default_rng(shifted(0))
    pictures = {}
    for action, subject in itertools.product(range(4), range(1, 9)):
        image = rng.integers(0, 120, (80, 80, 3), np.uint8)
        image[20 * action + 2 : 20 * action + 18] += 100
        pictures[f"a{action}_s{subject}"] = jpeg.encode(image, 95)
    del pictures["a1_s1"]
    path = tmp_path / "pictures.h5"
    store.write(
        path,
        schema="mmcl.montages/1",
        settings={},
        names=list(pictures),
        columns={"images": store.Column("bytes")},
        batch_size=40,
        work=lambda names: store.Batch(names, {"images": [pictures[name] for name in names]}, {}),
    )
    return {**stores, "montages": path}


def run(stores, folder, **over):
    stage.pretrain_cnn(
        skeletons=stores["skeletons"],
        montages=[stores["montages"]],
        output=folder / "weights.safetensors",
        settings=CnnTraining.model_validate({**SETTINGS, **over}),
    )
    return json.loads((folder / "weights.json").read_text())


def same(a, b):
    return (a / "weights.safetensors").read_bytes() == (b / "weights.safetensors").read_bytes()


class Stopped(Exception):
    pass


@pytest.fixture
def stop_at(monkeypatch):
    """Make training end with Stopped at the second batch of an epoch, with every epoch kept."""
    whole = stage.CnnTask.batches

    def stop(epoch):
        def batches(self, number):
            for step, batch in enumerate(whole(self, number)):
                if number == epoch and step == 1:
                    raise Stopped
                yield batch

        monkeypatch.setattr(stage.CnnTask, "batches", batches)

    return stop


@pytest.fixture
def read(monkeypatch):
    """Names of the clips whose rows are read from a store."""
    names = []
    row = store.Shards.row

    def noted(self, column, name):
        names.append(name)
        return row(self, column, name)

    monkeypatch.setattr(store.Shards, "row", noted)
    monkeypatch.setattr(store.Shards, "read", lambda *_: pytest.fail("read a whole column"))
    return names


def test_it_learns_and_tells_what_from(stores, tmp_path):
    # steps enough for the running statistics of the batch norms, which the accuracy is measured with
    about = run(stores, tmp_path / "cnn", epochs=60, label_smoothing=0)
    # all 15 on every processor and with every seed tried; guessing comes to 27
    assert about["training_accuracy"] >= 80
    losses = [entry["loss"] for entry in about["history"]]
    # ln(4) is 1.39; single batches of 5 augmented pictures scatter, in the end between 0.01 and 0.4
    assert losses[0] > 1.1 > 0.6 > np.mean(losses[-5:])
    assert [entry["epoch"] for entry in about["history"]] == list(range(1, 61))
    # four classes of the subjects 1, 3, 5 and 7; a1_s1 has no picture
    assert (about["subjects"], about["clips"], about["without_picture"]) == ([1, 3, 5, 7], 15, 1)
    assert (about["classes"], about["settings"]["epochs"]) == (["a0", "a1", "a2", "a3"], 60)
    assert sorted(path.name for path in (tmp_path / "cnn").iterdir()) == [
        "weights.json",
        "weights.safetensors",
    ]


@pytest.mark.parametrize("in_memory", [True, False])
def test_no_picture_of_a_test_subject_is_read(stores, tmp_path, monkeypatch, read, in_memory):
    if not in_memory:
        monkeypatch.setattr(stage, "IN_MEMORY", 0)
    run(stores, tmp_path, epochs=2)
    trains = {f"a{a}_s{s}" for a in range(4) for s in (1, 3, 5, 7)} - {"a1_s1"}
    assert set(read) == trains
    # once each, or in two epochs (15 pictures, three whole batches) and for the accuracy
    assert len(read) == (15 if in_memory else 45)


def test_pictures_from_disk_give_the_same_weights_as_from_memory(stores, tmp_path, monkeypatch):
    run(stores, tmp_path / "memory")
    monkeypatch.setattr(stage, "IN_MEMORY", 0)
    run(stores, tmp_path / "disk")
    assert same(tmp_path / "memory", tmp_path / "disk")


def test_a_run_that_was_stopped_gives_the_same_weights(stores, tmp_path, stop_at, caplog):
    run(stores, tmp_path / "straight")
    stop_at(1)
    with pytest.raises(Stopped):
        run(stores, tmp_path / "stopped")
    assert len(checkpoints.read(tmp_path / "stopped/last.pt")["history"]) == 1
    assert not (tmp_path / "stopped/weights.safetensors").exists()
    stop_at(None)
    with caplog.at_level(logging.INFO):
        resumed = run(stores, tmp_path / "stopped")
    assert "continuing after 1 of 3 epochs" in caplog.text
    assert same(tmp_path / "straight", tmp_path / "stopped")
    assert resumed == json.loads((tmp_path / "straight/weights.json").read_text())
    assert not (tmp_path / "stopped/last.pt").exists()


def test_a_complete_training_whose_result_was_deleted_is_written_again(
    stores, tmp_path, stop_at, monkeypatch
):
    monkeypatch.setenv("MMCL_PLANNED", "{}")  # in a job of the workflow the last state is kept
    about = run(stores, tmp_path / "run")
    (tmp_path / "run/weights.safetensors").rename(tmp_path / "weights.safetensors")
    stop_at(0)  # no epoch is trained
    assert run(stores, tmp_path / "run") == about
    assert same(tmp_path, tmp_path / "run")


def test_other_seeds_and_changes_give_other_weights(stores, tmp_path):
    run(stores, tmp_path / "one", epochs=1)
    run(stores, tmp_path / "seed", epochs=1, seed=1)
    assert not same(tmp_path / "one", tmp_path / "seed")
    for key, value in {"mirror": False, "shift": 0, "contrast": 0, "brightness": 0, "erase": 0}.items():
        run(stores, tmp_path / key, epochs=1, augment={**SETTINGS["augment"], key: value})
        assert not same(tmp_path / "one", tmp_path / key), key


def test_encode_uses_the_weights(stores, settings, tmp_path):
    about = run(stores, tmp_path / "cnn")
    weights = tmp_path / "cnn/weights.safetensors"
    encode_montages(stores["montages"], tmp_path / "rgb.h5", CNN, threads=1, weights=weights)
    table = store.Shards([tmp_path / "rgb.h5"], "mmcl.rgb/1")
    assert table.settings["sha256"] == about["sha256"]
    assert table.settings["num_classes"] == 4
    assert table.shape("features") == (4,)
    net = open_cnn(pretrained(CNN, weights)).eval()
    image = jpeg.decode(store.Shards([stores["montages"]], "mmcl.montages/1").row("images", "a2_s4"))
    with torch.no_grad():
        expected = net(torch.from_numpy(image)[None])[0].numpy()
    np.testing.assert_allclose(table.row("features", "a2_s4"), expected, rtol=1e-4, atol=1e-5)
    # other weights, another store
    run(stores, tmp_path / "other", seed=3)
    again = tmp_path / "other.h5"
    encode_montages(stores["montages"], again, CNN, threads=1, weights=tmp_path / "other/weights.safetensors")
    assert store.Shards([again], "mmcl.rgb/1").fingerprint != table.fingerprint
    # and FAM takes it
    own = changed(settings, train__epochs=1, model__frm__enabled=False)
    content = train_made(stores, tmp_path / "run", own, inputs={"picture": [tmp_path / "rgb.h5"]})
    assert content["shapes"] == {"picture": [4]}


def test_inception_sees_in_training_what_it_sees_frozen():
    # torchvision changes the normalisation of Inception's inputs for its ImageNet weights only
    settings = replaced(CNN, architecture="inception_v3", num_classes=4, image_size=75)
    torch.manual_seed(shifted(0))
    assert not open_cnn(settings).net.transform_input


def test_weights_of_another_run_are_noticed(stores, tmp_path):
    run(stores, tmp_path / "a", epochs=1)
    run(stores, tmp_path / "b", epochs=1, seed=1)
    (tmp_path / "a/weights.safetensors").write_bytes((tmp_path / "b/weights.safetensors").read_bytes())
    with pytest.raises(UserError, match="sha256 is"):
        open_cnn(pretrained(CNN, tmp_path / "a/weights.safetensors"))


def test_excluded_clips_do_not_train(stores, tmp_path):
    (tmp_path / "list.txt").write_text("a0_s1\na1_s3\na2_s2\n")
    rule = {"by": "subject", "train": [1, 3], "test": [2]}
    exclude = plan_exclusion(str(tmp_path / "list.txt"))
    run(stores, tmp_path / "run", epochs=1, protocol="mine", rule=rule, exclude=exclude)
    about = json.loads((tmp_path / "run/weights.json").read_text())
    # 4 classes × subjects 1 and 3, less two of the list; a1_s1 has no picture
    assert (about["clips"], about["without_picture"], about["subjects"]) == (5, 1, [1, 3])


def test_mistakes_are_named(stores, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="no training clip of ntu60_xview has a picture"):
        run(stores, tmp_path, protocol="ntu60_xview")  # everything was seen by camera 1, which tests
    with pytest.raises(UserError, match="not finite in epoch 1"):
        run(stores, tmp_path, learning_rate=1e30)
    with only_writer(tmp_path), pytest.raises(UserError, match="another process is training"):
        run(stores, tmp_path)
    monkeypatch.setattr(jpeg, "decode", lambda data: (_ for _ in ()).throw(UserError("damaged")))
    with pytest.raises(UserError, match="not one of the training clips' pictures can be read"):
        run(stores, tmp_path / "damaged")


def test_a_damaged_picture_is_left_out(stores, tmp_path, monkeypatch):
    decode = jpeg.decode
    victim = bytes(store.Shards([stores["montages"]], "mmcl.montages/1").row("images", "a2_s3"))

    def damaged(data):
        if bytes(data) == victim:
            raise UserError("damaged")
        return decode(data)

    monkeypatch.setattr(jpeg, "decode", damaged)
    about = run(stores, tmp_path, epochs=1)
    assert (about["clips"], about["without_picture"]) == (14, 2)
