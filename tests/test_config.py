import copy
import math
import re

import pytest
import yaml

from mmcl.config import Config, config_files, find_dataset, load
from mmcl.errors import UserError
from mmcl.naming import PROJECT, slug
from mmcl.settings.explain import ConfigError
from mmcl.settings.merging import merge


def test_the_shipped_config_holds_every_benchmark_and_data_set(raw):
    config = Config(raw)
    benchmarks = {
        "demo_xsub",
        "ntu60_xsub",
        "ntu60_xview",
        "ntu120_xsub",
        "ntu120_xset",
        "nw_ucla",
        "utd_mhad",
        "sysu_setting1",
        "sysu_setting2",
    }
    assert benchmarks <= set(config.benchmarks)
    datasets = {"demo", "demo_target", "ntu60", "ntu120", "nw_ucla", "utd_mhad", "sysu"}
    assert datasets == set(config.datasets)


def test_the_shipped_config_holds_the_papers_settings(raw):
    ntu120 = Config(raw).benchmark("ntu120_xsub")
    train = ntu120.train
    assert (train.epochs, train.batch, train.steps, train.window) == (110, 200, (90, 100), 64)
    assert (train.learning_rate, train.weight_decay, train.warmup_epochs) == (0.1, 4e-4, 5)
    assert (ntu120.model.fam.weight, ntu120.model.frm.weight) == (0.1, 0.2)
    assert ntu120.model.fam.temperature == 0.4
    assert [f"{m.stream}-{m.graph}" for m in ntu120.members] == [
        "joint-natural",
        "bone-natural",
        "joint_motion-natural",
        "bone_motion-natural",
        "joint-hd21",
        "bone-hd21",
    ]
    assert set(ntu120.zero_shot.targets) == {"utd_mhad", "sysu"}


def test_a_member_takes_a_graph_that_its_backbone_can_start_from(raw):
    raw["model"]["backbone"] = "hdgcn"
    raw["ensemble"]["members"] = [
        {"stream": "joint"},
        {"stream": "bone", "graph": "hd1"},
        {"stream": "joint", "backbone": "ctrgcn"},
    ]
    members = Config(raw).benchmark("demo_xsub").members
    assert [(m.backbone, m.graph) for m in members] == [
        ("hdgcn", "hd21"),
        ("hdgcn", "hd1"),
        ("ctrgcn", "natural"),
    ]
    raw["ensemble"]["members"][0]["graph"] = "natural"
    with pytest.raises(ConfigError, match="members: hdgcn takes graph hd21, hd1, hd2, not natural"):
        Config(raw)


def bomb() -> list:
    """A list whose parts are the same list again and again, as YAML's aliases make it."""
    part: list = ["x"] * 9
    for _ in range(11):
        part = [part] * 9
    return part


def circle() -> list:
    """A list that holds itself."""
    part: list = []
    part.append(part)
    return part


