"""Tiny randomly initialised image-text-to-text models of the real classes of transformers, saved as a user has them.

Each maker gives (configuration, processor): two layers of width 32, pictures of about 56 px, a byte-level vocabulary in
which only yes and no are words.
"""

import transformers as t
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

WORDS = 400
LANGUAGE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": WORDS,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "max_position_embeddings": 4096,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 56,
    "patch_size": 14,
}
SIZE = {"height": 56, "width": 56}
CHAT = (
    "{%% for m in messages %%}{{m.role}}: {%% for c in m.content %%}{%% if c.type == 'image' %%}%s"
    "{%% elif c.type == 'video' %%}%s{%% else %%}{{c.text}}{%% endif %%}{%% endfor %%} {%% endfor %%}"
    "{%% if add_generation_prompt %%}assistant:{%% endif %%}"
)


def tokenizer(special=None, added=()):
    """Bytes, yes and no; `special` are tokens that a processor asks for by name, `added` others."""
    signs = ["<pad>", "<s>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {sign: i for i, sign in enumerate([*signs, "Ġyes", "Ġno", "yes", "no"])}
    bytes_ = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_.decoder = decoders.ByteLevel()
    made = t.PreTrainedTokenizerFast(
        tokenizer_object=bytes_,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        **({"extra_special_tokens": special} if special else {}),
    )
    made.add_tokens(list(added), special_tokens=True)
    return made


def _qformer():
    return {
        "vocab_size": WORDS,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "encoder_hidden_size": 32,
    }


def _opt():
    return t.OPTConfig(
        vocab_size=WORDS,
        hidden_size=32,
        ffn_dim=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        word_embed_proj_dim=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )


def _t5():
    return t.T5Config(
        vocab_size=WORDS,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=2,
    )


def _blip2(text):
    words = tokenizer()
    processor = t.Blip2Processor(t.BlipImageProcessor(size=SIZE), words, num_query_tokens=4)
    image = words.convert_tokens_to_ids("<image>")
    return (
        t.Blip2Config(
            vision_config=VISION,
            qformer_config=_qformer(),
            text_config=text,
            num_query_tokens=4,
            image_token_index=image,
        ),
        processor,
    )


def _instructblip(text):
    words = tokenizer()
    processor = t.InstructBlipProcessor(
        t.BlipImageProcessor(size=SIZE), words, tokenizer(), num_query_tokens=4
    )
    image = words.convert_tokens_to_ids("<image>")
    return (
        t.InstructBlipConfig(
            vision_config=VISION,
            qformer_config=_qformer(),
            text_config=text,
            num_query_tokens=4,
            image_token_index=image,
        ),
        processor,
    )


def blip2_opt():
    return _blip2(_opt())


def blip2_llama():
    """MiniGPT-4 in the form of BLIP-2."""
    return _blip2(t.LlamaConfig(**LANGUAGE))


def blip2_t5():
    return _blip2(_t5())


def instructblip_llama():
    return _instructblip(t.LlamaConfig(**LANGUAGE))


def instructblip_t5():
    return _instructblip(_t5())


def llava():
    words = tokenizer(added=["<image>"])
    processor = t.LlavaProcessor(
        t.CLIPImageProcessor(size={"shortest_edge": 56}, crop_size=SIZE),
        words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    config = t.LlavaConfig(
        vision_config=t.CLIPVisionConfig(**VISION),
        text_config=t.LlamaConfig(**LANGUAGE),
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    return config, processor


def llava_next():
    words = tokenizer(added=["<image>"])
    grids = [[56, 56], [56, 112], [112, 56]]
    processor = t.LlavaNextProcessor(
        t.LlavaNextImageProcessor(size={"shortest_edge": 56}, crop_size=SIZE, image_grid_pinpoints=grids),
        words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT % ("<image>", ""),
    )
    config = t.LlavaNextConfig(
        vision_config=t.CLIPVisionConfig(**VISION),
        text_config=t.LlamaConfig(**LANGUAGE),
        image_grid_pinpoints=grids,
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    return config, processor


def llava_onevision():
    words = tokenizer(added=["<image>", "<video>"])
    grids = [[56, 56], [56, 112], [112, 56]]
    processor = t.LlavaOnevisionProcessor(
        t.LlavaOnevisionImageProcessor(size=SIZE, image_grid_pinpoints=grids),
        words,
        t.LlavaOnevisionVideoProcessor(size=SIZE),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=CHAT % ("<image>", "<video>"),
    )
    config = t.LlavaOnevisionConfig(
        vision_config=t.SiglipVisionConfig(**VISION, vision_use_head=False),
        text_config=t.Qwen2Config(**LANGUAGE),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=grids,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_9",
    )
    return config, processor


def deepseek_vl():
    image = "<image_placeholder>"
    words = tokenizer({"image_token": image})
    processor = t.DeepseekVLProcessor(
        t.DeepseekVLImageProcessor(size=SIZE), words, chat_template=CHAT % (image, ""), num_image_tokens=16
    )
    config = t.DeepseekVLConfig(
        text_config=t.LlamaConfig(**LANGUAGE),
        vision_config=t.SiglipVisionConfig(**VISION),
        image_token_id=words.convert_tokens_to_ids(image),
    )
    return config, processor


QWEN = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
QWEN_CHAT = CHAT % tuple(f"<|vision_start|>{pad}<|vision_end|>" for pad in QWEN[:2])


def _qwen_tokens(words):
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    return dict(zip(names, words.convert_tokens_to_ids(QWEN), strict=True))


def _rope(**more):
    # its sections sum to half of a head's width
    return {
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4, **more}
    }


def _edges(side, most=4):
    return {"shortest_edge": side * side, "longest_edge": side * side * most}


def qwen2_vl():
    words = tokenizer(added=QWEN)
    processor = t.Qwen2VLProcessor(
        t.Qwen2VLImageProcessor(size=_edges(56)),
        words,
        t.Qwen2VLVideoProcessor(size=_edges(56)),
        chat_template=QWEN_CHAT,
    )
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 4, "mlp_ratio": 2}
    config = t.Qwen2VLConfig(text_config=LANGUAGE | _rope(), vision_config=vision, **_qwen_tokens(words))
    return config, processor


def qwen2_5_vl():
    words = tokenizer(added=QWEN)
    processor = t.Qwen2_5_VLProcessor(
        t.Qwen2VLImageProcessor(size=_edges(56)),
        words,
        t.Qwen2VLVideoProcessor(size=_edges(56)),
        chat_template=QWEN_CHAT,
    )
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 4,
        "out_hidden_size": 32,
        "fullatt_block_indexes": [1],
    }
    config = t.Qwen2_5_VLConfig(text_config=LANGUAGE | _rope(), vision_config=vision, **_qwen_tokens(words))
    return config, processor


def qwen3_vl():
    words = tokenizer(added=QWEN)
    processor = t.Qwen3VLProcessor(
        t.Qwen2VLImageProcessor(size=_edges(64), patch_size=16),
        words,
        t.Qwen3VLVideoProcessor(size=_edges(64, 16)),
        chat_template=QWEN_CHAT,
    )
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 4,
        "out_hidden_size": 32,
        "deepstack_visual_indexes": [0],
        "num_position_embeddings": 64,
    }
    text = LANGUAGE | {"head_dim": 8} | _rope(mrope_interleaved=True)
    return t.Qwen3VLConfig(text_config=text, vision_config=vision, **_qwen_tokens(words)), processor


