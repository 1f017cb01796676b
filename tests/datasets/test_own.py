"""Data sets of your own: the table, the three kinds of skeleton files, and what is refused."""

import json
import os
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
from made_readers import opened, prepared

from mmcl.datasets import own_files
from mmcl.datasets.index import read_index, write_index
from mmcl.datasets.own_files import read_joints
from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.protocols import as_clips, fit_split, split
from mmcl.errors import UserError
from mmcl.layouts import get_layout
from mmcl.settings.protocol import Rule

JOINTS = get_layout("utd20").joints


def walking(frames=6, persons=1, seed=0):
    """(T, M, 20, 3) metres; people stand 2 m apart, and the first moves most."""
    rng = np.random.default_rng(seed)
    body = rng.normal(0, 0.5, (20, 3)) + 2 * np.arange(persons)[:, None, None] * (1, 0, 0)
    moved = rng.normal(0, 0.1, (frames, persons, 1, 3)) / np.arange(1, persons + 1)[:, None, None]
    return (body + moved + rng.normal(0, 0.01, (frames, persons, 20, 3))).round(4)


def write_csv(path, clip, delimiter=",", encoding="utf-8", persons=False):
    axes = "xyz"[: clip.shape[-1]]
    head = [
        "frame",
        *(["person"] if persons else []),
        *(f"{joint}_{axis}" for joint in JOINTS for axis in axes),
    ]
    lines = [delimiter.join(head)]
    for t, people in enumerate(clip):
        for m, person in enumerate(people):
            numbers = [str(t), *([str(m)] if persons else []), *(str(x) for x in person.ravel())]
            lines.append(delimiter.join(numbers))
    path.write_bytes("\n".join(lines).encode(encoding))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "more").mkdir()
    np.savez(tmp_path / "a.npz", joints=walking(seed=1)[:, 0])
    write_csv(tmp_path / "more" / "b.csv", walking(seed=2))
    (tmp_path / "c.json").write_text(json.dumps(walking(seed=3)[:, 0].tolist()))
    (tmp_path / "clips.csv").write_text(
        "name,label,subject,split\na,wave,1,train\nb,sit down,2,test\nc,wave,3,test\n"
    )
    return tmp_path


def open_own(folder, **options):
    return opened("own", folder, **{"layout": "utd20", **options})


def read(folder, name="a", **options):
    reader = open_own(folder, **options)
    return reader.read_clip({entry.name: entry for entry in reader.list_clips()}[name])


def table(folder, text, **how):
    (folder / "clips.csv").write_text(text, **how)


# ------------------------------------------------------------------------------------------ the table


