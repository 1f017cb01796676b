import pytest
import yaml
from planned import at, stream

from mmcl.config import Config, with_demo
from mmcl.errors import UserError
from mmcl.plan import Plan
from mmcl.settings.tables import DETECTORS
from mmcl.weights_needed import check_weights


@pytest.fixture
def raw(project):
    """The project's configuration, with weights that are not there."""
    raw = with_demo(yaml.safe_load((project / "config.yaml").read_text()))
    raw["video"]["detector"]["weights"] = "absent/detector.pt"
    raw["vlm"]["weights"] = "absent/vlm"
    raw["model"]["fam"]["cnn"]["weights"] = "absent/cnn.pth"
    return raw


def test_all_missing_weights_are_named_once(raw):
    plan = Plan(Config(raw))
    crops = ("crop_people", plan.crop_settings(at(dataset="ntu60")))
    answers = ("answer_question", plan.vlm_settings(at(vlm="blip-vqa-capfilt-large")))
    training = ("train_stream", plan.stream_settings(stream(plan, "ntu60_xsub")))
    with pytest.raises(UserError) as missing:
        check_weights([crops, crops, answers, training, ("ensemble", {}), ("index_clips", {"version": 1})])
    assert str(missing.value).startswith(
        "weights not found: absent/detector.pt (crop_people), absent/vlm (answer_question), "
        "absent/cnn.pth (train_stream); `mmcl fetch` gets published ones"
    )


def test_only_what_a_job_reads_is_looked_for(raw, monkeypatch):
    plan = Plan(Config(raw))
    check_weights(
        [
            # there are all weights of the demo; frozen features are read, not made, by its trainings
            ("crop_people", plan.crop_settings(at(dataset="demo"))),
            ("answer_question", plan.vlm_settings(at(vlm="demo-blip"))),
            ("encode_montages", plan.cnn_settings(at(cnn="demo-shufflenet"))),
            ("train_stream", plan.stream_settings(stream(plan, "demo_xsub"))),
            ("train_stream", plan.stream_settings(stream(plan, "ntu120_xsub_plain"))),
        ]
    )
    crops = plan.crop_settings(at(dataset="ntu60"))
    boxes = {**crops, "video": {**crops["video"], "boxes": "projected_joints"}}
    check_weights([("crop_people", boxes)])
    # a detector that a user added may have none
    monkeypatch.setitem(DETECTORS, crops["video"]["detector"]["architecture"], "bright:Bright")
    check_weights([("crop_people", crops)])
