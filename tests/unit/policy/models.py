"""Small random models as their makers would publish them."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import AutoModelForCausalLM, LlamaConfig, PretrainedConfig

from assay_core.policy.weights import TOKENIZER_NAME

WORDS = ["<unk>", "<end>", "sort", "one", "two", "three", "four", "five"]


def llama() -> PretrainedConfig:
    return LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.5,
    )


def word_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.add_special_tokens(["<end>"])
    return tokenizer


def write_model(folder: Path, config: PretrainedConfig) -> None:
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    word_tokenizer().save(str(folder / TOKENIZER_NAME))


def start(folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "hf",
        "path": str(folder),
        "template": "sort {prompt}",
        "eos": "<end>",
        "trainable": ["model.layers.1.*"],
        **changes,
    }