def test_the_table_says_what_the_clips_are(folder):
    entries = open_own(folder).list_clips()
    reported = [(e.name, e.action, e.subject, e.camera, e.setup, e.split, e.skeleton) for e in entries]
    assert reported == [
        ("a", "wave", 1, 1, 1, "train", "a.npz"),
        ("b", "sit down", 2, 1, 1, "test", os.path.join("more", "b.csv")),
        ("c", "wave", 3, 1, 1, "test", "c.json"),
    ]
    assert open_own(folder).class_names() == {"sit down": "sit down", "wave": "wave"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_byte_order_marks_and_line_ends_do_not_matter(folder, delimiter, encoding):
    text = delimiter.join(["label", "name"]) + "\r\n" + delimiter.join(["trinken: süß", "a"]) + "\r\n\r\n"
    (folder / "clips.csv").write_bytes(text.encode(encoding))
    (entry,) = open_own(folder).list_clips()
    assert (entry.name, entry.action, entry.subject) == ("a", "trinken: süß", 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\na,x\nb,y\na,z\n", "line 4, column name: 'a' is in line 2 already"),
        ("name,lable\na,x\n", "line 1: unknown column 'lable'; did you mean 'label'"),
        ("nom,label\na,x\n", "line 1: no column 'name'"),
        ("name,label\na,x,y\n", "line 2: has 3 fields, line 1 names 2 columns"),
        ("name,label,camera\na,x,one\n", "line 2, column camera: 'one' is no number"),
        ("name,label,setup\na,x,40000\n", "line 2, column setup: '40000' is no number from 0 to 32767"),
        ("name,label,split\na,x,valid\n", "line 2, column split: 'valid' is not train, test or empty"),
        ("name,label\n,x\n", "line 2, column name: '' is empty"),
        ("name,label\nb/a,x\n", "line 2, column name: 'b/a' is a path"),
        ("name,label,name\na,x,b\n", "line 1: two columns 'name'"),
        ("name,label\n", "lists no clip"),
        ("name,label,skeleton\na,x,../a.npz\n", "line 2, column skeleton: '../a.npz' leads out of"),
        ("name,label,skeleton\na,x,/etc/passwd\n", "line 2, column skeleton: '/etc/passwd' leads out of"),
        ("name,label,skeleton\na,x,clips.txt\n", None),
        ("name,label,video\na,x,a.mp4\n", "line 2, column video: 'a.mp4', but no folder of videos"),
        ("name,label,camera\na,x,C01\nb,x,2\n", "line 2, column camera: 'C01' is no number"),
        ("name,label,camera\na,x,C01\nb,x,S01\n", "line 2, column camera: 'C01' is no number"),
        ("name,label,camera\na,x,1.5\n", "line 2, column camera: '1.5' is no number"),
        (
            "name,label,split\na,x,val\nb,x,test\n",
            "line 2, column split: 'val' is not train, test or empty; leave",
        ),
        ("name,label,\na,x,why\n", "line 2: 'why' is in a column without a name"),
        (f"name,label\na,{'x' * 201}\n", "is longer than 200 characters"),
    ],
)
def test_a_mistake_is_reported_with_line_and_column(folder, text, message):
    table(folder, text)
    if message is None:
        (entry,) = open_own(folder).list_clips()
        assert entry.left_out == "no such file in the column skeleton"
        return
    with pytest.raises(UserError) as mistake:
        open_own(folder).list_clips()
    assert str(folder / "clips.csv") in str(mistake.value)
    assert message in str(mistake.value)


@pytest.mark.parametrize(
    "text",
    [
        "sep=,\r\nname,label,subject,split\r\na,x,1,train\r\nb,y,2,test\r\n",  # as Excel states the delimiter
        "sep=;\nname;label;subject;split\na;x;1;train\nb;y;2;test\n",
        ",name,label,subject,split\n0,a,x,1,train\n1,b,y,2,test\n",  # the row numbers of a data frame
        "Unnamed: 0,name,label,subject,split\n0,a,x,1,train\n1,b,y,2,test\n",
        "name,label,subject,split,,\na,x,1,train,,\nb,y,2,test,,\n",  # empty columns of a spreadsheet
        "Name,LABEL,Subject ,Split\na,x,1.0,Train\nb,y,2.0,TEST\n",
        "name,label,subject,split\na,x,P01,train\nb,y,P02,test\n",
        "name,label,subject,split\na,x,S 1,train\nb,y,S 2,val\n",
        "name,label,subject,split\ra,x,1,train\rb,y,2,test\r",  # an old Mac
    ],
)
def test_a_table_as_other_programs_write_it(folder, text):
    (folder / "clips.csv").write_bytes(text.encode())
    entries = open_own(folder).list_clips()
    assert [(e.name, e.action, e.subject, e.split) for e in entries] == [
        ("a", "x", 1, "train"),
        ("b", "y", 2, "test"),
    ]


def test_letters_with_marks_in_either_form(folder):
    """macOS decomposes them in file names, tables and lists have them composed."""
    np.savez(folder / "mu\u0308ller.npz", joints=walking()[:, 0])
    np.savez(folder / "more" / "jo\u0308rg.npz", joints=walking()[:, 0])
    table(folder, "name,label,skeleton\nmüller,x,\nother,y,more/jörg.npz\n", encoding="utf-8")
    entries = open_own(folder).list_clips()
    assert [(e.name, e.skeleton) for e in entries] == [
        ("müller", "mu\u0308ller.npz"),
        ("other", "more/jo\u0308rg.npz"),
    ]


