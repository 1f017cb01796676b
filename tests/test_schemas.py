"""Stores that are whole HDF5 files, but lack a part, hold what cannot be, or lead out of the file."""

import shutil
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from made_stores import edited, make_stores
from typer.testing import CliRunner

from mmcl import checksum, schemas, store
from mmcl.cli import app
from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError
from mmcl.exchange.convert import convert
from mmcl.inspect import inspect

SECRET = b"SECRET " * 30_000


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return make_stores(tmp_path_factory.mktemp("stores"))


@pytest.fixture
def path(stores, tmp_path):
    (tmp_path / "secret").write_bytes(SECRET)
    return shutil.copy(stores["skeletons"], tmp_path / "x.h5")


def replaced(h5, name, **how):
    """Put another array in the place of one; a group is removed whole."""
    shape, dtype = h5[name].shape, h5[name].dtype
    del h5[name]
    return h5.create_dataset(name, **({"shape": shape, "dtype": dtype} | how))


def external(name, dtype):
    def edit(h5):
        size = h5[name].size * np.dtype(dtype).itemsize
        replaced(h5, name, dtype=dtype, external=[(f"{h5.filename[:-4]}secret", 0, size)])

    return edit


def virtual(h5):
    layout = h5py.VirtualLayout(shape=h5["labels"].shape, dtype="int64")
    layout[:] = h5py.VirtualSource("secret", "x", shape=h5["labels"].shape)
    del h5["labels"]
    h5.create_virtual_dataset("labels", layout)


def linked(name, link):
    def edit(h5):
        del h5[name]
        h5[name] = link

    return edit


def many_names(h5):
    for key in ("names", "reason"):
        replaced(h5, f"failed/{key}", shape=(2**31,), chunks=(1 << 20,))


def put(name, where, value):
    return lambda h5: h5[name].__setitem__(where, value)


def attribute(name, value):
    return lambda h5: h5.attrs.__setitem__(name, value)


def without(name):
    return lambda h5: h5.__delitem__(name)


