import time

import numpy as np
import pytest
from made_recordings import joints, skeleton_text

from mmcl.datasets import ntu_file
from mmcl.datasets.ntu_file import FIELDS
from mmcl.errors import UserError

A, B = "72057594037931101", "72057594037931102"  # equal as float64


@pytest.fixture
def text():
    return skeleton_text(3, {A: ([0, 1, 2], joints(3)), B: ([1, 2], joints(2, 1))})


def read(tmp_path, content):
    path = tmp_path / "S001C001P001R001A001.skeleton"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return ntu_file.read(path, FIELDS)


def test_good_file(tmp_path, text):
    recording = read(tmp_path, text)
    assert recording.frames == 3
    assert [body.id for body in recording.bodies] == [A, B]
    first, second = recording.bodies
    assert first.frames.tolist() == [0, 1, 2]
    assert second.frames.tolist() == [1, 2]
    assert first.joints.dtype == np.float32
    np.testing.assert_allclose(first.joints, joints(3), rtol=1e-6)
    np.testing.assert_allclose(second.joints, joints(2, 1), rtol=1e-6)
    np.testing.assert_allclose(second.fields["colour"], 1000 * joints(2, 1)[..., :2], rtol=1e-6)


def test_every_field_on_request(tmp_path, text):
    first, second = read(tmp_path, text).bodies
    assert set(first.fields) == set(FIELDS)
    single = {
        "clipped_edges": 0,
        "left_hand_confidence": 1,
        "left_hand_state": 1,
        "right_hand_confidence": 1,
        "right_hand_state": 1,
        "restricted": 0,
        "tracking_state": 2,
    }
    for name, value in single.items():
        assert second.fields[name].tolist() == [value] * 2, name
    np.testing.assert_allclose(first.fields["lean"], [[-0.01, 0.02]] * 3, rtol=1e-6)
    np.testing.assert_allclose(second.fields["depth"], np.broadcast_to([250.5, 200.5], (2, 25, 2)))
    np.testing.assert_allclose(
        second.fields["orientation"], np.broadcast_to([0.1, 0.2, 0.3, 0.4], (2, 25, 4)), rtol=1e-6
    )
    assert (first.fields["joint_tracking_state"] == np.full((3, 25), 2)).all()


def test_fields_are_in_the_order_of_the_file(tmp_path, text):
    lines = text.splitlines()
    lines[2] = f"{A} 15 1 3 0 4 1 0.25 -0.5 2"
    lines[4] = " ".join([*lines[4].split()[:3], "1.5 2.5 3.5 4.5 0.5 0.6 0.7 0.8 1"])
    fields = read(tmp_path, "\n".join(lines)).bodies[0].fields
    body = ("clipped_edges", "left_hand_confidence", "left_hand_state", "right_hand_confidence")
    assert [fields[name][0] for name in (*body, "right_hand_state", "restricted")] == [15, 1, 3, 0, 4, 1]
    assert fields["lean"][0].tolist() == [0.25, -0.5]
    assert (fields["depth"][0, 0].tolist(), fields["colour"][0, 0].tolist()) == ([1.5, 2.5], [3.5, 4.5])
    np.testing.assert_allclose(fields["orientation"][0, 0], [0.5, 0.6, 0.7, 0.8], rtol=1e-6)
    assert fields["joint_tracking_state"][0, :2].tolist() == [1, 2]


def test_only_what_is_asked_for_is_read(tmp_path, text):
    text = text.replace(f"{B} 0 1", f"{B} ? 1")
    path = tmp_path / "clip.skeleton"
    path.write_text(text)
    assert ntu_file.read(path).bodies[0].fields == {}
    assert set(ntu_file.read(path, ["colour"]).bodies[0].fields) == {"colour"}
    with pytest.raises(UserError, match=r"line 58 \(frame 2 of 3\): expected a number, found '\?'"):
        ntu_file.read(path, ["lean"])


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text + "\n\n",
        lambda text: text.rstrip(),
        lambda text: text.replace(" ", "\t"),
    ],
)
def test_line_ends_and_blanks_do_not_matter(tmp_path, text, change):
    plain, changed = read(tmp_path, text), read(tmp_path, change(text))
    np.testing.assert_array_equal(changed.bodies[1].joints, plain.bodies[1].joints)


def test_every_truncation_is_reported(tmp_path, text):
    lines = text.splitlines()
    for count in range(len(lines)):
        with pytest.raises(UserError, match=r"S001C001P001R001A001\.skeleton: (line \d+|is empty)"):
            read(tmp_path, "\n".join(lines[:count]))


def test_truncation_inside_a_line(tmp_path, text):
    for cut in range(len(text) - 3, len(text) - 40, -1):
        with pytest.raises(UserError, match=r"line \d+ \(frame 3 of 3\)"):
            read(tmp_path, text[:cut])