def test_another_encoding_is_reported(folder):
    (folder / "clips.csv").write_bytes("name,label\na,süß\n".encode("latin-1"))
    with pytest.raises(
        UserError,
        match=r"clips\.csv: line 2: not UTF-8 \(byte 14 is 0xfc\); save it as UTF-8",
    ):
        open_own(folder).list_clips()


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.npz"
    np.savez(outside, joints=walking()[:, 0])
    (folder / "link.npz").symlink_to(outside)
    table(folder, "name,label,skeleton\na,x,link.npz\n")
    with pytest.raises(UserError, match=r"line 2, column skeleton: 'link\.npz' leads out of"):
        open_own(folder).list_clips()
    # the same for an index that somebody edited
    reader = open_own(folder)
    with pytest.raises(UserError, match="leads out of"):
        reader.read_clip(_entry("../secret.npz"))


def _entry(skeleton):
    from mmcl.datasets import ClipEntry

    return ClipEntry("x", "x", 1, 1, 1, None, skeleton, "", "")


def test_files_without_a_line_are_counted_and_two_of_one_name_are_refused(folder, caplog):
    table(folder, "name,label\na,x\n")
    with caplog.at_level("INFO"):
        open_own(folder).list_clips()
    assert "2 more files in the folders are in no line" in caplog.text
    np.savez(folder / "more" / "a.npz", joints=walking()[:, 0])
    with pytest.raises(UserError, match=r"line 2, column skeleton: 'a' may be a\.npz or more/a\.npz"):
        open_own(folder).list_clips()


def test_without_a_table_files_are_clips_without_labels(folder):
    (folder / "clips.csv").unlink()
    entries = open_own(folder).list_clips()
    assert [(entry.name, entry.left_out) for entry in entries] == [(name, "no label") for name in "abc"]
    with pytest.raises(UserError, match=r"options\.clips: no file .*mine\.csv"):
        open_own(folder, clips="mine.csv").list_clips()


# -------------------------------------------------------------------------------------- skeleton files


def test_all_kinds_of_files_give_the_same_centred_joints(folder):
    clip = walking(frames=5, persons=2, seed=7)
    clip[3:, 1] = 0  # the second person leaves
    np.savez(folder / "a.npz", joints=clip)
    write_csv(folder / "more" / "b.csv", clip, ";", persons=True)
    ragged = [frame.tolist() if frame[1].any() else frame[:1].tolist() for frame in clip]
    (folder / "c.json").write_text(json.dumps({"joints": ragged}))
    wanted = clip - clip[0, 0, get_layout("utd20").centre]
    wanted[3:, 1] = 0
    for name in "abc":
        np.testing.assert_allclose(read(folder, name), wanted, atol=1e-6)
        assert read(folder, name).dtype == np.float32


def test_units_centre_and_picture_height(folder):
    clip = walking(seed=4)
    np.savez(folder / "a.npz", joints=clip * 1000)
    head = JOINTS.index("head")
    wanted = (clip - clip[0, 0, head]).astype(np.float32)
    np.testing.assert_allclose(read(folder, scale=0.001, centre="head"), wanted, atol=1e-6)
    np.testing.assert_allclose(read(folder, scale=0.001, centre=False), clip, atol=1e-6)
    with pytest.raises(UserError, match=r"a\.npz: a joint at .* m; is the option scale"):
        read(folder)
    pixels = np.abs(clip[..., :2]) * 100
    np.savez(folder / "a.npz", joints=pixels)
    flat = read(folder, picture_height=200, centre=False)
    np.testing.assert_allclose(flat[..., 0], pixels[..., 0] / 200, atol=1e-6)
    np.testing.assert_allclose(flat[..., 1], -pixels[..., 1] / 200, atol=1e-6)
    assert not flat[..., 2].any()
    with pytest.raises(UserError, match="2-D joints need the option picture_height"):
        read(folder)


def test_a_decimal_comma_is_read_between_semicolons(folder):
    write_csv(folder / "more" / "b.csv", walking(seed=2), ";")
    file = folder / "more" / "b.csv"
    file.write_text(file.read_text().replace(".", ","))
    np.testing.assert_allclose(read(folder, "b", centre=False), walking(seed=2), atol=1e-6)


