"""Published models of transformers: text, sound and images; made small, with random weights."""

from collections.abc import Callable
from typing import Any

from bench.published.vision import Made

WORDS = 99
SMALL = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
LLAMA = {**SMALL, "num_key_value_heads": 2, "use_cache": False, "pad_token_id": 0}


def _ids(*shape: int) -> Any:
    import torch

    return torch.randint(3, WORDS, shape)


def _arguments(kind: str) -> dict[str, Any]:
    import torch

    if kind == "text":
        return {"input_ids": _ids(2, 12)}
    if kind == "padded text":
        mask = torch.ones(2, 12, dtype=torch.int64)
        mask[1, 9:] = 0
        return {"input_ids": _ids(2, 12), "attention_mask": mask}
    if kind == "pair":
        return {"input_ids": _ids(2, 12), "decoder_input_ids": _ids(2, 7)}
    if kind == "images":
        return {"pixel_values": torch.randn(2, 3, 32, 32)}
    if kind == "sound":
        return {"input_values": torch.randn(2, 800)}
    assert kind == "spectrum", kind
    return {"input_features": torch.randn(2, 16, 40), "decoder_input_ids": _ids(2, 7)}


def transformers_model(
    name: str, configuration: str, kind: str = "text", **given: Any
) -> Callable[[], Made]:
    """Return what makes a model of a small configuration, and its arguments."""

    def make() -> Made:
        from bench.published.vision import load_torchvision

        load_torchvision()
        import transformers

        config = getattr(transformers, configuration)(**given)
        config.return_dict = True
        module = getattr(transformers, name)(config)
        return module.eval(), (), _arguments(kind)

    return make


_T5 = {
    "vocab_size": WORDS,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 4,
    "use_cache": False,
    "decoder_start_token_id": 0,
}
_BART = {
    "vocab_size": WORDS,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 64,
    "use_cache": False,
}
_VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
_GPT2 = {"vocab_size": WORDS, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}

TRANSFORMERS: dict[str, Callable[[], Made]] = {
    "ALBERT": transformers_model(
        "AlbertModel", "AlbertConfig", "padded text", **SMALL, embedding_size=16
    ),
    "BART": transformers_model("BartModel", "BartConfig", "pair", **_BART),
    "BERT": transformers_model("BertForMaskedLM", "BertConfig", "padded text", **SMALL),
    "BLOOM": transformers_model(
        "BloomForCausalLM",
        "BloomConfig",
        vocab_size=WORDS,
        hidden_size=32,
        n_layer=2,
        n_head=4,
        use_cache=False,
    ),
    "DeBERTa v2": transformers_model(
        "DebertaV2Model",
        "DebertaV2Config",
        **SMALL,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        position_buckets=8,
    ),
    "DINOv2": transformers_model("Dinov2Model", "Dinov2Config", "images", **_VIT),
    "DistilBERT": transformers_model(
        "DistilBertModel",
        "DistilBertConfig",
        "padded text",
        vocab_size=WORDS,
        dim=32,
        n_layers=2,
        n_heads=4,
        hidden_dim=64,
    ),
    "Falcon": transformers_model(
        "FalconForCausalLM",
        "FalconConfig",
        vocab_size=WORDS,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        use_cache=False,
    ),
    "FNet": transformers_model(
        "FNetModel",
        "FNetConfig",
        **{name: value for name, value in SMALL.items() if name != "num_attention_heads"},
    ),
    "Gemma 2": transformers_model(
        "Gemma2ForCausalLM", "Gemma2Config", **LLAMA, head_dim=8, sliding_window=6
    ),
    "GPT-2": transformers_model("GPT2LMHeadModel", "GPT2Config", **_GPT2, use_cache=False),
    "GPT-NeoX": transformers_model("GPTNeoXForCausalLM", "GPTNeoXConfig", **SMALL, use_cache=False),
    "Llama": transformers_model("LlamaForCausalLM", "LlamaConfig", **LLAMA),
    "Mamba": transformers_model(
        "MambaForCausalLM",
        "MambaConfig",
        vocab_size=WORDS,
        hidden_size=32,
        state_size=8,
        num_hidden_layers=2,
        use_cache=False,
    ),
    "Mixtral": transformers_model(
        "MixtralForCausalLM",
        "MixtralConfig",
        **LLAMA,
        num_local_experts=4,
        experts_implementation="batched_mm",
    ),
    "ModernBERT": transformers_model(
        "ModernBertModel",
        "ModernBertConfig",
        **SMALL,
        pad_token_id=0,
        local_attention=6,
        bos_token_id=1,
        eos_token_id=2,
        cls_token_id=1,
        sep_token_id=2,
    ),
    "OPT": transformers_model(
        "OPTForCausalLM",
        "OPTConfig",
        vocab_size=WORDS,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        ffn_dim=64,
        word_embed_proj_dim=32,
        use_cache=False,
    ),
    "Phi-3": transformers_model("Phi3ForCausalLM", "Phi3Config", **LLAMA),
    "Qwen 3": transformers_model("Qwen3ForCausalLM", "Qwen3Config", **LLAMA, head_dim=8),
    "SegFormer": transformers_model(
        "SegformerForSemanticSegmentation",
        "SegformerConfig",
        "images",
        hidden_sizes=[8, 16, 16, 32],
        depths=[1, 1, 1, 1],
        decoder_hidden_size=16,
    ),
    "T5": transformers_model("T5ForConditionalGeneration", "T5Config", "pair", **_T5),
    "ViT": transformers_model("ViTModel", "ViTConfig", "images", **_VIT),
    "wav2vec 2.0": transformers_model(
        "Wav2Vec2Model",
        "Wav2Vec2Config",
        "sound",
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        conv_dim=[16, 16, 16],
        conv_stride=[5, 2, 2],
        conv_kernel=[10, 3, 3],
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    ),
    "Whisper": transformers_model(
        "WhisperModel",
        "WhisperConfig",
        "spectrum",
        **_BART,
        num_mel_bins=16,
        max_source_positions=20,
        max_target_positions=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    ),
}
