import numpy as np
import pytest
from made_readers import opened
from made_recordings import joints, skeleton_text, write_ntu

from mmcl.datasets.ntu import MISSING, NtuOptions, NtuReader, missing_names, parse_name
from mmcl.errors import UserError

A, B = "72057594037931101", "72057594037931102"
ONE, TWO, LISTED = "S001C001P001R001A001", "S018C003P042R002A106", "S001C002P005R002A008"


@pytest.fixture
def folders(tmp_path):
    for name, inside in ((TWO, "later/deep"), (ONE, "first"), (LISTED, "first")):
        write_ntu(tmp_path / "skeletons" / inside, name)
    videos = tmp_path / "videos" / "part"
    videos.mkdir(parents=True)
    (videos / f"{ONE}_rgb.avi").touch()
    (videos / f"{TWO}_rgb.mp4").touch()
    return tmp_path


def reader(folder, **options):
    return opened("ntu", folder / "skeletons", folder / "videos", **options)


def test_names():
    assert parse_name("S018C003P042R002A106") == (18, 3, 42, 2, 106)
    assert parse_name("S018C003P042R002A106_rgb") is None


def test_lists_any_sub_folder(folders):
    one, listed, two = reader(folders).list_clips()
    assert (one.name, one.action, one.subject, one.camera, one.setup, one.frames) == (
        ONE,
        "A001",
        1,
        1,
        1,
        None,
    )
    assert one.skeleton == f"first/{ONE}.skeleton"
    assert one.video == f"part/{ONE}_rgb.avi"
    assert one.left_out == ""
    assert (two.action, two.subject, two.camera, two.setup) == ("A106", 42, 3, 18)
    assert two.video == f"part/{TWO}_rgb.mp4"
    assert listed.left_out == MISSING
    assert listed.video == ""


def test_options(folders):
    assert [entry.name for entry in reader(folders, max_action=60).list_clips()] == [ONE, LISTED]
    assert [entry.name for entry in reader(folders, max_setup=17).list_clips()] == [ONE, LISTED]
    assert not any(entry.left_out for entry in reader(folders, use_missing_list=False).list_clips())
    assert len(reader(folders, max_action=60).class_names()) == 60
    with pytest.raises(
        UserError, match=r'options\.person2: "twice" is not allowed; allowed: "absent", "duplicated"'
    ):
        reader(folders, person2="twice")
    with pytest.raises(UserError, match=r'options\.gaps: "filled" is not allowed; allowed: "kept", "packed"'):
        reader(folders, gaps="filled")
    with pytest.raises(
        UserError,
        match=r"options\.max_actions: unknown key; did you mean 'max_action'\?; allowed here: colour_size",
    ):
        reader(folders, max_actions=60)


def test_listing_opens_nothing(folders):
    (folders / "skeletons" / "S001C001P001R001A002.skeleton").touch()
    assert [entry.name for entry in reader(folders).list_clips()][1] == "S001C001P001R001A002"


def test_odd_files_are_reported(folders):
    write_ntu(folders / "skeletons", "copy of S001")
    assert reader(folders).list_clips()[-1].left_out == "name is not SsssCcccPpppRrrrAaaa"
    write_ntu(folders / "skeletons" / "again", ONE)
    with pytest.raises(UserError, match=rf"{ONE} lies there twice, as .*{ONE}.skeleton and as .*; keep one"):
        reader(folders).list_clips()


def test_linked_folders(folders):
    (folders / "skeletons" / "first" / "up").symlink_to(folders / "skeletons")
    assert len(reader(folders).list_clips()) == 3


def test_missing_folders(tmp_path):
    with pytest.raises(UserError, match=r"skeletons: no folder .*/skeletons. NTU RGB"):
        reader(tmp_path)
    (tmp_path / "skeletons").mkdir()
    (tmp_path / "videos").mkdir()
    with pytest.raises(UserError, match=r"no .skeleton file in it or below. NTU RGB"):
        reader(tmp_path).list_clips()
    with pytest.raises(UserError, match=r"no folder is given. NTU RGB"):
        opened("ntu", None)
    with pytest.raises(UserError, match=r"no reader 'nut'; did you mean 'ntu'\?; known: .*\bntu\b"):
        opened("nut", "x")


