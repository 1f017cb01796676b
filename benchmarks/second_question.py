"""What a further question about the same pictures costs later: BLIP at 480 px, float32, random weights.

Without `vlm.cache_images` every question encodes the pictures again. With it the first question encodes them and keeps
the embeddings in half precision; each later one reads them. The model is loaded already; pictures come from JPEG, and
embeddings from an HDF5 file. `python benchmarks/second_question.py`
"""

import tempfile
from pathlib import Path

import h5py
import numpy as np
import torch
from interleaved import medians, show
from pictures import QUESTION, open_random, random_montages

from mmcl.video import jpeg
from mmcl.vlm.protocol import Answers

SECOND = "is somebody sitting on a chair?"
PICTURES, ROUNDS, GOAL = 4, 3, 5


def main() -> None:
    torch.set_num_threads(1)  # threads that wait would count
    montages = random_montages(PICTURES)
    with tempfile.TemporaryDirectory() as folder:
        blip = open_random(Path(folder), torch.device("cpu"), image_size=480)
        kept = Path(folder) / "embeddings.h5"

        def direct(question: str) -> Answers:
            return blip.answer([jpeg.decode(data) for data in montages], [question])[0]

        def later(question: str) -> Answers:
            with h5py.File(kept, "r") as file:
                return blip.answer_embedded([*file["states"][:]], [question])[0]

        def first(question: str) -> Answers:
            states = blip.embed([jpeg.decode(data) for data in montages])
            with h5py.File(kept, "w") as file:
                file["states"] = states
            return later(question)

        ways = {
            "first question, embeddings kept": lambda: first(QUESTION),
            "second question, from embeddings": lambda: later(SECOND),
            "any question, nothing kept": lambda: direct(SECOND),
        }
        spent = medians(ways, ROUNDS)
        show("BLIP at 480 px, float32, CPU time a picture, one thread", spent, PICTURES)
        size = kept.stat().st_size / PICTURES
        one, other = direct(SECOND), later(SECOND)
    before, after, *_ = spent.values()
    change = np.abs(one.states - other.states).max()
    print(
        f"  {size / 1e6:.2f} MB a picture; states (up to {np.abs(one.states).max():.1f}) change by at most "
        f"{change:.1e}, p(yes) by {np.abs(one.p_yes - other.p_yes).max():.1e}, "
        f"{(one.ids != other.ids).sum()} of {one.ids.size} tokens differ"
    )
    print(
        f"  goal {GOAL}× less: {'reached' if before >= GOAL * after else 'not reached'} ({before / after:.1f}×)"
    )


if __name__ == "__main__":
    main()
