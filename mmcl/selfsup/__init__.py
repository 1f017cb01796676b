"""Self-supervised pre-training of skeleton encoders and their distillation (IKEM, Wei et al., ICASSP 2024).

The parts, without files and processes (`train.py` has those):

    views = partial(to_streams, streams=MODALITIES, layout="ntu25", convention="ctr")   # mmcl.skeleton.streams
    settings = PretrainingSettings()          # mmcl.settings.selfsup; every key has a default
    net = Pretrainer(settings, EncoderForm.of(settings.encoder, layout="ntu25", persons=2))
    optimizer = SGD(net.parameters(), …)      # all of them: those of frozen parts have no gradient
    for epoch in …:
        if epoch == settings.exchange_after:
            net.enter(EXCHANGE)               # wrap in DistributedDataParallel again, broadcast_buffers=False
        for x1, x2 in …:                      # two augmentations of the same clips (B, 3, T, V, M)
            losses = net(views(x1), views(x2))
            losses.total.backward()
            optimizer.step()
            net.advance(losses.carry)         # key encoders follow, keys are remembered

    students = Distiller(net.description, DistillationSettings())
    students.teachers.load_state_dict(net.queries.state_dict())
    …                                         # the same step

    backbone.load_state_dict(net.queries["joint"].backbone_state(), strict=False)    # all but `head.`

With one modality the `Pretrainer` is SkeletonCLR, with MANDATORY and `joint_weight` 0 CrosSCLR, with MANDATORY IKEM of
three modalities. The state dict holds the memory; beside it only the stage is needed to continue. `load_reference`
reads published checkpoints into both, `released.load_encoder` one encoder of them into a backbone.

Differences from the released code that are settings: `keys_start_apart` (key encoders begin with other weights),
`encoder.head_spread` (0.02), `student.teachers_train`, `student.wrong_memory` (of angular_velocity). Not reproduced:
the students' own queue of joint embeddings, which begins at other random numbers than the teachers' queues and holds
the same keys from then on; here it is the teachers' queues, concatenated.
"""

from mmcl.selfsup.distiller import Distiller
from mmcl.selfsup.names import EARLY, MANDATORY, MODALITIES
from mmcl.selfsup.pretrainer import CONTRAST, EXCHANGE, Pretrainer

__all__ = ["CONTRAST", "EARLY", "EXCHANGE", "MANDATORY", "MODALITIES", "Distiller", "Pretrainer"]