def test_csv_as_other_programs_write_it(folder):
    clip = walking(seed=2)
    for delimiter, encoding in (("\t", "utf-8"), (";", "utf-16"), ("\t", "utf-8-sig")):
        write_csv(folder / "more" / "b.csv", clip, delimiter, encoding)
        text = (folder / "more" / "b.csv").read_bytes().decode(encoding)
        lines = text.replace(".", ",").split("\n")
        # a data frame's frame numbers and row numbers
        changed = [line.replace(delimiter, f",0{delimiter}", 1) for line in lines[1:]]
        text = "\r\n".join(f"{i}{delimiter}{line}" for i, line in enumerate([lines[0].title(), *changed]))
        (folder / "more" / "b.csv").write_bytes(text.replace("0", "", 1).encode(encoding))
        np.testing.assert_array_equal(read_joints(folder / "more" / "b.csv", JOINTS), clip)


def test_millions_of_empty_lines_take_little_memory(folder, monkeypatch):
    path = folder / "more" / "b.csv"
    whole = path.read_text()
    path.write_text(whole + "\n" * 300_000)
    tracemalloc.start()
    read_joints(path, JOINTS)
    assert tracemalloc.get_traced_memory()[1] < 5 << 20
    tracemalloc.stop()
    path.write_text(whole + "\n" * 1_000_000)
    with pytest.raises(UserError, match=r"b.csv: has more than 1000000 lines"):
        read_joints(path, JOINTS)
    path.write_text(whole + "," * 200_000)
    with pytest.raises(UserError, match=r"b.csv: line 7: has more than 100000 characters"):
        read_joints(path, JOINTS)
    monkeypatch.setattr(own_files, "MAX_ROWS", 5)
    path.write_text(whole)
    with pytest.raises(UserError, match=r"b.csv: has more than 5 lines"):
        read_joints(path, JOINTS)


def test_unknown_joints_are_refused_or_interpolated(folder):
    clip = walking(seed=5)
    clip[2:4, 0, 7] = np.nan
    np.savez(folder / "a.npz", joints=clip[:, 0])
    with pytest.raises(UserError, match=rf"a\.npz: frame 2, person 0, {JOINTS[7]}: not finite \(2 such"):
        read(folder)
    filled = read(folder, missing_joints="interpolate", centre=False)[:, 0, 7]
    between = clip[1, 0, 7] + np.arange(1, 3)[:, None] / 3 * (clip[4, 0, 7] - clip[1, 0, 7])
    np.testing.assert_allclose(filled[2:4], between, atol=1e-6)
    clip[:, 0, 7] = np.nan
    np.savez(folder / "a.npz", joints=clip[:, 0])
    with pytest.raises(UserError, match=rf"person 0, {JOINTS[7]}: not finite in any frame"):
        read(folder, missing_joints="interpolate")


def pixels(frames=8, seed=0, persons=1):
    """(T, M, 20, 2) px, y down."""
    return 500 + 200 * walking(frames, persons, seed)[..., :2] * (1, -1)


def straight(clip, first, last):
    """A clip (T, M, V, C) whose joint 7 of person 0 goes straight from one frame to another."""
    clip = clip.copy()
    share = np.arange(1, last - first)[:, None] / (last - first)
    clip[first + 1 : last, 0, 7] = clip[first, 0, 7] * (1 - share) + clip[last, 0, 7] * share
    return clip


@pytest.mark.parametrize("ending", ["npz", "json", "csv"])
@pytest.mark.parametrize("size", [2, 3])
def test_a_joint_at_zero_was_not_seen(folder, ending, size):
    clip = pixels() if size == 2 else walking(8) + np.array([0, 0, 3])
    zero, name = clip.copy(), {"npz": "a", "json": "c", "csv": "b"}[ending]
    zero[3:5, 0, 7] = 0
    np.savez(folder / "a.npz", joints=zero[:, 0])
    (folder / "c.json").write_text(json.dumps(zero.tolist()))
    write_csv(folder / "more" / "b.csv", zero)
    options = {"picture_height": 1000} if size == 2 else {}
    with pytest.raises(UserError, match=rf"frame 3, person 0, {JOINTS[7]}: not seen .* \(2 such in all\)"):
        read(folder, name, **options)
    filled = read(folder, name, missing_joints="interpolate", centre=False, **options)
    wanted = straight(clip, 2, 5) * ((0.001, -0.001) if size == 2 else 1)
    np.testing.assert_allclose(filled[..., :size], wanted, atol=1e-6)
    kept = read(folder, name, zeros="places", centre=False, **options)
    assert not kept[3:5, 0, 7].any()
    if size == 2:
        seen = open_own(folder, **options).pixel_joints(
            _entry(f"{'more/b' if name == 'b' else name}.{ending}"), 9, 1000
        )
        assert np.isnan(seen[3:5, 0, 7]).all()
        assert np.isfinite(np.delete(seen, 7, 2)).all()


