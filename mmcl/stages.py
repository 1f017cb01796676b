"""The version of every stage that writes results.

Snakemake does not notice edits of the package. A stage's version is part of its settings and so of its rule's params
and its store's fingerprint: raise it when the stage writes something else than before, and its results are made again.
The versions are here and not in the stages' modules, as the Snakefile must not import torch.
"""

VERSIONS = {
    "draw_demo": 1,
    "index_clips": 3,
    "estimate_poses": 1,
    "prepare_skeletons": 3,
    "crop_people": 2,
    "concatenate_frames": 1,
    "embed_pictures": 1,
    "answer_question": 2,  # 2: the question begins with [ENC] where the model's vocabulary has it
    "import_answers": 1,
    "examine_answers": 1,
    "pretrain_cnn": 1,
    "encode_montages": 1,
    "train_stream": 2,
    "score_stream": 2,
    "ensemble": 2,
    "folds": 1,
    "zero_shot": 2,  # 2: clips mapped from another layout are centred as those of the training
    "pretrain_streams": 2,
    "distil_student": 2,
    "probe_stream": 1,
    "ikem_result": 1,
    "report": 1,  # its pictures, cost and page
}
