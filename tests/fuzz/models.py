"""Fuzz target: a Hugging Face model's configuration and tokenizer, which libraries in two languages read."""

import json
from pathlib import Path

from hypothesis import strategies as st

from assay_core.policy import initial_policy, load_policy, save_policy
from assay_core.policy.weights import CONFIG_NAME, POLICY_NAME, TOKENIZER_NAME
from assay_core.protocol.errors import Malformed
from assay_core.protocol.types import Seed
from tests.fuzz.mutate import HOSTILE_JSON, documents
from tests.fuzz.target import Makers, Target

WORDS = ("<unk>", "<end>", "sort", "one", "two", "three")
MEMORY_BYTES = 512 * 2**20


def model(folder: Path) -> Target:
    """A bundle with one of its three descriptions altered."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers  # slow to import, as transformers is
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=16,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder / "original")
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits()])  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.normalizer = normalizers.Replace("x", "y")  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.add_special_tokens(["<end>"])
    tokenizer.save(str(folder / "original" / TOKENIZER_NAME))
    start = {"kind": "hf", "path": str(folder / "original"), "template": "sort {prompt}", "eos": "<end>"}
    directory = folder / "policy"
    save_policy(initial_policy({**start, "trainable": ["model.*"]}, Seed(bytes(32))), directory)
    samples = {name: (directory / name).read_bytes() for name in (CONFIG_NAME, POLICY_NAME, TOKENIZER_NAME)}

    def read(part: tuple[str, bytes]) -> None:
        for name, data in {**samples, part[0]: part[1]}.items():
            (directory / name).write_bytes(data)
        loaded = load_policy(directory)
        loaded.decode(loaded.encode("one two 3"))

    def inputs(name: str) -> st.SearchStrategy[tuple[str, bytes]]:
        altered = documents([json.loads(samples[name])], raw=HOSTILE_JSON)
        return st.tuples(st.just(name), altered)

    always = [(name, data) for name in samples for data in HOSTILE_JSON]
    valid = [(CONFIG_NAME, samples[CONFIG_NAME])]
    return Target(
        "model",
        st.sampled_from(sorted(samples)).flatmap(inputs),
        read,
        valid,
        always,
        typed=(Malformed,),
        memory_bytes=MEMORY_BYTES,
        cost=4,
    )


MODELS: Makers = {"model": model}