MISTAKES = [
    (
        lambda r: r["train"].update(epoch=3),
        "train.epoch: unknown key; did you mean 'epochs'?; allowed here: accumulate, batch, ",
    ),
    (lambda r: r["train"].update(epochs="ten"), 'train.epochs: "ten" is not of type integer'),
    (
        lambda r: r["train"].update(compile=True),
        "train.compile: was taken out: on a GPU kernels and CUDA graphs",
    ),
    (
        lambda r: r["train"].update(weight_decay="4e-4"),
        'train.weight_decay: "4e-4" is not of type number (On all parameters.); YAML reads 4e-4 as text, write 4.0e-4'
        " or 0.0004",
    ),
    (
        lambda r: r["benchmarks"]["demo_xsub_plain"].update(train={"epochs": 2, "stepz": [1]}),
        "benchmarks.demo_xsub_plain.train.stepz: unknown key; did you mean 'steps'?",
    ),
    (
        lambda r: r["benchmarks"]["demo_xsub"]["train"].update(steps=[0]),
        "benchmarks.demo_xsub.train.steps.0: 0 is less than the minimum of 1",
    ),
    (
        lambda r: r["datasets"]["ntu60"].update(video={"margin": 2}),
        "datasets.ntu60.video.margin: 2 is greater than",
    ),
    (
        lambda r: r["video"]["detector"].update(image_size=100),
        "video.detector.image_size: 100 is not a multiple of 32",
    ),
    (
        lambda r: r["datasets"]["ntu60"]["options"].update(max_action="60"),
        'datasets.ntu60.options.max_action: "60" is not of type integer',
    ),
    (
        lambda r: r["model"].update(options={"infogcn": {"q": 1}}),
        "model.options.infogcn.q: unknown key; allowed here: k, noise",
    ),
    (lambda r: r["model"].update(options={"infogc": {}}), "model.options.infogc: unknown key"),
    (lambda r: r["benchmarks"].update({"Bad name": {"like": "demo_xsub"}}), "benchmarks.Bad name: "),
    (lambda r: r.update(train=None), "train: null is not of type object"),
    (lambda r: r["train"].update(epochs=0), "train.epochs: 0 is less than the minimum of 1"),
    (
        lambda r: r["datasets"]["demo"].update(reader="kinect"),
        'datasets.demo.reader: "kinect" is not allowed; allowed: "ntu"',
    ),
    (
        lambda r: r["datasets"]["demo"]["options"].update(person_2="absent"),
        "datasets.demo.options.person_2: unknown key",
    ),
    (
        lambda r: r["benchmarks"]["demo_xsub"]["model"]["fam"].update(cnn="big"),
        'benchmarks.demo_xsub.model.fam.cnn: "big" is not',
    ),
    (
        lambda r: r["benchmarks"].update(x={"like": "demo_xsubb"}),
        "benchmarks.x.like: no benchmark 'demo_xsubb'; did you mean 'demo_xsub'?",
    ),
    (lambda r: r["benchmarks"].update(x={"like": "y"}, y={"like": "x"}), "goes in a circle: x → y → x"),
    (lambda r: r["benchmarks"].update(x={}), "benchmarks.x: needs dataset"),
    (
        lambda r: r["benchmarks"]["demo_xsub"].update(dataset="demos"),
        "benchmarks.demo_xsub.dataset: no data set 'demos'",
    ),
    (
        lambda r: r["benchmarks"]["demo_xsub"].update(protocol="odd"),
        "benchmarks.demo_xsub.protocol: no protocol 'odd'",
    ),
    (
        lambda r: r["benchmarks"]["demo_xsub"].update(zero_shot={"targets": {"sysu": "no_map"}}),
        "no file resources/class_maps/no_map.json",
    ),
    (
        lambda r: r["benchmarks"]["utd_mhad"].update(
            ensemble={"weights": "preset", "members": [{"stream": "joint"}, {"stream": "acceleration"}]}
        ),
        "benchmarks.utd_mhad.ensemble.preset: no weight for member ctrgcn-natural-acceleration (there are weights for"
        " natural joint, natural bone,",
    ),
    (
        lambda r: r["ensemble"].update(preset=[{"stream": "bone", "graph": "hd1", "weight": 1.0}] * 2),
        "ensemble.preset: two weights for hd1 bone",
    ),
    (
        lambda r: r["ensemble"].update(
            members=[{"stream": "joint"}],
            weights="preset",
            preset=[{"stream": "joint", "graph": "natural", "weight": 0.0}],
        ),
        "ensemble.preset: all weights of the members are zero",
    ),
    (
        lambda r: r["ensemble"].update(
            members=[{"stream": "joint"}, {"stream": "joint", "graph": "natural"}]
        ),
        "ensemble.members: ctrgcn-natural-joint is there twice",
    ),
    *[
        (lambda r, rule=rule: r.update(protocols={"mine": rule}), f"protocols.mine{message}")
        for rule, message in [
            ({"by": "subject", "tran": [1], "test": [2]}, ".tran: unknown key; did you mean 'train'?"),
            ({"by": "actor", "train": [1], "test": [2]}, '.by: "actor" is not allowed'),
            ({"by": "camera", "train": [1]}, ": the key 'test' is missing"),
            (
                {"by": "camera", "train": "od", "test": [2]},
                '.train: "od" is not allowed; allowed: "odd", "even"',
            ),
            ({"by": "camera", "train": "odd", "test": [2, 3]}, ".test: camera 3 is among train too"),
            ({"by": "setup", "train": "odd", "test": "odd"}, ".test: setup 1 is among train too"),
            ({"by": "split", "test": [2]}, ".test: goes with by: subject, camera or setup alone"),
            ({"source": "me"}, ": needs one of by, random and folds"),
            ({"random": {"of": "subjects"}}, ".random: the key 'folds' is missing"),
            ({"random": {"of": "clips", "folds": 3}}, '.random.of: "clips" is not allowed'),
        ]
    ],
    (
        lambda r: r.update(protocols={"nw_ucla": {"by": "split"}}),
        "protocols.nw_ucla: a published protocol has this name",
    ),
    (
        lambda r: r["benchmarks"]["demo_xsub"].update(protocol="sysu_setting1/31"),
        "benchmarks.demo_xsub.protocol: no protocol 'sysu_setting1/31': the folds",
    ),
    (lambda r: r["benchmarks"]["demo_xsub"].update(exclude=["a"]), "benchmarks.demo_xsub.exclude: "),
    (lambda r: r["train"].update(crop=[1.0, 0.5]), "train.crop: the smallest part 1.0 exceeds 0.5"),
    (
        lambda r: r["benchmarks"]["ntu60_xsub"].update(gpus=3),
        "gpus: 3 cannot share train.batch 200 out evenly",
    ),
    (lambda r: r["benchmarks"]["demo_xsub_plain"].update(vlm={"batch": 3}), "the same name 'demo-blip'"),
    (lambda r: r.update(instruction="two\nlines"), "instruction: "),
    (
        lambda r: r["datasets"]["ntu60"].update(skeletons="/data\nhere"),
        "datasets.ntu60.skeletons: '/data\\nhere' does",
    ),
    (
        lambda r: r["benchmarks"]["ntu60_xsub"].update(exclude="a\n"),
        "benchmarks.ntu60_xsub.exclude: 'a\\n' does not",
    ),
    (
        lambda r: r.update(recipe="refrence"),
        'recipe: "refrence" is not allowed; allowed: "none", "reference"',
    ),
    (
        lambda r: r["benchmarks"].update(
            x={
                "like": "ntu120_xsub",
                "recipe": "reference",
                "ensemble": {"members": [{"stream": "acceleration"}]},
            }
        ),
        "benchmarks.x.ensemble.preset: no weight for member ctrgcn-natural-acceleration",
    ),
    (
        lambda r: r["datasets"]["ntu60"].update(reader=["ntu"]),
        'datasets.ntu60.reader: ["ntu"] is not allowed',
    ),
    (
        lambda r: r["datasets"]["ntu60"].update(video="none"),
        'datasets.ntu60.video: "none" is not of type object',
    ),
    (
        lambda r: r["benchmarks"].update(x={"like": ["demo_xsub"]}),
        "benchmarks.x.like: no benchmark ['demo_xsub']",
    ),
    (
        lambda r: r["benchmarks"]["ntu60_xsub"].update(zero_shot=True),
        "benchmarks.ntu60_xsub.zero_shot: true is not of type object",
    ),
    (
        lambda r: r["benchmarks"]["ntu60_xsub"].update(zero_shot={"targets": {"sysu": "x" * 300}}),
        "benchmarks.ntu60_xsub.zero_shot.targets.sysu: ",
    ),
    (lambda r: r["train"].update(learning_rate=math.nan), "train.learning_rate: NaN is not a finite number"),
    (lambda r: r["train"].update(crop=[math.nan, 1.0]), "train.crop.0: NaN is not a finite number"),
    (
        lambda r: r["datasets"]["utd_mhad"]["options"].update(focal_length=math.inf),
        "datasets.utd_mhad.options.focal_length: Infinity is not a finite number",
    ),
    (lambda r: r.update(instruction=bomb()), "config: holds more than 100,000 values; an aliased part"),
    (lambda r: r.update(instruction=circle()), "config: is nested more than 50 levels deep"),
    (lambda r: r["seeds"].append("x" * 1000), f"seeds.1: '{'x' * 37}..."),
    (lambda r: r.pop("instruction"), "the key 'instruction' is missing"),
    (lambda r: r.update(sedes=[1]), "sedes: unknown key; did you mean 'seeds'?"),
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES, ids=[m[1][:40] for m in MISTAKES])
def test_a_mistake_is_named_with_its_path(raw, mistake, message):
    mistake(raw)
    with pytest.raises(ConfigError) as caught:
        Config(raw)
    assert message in str(caught.value)


