"""What each rule of the workflow needs and is given: input and params functions over the configuration.

Light to import. A function that finds something wrong raises a `UserError`, which stops the plan of the targets
that need it and of nothing else.

When a job runs again. Everything that changes a result enters its rule's params: the stage's own settings and version
as `settings`, and as `upstream` a digest of the settings and versions of all stages before it and of the content of
the recordings (`mmcl.datasets.stamps`). Snakemake compares both with what it recorded (profiles/default sets
`rerun-triggers`). Times of scripts are not looked at, and a result that was made from other settings is made again
even where its inputs look older.
"""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from mmcl import paths
from mmcl.config import Config, NamedCnn
from mmcl.datasets import ClipEntry, clips_table, open_reader, reader_class, require_folder
from mmcl.datasets.class_maps import read_class_map
from mmcl.datasets.coverage import Coverage, Use, coverage
from mmcl.datasets.exclusion import plan_exclusion, read_planned
from mmcl.datasets.index import read_index
from mmcl.datasets.listing import list_clips
from mmcl.datasets.protocols import as_clips, count_folds, find_rule
from mmcl.datasets.stamps import Stamps, content, planned_stamps
from mmcl.errors import UserError, known
from mmcl.job_memory import MB
from mmcl.naming import NO_QUESTION, find, members, model_bytes, parse_shard, sha256, shard_names, slug
from mmcl.settings import jobs
from mmcl.settings.base import Section, narrowed, replaced
from mmcl.settings.benchmark import BenchmarkSettings, Member
from mmcl.settings.dataset import DatasetSettings
from mmcl.settings.initial import InitialNetwork, check_initial, initial_modality
from mmcl.settings.model import FamSettings, FrmSettings, StreamModelSettings, read_of
from mmcl.settings.protocol import SelectionSettings
from mmcl.settings.selfsup import PretrainingSettings, ProbeSettings
from mmcl.settings.tables import IMPORTED, default_graph
from mmcl.settings.training import InitSettings, TrainSettings
from mmcl.settings.video import CropSettings, PoseSettings
from mmcl.settings.vlm import VlmSettings
from mmcl.stages import VERSIONS
from mmcl.vlm import is_yes_no
from mmcl.vlm.imported import find_answers, open_answers

log = logging.getLogger(__name__)

HAS_GPU = Path("/dev/nvidiactl").exists()
"""Whether this machine has a GPU."""

NEEDED = {
    **dict.fromkeys(("hidden", "mean", "last"), "states"),
    "answer_ids": "ids",
    "p_yes": "p_yes",
    "text": "text",
}
"""What `frm.input` reads → the column of imported answers that it needs."""

S = TypeVar("S", bound=Section)
V = TypeVar("V")

Wildcards = Any
Kind = Literal["skeletons", "videos"]
Encoders = Literal["random", "pretrain", "student"]
Plain = dict[str, Any]
"""Params as Snakemake compares and stores them: a stage's settings, dumped."""


@dataclass(frozen=True)
class Run:
    """A stream that some benchmark trains.

    Attributes:
        benchmark: the first that does; it decides threads and GPUs.
        member: backbone, graph and stream.
        training: its settings, of the first seed.
    """

    benchmark: str
    member: Member
    training: jobs.StreamTraining