def glm4v():
    """GLM-4.1V."""
    begins = [f"<|begin_of_{kind}|>" for kind in ("image", "video")]
    ends = [f"<|end_of_{kind}|>" for kind in ("image", "video")]
    words = tokenizer(added=["<|image|>", "<|video|>", *begins, *ends])
    chat = CHAT % tuple(f"{b}<|{k}|>{e}" for b, k, e in zip(begins, ("image", "video"), ends, strict=True))
    processor = t.Glm4vProcessor(
        t.Glm4vImageProcessor(size=_edges(56)),
        words,
        t.Glm4vVideoProcessor(size=_edges(56)),
        chat_template=chat,
    )
    of = words.convert_tokens_to_ids
    config = t.Glm4vConfig(
        text_config=LANGUAGE | _rope(partial_rotary_factor=1.0),
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 4,
            "out_hidden_size": 32,
            "image_size": 56,
        },
        image_token_id=of("<|image|>"),
        video_token_id=of("<|video|>"),
        image_start_token_id=of(begins[0]),
        image_end_token_id=of(ends[0]),
        video_start_token_id=of(begins[1]),
        video_end_token_id=of(ends[1]),
    )
    return config, processor


def _idefics_tokens():
    return {
        "image_token": "<image>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>",
    }


def smolvlm():
    """Its processor needs num2words."""
    words = tokenizer(_idefics_tokens())
    edge = {"longest_edge": 56}
    processor = t.SmolVLMProcessor(
        t.SmolVLMImageProcessor(size=edge, max_image_size=edge, do_image_splitting=False),
        words,
        t.SmolVLMVideoProcessor(),
        image_seq_len=4,
        chat_template=CHAT % ("<image>", ""),
    )
    config = t.SmolVLMConfig(
        text_config=t.LlamaConfig(**LANGUAGE),
        vision_config=VISION,
        image_token_id=words.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    return config, processor


def idefics3():
    words = tokenizer(_idefics_tokens())
    edge = {"longest_edge": 56}
    processor = t.Idefics3Processor(
        t.Idefics3ImageProcessor(size=edge, max_image_size=edge, do_image_splitting=False),
        words,
        image_seq_len=4,
        chat_template=CHAT % ("<image>", ""),
    )
    config = t.Idefics3Config(
        text_config=t.LlamaConfig(**LANGUAGE),
        vision_config=VISION,
        image_token_id=words.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    return config, processor


def internvl():
    image = "<IMG_CONTEXT>"
    special = {"start_image_token": "<img>", "end_image_token": "</img>"}
    words = tokenizer({**special, "context_image_token": image, "video_token": "<video>"})
    processor = t.InternVLProcessor(
        t.GotOcr2ImageProcessor(size=SIZE, crop_to_patches=False),
        words,
        t.InternVLVideoProcessor(size=SIZE),
        image_seq_length=4,
        chat_template=CHAT % (image, "<video>"),
    )
    config = t.InternVLConfig(
        vision_config=VISION | {"image_size": [56, 56], "patch_size": [14, 14]},
        text_config=t.Qwen2Config(**LANGUAGE),
        image_token_id=words.convert_tokens_to_ids(image),
        image_seq_length=4,
        downsample_ratio=0.5,
    )
    return config, processor


def paligemma():
    words = tokenizer({"image_token": "<image>"})
    pictures = t.SiglipImageProcessor(size=SIZE)
    pictures.image_seq_length = 16
    processor = t.PaliGemmaProcessor(pictures, words)  # adds more than a thousand tokens
    config = t.PaliGemmaConfig(
        vision_config=t.SiglipVisionConfig(**VISION, vision_use_head=False, projection_dim=32),
        text_config=t.GemmaConfig(**LANGUAGE | {"vocab_size": len(words)}, head_dim=8),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        projection_dim=32,
    )
    return config, processor


def gemma3():
    special = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>"}
    words = tokenizer({**special, "eoi_token": "<end_of_image>"})
    processor = t.Gemma3Processor(
        t.Gemma3ImageProcessor(size=SIZE),
        words,
        chat_template=CHAT % ("<start_of_image>", ""),
        image_seq_length=4,
    )
    of = words.convert_tokens_to_ids
    config = t.Gemma3Config(
        text_config=LANGUAGE | {"head_dim": 8, "sliding_window": 64, "query_pre_attn_scalar": 8},
        vision_config=VISION | {"vision_use_head": False},
        mm_tokens_per_image=4,
        boi_token_index=of("<start_of_image>"),
        eoi_token_index=of("<end_of_image>"),
        image_token_index=of("<image_soft_token>"),
    )
    return config, processor


def florence2():
    words = tokenizer({"image_token": "<image>"})
    pictures = t.CLIPImageProcessor(size={"height": 64, "width": 64}, do_center_crop=False)
    pictures.image_seq_length = 5
    tasks = ("pure_text", "description_with_bboxes", "description_with_polygons", "polygons", "bboxes")
    processor = t.Florence2Processor(
        pictures,
        words,
        num_additional_image_tokens=1,
        post_processor_config={
            "ocr": {"pattern": "x", "area_threshold": 0.0},
            "phrase_grounding": {"banned_grounding_tokens": []},
            "description_with_bboxes_or_polygons": {},
            **{task: {} for task in tasks},
        },
    )
    text = t.BartConfig(
        vocab_size=WORDS,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_bos_token_id=1,
    )
    vision = {
        "depths": (1, 1, 1, 1),
        "embed_dim": (8, 8, 8, 16),
        "num_heads": (1, 1, 1, 1),
        "num_groups": (1, 1, 1, 1),
        "window_size": 4,
        "projection_dim": 32,
    }
    image = words.convert_tokens_to_ids("<image>")
    return t.Florence2Config(text_config=text, vision_config=vision, image_token_id=image), processor


MAKERS = {
    make.__name__: make
    for make in (
        blip2_opt,
        blip2_llama,
        blip2_t5,
        instructblip_llama,
        instructblip_t5,
        llava,
        llava_next,
        llava_onevision,
        deepseek_vl,
        glm4v,
        qwen2_vl,
        qwen2_5_vl,
        qwen3_vl,
        smolvlm,
        idefics3,
        internvl,
        paligemma,
        gemma3,
        florence2,
    )
}
"""One for each model type; the names are those of docs/vlm.md."""


def write_model(name, folder):
    """A model of this type, with weights large enough for answers that differ."""
    import torch

    config, processor = MAKERS[name]()
    torch.manual_seed(0)
    model = t.AutoModelForImageTextToText.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