def places(node, at=()):
    """The path of every value."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inside:
        yield (*at, key)
        yield from places(value, (*at, key))


@pytest.mark.parametrize("wrong", [None, 3, math.nan, "x", ["a"], {"a": 1}, b"x"], ids=repr)
def test_any_other_value_in_any_place_is_a_mistake_in_one_line_or_right(project, wrong):
    tiny = yaml.safe_load((project / "tests/workflow/tiny.yaml").read_text())
    told = []
    for path in places(tiny):
        other = copy.deepcopy(tiny)
        node = other
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = wrong
        try:
            Config(other)
        except ConfigError as mistake:
            told.append(str(mistake))
    assert len(told) > 60
    assert all(len(text) < 700 and text.isprintable() for text in told)


def test_a_benchmark_overrides_and_inherits(raw):
    config = Config(raw)
    plain, base = config.benchmark("demo_xsub_plain"), config.benchmark("demo_xsub")
    assert not plain.model.fam.enabled
    assert plain.model.width == base.model.width < 1.0
    assert plain.train == base.train
    assert base.train.momentum == config.file.train.momentum == 0.9
    assert config.benchmark("ntu120_xsub").model.width == 1.0


def test_a_pretrained_cnn_has_its_own_defaults_and_the_benchmarks_protocol(raw):
    own = {
        "name": "own",
        "weights": None,
        "frozen": True,
        "pretrain": {"protocol": "odd_subjects", "epochs": 9},
    }
    raw["benchmarks"]["own"] = {"like": "demo_xsub", "model": {"fam": {"cnn": own}}}
    raw["benchmarks"]["other"] = {"like": "own", "model": {"fam": {"cnn": {"name": "other"}}}}
    raw["benchmarks"]["other"]["model"]["fam"]["cnn"]["pretrain"] = {"augment": {"mirror": True}}
    config = Config(raw)
    assert config.benchmark("demo_xsub").model.fam.cnn.pretrain is None
    pretrain = config.cnns["own"].settings.pretrain
    assert (pretrain.epochs, pretrain.batch, pretrain.augment.mirror) == (9, 32, False)
    pretrain = config.cnns["other"].settings.pretrain
    assert (pretrain.epochs, pretrain.augment.mirror, pretrain.augment.shift) == (
        9,
        True,
        0.03,
    )
    for change, message in [
        (
            {"weights": "w.pth"},
            "own.model.fam.cnn.weights: `pretrain` trains the network from random weights",
        ),
        ({"frozen": False}, "own.model.fam.cnn.frozen: a network of `pretrain` is used frozen"),
        (
            {"pretrain": {"protocol": "ntu60_xsub"}},
            "pretrain.protocol: ntu60_xsub is not the benchmark's protocol",
        ),
        ({"pretrain": {"epochs": 9}}, "pretrain: the key 'protocol' is missing"),
        (
            {"pretrain": {"protocol": "odd_subjects", "epoch": 9}},
            "pretrain.epoch: unknown key; did you mean 'epochs'",
        ),
    ]:
        raw["benchmarks"]["own"]["model"]["fam"]["cnn"] = {**own, **change}
        with pytest.raises(ConfigError, match=re.escape(message)):
            Config(raw)


def test_protocols_of_ones_own(raw):
    halves = {"source": "me", "random": {"of": "subjects", "folds": 3}}
    raw["protocols"] = {"halves": halves, "views": {"by": "camera", "train": [1], "test": [2]}}
    raw["benchmarks"]["demo_xsub"]["protocol"] = "halves/3"
    config = Config(raw)
    assert config.benchmark("demo_xsub_plain").protocol == "halves/3"
    assert config.own_rule("halves/3").dump() == {"random": {"of": "subjects", "folds": 3}}
    assert config.own_rule("sysu_setting1/3") is None
    raw["benchmarks"]["demo_xsub"]["protocol"] = "halfs"
    with pytest.raises(ConfigError, match=r"demo_xsub.protocol: no protocol 'halfs'; did you mean 'halves'"):
        Config(raw)


def test_a_cnn_that_is_trained_here_has_one_list_of_clips_left_out(raw):
    own = {"name": "own", "weights": None, "frozen": True, "pretrain": {"protocol": "odd_subjects"}}
    raw["benchmarks"]["own"] = {"like": "demo_xsub", "model": {"fam": {"cnn": own}}, "exclude": "a.txt"}
    raw["benchmarks"]["clean"] = {"like": "demo_xsub", "exclude": "a.txt"}
    assert Config(raw).cnns["own"].exclude == "a.txt"
    raw["benchmarks"]["all"] = {"like": "own", "exclude": None}
    with pytest.raises(
        ConfigError, match=r"all.model.fam.cnn: differs from that of own but has the same name"
    ):
        Config(raw)


def test_the_question_names_paths_only_where_it_matters(raw):
    config = Config(raw)
    assert config.question("demo_xsub") == slug(raw["instruction"])
    assert config.question("demo_xsub_no_frm") == "no-question"
    raw["benchmarks"]["demo_xsub"]["instruction"] = "is it a cup?"
    config = Config(raw)
    assert config.question("demo_xsub") == slug("is it a cup?")
    assert config.question("ntu120_xsub") == slug(raw["instruction"])
    assert set(config.questions.values()) == {raw["instruction"], "is it a cup?"}


def test_a_data_set_has_its_own_video_settings_on_top(raw):
    config = Config(raw)
    assert config.dataset("demo").video.detector.architecture == "yolov5n"
    assert config.dataset("demo").video.detector.confidence == 0.25
    assert config.dataset("ntu120").video.detector.architecture == "yolov5m"


def test_the_raw_configuration_is_not_changed(raw):
    before = copy.deepcopy(raw)
    Config(raw)
    assert raw == before


def test_a_benchmark_that_is_like_another_takes_its_own_backbone(raw):
    raw["benchmarks"]["nw_ucla"]["ensemble"]["members"] = [{"stream": "joint"}]
    raw["benchmarks"]["x"] = {"like": "nw_ucla", "model": {"backbone": "hdgcn"}}
    assert Config(raw).benchmark("x").members[0].backbone == "hdgcn"


def test_merge_replaces_lists_and_merges_dicts():
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    assert merge(base, {"a": {"c": [9]}}) == {"a": {"b": 1, "c": [9]}, "d": 3}
    assert base["a"]["c"] == [1, 2]


def test_files_of_a_command_go_on_top_of_the_working_directorys(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("benchmarks: {b: {dataset: d, protocol: given}}")
    (tmp_path / "config.yaml").write_text("instruction: what?\ndatasets: {d: {reader: ntu, skeletons: s}}")
    assert config_files([mine], tmp_path) == [tmp_path / "config.yaml", mine]
    assert load(*config_files([mine], tmp_path)).benchmarks["b"].dataset == "d"
    assert find_dataset("d", config_files([mine], tmp_path)).reader == "ntu"
    assert find_dataset("e", config_files([mine], tmp_path)) is None
    assert find_dataset("demo", config_files([mine], tmp_path)).drawn
    alone = tmp_path / "other"
    assert config_files([mine], alone) == [mine]
    assert config_files(None, alone) == [PROJECT / "config.yaml"]
    with pytest.raises(UserError, match=r"no\.yaml: no such config file"):
        config_files([tmp_path / "no.yaml"], tmp_path)