def digest(*parts: Any) -> str:
    """16 hex digits of the sha256 of settings and other digests."""
    plain = [part.dump() if isinstance(part, Section) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


class Plan:
    """Input and params functions of the rules; each takes Snakemake's wildcards."""

    def __init__(self, config: Config):
        self.config = config
        self._checked: set[tuple[str, Use]] = set()
        self._coverages: dict[tuple[str, bool], Coverage | None] = {}
        self._listings: dict[tuple[str, bool], list[ClipEntry] | None] = {}
        self._stamps: dict[str, Stamps] = {}
        self._indexes: dict[str, dict[str, ClipEntry]] = {}
        self._folds: dict[tuple[str, str], dict[tuple[str, ...], Run]] = {}
        self._contents: dict[tuple[str, str, str], tuple[str, list[str] | None]] = {}

    # ------------------------------------------------------------------------------------------- data sets

    def dataset(self, wildcards: Wildcards) -> DatasetSettings:
        """Settings of the path's data set."""
        return self.config.dataset(wildcards.dataset)

    def dataset_threads(self, wildcards: Wildcards) -> int:
        """Cores of a heavy job on a data set."""
        return self.dataset(wildcards).threads

    def folder(self, kind: Kind) -> Callable[[Wildcards], Path | None]:
        """Params function for a folder of recordings, `skeletons` or `videos`.

        It gives a Path, which Snakemake does not compare: data that was moved is not read again.
        """

        def path(wildcards: Wildcards) -> Path | None:
            found = getattr(self.dataset(wildcards), kind)
            return Path(found) if found else None

        return path

    def recordings(self, wildcards: Wildcards) -> list[str]:
        """What must be there before a data set can be indexed: what the demo draws, or the user's folders."""
        dataset = self.dataset(wildcards)
        if dataset.drawn:
            return [paths.at(paths.DRAWN, dataset=wildcards.dataset)]
        table = clips_table(dataset)
        if table and table.is_file():
            return _as_input(table)
        # an index that exists is used as it is, so that results outlive the recordings they were made from
        if not Path(paths.at(paths.INDEX, dataset=wildcards.dataset)).exists():
            self._require(wildcards.dataset, "videos" if dataset.poses else "skeletons")
            if table:
                raise UserError(f"datasets.{wildcards.dataset}.options.clips: no file {table}")
        return []

    def _require(self, dataset: str, kind: Kind) -> None:
        try:
            require_folder(self.config.dataset(dataset), kind)
        except UserError as missing:
            raise UserError(f"datasets.{dataset}.{missing}") from None

    def stamps(self, dataset: str) -> Stamps:
        """Content stamps of a data set's recordings."""
        if dataset not in self._stamps:
            settings, index = self.config.dataset(dataset), paths.at(paths.INDEX, dataset=dataset)
            self._stamps[dataset] = planned_stamps(index, settings, settings.skeletons, settings.videos)
        return self._stamps[dataset]

    def drawn_settings(self, wildcards: Wildcards) -> Plain:
        """Params of draw_demo."""
        return self._drawing(wildcards.dataset).dump()

    def _drawing(self, dataset: str) -> jobs.Drawing:
        drawn = self.config.dataset(dataset).drawn
        if drawn is None:
            raise UserError(f"datasets.{dataset} is not drawn by the project: it has no key `drawn`")
        return staged(jobs.Drawing, "draw_demo", drawn)

    def index_settings(self, wildcards: Wildcards) -> Plain:
        """Params of index_clips."""
        return self._indexing(wildcards.dataset).dump()

    def index_upstream(self, wildcards: Wildcards) -> str:
        """What the index follows from: which recordings there are, or how they are drawn."""
        drawn = self.config.dataset(wildcards.dataset).drawn
        return digest(drawn) if drawn else ""

    def stamp(self, wildcards: Wildcards) -> str:
        """Params of index_clips, too: the content stamp of the set of recordings."""
        return self.stamps(wildcards.dataset).listed()

    def _indexing(self, dataset: str) -> jobs.Indexing:
        return staged(jobs.Indexing, "index_clips", self.config.dataset(dataset))

    def _indexed(self, dataset: str) -> str:
        drawn = self.config.dataset(dataset).drawn
        return digest(self._indexing(dataset), drawn, self.stamps(dataset).listed())

    def poses(self, wildcards: Wildcards) -> list[str]:
        """What prepare_skeletons needs beside the index: a pose estimator's stores, if it makes the skeletons."""
        return self._shards(paths.POSES, wildcards.dataset) if self.dataset(wildcards).poses else []

    def layout_file(self, wildcards: Wildcards) -> list[str]:
        """The file of a data set's joint layout where it is none of the project's: the store follows from it."""
        return [name for file in self._layout_file(wildcards.dataset) for name in _as_input(file)]

    def _layout_file(self, dataset: str) -> list[Path]:
        name = getattr(self.config.dataset(dataset).options, "layout", None) or ""
        if not name.lower().endswith(".json"):
            return []
        if not Path(name).is_file():
            raise UserError(f"datasets.{dataset}.options.layout: no file {name}")
        return [Path(name)]

    def pose_settings(self, wildcards: Wildcards) -> Plain:
        """Params of estimate_poses."""
        return self._pose_estimation(wildcards.dataset).dump()

    def _pose_estimation(self, dataset: str) -> jobs.PoseEstimation:
        settings = self.config.dataset(dataset)
        if settings.poses is None:
            raise UserError(f"datasets.{dataset}: has no section `poses`")
        version = VERSIONS["estimate_poses"]
        poses = narrowed(PoseSettings, settings.poses)
        return jobs.PoseEstimation(reader=settings.reader, poses=poses, version=version)

    def prepare_settings(self, wildcards: Wildcards) -> Plain:
        """Params of prepare_skeletons."""
        return self._preparation(wildcards.dataset).dump()

    def prepare_upstream(self, wildcards: Wildcards) -> str:
        """What skeletons follow from beside the settings of their preparation."""
        name, stamps = wildcards.dataset, self.stamps(wildcards.dataset)
        layout = [sha256(file) for file in self._layout_file(name)]
        if self.config.dataset(name).poses:
            return digest(self._indexed(name), layout, self._pose_estimation(name), stamps.token(videos=True))
        return digest(self._indexed(name), layout, stamps.token(skeletons=True))

    def _preparation(self, dataset: str) -> jobs.Preparation:
        settings = self.config.dataset(dataset)
        least = settings.poses.joint_confidence if settings.poses else None
        return staged(jobs.Preparation, "prepare_skeletons", settings, joint_confidence=least)

    def _prepared(self, dataset: str) -> str:
        return digest(self._preparation(dataset), self.prepare_upstream(_Of(dataset=dataset)))

    def crop_settings(self, wildcards: Wildcards) -> Plain:
        """Params of crop_people: all of `video` but what comes after the crops."""
        return self._cropping(wildcards.dataset).dump()

    def crop_memory(self, wildcards: Wildcards, attempt: int) -> int:
        """MB for a job of crop_people: what it takes at all, and three batches of `count` pictures of 1080p a clip."""
        return attempt * (4500 + 300 * self.dataset(wildcards).video.count)

    def vlm_memory(self, wildcards: Wildcards, attempt: int) -> int:
        """MB for a job of a vision-language model: what it takes at all, and its weights twice while they are read."""
        weights = find(_named(self.config.vlms, wildcards.vlm, "vlm").weights)
        return attempt * round(4000 + 2 * model_bytes(weights) / MB)

    def shard_upstream(self, wildcards: Wildcards) -> str:
        """What a shard of crops or poses follows from: the index, and the shard's own recordings."""
        return self._recorded(wildcards.dataset, wildcards.shard)

    def _recorded(self, dataset: str, shard: str | None = None) -> str:
        """What a shard's recordings follow from: the index, and the content of what is read; of all without one."""
        stamps, boxes = self.stamps(dataset), self.config.dataset(dataset).video.boxes
        videos: set[str] | bool = True
        skeletons: set[str] | bool = boxes == "projected_joints"
        if shard is not None:
            self._check_shard(dataset, shard)
        if shard is not None and Path(paths.at(paths.INDEX, dataset=dataset)).exists():
            entries = self._entries(dataset)
            own = [entries[name] for name in members(list(entries), parse_shard(shard))]
            videos = {entry.video for entry in own}
            skeletons = skeletons and {entry.skeleton for entry in own}
        return digest(self._indexed(dataset), stamps.token(skeletons=skeletons, videos=videos))

    def _check_shard(self, dataset: str, shard: str) -> None:
        shards = shard_names(self.config.dataset(dataset).shards)
        if shard not in shards:
            raise UserError(
                f"no shard {shard!r} of data set {dataset}; there are {shards[0]} to {shards[-1]} (datasets.{dataset}"
                ".shards)"
            )

    def _entries(self, dataset: str) -> dict[str, ClipEntry]:
        """The clips of an index that exists, by name."""
        if dataset not in self._indexes:
            index = read_index(paths.at(paths.INDEX, dataset=dataset))
            self._indexes[dataset] = {entry.name: entry for entry in index}
        return self._indexes[dataset]

    def _cropping(self, dataset: str) -> jobs.Cropping:
        settings = self.config.dataset(dataset)
        return staged(jobs.Cropping, "crop_people", settings, video=narrowed(CropSettings, settings.video))

    def montage_settings(self, wildcards: Wildcards) -> Plain:
        """Params of concatenate_frames."""
        return self._montages(wildcards.dataset).dump()

    def montage_upstream(self, wildcards: Wildcards) -> str:
        """What a shard of montages follows from."""
        return digest(self._cropping(wildcards.dataset), self.shard_upstream(wildcards))

    def _montages(self, dataset: str) -> jobs.Montages:
        return staged(jobs.Montages, "concatenate_frames", self.config.dataset(dataset).video)

    def _pictured(self, dataset: str, shard: str | None = None) -> str:
        """What montages follow from, with their own settings; of all shards without one."""
        return digest(self._montages(dataset), self._cropping(dataset), self._recorded(dataset, shard))

    def montages(self, wildcards: Wildcards) -> list[str]:
        """All pictures of the path's data set, for a CNN that is trained on those of the training clips."""
        for name, benchmark in self.config.benchmarks.items():
            if (benchmark.dataset, benchmark.model.fam.cnn.name) == (wildcards.dataset, wildcards.cnn):
                self._check_clips(name, "trained")
        return self._shards(paths.MONTAGES, wildcards.dataset)

    def pictures_upstream(self, wildcards: Wildcards) -> str:
        """What a shard of embeddings follows from."""
        return self._pictured(wildcards.dataset, wildcards.shard)

    def embedding_settings(self, wildcards: Wildcards) -> Plain:
        """Params of embed_pictures."""
        return self._embedding(wildcards.vlm).dump()

    def _embedding(self, vlm: str) -> jobs.Embedding:
        return staged(jobs.Embedding, "embed_pictures", _named(self.config.vlms, vlm, "vlm"))

    def _shards(self, pattern: str, dataset: str, **values: str) -> list[str]:
        return paths.shards(pattern, self.config.dataset(dataset).shards, dataset=dataset, **values)

    # --------------------------------------------------------------------------------- question and answers

    def question_text(self, wildcards: Wildcards) -> str:
        """The question that the path asks for.

        A params function, as Snakemake would take braces in a plain string for wildcards.
        """
        questions = self.config.questions
        if wildcards.question not in questions:
            raise UserError(
                f"results/questions/{wildcards.question}.txt is not there, and no `instruction` or `also_ask` in "
                f"config.yaml is this question{known(wildcards.question, questions)}; set `instruction` to the "
                "text you want answered"
            )
        return questions[wildcards.question]

    def further_questions(self, wildcards: Wildcards) -> "Uncompared[list[str]]":
        """The texts of the further questions that are answered in the same pass.

        A further question makes no answer anew: its answers lie in a store of their own.
        """
        texts = self.config.further_questions(wildcards.vlm)
        return Uncompared([text for text in texts if slug(text) != wildcards.question])

    def asked_about(self, wildcards: Wildcards) -> str:
        """The shard that a vision-language model is given: montages, the crops that they are made of, or embeddings of
        the montages where they are kept."""
        where = {"dataset": wildcards.dataset, "shard": wildcards.shard}
        answering = self._answering(wildcards.vlm)
        if answering.cache_images:
            return paths.at(paths.EMBEDDINGS, vlm=wildcards.vlm, **where)
        return paths.at(paths.CROPS if answering.sees_crops else paths.MONTAGES, **where)

    def answers_upstream(self, wildcards: Wildcards) -> str:
        """What a shard of answers follows from."""
        return self._asked_about(wildcards.dataset, wildcards.vlm, wildcards.shard)

    def _asked_about(self, dataset: str, vlm: str, shard: str | None = None) -> str:
        """What the pictures of a model follow from; of all shards without one."""
        if self._answering(vlm).sees_crops:
            return digest(self._cropping(dataset), self._recorded(dataset, shard))
        pictured = self._pictured(dataset, shard)
        return digest(pictured, self._embedding(vlm)) if self._answering(vlm).cache_images else pictured

    def vlm_settings(self, wildcards: Wildcards) -> Plain:
        """Params of answer_question."""
        return self._answering(wildcards.vlm).dump()

    def _answering(self, vlm: str) -> jobs.Answering:
        settings: VlmSettings = _named(self.config.vlms, vlm, "vlm")
        return staged(
            jobs.Answering,
            "import_answers" if settings.adapter == IMPORTED else "answer_question",
            settings,
        )

    def _answered_from(self, vlm: str, dataset: str, question: str) -> str:
        """What all answers to a question follow from, with the settings of the model that gives them."""
        if self._is_imported(vlm):
            found = self._imported(dataset, vlm, question)
            return digest(self._answering(vlm), self._indexed(dataset), found)
        return digest(self._answering(vlm), self._asked_about(dataset, vlm))

    # ------------------------------------------------------------------------------------- imported answers

    @property
    def imported_vlms(self) -> str:
        """Regular expression of the names of models whose answers were made elsewhere; fits nothing without."""
        names = [re.escape(name) for name in self.config.vlms if self._is_imported(name)]
        return "|".join(names) or "(?!)"

    def _is_imported(self, vlm: str) -> bool:
        settings: VlmSettings = _named(self.config.vlms, vlm, "vlm")
        return settings.adapter == IMPORTED

    def import_upstream(self, wildcards: Wildcards) -> str:
        """What imported answers follow from beside their own content: which clips there are."""
        return self._indexed(wildcards.dataset)

    def imported_content(self, wildcards: Wildcards) -> str:
        """Digest of imported answers."""
        return self._imported(wildcards.dataset, wildcards.vlm, wildcards.question)

    def _imported(self, dataset: str, vlm: str, question: str, frm_input: str | None = None) -> str:
        """Digest of the imported answers to a question; as last seen where their folder is gone.

        Args:
            dataset, vlm, question: of the store.
            frm_input: `frm.input` that reads them.

        Raises:
            UserError: there are none, they have not the form that is described, or lack what FRM is to read.
        """
        settings = self._answering(vlm)
        asked = dataset, vlm, question
        if asked not in self._contents:
            seen = Path(paths.at(paths.IMPORTED_SEEN, dataset=dataset, vlm=vlm, question=question))
            place = find(settings.weights) / dataset
            try:
                if settings.sha256:
                    raise UserError("sha256 is not compared with imported answers; leave it out")
                if not place.exists() and seen.exists():
                    self._contents[asked] = content(place, seen), None
                else:
                    path = find_answers(settings.weights, dataset, question)
                    columns = list(open_answers(path).shapes)
                    self._contents[asked] = content(path, seen), columns
            except UserError as error:
                raise UserError(f"vlm {vlm}: {error}") from None
        found, there = self._contents[asked]
        needs = NEEDED.get(read_of(frm_input)[0]) if frm_input else None
        if needs and there is not None and needs not in there:
            raise UserError(
                f"vlm {vlm}: model.frm.input {frm_input} needs the column {needs}, and "
                f"{find_answers(settings.weights, dataset, question)} has {', '.join(there)}"
            )
        return found

    def cnn_settings(self, wildcards: Wildcards) -> Plain:
        """Params of encode_montages."""
        return self._encoding(wildcards.cnn).dump()

    def _encoding(self, cnn: str) -> jobs.Encoding:
        return staged(jobs.Encoding, "encode_montages", self._cnn(cnn).settings)

    def rgb_upstream(self, wildcards: Wildcards) -> str:
        """What a shard of features follows from."""
        return self._encoded_from(wildcards.dataset, wildcards.cnn, wildcards.shard)

    def _encoded_from(self, dataset: str, cnn: str, shard: str | None = None) -> str:
        pictured = self._pictured(dataset, shard)
        if not self._cnn(cnn).settings.pretrain:
            return pictured
        return digest(
            pictured, self._cnn_training(dataset, cnn), self._prepared(dataset), self._pictured(dataset)
        )

    def pretrained_weights(self, wildcards: Wildcards) -> list[str]:
        """What encode_montages needs beside the pictures: weights that are trained here, if any are."""
        if not self._cnn(wildcards.cnn).settings.pretrain:
            return []
        where = {"dataset": wildcards.dataset, "cnn": wildcards.cnn}
        return [paths.at(paths.CNN_WEIGHTS, **where), paths.at(paths.CNN_ABOUT, **where)]

    def pretrain_settings(self, wildcards: Wildcards) -> Plain:
        """Params of pretrain_cnn."""
        return self._cnn_training(wildcards.dataset, wildcards.cnn).dump()

    def pretrain_upstream(self, wildcards: Wildcards) -> str:
        """What its weights follow from beside its settings."""
        return digest(self._prepared(wildcards.dataset), self._pictured(wildcards.dataset))

    def _cnn_training(self, dataset: str, name: str) -> jobs.CnnTraining:
        cnn = self._cnn(name)
        network, pretrain = cnn.settings, cnn.settings.pretrain
        if pretrain is None:
            raise UserError(f"model.fam.cnn {name!r} is not trained here: it has no key `pretrain`")
        selection = self._selection(pretrain.protocol, cnn.exclude)
        return narrowed(
            jobs.CnnTraining,
            pretrain,
            architecture=network.architecture,
            image_size=network.image_size,
            strips=self.config.dataset(dataset).video.count,
            version=VERSIONS["pretrain_cnn"],
            **_fields(selection),
        )

    def _cnn(self, name: str) -> NamedCnn:
        return _named(self.config.cnns, name, "model.fam.cnn")

    # ------------------------------------------------------------------------------------- trained streams

    def benchmark(self, wildcards: Wildcards) -> BenchmarkSettings:
        """Settings of the path's benchmark, or fold of one."""
        return self.config.benchmark(_named_in(wildcards))

    def benchmark_threads(self, wildcards: Wildcards) -> int:
        """Cores of a heavy job on a benchmark."""
        return self.benchmark(wildcards).threads

    def training_processes(self, wildcards: Wildcards) -> int:
        """Processes that train one stream, or a benchmark's encoders, together."""
        return self._owner(wildcards).gpus

    def training_threads(self, wildcards: Wildcards) -> int:
        """Cores of a job on a trained stream."""
        return self._owner(wildcards).threads

    def answer_memory(self, wildcards: Wildcards) -> float:
        """MB for each MB of answers: they hold the states of up to so many tokens, of which one or the mean is kept."""
        return 6 / self._owner(wildcards).vlm.max_new_tokens

    def picture_memory(self, wildcards: Wildcards) -> int:
        """MB for each thread of a training: where a CNN is trained along, processes decode its pictures."""
        fam = self.run(wildcards).training.model.fam
        return 800 if fam.enabled and not fam.cnn.frozen else 0

    def _owner(self, wildcards: Wildcards) -> BenchmarkSettings:
        """The benchmark that decides how much of a machine a job takes."""
        named = getattr(wildcards, "benchmark", None)
        return self.config.benchmark(named or self.run(wildcards).benchmark)

    @cached_property
    def _runs(self) -> dict[tuple[str, ...], Run]:
        """Every stream that a benchmark trains, by what names its folder: data set, protocol, member, settings."""
        return self._runs_of(self.config.benchmarks)

    def _fold_runs(self, dataset: str, folder: str) -> dict[tuple[str, ...], Run]:
        """The streams of one fold, by `paths.protocol_folder`, of all benchmarks whose protocol has it."""
        if (dataset, folder) not in self._folds:
            folds = {}
            for name, benchmark in self.config.benchmarks.items():
                fold = folder.removeprefix(f"{benchmark.protocol}-")
                if benchmark.dataset == dataset and fold != folder and fold.isdecimal():
                    with suppress(UserError):  # no such fold
                        find_rule(f"{benchmark.protocol}/{fold}", self.config.protocols)
                        folds[f"{name}/{fold}"] = self.config.benchmark(f"{name}/{fold}")
            self._folds[dataset, folder] = self._runs_of(folds)
        return self._folds[dataset, folder]

    def _runs_of(self, benchmarks: Mapping[str, BenchmarkSettings]) -> dict[tuple[str, ...], Run]:
        runs: dict[tuple[str, ...], Run] = {}
        for name, benchmark in benchmarks.items():
            fitted = benchmark.ensemble.weights == "fitted"
            try:
                for member in benchmark.members:
                    for fit in (False, True) if fitted else (False,):
                        training = self._training(name, member, benchmark.seeds[0], fit)
                        where = (benchmark.dataset, paths.protocol_folder(training.protocol), member.name)
                        runs.setdefault((*where, run_digest(training)), Run(name, member, training))
            except UserError:
                continue  # a missing list of clips stops those who ask for this benchmark
        return runs

    def run(self, wildcards: Wildcards) -> Run:
        """The stream that a path belongs to.

        Raises:
            UserError: no benchmark trains one there.
        """
        asked = (wildcards.dataset, wildcards.protocol, wildcards.member, wildcards.settings)
        run = self._runs.get(asked) or self._fold_runs(asked[0], asked[1]).get(asked)
        if run is None or run.training.fit != wildcards.run.endswith("/fit"):
            raise UserError(f"results/streams/{'/'.join(asked)}/{wildcards.run}: {self._no_such_run(asked)}")
        return run

    def _no_such_run(self, asked: tuple[str, ...]) -> str:
        """Which part of a trained stream's path is none that a benchmark trains."""
        for i, what in enumerate(("data set", "protocol", "member")):
            there = {path[i] for path in self._runs if path[:i] == asked[:i]}
            if asked[i] not in there:
                return f"no benchmark trains a stream of {what} {asked[i]!r}{known(asked[i], there)}"
        return (
            "no benchmark in the configuration trains a stream with these settings; they were changed since"
        )

    def folder_of(self, benchmark: str, member: Member, seed: int, fit: bool = False) -> str:
        """Where a benchmark's member is trained."""
        training = self._training(benchmark, member, seed, fit)
        return paths.at(
            paths.RUN,
            dataset=self.config.benchmark(benchmark).dataset,
            protocol=paths.protocol_folder(training.protocol),
            member=member.name,
            settings=run_digest(training),
            run=paths.run_name(seed, fit),
        )

    def _training(self, benchmark: str, member: Member, seed: int, fit: bool) -> jobs.StreamTraining:
        settings = self.config.benchmark(benchmark)
        train = settings.train
        if fit and settings.ensemble.fit_epochs:
            train = shortened(train, settings.ensemble.fit_epochs)
        frm = settings.model.frm
        return jobs.StreamTraining(
            **_fields(self._clips(benchmark)),
            stream=member.stream,
            seed=seed,
            fit=fit,
            model=narrowed(
                StreamModelSettings,
                settings.model,
                backbone=member.backbone,
                graph=member.graph,
                options=settings.model.own_options(member.backbone),
                # what is off takes no part, however it would be set
                fam=settings.model.fam if settings.model.fam.enabled else FamSettings(enabled=False),
                frm=frm if frm.enabled else FrmSettings(enabled=False),
                terms={name: one for name, one in settings.model.terms.items() if one.enabled},
            ),
            train=train,
            question=settings.instruction if frm.enabled else None,
            vlm=narrowed(VlmSettings, settings.vlm) if frm.enabled else None,
            version=VERSIONS["train_stream"],
        )

    def stream_settings(self, wildcards: Wildcards) -> Plain:
        """Params of train_stream."""
        return self._training_at(wildcards).dump()

    def _training_at(self, wildcards: Wildcards) -> jobs.StreamTraining:
        return replaced(self.run(wildcards).training, seed=paths.seed_of(wildcards.run))

    def training_skeletons(self, wildcards: Wildcards) -> str:
        """The skeleton store that a stream is trained on."""
        return paths.at(paths.SKELETONS, dataset=wildcards.dataset)

    def training_inputs(self, wildcards: Wildcards) -> dict[str, list[str]]:
        """What the co-learning terms need of the training clips: input → files."""
        run = self.run(wildcards)
        self._check_clips(run.benchmark, "fitted" if run.training.fit else "trained")
        wanted = {name for term in run.training.model.enabled_terms.values() for name in term.inputs}
        files = {name: self._input(name, run, wildcards.dataset) for name in sorted(wanted)}
        return files | self._teaching(run, wildcards.run)

    def _input(self, name: str, run: Run, dataset: str) -> list[str]:
        vlm = run.training.vlm
        imported = name == "answer" and vlm is not None and self._is_imported(vlm.name)
        if name in ("picture", "answer") and not imported and not self.config.dataset(dataset).videos:
            try:
                self._require(dataset, "videos")
            except UserError as missing:
                off = "model: {fam: {enabled: false}, frm: {enabled: false}}"
                raise UserError(f"{missing}; to train benchmarks.{run.benchmark} without: {off}") from None
        if name == "picture":
            cnn = run.training.model.fam.cnn
            if cnn.frozen:
                return self._shards(paths.RGB, dataset, cnn=cnn.name)
            return self._shards(paths.MONTAGES, dataset)
        if name == "answer":
            assert run.training.question is not None
            assert vlm is not None
            question = slug(run.training.question)
            if imported:
                self._imported(dataset, vlm.name, question, run.training.model.frm.input)
            else:
                _check_read(run.training, vlm)
            return self._answers(dataset, vlm.name, question)
        return self._shards(paths.INPUT, dataset, input=name)

    def _answers(self, dataset: str, vlm: str, question: str) -> list[str]:
        return self._shards(paths.ANSWERS, dataset, vlm=vlm, question=question)

    def initial_model(self, wildcards: Wildcards) -> list[str]:
        """The model of the same seed that a stream begins from, if it does.

        A fit run does, too: encoders use no label, and another data set's stream no clip of its held-out subjects.
        """
        run = self.run(wildcards)
        init = run.training.train.init
        if not init:
            return []
        seed = paths.seed_of(wildcards.run)
        if init.what == "stream":
            return [f"{self.folder_of(init.from_, self._initial_member(run), seed)}/model.pt"]
        self._check_initial(run, init)
        return [f"{paths.at(paths.ENCODERS, benchmark=init.from_, what=init.what, seed=seed)}/model.pt"]

    def _initial_member(self, run: Run) -> Member:
        """The stream of another benchmark that a stream begins from: the same network, whatever it sees."""
        init = run.training.train.init
        assert init
        theirs = self.config.benchmark(init.from_)
        member = replaced(run.member, stream=initial_modality(run.training))
        if member not in theirs.members:
            raise UserError(
                f"benchmarks.{run.benchmark}.train.init: {init.from_} trains no {member.name} for stream "
                f"{run.training.stream}; it trains: {', '.join(one.name for one in theirs.members)}"
            )
        options = theirs.model.options.get(member.backbone)
        network = InitialNetwork(member.backbone, member.graph, theirs.model.width, options)
        self._checked_initial(run, [member.stream], network)
        return member

    def _checked_initial(
        self, run: Run, modalities: Iterable[str], network: InitialNetwork, *by: str
    ) -> None:
        """`check_initial` with the benchmark's name in its message."""
        init = run.training.train.init
        assert init
        try:
            check_initial(run.training, f"{init.what} of {init.from_}", modalities, network, *by)
        except UserError as misfit:
            raise UserError(f"benchmarks.{run.benchmark}.{misfit}") from None

    def _check_initial(self, run: Run, init: InitSettings) -> None:
        """Whether the encoders of another benchmark will fit a stream."""
        selfsup = self.config.benchmark(init.from_).selfsup
        encoder, student = selfsup.encoder, selfsup.student
        modalities: tuple[str, ...] = selfsup.modalities
        network = InitialNetwork(
            encoder.backbone, encoder.graph or default_graph(encoder.backbone), encoder.width
        )
        if init.what == "student":
            network = InitialNetwork(*selfsup.student_network)
            modalities = () if student.early and len(student.modalities) > 1 else student.modalities
        self._checked_initial(run, modalities, network, selfsup.convention)

    def _teaching(self, run: Run, name: str) -> dict[str, list[str]]:
        """The members that a stream learns from, if it does: of its own seed, and a fit run from fit runs."""
        distil = run.training.train.distil
        if not distil:
            return {}
        seed, fit = paths.seed_of(name), name.endswith("/fit")
        theirs = self.config.benchmark(distil.from_)
        for key in ("feeder", "window"):
            own, other = getattr(run.training.train, key), getattr(theirs.train, key)
            if own != other:
                raise UserError(
                    f"benchmarks.{run.benchmark}.train.distil: the members of {distil.from_} are trained with "
                    f"train.{key} {other}, this stream with {own}"
                )
        members = theirs.members
        return {
            "teachers": [f"{self.folder_of(distil.from_, member, seed, fit)}/model.pt" for member in members],
            "ensemble": [paths.at(paths.ENSEMBLE, benchmark=distil.from_)],
        }

    def training_upstream(self, wildcards: Wildcards) -> str:
        """What a trained stream follows from beside its settings."""
        return self._trained_from(self.run(wildcards), wildcards.dataset, wildcards.run)

    def _trained_from(self, run: Run, dataset: str, name: str) -> str:
        training, parts = run.training, [self._prepared(dataset)]
        wanted = {one for term in training.model.enabled_terms.values() for one in term.inputs}
        if "picture" in wanted:
            cnn = training.model.fam.cnn
            parts.append(
                digest(self._encoding(cnn.name), self._encoded_from(dataset, cnn.name))
                if cnn.frozen
                else self._pictured(dataset)
            )
        if "answer" in wanted and training.vlm is not None:
            assert training.question is not None
            parts.append(self._answered_from(training.vlm.name, dataset, slug(training.question)))
        if training.train.init:
            init, seed = training.train.init, paths.seed_of(name)
            if init.what == "stream":
                parts.append(self._stream_from(run, seed))
            else:
                parts.append(self._encoders_from(init.from_, init.what, seed))
        if training.train.distil:
            source, seed = training.train.distil.from_, paths.seed_of(name)
            theirs = self.config.benchmark(source)
            parts += [
                digest(teacher, self._trained_from(Run(source, member, teacher), theirs.dataset, name))
                for member in theirs.members
                for teacher in [self._training(source, member, seed, training.fit)]
            ]
            parts.append(self.ensemble_upstream(_Of(benchmark=source)))
        return digest(*parts)

    def _stream_from(self, run: Run, seed: int) -> str:
        """What the stream follows from that another begins from, with its own settings."""
        init = run.training.train.init
        assert init
        member, dataset = self._initial_member(run), self.config.benchmark(init.from_).dataset
        training = self._training(init.from_, member, seed, fit=False)
        source = Run(init.from_, member, training)
        return digest(training, self._trained_from(source, dataset, paths.run_name(seed)))

    def score_settings(self, wildcards: Wildcards) -> Plain:
        """Params of score_stream; the rest is in the model file."""
        training = self.run(wildcards).training
        version = VERSIONS["score_stream"]
        best = bool(training.train.evaluate_every) and not training.fit
        return narrowed(jobs.Scoring, training, version=version, best=best).dump()

    def score_upstream(self, wildcards: Wildcards) -> str:
        """What a stream's scores follow from."""
        return digest(self._training_at(wildcards), self.training_upstream(wildcards))

    def _clips(self, benchmark: str) -> SelectionSettings:
        """What decides which clips train and test, see `mmcl.datasets.selection`."""
        settings = self.config.benchmark(benchmark)
        try:
            return self._selection(settings.protocol, settings.exclude)
        except UserError as missing:
            raise UserError(f"benchmarks.{benchmark}.exclude: {missing}") from None

    def _selection(self, protocol: str, exclude: str | None) -> SelectionSettings:
        rule, _ = find_rule(protocol, self.config.protocols)
        if rule.folds and "/" not in protocol:  # so that the first fold's runs are shared with all folds
            protocol = f"{protocol}/1"
        return SelectionSettings(
            protocol=protocol,
            rule=self.config.own_rule(protocol),
            exclude=plan_exclusion(exclude) if exclude else None,
        )

    # -------------------------------------------------------------------------------------- enough clips

    def _check_clips(self, benchmark: str, use: Use) -> None:
        """Whether a benchmark has the clips that it needs, told before hours of work.

        Nothing is told of recordings that are not there yet, or whose files must be read to list their clips; of these
        the first training tells.

        Raises:
            UserError: names the benchmark and what is missing.
        """
        if (benchmark, use) in self._checked:
            return
        found = self._coverage(benchmark)
        if found and found.problem(use):  # by an index that the next job may make anew
            found = self._coverage(benchmark, anew=True)
        if found:
            if problem := found.problem(use):
                raise UserError(f"benchmarks.{benchmark}: {problem}")
            if use == "tested" and (odd := found.warning()):
                log.warning("benchmarks.%s: %s", benchmark, odd)
        self._checked.add((benchmark, use))

    def _coverage(self, benchmark: str, anew: bool = False) -> Coverage | None:
        if (benchmark, anew) not in self._coverages:
            dataset, clips = self.config.benchmark(benchmark).dataset, self._clips(benchmark)
            source = "video" if self.config.dataset(dataset).poses else "skeleton"
            excluded = read_planned(clips.exclude) if clips.exclude else ()
            entries = self._listed(dataset, anew)
            found = None if entries is None else coverage(entries, clips, excluded, source)
            self._coverages[benchmark, anew] = found
        return self._coverages[benchmark, anew]

    def _listed(self, dataset: str, anew: bool) -> list[ClipEntry] | None:
        """The clips of a data set, by its index if that is current; None where they cannot be listed at once."""
        if (dataset, anew) not in self._listings:
            self._listings[dataset, anew] = self._list(dataset, anew)
        return self._listings[dataset, anew]

    def _list(self, dataset: str, anew: bool) -> list[ClipEntry] | None:
        settings, index = self.config.dataset(dataset), Path(paths.at(paths.INDEX, dataset=dataset))
        kind: Kind = "videos" if settings.poses else "skeletons"
        folder = getattr(settings, kind)
        gone = not settings.drawn and not (folder and Path(folder).exists())
        # what is indexed stays where the recordings are gone; else another setting may make the index anew
        if index.exists() and (gone or not (anew or self.stamps(dataset).changed)):
            return list(self._entries(dataset).values())
        reader = reader_class(settings.reader)
        if settings.drawn or gone or (getattr(reader, "lists_content", False) and not anew):
            return None
        try:
            return list_clips(open_reader(settings, settings.skeletons, settings.videos))
        except UserError:
            return None  # a mistake that the job index_clips tells

    # ------------------------------------------------------------------------------------ self-supervision

    def skeletons(self, wildcards: Wildcards) -> str:
        """The benchmark's skeleton store."""
        self._check_clips(wildcards.benchmark, "encoded")
        return paths.at(paths.SKELETONS, dataset=self.benchmark(wildcards).dataset)

    def pretrain_streams_settings(self, wildcards: Wildcards) -> Plain:
        """Params of pretrain_streams."""
        return self._pretraining(wildcards.benchmark, int(wildcards.seed)).dump()

    def student_settings(self, wildcards: Wildcards) -> Plain:
        """Params of distil_student: those of the pre-training, too, whose encoders it starts from."""
        return self._students(wildcards.benchmark, int(wildcards.seed)).dump()

    def prepared_upstream(self, wildcards: Wildcards) -> str:
        """What pre-training follows from beside its settings."""
        return self._prepared(self.benchmark(wildcards).dataset)

    def student_upstream(self, wildcards: Wildcards) -> str:
        """What students follow from beside their settings."""
        pretraining = self._pretraining(wildcards.benchmark, int(wildcards.seed))
        return digest(pretraining, self.prepared_upstream(wildcards))

    def _pretraining(self, benchmark: str, seed: int) -> jobs.Pretraining:
        selfsup = narrowed(PretrainingSettings, self.config.benchmark(benchmark).selfsup)
        return jobs.Pretraining(
            **self._selfsup(benchmark), seed=seed, selfsup=selfsup, version=VERSIONS["pretrain_streams"]
        )

    def _students(self, benchmark: str, seed: int) -> jobs.StudentTraining:
        selfsup = narrowed(jobs.DistilledSettings, self.config.benchmark(benchmark).selfsup)
        return jobs.StudentTraining(
            **self._selfsup(benchmark), seed=seed, selfsup=selfsup, version=VERSIONS["distil_student"]
        )

    def _selfsup(self, benchmark: str) -> Plain:
        """What both trainings are given beside the section `selfsup`."""
        return {**_fields(self._clips(benchmark)), "recipe": self._recipe(benchmark, "selfsup", "datasets")}

    def _encoders_from(self, benchmark: str, what: str, seed: int) -> str:
        """What a benchmark's encoders follow from, with their own settings."""
        prepared = self._prepared(self.config.benchmark(benchmark).dataset)
        parts: list[Any] = [self._pretraining(benchmark, seed), prepared]
        if what == "student":
            parts.append(self._students(benchmark, seed))
        return digest(*parts)

    def probed_model(self, wildcards: Wildcards) -> str:
        """The encoders that are probed; `random` takes the form of the pre-trained ones."""
        self._check_clips(wildcards.benchmark, "trained")
        self._check_clips(wildcards.benchmark, "tested")
        what = "pretrain" if wildcards.what == "random" else wildcards.what
        source = self.benchmark(wildcards).selfsup.probe.from_ or wildcards.benchmark
        return f"{paths.at(paths.ENCODERS, benchmark=source, what=what, seed=wildcards.seed)}/model.pt"

    def probe_settings(self, wildcards: Wildcards) -> Plain:
        """Params of probe_stream; the rest is in the model file."""
        return self._probing(wildcards.benchmark, wildcards.what, int(wildcards.seed)).dump()

    def probe_upstream(self, wildcards: Wildcards) -> str:
        """What a probe follows from beside its settings."""
        return self._probed_from(wildcards.benchmark, wildcards.what, int(wildcards.seed))

    def _probed_from(self, benchmark: str, what: str, seed: int) -> str:
        settings = self.config.benchmark(benchmark)
        source = settings.selfsup.probe.from_ or benchmark
        return digest(self._prepared(settings.dataset), self._encoders_from(source, what, seed))

    def _probing(self, benchmark: str, what: Encoders, seed: int) -> jobs.Probing:
        probe = narrowed(ProbeSettings, self.config.benchmark(benchmark).selfsup.probe)
        clips = _fields(self._clips(benchmark))
        return jobs.Probing(**clips, what=what, seed=seed, probe=probe, version=VERSIONS["probe_stream"])

    def probes(self, wildcards: Wildcards) -> dict[str, list[str]]:
        """What is probed → metrics.json, seed by seed."""
        benchmark = self.benchmark(wildcards)
        where = {"benchmark": wildcards.benchmark}
        return {
            what: [
                f"{paths.at(paths.PROBE, what=what, seed=seed, **where)}/metrics.json"
                for seed in benchmark.seeds
            ]
            for what in benchmark.selfsup.probe.of
        }

    def ikem_settings(self, wildcards: Wildcards) -> Plain:
        """Params of ikem_result: all that its probes were made with."""
        name, benchmark = wildcards.benchmark, self.benchmark(wildcards)
        return jobs.IkemResult(
            **self._selfsup(name),
            benchmark=name,
            dataset=benchmark.dataset,
            seeds=benchmark.seeds,
            selfsup=benchmark.selfsup,
            version=VERSIONS["ikem_result"],
        ).dump()

    def ikem_upstream(self, wildcards: Wildcards) -> str:
        """What the result of all probes follows from."""
        benchmark = self.benchmark(wildcards)
        return digest(
            *(
                digest(
                    self._probing(wildcards.benchmark, what, seed),
                    self._probed_from(wildcards.benchmark, what, seed),
                )
                for what in benchmark.selfsup.probe.of
                for seed in benchmark.seeds
            )
        )

    # ---------------------------------------------------------------------------------------------- results

    def member_files(self, file: str, runs: str) -> Callable[[Wildcards], list[str]]:
        """Input function: one file of every member of the configured ensemble, run by run.

        Args:
            file: its name, such as scores.h5.
            runs: `seeds` (all), `first` (the first seed), or `fit` (the first seed's run that fixes the fusion
                weights, if they are to be fitted).
        """
        return lambda wildcards: [f"{folder}/{file}" for folder in self._folders(_named_in(wildcards), runs)]

    def _folders(self, benchmark: str, runs: str) -> Iterator[str]:
        settings = self.config.benchmark(benchmark)
        first = settings.seeds[0]
        fitted = settings.ensemble.weights == "fitted"
        self._check_clips(benchmark, "fitted" if fitted else "trained")
        self._check_clips(benchmark, "tested")
        seeds = {"seeds": settings.seeds, "first": (first,), "fit": (first,) if fitted else ()}[runs]
        for seed in seeds:
            for member in settings.members:
                yield self.folder_of(benchmark, member, seed, runs == "fit")

    def ensemble_settings(self, wildcards: Wildcards) -> Plain:
        """Params of ensemble: all that its members were made with."""
        name, benchmark = _named_in(wildcards), self.benchmark(wildcards)
        backbones = [member.backbone for member in benchmark.members]
        question = self.config.question(name)
        sections = ["model", "train", "datasets", "ensemble"]
        if any(term.inputs for term in benchmark.model.enabled_terms.values()):
            sections.append("video")
        if question != NO_QUESTION:
            sections.append("vlm")
        return jobs.Fusion(
            **_fields(self._clips(name)),
            benchmark=name,
            question=question,
            dataset=benchmark.dataset,
            model=replaced(benchmark.model, options=benchmark.model.own_options(*backbones)),
            train=benchmark.train,
            vlm=narrowed(VlmSettings, benchmark.vlm) if question != NO_QUESTION else None,
            ensemble=benchmark.ensemble,
            members=benchmark.members,
            runs=tuple(self._folders(name, "first")),
            seeds=benchmark.seeds,
            recipe=self._recipe(name, *sections),
            version=VERSIONS["ensemble"],
        ).dump()

    def ensemble_upstream(self, wildcards: Wildcards) -> str:
        """What an ensemble follows from."""
        name, benchmark = _named_in(wildcards), self.benchmark(wildcards)
        fitted = benchmark.ensemble.weights == "fitted"
        runs = [(seed, False) for seed in benchmark.seeds] + [(benchmark.seeds[0], True)] * fitted
        parts = []
        for seed, fit in runs:
            for member in benchmark.members:
                training = self._training(name, member, seed, fit)
                run = Run(name, member, training)
                parts.append(
                    digest(training, self._trained_from(run, benchmark.dataset, paths.run_name(seed, fit)))
                )
        return digest(*parts, VERSIONS["score_stream"])

    def fold_ensembles(self, wildcards: Wildcards) -> list[str]:
        """The ensembles of all folds of a benchmark's protocol."""
        where = {"benchmark": wildcards.benchmark}
        count = self._count_folds(wildcards.benchmark)
        return [paths.at(paths.FOLD_ENSEMBLE, fold=fold, **where) for fold in range(1, count + 1)]

    def _count_folds(self, benchmark: str) -> int:
        """How many folds a benchmark's protocol has.

        Raises:
            UserError: it has none, they are not known yet, or something is trained on clips that other folds test.
        """
        settings = self.config.benchmark(benchmark)
        key, protocol = f"benchmarks.{benchmark}", settings.protocol
        rule, _ = find_rule(protocol, self.config.protocols)
        if "/" in protocol or (rule.folds is None and rule.random is None):
            raise UserError(
                f"{key}.protocol: {protocol} has no folds; name one that has, such as folds5 or leave_one_subject_out"
                if "/" not in protocol
                else f"{key}.protocol: {protocol} is one fold; name {protocol.partition('/')[0]} for all of them"
            )
        init, distil, cnn = settings.train.init, settings.train.distil, settings.model.fam.cnn
        shared = {
            "train.init": init and init.what != "stream",
            "train.distil": distil,
            "model.fam.cnn.pretrain": settings.model.fam.enabled and cnn.pretrain,
        }
        for name, used in shared.items():
            if used:
                raise UserError(
                    f"{key}.{name}: is trained on one split, whose training clips other folds test"
                )
        if rule.fold_count:
            return rule.fold_count
        entries = self._listed(settings.dataset, anew=False)
        if entries is None:
            index = paths.at(paths.INDEX, dataset=settings.dataset)
            raise UserError(
                f"{key}.protocol: {protocol} has a fold for each subject, known when {index} is there; make it first"
            )
        return count_folds(protocol, as_clips(entries), self.config.own_rule(protocol))

    def folds_settings(self, wildcards: Wildcards) -> Plain:
        """Params of folds."""
        name, benchmark = wildcards.benchmark, self.benchmark(wildcards)
        return jobs.FoldsResult(
            **{**_fields(self._clips(name)), "protocol": benchmark.protocol},
            benchmark=name,
            dataset=benchmark.dataset,
            seeds=benchmark.seeds,
            ensembles=tuple(self.fold_ensembles(wildcards)),
            version=VERSIONS["folds"],
        ).dump()

    def folds_upstream(self, wildcards: Wildcards) -> str:
        """What the result of all folds follows from."""
        name = wildcards.benchmark
        folds = [_Of(benchmark=name, fold=fold) for fold in range(1, self._count_folds(name) + 1)]
        return digest(*(digest(self.ensemble_settings(one), self.ensemble_upstream(one)) for one in folds))

    def _recipe(self, benchmark: str, *sections: str) -> jobs.RecipeReport | None:
        return self.config.recipe_report(benchmark, sections)

    def target_skeletons(self, wildcards: Wildcards) -> str:
        """The target's skeleton store."""
        self._check_target(wildcards.benchmark, wildcards.target, self._class_map(wildcards))
        return paths.at(paths.SKELETONS, dataset=wildcards.target)

    def _check_target(self, benchmark: str, target: str, class_map: str) -> None:
        """Whether a target has clips of classes that the models will know, told before they are trained."""
        source = self.config.benchmark(benchmark).dataset
        counterparts = {one.target: one.source for one in read_class_map(class_map)}
        for anew in (False, True):  # an index may be of recordings that have changed since
            listed = [self._listed(name, anew) for name in (source, target)]
            known_to, clips = ({entry.action for entry in entries or ()} for entries in listed)
            if not known_to or not clips or any(counterparts.get(action) in known_to for action in clips):
                return
        raise UserError(
            f"benchmarks.{benchmark}.zero_shot.targets.{target}: by class map {class_map} no clip of {target} has a "
            f"class of {source}"
        )

    def target_answers(self, wildcards: Wildcards) -> list[str]:
        """The target's answers to the same question, where FRM can use them."""
        question, benchmark = self.config.question(wildcards.benchmark), self.benchmark(wildcards)
        vlm, target = benchmark.vlm.name, wildcards.target
        if question == NO_QUESTION:
            return []
        if self._is_imported(vlm):
            seen = paths.at(paths.IMPORTED_SEEN, dataset=target, vlm=vlm, question=question)
            folder = find(benchmark.vlm.weights) / target
            there = folder.is_dir() or Path(seen).exists()
        else:
            there = bool(self.config.dataset(target).videos)
        return self._answers(target, vlm, question) if there else []

    def zero_shot_settings(self, wildcards: Wildcards) -> Plain:
        """Params of zero_shot."""
        benchmark = self.benchmark(wildcards)
        return jobs.ZeroShot(
            benchmark=wildcards.benchmark,
            target=wildcards.target,
            class_map=self._class_map(wildcards),
            members=benchmark.members,
            seed=benchmark.seeds[0],
            version=VERSIONS["zero_shot"],
        ).dump()

    def _class_map(self, wildcards: Wildcards) -> str:
        """The class map of a benchmark's zero-shot target."""
        target, targets = wildcards.target, self.benchmark(wildcards).zero_shot.targets
        if target not in targets:
            raise UserError(
                f"{target} is no zero-shot target of {wildcards.benchmark}{known(target, targets)}"
            )
        return targets[target]

    def zero_shot_upstream(self, wildcards: Wildcards) -> str:
        """What a zero-shot evaluation follows from."""
        benchmark = self.benchmark(wildcards)
        parts: list[Any] = [self.ensemble_settings(wildcards), self.ensemble_upstream(wildcards)]
        parts.append(self._prepared(wildcards.target))
        if self.target_answers(wildcards):
            question = self.config.question(wildcards.benchmark)
            parts.append(self._answered_from(benchmark.vlm.name, wildcards.target, question))
        return digest(*parts)

    # ------------------------------------------------------------------------------------ can answers help?

    def examined(self, wildcards: Wildcards) -> dict[str, list[str]]:
        """What examine_answers needs: all answers to a benchmark's question, and the labels."""
        benchmark = self.benchmark(wildcards)
        self._check_clips(wildcards.benchmark, "trained")
        if not self.config.dataset(benchmark.dataset).videos and not self._is_imported(benchmark.vlm.name):
            self._require(benchmark.dataset, "videos")
        return {
            "skeletons": [paths.at(paths.SKELETONS, dataset=benchmark.dataset)],
            "answers": self._answers(benchmark.dataset, benchmark.vlm.name, slug(benchmark.instruction)),
        }

    def examination_settings(self, wildcards: Wildcards) -> Plain:
        """Params of examine_answers; with FRM off, too, so that a question can be tried before."""
        name, benchmark = wildcards.benchmark, self.benchmark(wildcards)
        return jobs.Examination(
            **_fields(self._clips(name)),
            benchmark=name,
            dataset=benchmark.dataset,
            vlm=benchmark.vlm.name,
            question=slug(benchmark.instruction),
            input=benchmark.model.frm.input,
            version=VERSIONS["examine_answers"],
        ).dump()

    def examination_upstream(self, wildcards: Wildcards) -> str:
        """What an examination follows from."""
        benchmark = self.benchmark(wildcards)
        question = self.config.question(wildcards.benchmark)
        answered = self._answered_from(benchmark.vlm.name, benchmark.dataset, question)
        return digest(answered, self._prepared(benchmark.dataset))

    # ---------------------------------------------------------------------------------------------- report

    def reported(self, wildcards: Wildcards) -> dict[str, list[str]]:
        """What a report is made from: of a finished benchmark what there is, otherwise all that is configured for it.

        So the report of a finished benchmark computes nothing that takes long. A benchmark that has encoders without
        labels alone is reported with them alone.
        """
        name, benchmark = wildcards.benchmark, self.benchmark(wildcards)
        ensemble, ikem = (paths.at(p, benchmark=name) for p in (paths.ENSEMBLE, paths.IKEM_RESULT))
        finished, probed = Path(ensemble).exists(), Path(ikem).exists()
        found = {"ikem": [ikem]} if probed else {}
        if probed and not finished:
            return found
        baseline, frm = benchmark.report.baseline, benchmark.model.frm.enabled
        videos = self.config.dataset(benchmark.dataset).videos
        further = {
            "zero_shot": [
                paths.at(paths.ZERO_SHOT, benchmark=name, target=target)
                for target in benchmark.zero_shot.targets
            ],
            "answers": [paths.at(paths.ANSWER_REPORT, benchmark=name)] if frm and videos else [],
            # what inherits from a benchmark may be its baseline
            "baseline": [paths.at(paths.ENSEMBLE, benchmark=baseline)]
            if baseline not in (None, name)
            else [],
        }
        for part, files in further.items():
            found[part] = [file for file in files if not finished or Path(file).exists()]
        return {**found, "ensemble": [ensemble]}

    def plots(self, wildcards: Wildcards) -> list[str]:
        """The pictures of a report."""
        found, name = self.reported(wildcards), wildcards.benchmark
        parts = []
        if "ensemble" in found:
            parts = ["accuracy", "confusion", "classes"]
            parts += ["transfer"] * bool(found["zero_shot"]) + ["gain"] * bool(found["baseline"])
            histories = self.member_files("history.csv", "seeds")(wildcards)
            fresh = not Path(found["ensemble"][0]).exists()
            parts += ["training"] * (fresh or any(Path(file).exists() for file in histories))
        if "ikem" in found:
            seeds = self.benchmark(wildcards).seeds
            trained = [paths.at(paths.PRETRAIN, benchmark=name, seed=seed) for seed in seeds]
            histories = [paths.in_folder(folder, "history.csv") for folder in trained]
            parts += ["probes"] + ["pretraining"] * any(Path(file).exists() for file in histories)
        return [paths.at(paths.PLOT, benchmark=name, part=part) for part in parts]

    def plotted(self, wildcards: Wildcards) -> dict[str, list[str]]:
        """What a picture of a report is drawn from."""
        of = {
            "gain": ["ensemble", "baseline"],
            "transfer": ["ensemble", "zero_shot"],
            "probes": ["ikem"],
            "pretraining": ["ikem"],
        }
        found = self.reported(wildcards)
        needed = of.get(wildcards.part, ["ensemble"])
        if lacking := [name for name in needed if not found.get(name)]:
            raise UserError(f"{wildcards.benchmark}: has no {lacking[0]}, so no picture {wildcards.part}")
        return {name: found[name] for name in needed}

    def pictured(self, kind: str) -> Callable[[Wildcards], list[str]]:
        """Input function: the crops, montages or answers of a benchmark, for a contact sheet."""

        def stores(wildcards: Wildcards) -> list[str]:
            benchmark = self.benchmark(wildcards)
            if kind == "answers":
                own = benchmark.vlm.name, slug(benchmark.instruction)
                return self._answers(benchmark.dataset, *own)
            return self._shards({"crops": paths.CROPS, "montages": paths.MONTAGES}[kind], benchmark.dataset)

        return stores

    def sheets(self, wildcards: Wildcards) -> list[str]:
        """The contact sheets of a report, as far as there are pictures, or will be."""
        found, name = self.reported(wildcards), wildcards.benchmark
        if "ensemble" not in found:
            return []
        benchmark, dataset = self.benchmark(wildcards), self.benchmark(wildcards).dataset
        answered = self.config.question(name) != NO_QUESTION
        pictured = benchmark.model.fam.enabled or (answered and not self._is_imported(benchmark.vlm.name))
        to_come = pictured and not Path(found["ensemble"][0]).exists()

        def there(pattern: str) -> bool:
            return to_come or all(Path(file).exists() for file in self._shards(pattern, dataset))

        sheets = [paths.CROP_SHEET] * there(paths.CROPS) + [paths.GALLERY] * (
            answered and there(paths.MONTAGES)
        )
        return [paths.at(sheet, benchmark=name) for sheet in sheets]

    def cost(self, wildcards: Wildcards) -> list[str]:
        """What recognising costs, where there is an ensemble."""
        there = "ensemble" in self.reported(wildcards)
        return [paths.at(paths.COST, benchmark=wildcards.benchmark)] if there else []

    def report_settings(self, wildcards: Wildcards) -> Plain:
        """Params of what makes a report."""
        return jobs.Reporting(benchmark=wildcards.benchmark, version=VERSIONS["report"]).dump()

    def report_upstream(self, wildcards: Wildcards) -> str:
        """What a report follows from."""
        return self._reported_from(wildcards.benchmark, self.reported(wildcards))

    def plot_upstream(self, wildcards: Wildcards) -> str:
        """What a picture of a report follows from."""
        return self._reported_from(wildcards.benchmark, self.plotted(wildcards))

    def sheet_upstream(self, wildcards: Wildcards) -> str:
        """What a report's contact sheets and cost follow from."""
        ensemble = paths.at(paths.ENSEMBLE, benchmark=wildcards.benchmark)
        return self._reported_from(wildcards.benchmark, {"ensemble": [ensemble]})

    def _reported_from(self, name: str, found: dict[str, list[str]]) -> str:
        own, parts = _Of(benchmark=name), list[Any]()
        if "ikem" in found:
            parts += [self.ikem_upstream(own), self.ikem_settings(own)]
        for file in found.get("ensemble", []) + found.get("baseline", []):
            of = _Of(benchmark=Path(file).parent.name)
            parts += [self.ensemble_settings(of), self.ensemble_upstream(of)]
        for file in found.get("zero_shot", []):
            of = _Of(benchmark=name, target=Path(file).stem)
            parts += [self.zero_shot_settings(of), self.zero_shot_upstream(of)]
        if found.get("answers"):
            parts += [self.examination_settings(own), self.examination_upstream(own)]
        return digest(*parts)

    def demo_network_before(self, wildcards: Wildcards) -> list[str]:
        """The demo's network that another starts from: the detector lies beside the weights of the pose estimator."""
        return [paths.at(paths.DEMO_NETWORK, network="detector")] if wildcards.network == "pose" else []


@dataclass(frozen=True)
class Uncompared(Generic[V]):
    """A value of params that Snakemake does not compare, as it changes no result of the job."""

    value: V


class _Of:
    """Wildcards made here."""

    def __init__(self, **values: str | int):
        self.__dict__.update(values)


def _named_in(wildcards: Wildcards) -> str:
    """The benchmark of a path, `<benchmark>/<fold>` for one fold of its protocol."""
    fold = getattr(wildcards, "fold", None)
    return wildcards.benchmark if fold is None else f"{wildcards.benchmark}/{fold}"


def staged(model: type[S], stage: str, section: Section, **values: Any) -> S:
    """A stage's settings from a section, with the stage's version."""
    return narrowed(model, section, version=VERSIONS[stage], **values)


def _check_read(training: jobs.StreamTraining, vlm: VlmSettings) -> None:
    """Stop where no answer of the model to the question can have what FRM is to read.

    Raises:
        UserError: so it is.
    """
    frm, question = training.model.frm, training.question or ""
    if frm.reads == "p_yes" and not is_yes_no(question):
        raise UserError(
            f"model.frm.input {frm.input} needs a question that is answered with yes or no, and the instruction is "
            f"“{question}”"
        )
    if frm.reads == "answer_ids" and vlm.max_new_tokens < 2:
        raise UserError(
            f"model.frm.input {frm.input} needs two tokens of an answer: set vlm.max_new_tokens to 2 or more"
        )


def run_digest(training: jobs.StreamTraining) -> str:
    """8 hex digits of a training's settings: of all but the seed and the stage's version."""
    settings = training.dump()
    return digest({key: value for key, value in settings.items() if key not in ("seed", "version")})[:8]


def shortened(train: TrainSettings, epochs: int) -> TrainSettings:
    """A training of fewer epochs: the steps of the learning rate move along."""
    share = epochs / train.epochs
    return replaced(train, epochs=epochs, steps=[max(1, round(step * share)) for step in train.steps])


def _as_input(file: Path) -> list[str]:
    """A file of the user's as Snakemake's input.

    Snakemake takes braces for wildcards and knows no way to write one, so a path with braces is none. Its content
    enters the params all the same, so that a changed file is noticed.
    """
    return [] if "{" in str(file) else [str(file)]


def _fields(selection: SelectionSettings) -> Plain:
    return {name: getattr(selection, name) for name in SelectionSettings.model_fields}


def _named(settings: dict[str, V], name: str, key: str) -> V:
    if name not in settings:
        raise UserError(f"no benchmark has {key}.name {name!r}{known(name, settings)}")
    return settings[name]