def test_classes_and_lists():
    names = NtuReader("", None, NtuOptions()).class_names()
    assert len(names) == 120
    assert names["A001"] == "drink water"
    assert names["A080"] == "squat down"
    assert names["A055"] == "hugging other person"
    assert names["A109"] == "grab other person's stuff"
    assert len(NtuReader.two_person_actions) == 26
    assert {"A050", "A060", "A106", "A120"} <= NtuReader.two_person_actions
    # 302 of NTU-60, 535 in all
    assert len(missing_names()) == 535
    assert sum(parse_name(name).setup <= 17 for name in missing_names()) == 302


def test_read_one_person(folders):
    entry = reader(folders).list_clips()[0]
    expected = joints(20) - joints(20)[0, 1]
    one = reader(folders).read_clip(entry)
    assert one.shape == (20, 1, 25, 3)
    np.testing.assert_allclose(one[:, 0], expected, atol=1e-5)
    two = reader(folders, person2="duplicated").read_clip(entry)
    assert two.shape == (20, 2, 25, 3)
    np.testing.assert_array_equal(two[:, 0], two[:, 1])


def test_who_was_tracked_under_two_ids_is_not_copied(folders):
    """CTR-GCN's script copies a clip's only body, and what is the only one left of several."""

    def read(bodies):
        (folders / "skeletons" / "first" / f"{ONE}.skeleton").write_text(skeleton_text(40, bodies))
        own = reader(folders, person2="duplicated")
        return own.read_clip(own.list_clips()[0])

    assert read({A: (range(20), joints(20)), B: (range(20, 40), joints(20))}).shape == (40, 1, 25, 3)
    assert read({A: (range(40), joints(40)), B: (range(3, 9), joints(6))}).shape == (40, 2, 25, 3)


def test_read_two_people(folders):
    bodies = {A: (range(20), joints(20)), B: (range(5, 25), joints(20, 1, at=(1, 0, 3)) * 1.2)}
    (folders / "skeletons" / "first" / f"{ONE}.skeleton").write_text(skeleton_text(30, bodies))
    entry = reader(folders).list_clips()[0]
    people = reader(folders).read_clip(entry)
    assert people.shape == (25, 2, 25, 3)  # the last five frames are empty
    assert not people[:5, 0].any()
    assert not people[20:, 1].any()
    pixels = reader(folders).pixel_joints(entry, 960, 540)
    assert pixels.shape == (30, 2, 25, 2)
    assert np.isnan(pixels[25:]).all()
    assert np.isnan(pixels[:5, 0]).all()
    np.testing.assert_allclose(pixels[:20, 1], 500 * joints(20)[..., :2], rtol=1e-5)
    same = reader(folders, colour_size=[960, 540]).pixel_joints(entry, 960, 540)
    np.testing.assert_allclose(same[:20, 1], 1000 * joints(20)[..., :2], rtol=1e-5)


def test_gaps_kept_or_packed(folders):
    # person 2 is lost for five frames
    bodies = {
        A: (range(40), joints(40)),
        B: ([*range(15), *range(20, 35)], joints(30, 1, at=(1, 0, 3)) * 0.5),
    }
    (folders / "skeletons" / "first" / f"{ONE}.skeleton").write_text(skeleton_text(40, bodies))
    entry = reader(folders).list_clips()[0]
    kept, packed = (reader(folders, gaps=gaps).read_clip(entry) for gaps in ("kept", "packed"))
    assert kept.shape == packed.shape == (40, 2, 25, 3)
    assert np.flatnonzero(kept[:, 1].any((1, 2))).tolist() == [*range(15), *range(20, 35)]
    assert np.flatnonzero(packed[:, 1].any((1, 2))).tolist() == [*range(30)]
    np.testing.assert_array_equal(packed[:, 0], kept[:, 0])
    np.testing.assert_array_equal(packed[15:30, 1], kept[20:35, 1])
    # where people are in the picture does not change
    seen = reader(folders, gaps="packed").pixel_joints(entry, 1920, 1080)
    assert np.isnan(seen[15:20, 1]).all()
    assert np.isfinite(seen[20:35, 1]).all()
