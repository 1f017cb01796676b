"""A tiny BLIP with random weights, in transformers' own form."""

import pytest

from mmcl.settings.jobs import Answering


@pytest.fixture(scope="session")
def blip_folder(tmp_path_factory):
    """See `write_blip`."""
    return write_blip(tmp_path_factory.mktemp("blip"))


def write_blip(folder, words=None):
    """32 px pictures, 8 px patches, D = 16, two layers each; weights large enough to give varied answers.

    Args:
        folder: where it is written.
        words: of the model's vocabulary, if more than the tokenizer knows.
    """
    import torch
    from transformers import BlipConfig, BlipForQuestionAnswering, BlipImageProcessor

    from mmcl.demo import vocabulary

    texts = ["whether the people are holding objects", "what colour is it", "yes no cup food ball"]
    tokenizer = vocabulary.write_tokenizer(folder, texts)
    BlipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    layers = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    special = {"bos_token_id": vocabulary.START, "sep_token_id": vocabulary.END}
    text = {**layers, **special, "vocab_size": words or len(tokenizer), "max_position_embeddings": 24}
    vision = {**layers, "image_size": 32, "patch_size": 8}
    torch.manual_seed(5)
    model = BlipForQuestionAnswering(BlipConfig(text_config=text, vision_config=vision))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.6)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def blip_settings(blip_folder):
    return Answering(name="tiny", weights=str(blip_folder), image_size=None, max_new_tokens=4, batch=2)


@pytest.fixture
def pictures():
    """Three pictures of other sizes than the model's."""
    import numpy as np

    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (48, 40, 3), dtype=np.uint8) for _ in range(3)]