def test_the_joint_that_a_clip_is_centred_on_is_a_place(folder):
    centre = get_layout("utd20").centre
    clip = walking(8, persons=2)
    for origin in (clip[:1, :1, centre : centre + 1], clip[:, :, 9:10]):
        np.savez(folder / "a.npz", joints=clip - origin)
        np.testing.assert_allclose(read(folder, centre=False), clip - origin, atol=1e-6)


def test_a_third_column_of_scores(folder):
    clip, scores = pixels(), np.random.default_rng(0).uniform(0.3, 1, (8, 1, 20, 1))
    np.savez(folder / "a.npz", joints=clip)
    wanted = read(folder, picture_height=1000)
    np.savez(folder / "a.npz", joints=np.concatenate([clip, scores], -1))
    np.testing.assert_array_equal(read(folder, picture_height=1000), wanted)
    np.testing.assert_array_equal(read(folder, picture_height=1000, third="score"), wanted)
    np.savez(folder / "a.npz", joints=np.concatenate([clip, 0 * scores], -1))
    np.testing.assert_array_equal(read(folder, picture_height=1000), wanted)
    scores[3:5, 0, 7] = 0
    np.savez(folder / "a.npz", joints=np.concatenate([clip, scores], -1))
    with pytest.raises(UserError, match=rf"frame 3, person 0, {JOINTS[7]}: not seen"):
        read(folder, picture_height=1000)
    filled = read(folder, picture_height=1000, missing_joints="interpolate", centre=False)
    np.testing.assert_allclose(filled[..., :2], straight(clip, 2, 5) * (0.001, -0.001), atol=1e-6)


def test_a_third_column_that_may_be_either_is_refused(folder):
    clip, scores = pixels(), np.random.default_rng(0).uniform(0.3, 1, (8, 1, 20, 1))
    depths = np.concatenate([clip / 1000, scores], -1)
    np.savez(folder / "a.npz", joints=depths)
    with pytest.raises(
        UserError, match="scores rather than depths; the option third: depth, or third: score with"
    ):
        read(folder)
    np.testing.assert_allclose(read(folder, third="depth", centre=False), depths, atol=1e-6)
    np.savez(folder / "a.npz", joints=np.concatenate([clip, 3 * scores], -1))
    with pytest.raises(UserError, match=r"third numbers are 0\.\d+ … 2\.\d+, no scores of 2-D joints"):
        read(folder, picture_height=1000)


# ---------------------------------------------------------------------------------------------- people


def test_lists_of_whoever_was_found_are_followed(folder):
    clip = walking(20, persons=2, seed=3)
    frames = clip.tolist()
    frames[8] = frames[8][1:]  # person 1 was not found
    frames[12] = frames[12][::-1]  # the other one comes first
    (folder / "c.json").write_text(json.dumps(frames))
    wanted = clip.copy()
    wanted[8, 0] = 0
    np.testing.assert_allclose(read(folder, "c", centre=False), wanted, atol=1e-6)
    listed = np.zeros_like(clip)  # the same lists as an array
    for frame, people in zip(listed, frames, strict=True):
        frame[: len(people)] = people
    np.savez(folder / "a.npz", joints=listed)
    np.testing.assert_allclose(read(folder, centre=False), wanted, atol=1e-6)


def numbered_csv(path, rows):
    """Lines of frame, person and joints (20, 3)."""
    head = ["frame", "person", *(f"{joint}_{axis}" for joint in JOINTS for axis in "xyz")]
    lines = [[str(t), str(person), *map(str, joints.ravel())] for t, person, joints in rows]
    path.write_text("\n".join(",".join(line) for line in [head, *lines]))


