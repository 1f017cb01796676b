"""What each rule of the workflow needs and is told: input and params functions over the configuration.

Light to import. A function that finds something wrong raises a `UserError`, which stops the plan of the targets
that need it and of nothing else.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmcl.config import Config, Settings, canonical
from mmcl.datasets import clips_table, require_folder
from mmcl.datasets.exclusion import plan_exclusion
from mmcl.errors import UserError
from mmcl.naming import NO_QUESTION, shard_names, slug, stream_folder
from mmcl.stages import VERSIONS

GPU = int(Path("/dev/nvidiactl").exists())
"""What a GPU job counts against this machine's one GPU: nothing if there is none. Cluster profiles ask for theirs."""

SELFSUP_STAGES = ("student", "probe")
"""Keys of the section `selfsup` that belong to one stage alone."""


def versioned(stage: str, settings: Settings) -> Settings:
    """Settings of a stage as its rule's params: keys sorted, with the stage's version."""
    return canonical({**settings, "version": VERSIONS[stage]})


class Plan:
    """Input and params functions of the rules; each takes Snakemake's wildcards."""

    def __init__(self, config: Config):
        self.config = config

    # ------------------------------------------------------------------------------------------- data sets

    def dataset(self, wildcards: Any) -> Settings:
        """Settings of the path's data set."""
        return self.config.dataset(wildcards.dataset)

    def dataset_threads(self, wildcards: Any) -> int:
        """Cores of a heavy job on a data set."""
        return self.dataset(wildcards)["threads"]

    def folder(self, kind: str) -> Callable[[Any], Path | None]:
        """Params function for a folder of recordings.

        It gives a Path, which Snakemake does not compare: data that was moved is not read again.
        """

        def path(wildcards: Any) -> Path | None:
            found = self.dataset(wildcards)[kind]
            return Path(found) if found else None

        return path

    def recordings(self, wildcards: Any) -> list[str]:
        """What must be there before a data set can be indexed: what the demo draws, or the user's folders."""
        dataset = self.dataset(wildcards)
        if "drawn" in dataset:
            return [f"results/demo/raw/{wildcards.dataset}/drawn.json"]
        table = clips_table(dataset)
        if table and table.is_file():
            return [str(table)]
        # an index that exists is used as it is, so that results outlive the recordings they were made from
        if not Path(f"results/index/{wildcards.dataset}.tsv").exists():
            self._require(wildcards.dataset, "videos" if "poses" in dataset else "skeletons")
            if table:
                raise UserError(f"datasets.{wildcards.dataset}.options.clips: no file {table}")
        return []

    def _require(self, dataset: str, kind: str) -> None:
        try:
            require_folder(self.config.dataset(dataset), kind)
        except UserError as missing:
            raise UserError(f"datasets.{dataset}.{missing}") from None

    def drawn_settings(self, wildcards: Any) -> Settings:
        """Params of draw_demo."""
        dataset = self.dataset(wildcards)
        if "drawn" not in dataset:
            raise UserError(
                f"datasets.{wildcards.dataset} is not drawn by the project: it has no key `drawn`"
            )
        return versioned("draw_demo", dataset["drawn"])

    def index_settings(self, wildcards: Any) -> Settings:
        """Params of index_clips: here the folders count, as another folder may hold other clips."""
        dataset = self.dataset(wildcards)
        return versioned("index_clips", {k: dataset[k] for k in ("reader", "options", "skeletons", "videos")})

    def poses(self, wildcards: Any) -> list[str]:
        """What prepare_skeletons needs beside the index: a pose estimator's stores, if it makes the skeletons."""
        if "poses" not in self.dataset(wildcards):
            return []
        return self.shards(f"results/poses/{wildcards.dataset}/{{shard}}.h5", wildcards.dataset)

    def layout_file(self, wildcards: Any) -> list[str]:
        """The file of a data set's joint layout where it is none of the project's: what it says shapes the store."""
        name = self.dataset(wildcards)["options"].get("layout") or ""
        if not name.endswith(".json"):
            return []
        if not Path(name).is_file():
            raise UserError(f"datasets.{wildcards.dataset}.options.layout: no file {name}")
        return [name]

    def pose_settings(self, wildcards: Any) -> Settings:
        """Params of estimate_poses."""
        dataset = self.dataset(wildcards)
        if "poses" not in dataset:
            raise UserError(f"datasets.{wildcards.dataset}: has no section `poses`")
        poses = {key: value for key, value in dataset["poses"].items() if key != "joint_confidence"}
        return versioned("estimate_poses", {"reader": dataset["reader"], "poses": poses})

    def prepare_settings(self, wildcards: Any) -> Settings:
        """Params of prepare_skeletons."""
        dataset = self.dataset(wildcards)
        settings = {k: dataset[k] for k in ("reader", "options")}
        if "poses" in dataset:
            settings["joint_confidence"] = dataset["poses"]["joint_confidence"]
        return versioned("prepare_skeletons", settings)

    def crop_settings(self, wildcards: Any) -> Settings:
        """Params of crop_people: all of `video` but what comes after the crops."""
        dataset = self.dataset(wildcards)
        video = {key: value for key, value in dataset["video"].items() if key != "montage"}
        return versioned("crop_people", {k: dataset[k] for k in ("reader", "options")} | {"video": video})

    def montage_settings(self, wildcards: Any) -> Settings:
        """Params of concatenate_frames."""
        video = self.dataset(wildcards)["video"]
        return versioned("concatenate_frames", {k: video[k] for k in ("montage", "jpeg_quality", "batch")})

    def montages(self, wildcards: Any) -> list[str]:
        """All pictures of the path's data set."""
        return self.shards(f"results/montages/{wildcards.dataset}/{{shard}}.h5", wildcards.dataset)

    def shards(self, pattern: str, dataset: str) -> list[str]:
        """All shards of a data set, by a path pattern with {shard}."""
        return [pattern.format(shard=shard) for shard in shard_names(self.config.dataset(dataset)["shards"])]

    # --------------------------------------------------------------------------------- question and answers

    def question_text(self, wildcards: Any) -> str:
        """The instruction, if it is the one the path asks for.

        A params function, as Snakemake would take braces in a plain string for wildcards.
        """
        if slug(self.config.instruction) != wildcards.question:
            raise UserError(
                f"results/questions/{wildcards.question}.txt is not there, and `instruction` in config.yaml is another"
                f" question ({slug(self.config.instruction)}); set `instruction` to the text you want answered"
            )
        return self.config.instruction

    def vlm_settings(self, wildcards: Any) -> Settings:
        """Params of answer_question."""
        return versioned("answer_question", _named(self.config.vlms, wildcards.vlm, "vlm"))

    def cnn_settings(self, wildcards: Any) -> Settings:
        """Params of encode_montages."""
        return versioned("encode_montages", self._cnn(wildcards))

    def pretrained_weights(self, wildcards: Any) -> list[str]:
        """What encode_montages needs beside the pictures: weights that are trained here, if any are."""
        if not self._cnn(wildcards)["pretrain"]:
            return []
        folder = f"results/rgb/{wildcards.dataset}/{wildcards.cnn}"
        return [f"{folder}/weights.safetensors", f"{folder}/weights.json"]

    def pretrain_settings(self, wildcards: Any) -> Settings:
        """Params of pretrain_cnn: what its weights follow from."""
        cnn = self._cnn(wildcards)
        if not cnn["pretrain"]:
            raise UserError(f"model.fam.cnn {wildcards.cnn!r} is not trained here: it has no key `pretrain`")
        network = {key: cnn[key] for key in ("architecture", "image_size")}
        pretrain = cnn["pretrain"]
        selection = self._selection(pretrain["protocol"], pretrain.get("exclude"))
        return versioned("pretrain_cnn", network | pretrain | selection)

    def _cnn(self, wildcards: Any) -> Settings:
        return _named(self.config.cnns, wildcards.cnn, "model.fam.cnn")

    # ------------------------------------------------------------------------------------------ benchmarks

    def benchmark(self, wildcards: Any) -> Settings:
        """Settings of the path's benchmark."""
        return self.config.benchmark(wildcards.benchmark)

    def benchmark_threads(self, wildcards: Any) -> int:
        """Cores of a heavy job on a benchmark."""
        return self.benchmark(wildcards)["threads"]

    def training_processes(self, wildcards: Any) -> int:
        """Processes that train one stream together."""
        return self.benchmark(wildcards)["gpus"]

    def training_gpus(self, wildcards: Any) -> int:
        """What they count against this machine's GPUs."""
        return GPU * self.training_processes(wildcards)

    def skeletons(self, wildcards: Any) -> str:
        """The benchmark's skeleton store."""
        return f"results/skeletons/{self.benchmark(wildcards)['dataset']}.h5"

    def training_pictures(self, wildcards: Any) -> list[str]:
        """What the Feature Alignment Module sees: pictures, or features of a frozen CNN; nothing without it."""
        dataset = self.benchmark(wildcards)["dataset"]
        if self.config.uses_pictures(wildcards.benchmark) and not self.config.dataset(dataset)["videos"]:
            self._require(dataset, "videos")
        fam = self.benchmark(wildcards)["model"]["fam"]
        if not fam["enabled"]:
            return []
        if fam["cnn"]["frozen"]:
            return self.shards(f"results/rgb/{dataset}/{fam['cnn']['name']}/{{shard}}.h5", dataset)
        return self.shards(f"results/montages/{dataset}/{{shard}}.h5", dataset)

    def training_answers(self, wildcards: Any) -> list[str]:
        """What the Feature Refinement Module sees; nothing without it."""
        if wildcards.question == NO_QUESTION:
            return []
        return self._answers(wildcards.benchmark, self.benchmark(wildcards)["dataset"], wildcards.question)

    def _answers(self, benchmark: str, dataset: str, question: str) -> list[str]:
        vlm = self.config.benchmark(benchmark)["vlm"]["name"]
        return self.shards(f"results/answers/{dataset}/{vlm}/{question}/{{shard}}.h5", dataset)

    def initial_encoders(self, wildcards: Any) -> list[str]:
        """Encoders of the same seed that a stream begins from, if it does; a fit run, too, as they know no label."""
        init = self.benchmark(wildcards)["train"]["init"]
        return [_encoders(init["from"], init["what"], _seed(wildcards.run))] if init else []

    def teachers(self, wildcards: Any) -> list[str]:
        """The members that a stream learns from, if it does: of its own seed, and a fit run from fit runs."""
        distil = self.benchmark(wildcards)["train"]["distil"]
        if not distil:
            return []
        question = self.config.question(distil["from"])
        return [
            str(stream_folder(f"results/{distil['from']}", question, member) / wildcards.run / "model.pt")
            for member in self.config.benchmark(distil["from"])["ensemble"]["members"]
        ]

    def teaching_ensemble(self, wildcards: Any) -> list[str]:
        """Where their weights stand."""
        distil = self.benchmark(wildcards)["train"]["distil"]
        return [f"results/{distil['from']}/ensemble.json"] if distil else []

    def stream_settings(self, wildcards: Any) -> Settings:
        """Params of train_stream."""
        benchmark = self.benchmark(wildcards)
        fit = wildcards.run.endswith("/fit")
        train = _in_use(benchmark["train"])
        if fit and benchmark["ensemble"]["fit_epochs"]:
            # fewer epochs: the steps of the learning rate move along
            share = benchmark["ensemble"]["fit_epochs"] / train["epochs"]
            train["epochs"] = benchmark["ensemble"]["fit_epochs"]
            train["steps"] = [max(1, round(step * share)) for step in train["steps"]]
        settings = {
            **self._clips(wildcards.benchmark),
            "stream": wildcards.stream,
            "seed": _seed(wildcards.run),
            "fit": fit,
            "model": {
                **_with_options_of(benchmark["model"], wildcards.backbone),
                "backbone": wildcards.backbone,
                "graph": wildcards.graph,
            },
            "train": train,
            **self._recipe(wildcards.benchmark),
        }
        return versioned("train_stream", settings)

    def score_settings(self, wildcards: Any) -> Settings:
        """Params of score_stream; the rest stands in the model file."""
        fit = wildcards.run.endswith("/fit")
        return versioned("score_stream", {**self._clips(wildcards.benchmark), "fit": fit})

    def _clips(self, benchmark: str) -> Settings:
        """What decides which clips train and test, see `mmcl.datasets.selection`."""
        settings = self.config.benchmark(benchmark)
        try:
            return self._selection(settings["protocol"], settings.get("exclude"))
        except UserError as missing:
            raise UserError(f"benchmarks.{benchmark}.exclude: {missing}") from None

    def _selection(self, protocol: str, exclude: str | None) -> Settings:
        rule = self.config.own_rule(protocol)
        return {
            "protocol": protocol,
            **({"rule": rule} if rule else {}),
            **({"exclude": plan_exclusion(exclude)} if exclude else {}),
        }

    # ------------------------------------------------------------------------------------ self-supervision

    def pretrain_streams_settings(self, wildcards: Any) -> Settings:
        """Params of pretrain_streams."""
        return versioned("pretrain_streams", self._selfsup(wildcards))

    def student_settings(self, wildcards: Any) -> Settings:
        """Params of distil_student: those of the pre-training, too, whose encoders it starts from."""
        return versioned("distil_student", self._selfsup(wildcards, "student"))

    def probed_model(self, wildcards: Any) -> str:
        """The encoders that are probed; `random` takes the form of the pre-trained ones."""
        probe = self.benchmark(wildcards)["selfsup"]["probe"]
        what = "pretrain" if wildcards.what == "random" else wildcards.what
        return _encoders(probe["from"] or wildcards.benchmark, what, wildcards.seed)

    def probe_settings(self, wildcards: Any) -> Settings:
        """Params of probe_stream; the rest stands in the model file."""
        probe = self.benchmark(wildcards)["selfsup"]["probe"]
        settings = {
            **self._clips(wildcards.benchmark),
            "what": wildcards.what,
            "seed": int(wildcards.seed),
            "probe": {key: value for key, value in probe.items() if key != "of"},
        }
        return versioned("probe_stream", settings)

    def probes(self, wildcards: Any) -> dict[str, list[str]]:
        """What is probed → metrics.json, seed by seed."""
        benchmark = self.benchmark(wildcards)
        folder = f"results/{wildcards.benchmark}/ikem/probe"
        return {
            what: [f"{folder}/{what}/seed-{seed}/metrics.json" for seed in benchmark["seeds"]]
            for what in benchmark["selfsup"]["probe"]["of"]
        }

    def ikem_settings(self, wildcards: Any) -> Settings:
        """Params of ikem_result: all that its probes were made with."""
        benchmark = self.benchmark(wildcards)
        used = {key: benchmark[key] for key in ("dataset", "seeds", "selfsup")}
        used |= self._clips(wildcards.benchmark) | self._recipe_report(
            wildcards.benchmark, "selfsup", "datasets"
        )
        return versioned("ikem_result", {"benchmark": wildcards.benchmark, **used})

    def _selfsup(self, wildcards: Any, *stages: str) -> Settings:
        """The section `selfsup` without the parts of other stages than these, and which clips are seen."""
        selfsup = self.benchmark(wildcards)["selfsup"]
        return {
            **self._clips(wildcards.benchmark),
            "seed": int(wildcards.seed),
            "selfsup": {k: v for k, v in selfsup.items() if k not in SELFSUP_STAGES or k in stages},
            **self._recipe_report(wildcards.benchmark, "selfsup", "datasets"),
        }

    # ---------------------------------------------------------------------------------------------- results

    def member_files(self, file: str, runs: str) -> Callable[[Any], list[str]]:
        """Input function: one file of every member of the configured ensemble, run by run.

        Args:
            file: its name, such as scores.h5.
            runs: `seeds` (all), `first` (the first seed), or `fit` (the first seed's run that fixes the fusion
                weights, if they are to be fitted).
        """

        def paths(wildcards: Any) -> list[str]:
            benchmark = self.benchmark(wildcards)
            first = f"seed-{benchmark['seeds'][0]}"
            fitted = benchmark["ensemble"]["weights"] == "fitted"
            folders = {
                "seeds": [f"seed-{seed}" for seed in benchmark["seeds"]],
                "first": [first],
                "fit": [f"{first}/fit"] if fitted else [],
            }[runs]
            question = self.config.question(wildcards.benchmark)
            return [
                str(stream_folder(f"results/{wildcards.benchmark}", question, m) / folder / file)
                for folder in folders
                for m in benchmark["ensemble"]["members"]
            ]

        return paths

    def ensemble_settings(self, wildcards: Any) -> Settings:
        """Params of ensemble: all that its members were made with."""
        benchmark = self.benchmark(wildcards)
        question = self.config.question(wildcards.benchmark)
        used = {key: benchmark[key] for key in ("dataset", "model", "ensemble", "seeds")}
        used["train"] = _in_use(benchmark["train"])
        used |= self._clips(wildcards.benchmark)
        backbones = [member["backbone"] for member in benchmark["ensemble"]["members"]]
        used["model"] = _with_options_of(benchmark["model"], *backbones)
        if question != NO_QUESTION:
            used["vlm"] = benchmark["vlm"]
        used |= self._recipe(wildcards.benchmark, "ensemble")
        return versioned("ensemble", {"benchmark": wildcards.benchmark, "question": question, **used})

    def _recipe(self, benchmark: str, *more: str) -> Settings:
        """What a recipe did to the training and to further sections; nothing without one."""
        sections = ["model", "train", "datasets", *more]
        if self.config.uses_pictures(benchmark):
            sections.append("video")
        if self.config.question(benchmark) != NO_QUESTION:
            sections.append("vlm")
        return self._recipe_report(benchmark, *sections)

    def _recipe_report(self, benchmark: str, *sections: str) -> Settings:
        report = self.config.recipe_report(benchmark, sections)
        return {} if report is None else {"recipe": report}

    def target_answers(self, wildcards: Any) -> list[str]:
        """The target's answers to the same question, where FRM can use them."""
        question = self.config.question(wildcards.benchmark)
        if question == NO_QUESTION or not self.config.dataset(wildcards.target)["videos"]:
            return []
        return self._answers(wildcards.benchmark, wildcards.target, question)

    def zero_shot_settings(self, wildcards: Any) -> Settings:
        """Params of zero_shot."""
        benchmark = self.benchmark(wildcards)
        targets = benchmark["zero_shot"]["targets"]
        if wildcards.target not in targets:
            known = ", ".join(targets) or "none"
            raise UserError(
                f"{wildcards.target} is no zero-shot target of {wildcards.benchmark}; it has: {known}"
            )
        settings = {
            "benchmark": wildcards.benchmark,
            "target": wildcards.target,
            "class_map": targets[wildcards.target],
            "members": benchmark["ensemble"]["members"],
            "seed": benchmark["seeds"][0],
        }
        return versioned("zero_shot", settings)


def _with_options_of(model: Settings, *backbones: str) -> Settings:
    """The `model` section with the options of these networks alone: a change of others makes nothing anew."""
    rest = {key: value for key, value in model.items() if key != "options"}
    options = {name: model["options"][name] for name in backbones if name in model["options"]}
    return {**rest, "options": options} if options else rest


def _in_use(train: Settings) -> Settings:
    """The section `train` without what is off in it, so that what is off makes nothing anew."""
    off = {"init": None, "distil": None, "labels": 1}
    return {key: value for key, value in train.items() if key not in off or value != off[key]}


def _seed(run: str) -> int:
    """The seed of seed-<n> or seed-<n>/fit."""
    return int(run.split("/")[0].removeprefix("seed-"))


def _encoders(benchmark: str, what: str, seed: str | int) -> str:
    """Path of the encoders of a pre-training or distillation."""
    return f"results/{benchmark}/ikem/{what}/seed-{seed}/model.pt"


def _named(settings: dict[str, Settings], name: str, key: str) -> Settings:
    if name not in settings:
        raise UserError(f"no benchmark has {key}.name {name!r}; there are: {', '.join(sorted(settings))}")
    return settings[name]
