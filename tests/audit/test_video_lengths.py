"""Videos against skeletons."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from made_bodies import body, source

from mmcl.audit.source import Source
from mmcl.audit.videos import claimed_frames, find_video_faults


def write_video(path: Path, frames: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (32, 24))
    for number in range(frames):
        writer.write(np.full((24, 32, 3), number, np.uint8))
    writer.release()


@pytest.fixture
def recordings(tmp_path: Path) -> Source:
    """Six clips of 40 frames with videos of 20: the colour camera runs at half the rate."""
    made = source({f"a1_{i}": body(i) for i in range(6)})
    for name in made.clips.names:
        write_video(tmp_path / f"{name}_color.avi", 20)
    made.videos = tmp_path
    made.video = {name: f"{name}_color.avi" for name in made.clips.names}
    return made


def found(made: Source) -> dict[str, tuple[tuple[str, ...], str]]:
    lengths = dict.fromkeys(made.clips.names, 40)
    return {kind: (clips, detail) for kind, clips, detail in find_video_faults(made, lengths)}


def test_half_the_rate_in_all_clips_is_no_fault(recordings: Source) -> None:
    assert claimed_frames(recordings.videos / "a1_0_color.avi") == 20
    assert found(recordings) == {}


def test_another_modality_beside_it_is_no_fault(recordings: Source) -> None:
    write_video(recordings.videos / "a1_0_depth.avi", 3)
    assert found(recordings) == {}


def test_a_video_that_is_too_long(recordings: Source) -> None:
    write_video(recordings.videos / "a1_2_color.avi", 30)
    reported = "video 30 frames, skeleton 40; 0.5 × expected, as in the other clips"
    assert found(recordings) == {"video_length": (("a1_2",), reported)}


def test_a_skeleton_that_breaks_off(recordings: Source) -> None:
    lengths = dict.fromkeys(recordings.clips.names, 40) | {"a1_3": 25}
    assert [finding.clips for finding in find_video_faults(recordings, lengths)] == [("a1_3",)]


def test_missing_left_over_and_broken(recordings: Source) -> None:
    (recordings.videos / "a1_1_color.avi").rename(recordings.videos / "a9_9_color.avi")
    del recordings.video["a1_1"]
    (recordings.videos / "a1_4_color.avi").write_bytes(b"no video")
    assert found(recordings) == {
        "video_alone": ((), "a9_9_color.avi"),
        "video_missing": (("a1_1",), "no video"),
        "video_unreadable": (("a1_4",), "a1_4_color.avi"),
    }


def test_without_videos_nothing_is_said() -> None:
    assert list(find_video_faults(source({"a1_1": body(1)}), {"a1_1": 40})) == []