def test_a_number_that_changes_is_one_person(folder):
    clip = walking(20, persons=2, seed=4)
    one = [(t, 1 if t < 10 else 7, clip[t, 0]) for t in range(20) if t != 9]
    two = [(t, 2 if t < 5 else 3, clip[t, 1]) for t in range(20)]
    numbered_csv(folder / "more" / "b.csv", one + two)
    wanted = clip.copy()
    wanted[9, 0] = 0
    np.testing.assert_allclose(read(folder, "b", centre=False), wanted, atol=1e-6)


def test_false_detections_take_nobodys_place(folder, caplog):
    clip = walking(20, persons=4, seed=5)
    real = [(t, 3 + person, clip[t, person]) for t in range(20) for person in (0, 1)]
    numbered_csv(folder / "more" / "b.csv", [(5, 1, clip[5, 3]), (6, 2, clip[6, 2]), *real])
    np.testing.assert_allclose(read(folder, "b", centre=False), clip[:, :2], atol=1e-6)
    assert "b.csv: kept 2 people, dropped 2 tracks that are short or have less motion" in caplog.text


def test_of_more_people_those_with_the_most_motion_are_kept_whatever_their_order(folder, caplog):
    clip = walking(20, persons=3, seed=6)
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        np.savez(folder / "a.npz", joints=clip[:, order])
        np.testing.assert_allclose(read(folder, centre=False), clip[:, :2], atol=1e-6)
        assert "a.npz: kept 2 people, dropped 1 tracks" in caplog.text
        caplog.clear()
    np.savez(folder / "a.npz", joints=clip[:, [1, 0]])
    np.testing.assert_allclose(read(folder, centre=False), clip[:, :2], atol=1e-6)
    assert not caplog.text


def damaged_json(text):
    return lambda folder: (folder / "c.json").write_text(text)


def changed_csv(old, new):
    def change(folder):
        file = folder / "more" / "b.csv"
        file.write_text(file.read_text().replace(old, new, 1))

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("a", lambda f: np.savez(f / "a.npz", joints=np.zeros((4, 25, 3))), "has 25 joints of 3"),
        ("a", lambda f: np.savez(f / "a.npz", joints=np.ones((4, 51, 20, 2))), "frame 0 has 51 people, more than"),
        ("a", lambda f: np.savez(f / "a.npz", joints=np.zeros((4, 20, 3))), "no frame with joints"),
        ("a", lambda f: np.savez(f / "a.npz", poses=np.zeros((4, 20, 3))), "has no array joints, only poses.npy"),
        ("a", lambda f: np.savez(f / "a.npz", joints=np.array([{}], object)), "joints holds object"),
        ("a", lambda f: (f / "a.npz").write_bytes((f / "a.npz").read_bytes()[:-90]), "cannot be read as npz"),
        ("a", lambda f: (f / "a.npz").write_bytes(b""), "cannot be read as npz"),
        ("b", changed_csv("head_y", "hat_y"), "line 1: unknown column 'hat_y'; did you mean 'head_y'"),
        ("b", changed_csv(",head_x", ""), "line 1: no column 'head_x' (1 of 60 are missing)"),
        ("b", changed_csv("\n3,", "\n2,"), "line 5: frame 2, person 0 is in line 4 already"),
        ("b", changed_csv("\n3,", "\nx,"), "line 5, column frame: 'x' is no whole number"),
        ("b", changed_csv("\n3,", "\n3,?"), "line 5, column head_x: '?"),
        ("c", damaged_json("[[[1, 2, 3]]]"), "frame 0: is 1×3, expected"),
        ("c", damaged_json("{}"), "holds no list of frames"),
        ("c", damaged_json("[" * 100_000), "cannot be read as JSON"),
        ("c", damaged_json('[["x"]]'), "frame 0: not numbers"),
        ("c", damaged_json("[[1, 2"), "cannot be read as JSON"),
        ("c", damaged_json("[]"), "has no frame"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_reported_with_the_place(folder, name, change, message):
    change(folder)
    with pytest.raises(UserError) as mistake:
        read(folder, name)
    assert message in str(mistake.value)


def test_what_a_header_promises_is_checked_before_memory_is_taken(tmp_path):
    """A file of some hundred bytes that claims 24 terabytes."""
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (50000000000, 20, 3), }"
    header += b" " * (117 - len(header)) + b"\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("joints.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(UserError, match="has 50000000000 frames of 1 people, more than"):
        read_joints(tmp_path / "a.npz", JOINTS)


