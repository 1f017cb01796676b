"""Self-supervised pre-training of skeleton encoders and their distillation (IKEM, Wei et al., ICASSP 2024).

How the parts go together:

    views = partial(to_streams, streams=MODALITIES, layout="ntu25", convention="ctr")   # mmcl.skeleton.streams
    net = Pretrainer(MODALITIES, {"backbone": "stgcn16", "layout": "ntu25", "persons": 2})
    optimizer = SGD(net.parameters(), …)      # all of them: those that rest have no gradient
    for epoch in …:
        if epoch == …:
            net.enter(EXCHANGE)               # wrap in DistributedDataParallel anew, broadcast_buffers=False
        for x1, x2 in …:                      # two augmentations of the same clips (B, 3, T, V, M)
            step = net(views(x1), views(x2))
            step.total.backward()
            optimizer.step()
            net.advance(step.keys)            # key encoders follow, memory is written

    students = Distiller(MODALITIES, settings, STUDENTS)        # or EARLY
    students.teachers.load_state_dict(net.queries.state_dict())
    …                                         # the same step

    backbone.load_state_dict(net.queries["joint"].backbone_state(), strict=False)    # all but `head.`

SkeletonCLR is `Pretrainer(("joint",), …)` in its first stage, CrosSCLR `Pretrainer(MANDATORY, …, joint_weight=0)`,
IKEM of three `Pretrainer(MANDATORY, …)`. The state dict holds the memory; nothing else is needed to go on but the
stage. `mmcl.checkpoints.load_reference` reads published checkpoints into both, `released.load_encoder` one encoder
of them into a backbone.

What the released code does otherwise, and by which argument it can be had: `keys_start_apart` (key encoders begin
with other weights), the encoders' setting `head_spread` (0.02), `teachers_train`, `wrong_memory` (of
angular_velocity). Not to be had: the students' own queue of joint embeddings, random at first like the others and the
same from then on; here it is those, put together.
"""

from mmcl.selfsup.distiller import EARLY, STUDENTS, Distiller
from mmcl.selfsup.names import LOCKED, MANDATORY, MODALITIES
from mmcl.selfsup.pretrainer import CONTRAST, EXCHANGE, Pretrainer, Step

__all__ = [
    "CONTRAST",
    "EARLY",
    "EXCHANGE",
    "LOCKED",
    "MANDATORY",
    "MODALITIES",
    "STUDENTS",
    "Distiller",
    "Pretrainer",
    "Step",
]