@pytest.mark.parametrize(
    ("line", "content", "message"),
    [
        (0, "4", r"line \d+ \(frame 4 of 4\): the file ends where the number of bodies"),
        (0, "2", r"line 85 \(frame 2 of 2\): 55 lines follow after the last frame"),
        (0, "999999999", r"line 1: states 999999999 frames, but only \d+ lines follow"),
        (0, "9" * 500, "line 1: expected the number of frames, found '9999"),
        (0, "-1", "expected the number of frames, found '-1'"),
        (0, "0", "has no frames"),
        (1, "3", r"line 30 \(frame 1 of 3\): a body has 10 fields, found 1"),
        (1, "99999999", r"frame 1 of 3"),
        (1, "", r"line 2 \(frame 1 of 3\): expected the number of bodies, found ''"),
        (2, f"{A} 0 1", r"line 3 \(frame 1 of 3\): a body has 10 fields, found 3"),
        (3, "24", r"line 4 \(frame 1 of 3\): a body has 25 joints, found 24"),
        (3, "1000000", r"a body has 25 joints, found 1000000"),
        (5, "1 2 3", r"line 6 \(frame 1 of 3\): a joint has 12 fields, found 3"),
        (5, "1 2 x 4 5 6 7 8 9 10 11 2", r"line 6 \(frame 1 of 3\): expected a number, found 'x'"),
        (40, "1 2 3 4 5 6 é 8 9 10 11 2", "is not a text file"),
    ],
)
def test_damage_names_line_frame_and_cause(tmp_path, text, line, content, message):
    lines = text.splitlines()
    lines[line] = content
    with pytest.raises(UserError, match=message):
        read(tmp_path, "\n".join(lines))


def test_field_moved_to_the_next_line(tmp_path, text):
    lines = text.splitlines()
    lines[6], lines[7] = lines[6].rsplit(" ", 1)[0], lines[7] + " 2"
    with pytest.raises(UserError, match=r"line 7 \(frame 1 of 3\): a joint has 12 fields, found 11"):
        read(tmp_path, "\n".join(lines))


@pytest.mark.parametrize("bad", ["nan", "inf", "-1.#IND00", "1e39", "1e30"])
def test_frames_without_position_are_dropped(tmp_path, text, bad):
    lines = text.splitlines()
    lines[10] = lines[10].replace(lines[10].split()[1], bad, 1)
    recording = read(tmp_path, "\n".join(lines))
    assert recording.bodies[0].frames.tolist() == [1, 2]
    assert np.isfinite(recording.bodies[0].joints).all()


def test_nothing_usable(tmp_path):
    xyz = joints(4)
    with pytest.raises(UserError, match=r"no frame with finite joints"):
        read(tmp_path, skeleton_text(4, {A: (range(4), xyz * np.nan)}))
    with pytest.raises(UserError, match=r"only zeros"):
        read(tmp_path, skeleton_text(4, {A: (range(4), xyz * 0)}))
    with pytest.raises(UserError, match=r"no frame has a body"):
        read(tmp_path, "2\n0\n0\n")
    with pytest.raises(UserError, match=r"is empty"):
        read(tmp_path, "")
    with pytest.raises(UserError, match=r"not a text file"):
        read(tmp_path, b"\x80\x04\x95")
    with pytest.raises(UserError, match=r"cannot be read"):
        ntu_file.read(tmp_path)


def test_body_twice_in_a_frame(tmp_path, text):
    with pytest.raises(UserError, match=rf"frame 2 has body {A} twice"):
        read(tmp_path, text.replace(B, A))


def test_unknown_fields_are_nan(tmp_path, text):
    lines = text.splitlines()
    fields = lines[4].split()
    fields[5], fields[7] = "-inf", "1e300"
    lines[4] = " ".join(fields)
    fields = read(tmp_path, "\n".join(lines)).bodies[0].fields
    colour = fields["colour"]
    assert np.isnan(fields["orientation"][0, 0]).tolist() == [True, False, False, False]
    assert np.isnan(colour[0, 0, 0])
    assert np.isfinite(colour[0, 0, 1])


def test_random_damage_never_gets_through_as_anything_but_an_error(tmp_path, text):
    rng = np.random.default_rng(0)
    for _ in range(150):
        data = bytearray(text.encode())
        for at in rng.integers(0, len(data), 3):
            data[at] = rng.integers(32, 127)
        try:
            recording = read(tmp_path, bytes(data))
        except UserError:
            continue
        assert all(np.isfinite(body.joints).all() for body in recording.bodies)


def test_speed(tmp_path):
    path = tmp_path / "clip.skeleton"
    path.write_text(skeleton_text(70, {A: (range(70), joints(70))}))
    times = []
    for _ in range(5):
        start = time.process_time()
        ntu_file.read(path)
        times.append(time.process_time() - start)
    assert min(times) < 0.02