# ---------------------------------------------------------------------------------------------- stores


def test_the_store_names_the_labels_and_lists_what_cannot_be_used(folder, tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    (folder / "c.json").write_text("[")
    skeletons = SkeletonStore(prepared(results / "skeletons.h5", "own", folder, layout="utd20"))
    assert (skeletons.names, skeletons.class_ids) == (["a", "b"], ["sit down", "wave"])
    assert skeletons.layout == "utd20"
    assert skeletons.labels.tolist() == [1, 0]
    assert skeletons.failed["c"].startswith("c.json: cannot be read as JSON")
    assert np.abs(skeletons.clip(1)[0, 0, get_layout("utd20").centre]).max() == 0


def test_options_that_cannot_be_are_reported(folder):
    for options, message in [
        ({"layout": None}, "options.layout: is missing"),
        (
            {"missing_joints": "drop"},
            'options.missing_joints: "drop" is not allowed; allowed: "refuse", "interpolate"',
        ),
        ({"centre": 3}, "options.centre: 3 is not of type boolean"),
        ({"two_person": ["a", "a"]}, "options.two_person: ['a', 'a'] names a label twice"),
        ({"centre": "tail"}, "the layout utd20 has no joint 'tail'"),
        ({"layout": "utd99"}, "no joint layout 'utd99'"),
    ]:
        with pytest.raises(UserError) as mistake:
            read(folder, **options)
        assert message in str(mistake.value)


# ------------------------------------------------------------------------------- subjects as texts, more columns


def test_subjects_may_be_texts(folder, tmp_path_factory):
    """All of a table are texts where one is: in the index, the store and the splits, in the order of their letters."""
    table(folder, "name,label,subject,split\na,wave,zoë,train\nb,sit,alice,test\nc,wave,,train\n")
    assert [entry.subject for entry in open_own(folder).list_clips()] == ["zoë", "alice", ""]
    store = prepared(tmp_path_factory.mktemp("store") / "own.h5", "own", folder, layout="utd20")
    with h5py.File(store) as h5:
        assert h5["subjects/name"].asstr()[:].tolist() == ["alice", "zoë"]
        assert h5["subject"][:].tolist() == [2, 1, 0]
    clips = SkeletonStore(store).clips
    assert clips.subject.tolist() == ["zoë", "alice", ""]
    rule = Rule(by="subject", train=("alice",), test=("zoë",))
    assert [side.tolist() for side in split("mine", clips, rule)] == [
        [False, True, False],
        [True, False, False],
    ]
    assert not any(side.any() for side in split("odd_subjects", clips))
    held_out = fit_split(clips.subject, np.array([True, True, False]))[1]
    assert held_out.tolist() == [False, True, False]  # every fifth of the sorted ones, from the first


def test_numbers_too_large_for_a_store_are_texts(folder):
    table(folder, "name,label,subject\na,wave,20240115\nb,sit,7\nc,wave,20240116\n")
    assert [entry.subject for entry in open_own(folder).list_clips()] == ["20240115", "7", "20240116"]
    rule = Rule(by="subject", train=(7,), test=(20240115,))
    train, test = split("mine", as_clips(open_own(folder).list_clips()), rule)
    assert (train.tolist(), test.tolist()) == ([False, True, False], [True, False, False])


def test_further_columns_are_kept(folder, tmp_path):
    """In the index under their names; `frames` is a column of the index itself."""
    table(folder, "name,label,Frames,note\na,wave,12,in the\tgarden\nb,sit,,\nc,wave,3,\n")
    entries = open_own(folder).list_clips()
    assert [entry.extra for entry in entries] == [
        (("frames", "12"), ("note", "in the\tgarden")),
        (),
        (("frames", "3"),),
    ]
    write_index(tmp_path / "index.tsv", entries)
    assert (tmp_path / "index.tsv").read_text().splitlines()[0].split("\t")[-2:] == ["frames_", "note"]
    assert read_index(tmp_path / "index.tsv") == entries