REFUSED = {
    "names are another file": (external("names", "S30"), "'names' takes its content from another file"),
    "joints are another file": (external("joints", "f4"), "'joints' takes its content from another file"),
    "virtual": (virtual, "'labels' takes its content from another file"),
    "external link": (linked("labels", h5py.ExternalLink("secret.h5", "/x")), "'labels' is a link"),
    "link in a group": (linked("failed/names", h5py.SoftLink("/names")), "'failed/names' is a link"),
    "link to itself": (linked("joints", h5py.SoftLink("/joints")), "'joints' is a link"),
    "groups without end": (
        lambda h5: h5["failed"].__setitem__("again", h5["/"]),
        "'failed/again' is no array",
    ),
    "type in place of an array": (linked("labels", np.dtype("int64")), "'labels' is no array"),
    "references": (
        lambda h5: replaced(h5, "labels", dtype=h5py.ref_dtype),
        "'labels' holds a type that no store has",
    ),
    "2^31 names": (many_names, "'failed/names' promises 34359738368 bytes, of which 0 are there"),
    "joints promised": (
        lambda h5: replaced(h5, "joints", shape=(2**40, 20, 3)),
        "'joints' promises 263882790666240 bytes, of which 0",
    ),
    "compressed": (
        lambda h5: replaced(h5, "joints", data=np.zeros(h5["joints"].shape, "f4"), compression="gzip"),
        "'joints' promises .* bytes, of which",
    ),
    "no rows": (lambda h5: replaced(h5, "labels", data=3, shape=None), "'labels' holds no rows"),
    "attribute of many": (attribute("layout", ["utd20", "utd20"]), "attribute 'layout' is no single text"),
    "attribute a number": (attribute("fingerprint", 3), "attribute 'fingerprint' is no text"),
    "no fingerprint": (lambda h5: h5.attrs.__delitem__("fingerprint"), "has no attribute 'fingerprint'"),
    "no layout": (lambda h5: h5.attrs.__delitem__("layout"), "has no attribute 'layout'"),
    "no schema": (lambda h5: h5.attrs.__delitem__("schema"), "not one of mmcl's stores"),
    "settings": (attribute("settings", "{"), "attribute 'settings' is no JSON"),
    "settings a list": (attribute("settings", "[]"), "attribute 'settings' is no JSON object"),
    "no labels": (without("labels"), "has no array 'labels'"),
    "no classes": (without("classes"), "has no array 'classes/id'"),
    "no failed": (without("failed"), "has no array 'failed/names'"),
    "a label of 10^6": (put("labels", 0, 10**6), "labels: 1000000 is not one of 4 classes"),
    "label -1": (put("labels", 0, -1), "'labels' holds -1, below 0"),
    "offset -20": (put("offset", 3, -20), "'offset' holds -20, below 0"),
    "another clip's frames": (
        put("offset", 3, 0),
        "offset, frames and persons do not fit the .* rows of joints",
    ),
    "frames 0": (put("frames", 3, 0), "'frames' holds 0, below 1"),
    "persons 0": (put("persons", 3, 0), "'persons' holds 0, below 1"),
    "frames that overflow": (
        put("frames", 3, 2**62),
        "frames × persons of a clip are more than the rows of joints",
    ),
    "persons that overflow": (put("persons", 3, 2**62), "frames × persons of a clip are more than the rows"),
    "labels of another type": (
        lambda h5: replaced(h5, "labels", data=np.zeros(32, "f8"), shape=None, dtype=None),
        "'labels' holds floats, not integers",
    ),
    "joints of two numbers": (
        lambda h5: replaced(h5, "joints", data=h5["joints"][:, :, :2], shape=None),
        "a row of 'joints' is 20 × 2, not . × 3",
    ),
    "too few labels": (
        lambda h5: replaced(h5, "labels", data=h5["labels"][:-1], shape=None),
        "'labels' has 31 rows, 'names' has 32",
    ),
    "fewer reasons": (
        lambda h5: replaced(h5, "failed/reason", data=np.array(["x"], object), shape=None),
        "'failed/.*' has . rows, 'failed/.*' has . rows|has 2",
    ),
    "no UTF-8": (
        lambda h5: replaced(h5, "names", data=np.array([b"\xff"] * 32, object), shape=None),
        "'names' holds text that is not UTF-8",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_it_is_used(path, case):
    edit, message = REFUSED[case]
    with edited(path) as h5:
        edit(h5)
    for use in (SkeletonStore, inspect, lambda p: convert(p, p.with_suffix(".pkl"))):
        with pytest.raises(UserError, match=f"^{path}: .*{message}"):
            use(path)
    assert {file.name for file in path.parent.iterdir()} == {"x.h5", "secret"}


def test_settings_nested_without_end(path):
    # an attribute that h5py writes is too small for it
    file = SimpleNamespace(filename="x.h5", attrs={"settings": '{"a": ' * 100_000})
    with pytest.raises(UserError, match=r"x.h5: attribute 'settings' is no JSON"):
        schemas.settings_of(file)


def test_one_piece_of_text_for_all_names(path):
    """So that a small file would take all memory."""
    with edited(path) as h5:
        replaced(h5, "names", data=np.array(["a" * 30_000, *"b" * 31], object), shape=None)
    with h5py.File(path) as h5:
        at = h5["names"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[at : at + 32 * 16] = bytes(content[at : at + 16]) * 32
    path.write_bytes(content)
    checksum.write(path)
    with pytest.raises(
        UserError, match=rf"{path}: 'names' promises 960000 bytes in a file of {len(content)}"
    ):
        SkeletonStore(path)


def test_joints_that_are_no_numbers_are_refused_where_they_are_read(path):
    with edited(path) as h5:
        h5["joints"][3, 2, 1] = np.nan
    with pytest.raises(UserError, match=f"{path}: 'joints' holds numbers that are not finite"):
        SkeletonStore(path).clip(5)
    for output in ("x.pkl", "y.h5"):
        with pytest.raises(UserError, match="'joints' holds numbers that are not finite"):
            convert(path, path.with_name(output), layout="ntu25")


def test_the_layout_is_that_of_the_joints(path):
    with edited(path) as h5:
        h5.attrs["layout"] = "ntu25"
    with pytest.raises(UserError, match=f"{path}: has 20 joints, its layout ntu25 25"):
        SkeletonStore(path)


@pytest.mark.parametrize(
    ("name", "column", "value", "message"),
    [
        ("rgb", "features", np.nan, "'features' holds numbers that are not finite"),
        ("answers", "states", np.inf, "'states' holds numbers that are not finite"),
        ("answers", "p_yes", 1.5, "'p_yes' holds 1.5, above 1"),
    ],
)
def test_numbers_of_other_stores(stores, tmp_path, name, column, value, message):
    path = shutil.copy(stores[name], tmp_path / "x.h5")
    with edited(path) as h5:
        h5[column][2] = value
    with pytest.raises(UserError, match=f"{path}: {message}"):
        store.Shards([path], f"mmcl.{name}/1").read(column)


def test_an_answer_of_no_probability_is_whole(stores, tmp_path):
    path = shutil.copy(stores["answers"], tmp_path / "x.h5")
    with edited(path) as h5:
        h5["p_yes"][:] = np.nan
    assert np.isnan(store.Shards([path], "mmcl.answers/1").read("p_yes")).all()


def test_further_arrays_of_numbers_are_no_fault(path):
    with edited(path) as h5:
        h5["mine"] = np.arange(3.0)
        h5["notes/mine"] = np.array(["text"], object)
    assert len(SkeletonStore(path)) == 32


def test_a_store_without_checksum_is_that_of_an_older_version(path, stores):
    """The first 512 bytes are no part of the HDF5 file."""
    path.write_bytes(path.read_bytes()[checksum.BLOCK :])
    one, other = SkeletonStore(path), SkeletonStore(stores["skeletons"])
    np.testing.assert_array_equal(one.joints, other.joints)
    assert one.fingerprint == other.fingerprint
    with h5py.File(path, "r+") as h5:
        h5["labels"][0] = -1
    with pytest.raises(UserError, match="'labels' holds -1"):
        SkeletonStore(path)


def test_what_would_control_a_terminal_is_shown(path):
    with edited(path) as h5:
        h5["names"][0] = "a\x1b]0;b\x07"
        h5.attrs["note"] = "c\x9b31m"
    shown = CliRunner().invoke(app, ["inspect", str(path)]).stdout
    assert r"a\x1b]0;b\x07" in shown
    assert r"c\x9b31m" in shown


def test_a_stage_states_the_sizes_that_its_schema_leaves_open():
    assert schemas.columns("mmcl.poses/1")["keypoints"].shape == (17, 3)
    assert schemas.columns("mmcl.crops/1", boxes=(7, 4), scores=(7,), frame=(7,), images=(7,))[
        "boxes"
    ].shape == (7, 4)
    with pytest.raises(AssertionError):
        schemas.columns("mmcl.crops/1", boxes=(7, 4))


# -------------------------------------------------------------------------------- what a file says of itself


@pytest.mark.parametrize("name", schemas.SCHEMAS)
def test_every_array_of_every_schema_is_described(name):
    schema = schemas.SCHEMAS[name]
    assert schema.description
    for path, column in schema.arrays.items():
        assert column.description, path
        assert column.unit, path
        assert len(column.axes.split(", ")) == 1 + len(column.shape), path


def test_a_store_says_what_it_holds(stores):
    with h5py.File(stores["skeletons"]) as file:
        assert file.attrs["description"] == "Skeletons of all clips of a data set, cleaned and centred"
        joints = file["joints"]
        assert {key: joints.attrs[key] for key in ("unit", "axes")} == {
            "unit": "m",
            "axes": "row, joint, coordinate",
        }
        assert [axis.label for axis in joints.dims] == ["row", "joint", "coordinate"]
        described = []
        file.visititems(
            lambda _, item: described.append("description" in item.attrs or not hasattr(item, "shape"))
        )
        assert all(described)


def silent(file):
    """Take out all that a store says of itself, as earlier versions wrote it."""
    del file.attrs["description"]

    def strip(_, item):
        for key in list(item.attrs):
            del item.attrs[key]

    file.visititems(strip)
    file.pop("layout", None)


def test_a_store_of_an_earlier_version_is_read_as_before(stores, tmp_path):
    old = shutil.copy(stores["skeletons"], tmp_path / "old.h5")
    with edited(old) as file:
        silent(file)
    one, other = SkeletonStore(old), SkeletonStore(stores["skeletons"])
    assert one.fingerprint == other.fingerprint
    np.testing.assert_array_equal(one.joints, other.joints)
    with h5py.File(old) as file:
        assert schemas.description_of(file, "joints").unit == "m"
        assert schemas.content_of(file).startswith("Skeletons")


def test_the_fingerprint_does_not_follow_from_descriptions(tmp_path):
    """A store that an earlier version has begun is continued, and sealed with descriptions."""

    def target(path, **what):
        columns = {"features": store.Column("float32", (2,), **what)}
        return {
            "schema": "mmcl.rgb/1",
            "settings": {},
            "columns": columns,
            "batch_size": 1,
            "path": tmp_path / path,
        }

    def work(names):
        if names == ["b"] and not finished:
            raise KeyboardInterrupt
        calls.append(names)
        return store.Batch(names, {"features": np.zeros((1, 2))}, {})

    finished, calls = False, []
    with pytest.raises(KeyboardInterrupt):
        store.write(names=["a", "b"], work=work, **target("x.h5"))
    finished = True
    store.write(names=["a", "b"], work=work, **target("x.h5", description="Another", unit="m"))
    assert calls == [["a"], ["b"]]
    store.write(names=["a", "b"], work=work, **target("y.h5"))
    with h5py.File(tmp_path / "x.h5") as one, h5py.File(tmp_path / "y.h5") as other:
        assert one.attrs["fingerprint"] == other.attrs["fingerprint"]
        assert one["features"].attrs["axes"] == "clip, feature"
        assert one["names"].attrs["unit"] == "none"


def test_an_own_schema_is_described_by_its_columns(tmp_path):
    column = store.Column("float32", (2,), description="Loudness of each ear", unit="dB", axes="clip, ear")
    store.write(
        tmp_path / "x.h5",
        schema="mmcl.sound/1",
        settings={},
        names=["a"],
        columns={"features": column},
        batch_size=1,
        work=lambda names: store.Batch(names, {"features": np.zeros((1, 2))}, {}),
    )
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["features"].attrs["unit"] == "dB"
        assert file["features"].dims[1].label == "ear"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda h5: h5.__setitem__("layout/joint", np.array(["a"], object)), "1 names for 20 joints"),
        (
            lambda h5: h5.__setitem__("layout/parent", np.zeros(20)),
            "'layout/parent' holds floats, not integers",
        ),
    ],
)
def test_joints_that_do_not_fit_are_refused(path, edit, message):
    with edited(path) as file:
        file.pop("layout", None)
        edit(file)
    with pytest.raises(UserError, match=message):
        SkeletonStore(path)


def rows_of(schema):
    """A schema as docs/stores.md has it: array, type, shape of the whole array, unit, content."""
    for path, column in schema.arrays.items():
        axes = column.axes.split(", ")
        sizes = ["", *("" if size == schemas.ANY else str(size) for size in column.shape)]
        shape = ", ".join(
            f"{axis} ({size})" if size else axis for axis, size in zip(axes, sizes, strict=True)
        )
        yield f"| `{path}` | {column.dtype} | {shape} | {column.unit} | {column.description} |"


@pytest.mark.parametrize("name", schemas.SCHEMAS)
def test_the_page_has_a_table_of_every_schema(name, project):
    page = (project / "docs/stores.md").read_text()
    schema = schemas.SCHEMAS[name]
    section = page.partition(f"\n## `{name}`\n")[2].partition("\n## ")[0]
    assert schema.description in section
    found = [line for line in section.splitlines() if line.startswith("| `")]
    assert found == list(rows_of(schema)), "docs/stores.md differs; it should be\n" + "\n".join(
        rows_of(schema)
    )
