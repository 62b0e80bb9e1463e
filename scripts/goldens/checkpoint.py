"""Tiny PaliGemma 1 checkpoints from a seed, written under the names different writers use."""

import json
import math

import torch
from safetensors.torch import save_file
from transformers import (
    GemmaConfig,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    SiglipVisionConfig,
)

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def make_config(variant):
    """The new-style config; what `variant["vision"]` and `["text"]` leave out is class default."""
    vision = SiglipVisionConfig(vision_use_head=False, patch_size=14, **variant["vision"])
    text = GemmaConfig(vocab_size=variant["vocabulary"], **variant["text"])
    return PaliGemmaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=variant["image_token"],
        vocab_size=variant["vocabulary"],
        projection_dim=text.hidden_size,
        hidden_size=text.hidden_size,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )


def deviation(name, parameter):
    """Standard deviations that keep every term visible in the logits."""
    if name.endswith("bias") or parameter.dim() == 1:
        return 0.2
    if "patch_embedding" in name:
        return 0.1
    if "embed_tokens" in name or "lm_head" in name:
        return 0.2
    if "position_embedding" in name:
        return 0.5
    return 1.5 / math.sqrt(parameter.shape[1])


def make_model(variant, seed):
    """A model in f32 whose weights, and embedding scale, are exact in the storage dtype."""
    config = make_config(variant)
    config._attn_implementation = "eager"
    model = PaliGemmaForConditionalGeneration(config).eval()
    generator = torch.Generator().manual_seed(seed)
    storage = DTYPES[variant["dtype"]]
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            values = torch.randn(parameter.shape, generator=generator)
            values *= deviation(name, parameter)
            if "layer_norm" in name or "layernorm" in name:
                is_vision = "vision_tower" in name
                values += 1 if is_vision and name.endswith("weight") else 0
            if name == "model.language_model.norm.weight":
                # The factor 1 + w is then centred on 0. With tied weights and a factor around 1
                # the last token's own embedding wins, and greedy repeats it for ever.
                values = values * 5 - 1
            parameter.copy_(values.to(storage))
    model.tie_weights()
    return model


def embedding_scale(model):
    """√D as the reference applies it: rounded to the dtype it runs in, which here is f32."""
    return float(model.model.language_model.embed_tokens.embed_scale)


def swap_tokens(model, a, b):
    """Exchanges two vocabulary rows: greedy then says `b` where it said `a`."""
    with torch.no_grad():
        table = model.model.language_model.embed_tokens.weight
        table[[a, b]] = table[[b, a]].clone()


def hub_name(name):
    """Google's files of 2024: `vision_tower.vision_model.*`, `language_model.model.*`."""
    name = name.removeprefix("model.")
    name = name.replace("vision_tower.", "vision_tower.vision_model.", 1)
    return name.replace("language_model.", "language_model.model.", 1)


def hub_config(variant):
    """A sparse config.json as Google's hub files have it: missing fields mean class defaults."""
    width = variant["text"]["hidden_size"]
    tokens = (variant["vision"]["image_size"] // 14) ** 2
    vision = {"model_type": "siglip_vision_model", "num_image_tokens": tokens, "patch_size": 14}
    vision |= {"projection_dim": width, "projector_hidden_act": "gelu_fast"}
    vision |= {"torch_dtype": "bfloat16", "vision_use_head": False}
    text = {"model_type": "gemma", "num_image_tokens": tokens, "torch_dtype": "bfloat16"}
    return {
        "_vocab_size": variant["image_token"],
        "architectures": ["PaliGemmaForConditionalGeneration"],
        "bos_token_id": 2,
        "eos_token_id": 1,
        "hidden_size": width,
        "ignore_index": -100,
        "image_token_index": variant["image_token"],
        "model_type": "paligemma",
        "pad_token_id": 0,
        "projection_dim": width,
        "text_config": text | variant["text"] | {"vocab_size": variant["vocabulary"]},
        "torch_dtype": "bfloat16",
        "transformers_version": "4.41.0.dev0",
        "vision_config": vision | variant["vision"],
    }


def stored_weights(model, variant):
    """The tensors to write: names of the variant's style, values in its storage dtype."""
    storage = DTYPES[variant["dtype"]]
    weights = {}
    for name, parameter in model.named_parameters():  # the tied head appears once, as embedding
        stored = parameter.detach().to(storage)
        if not torch.equal(stored.float(), parameter):
            raise SystemExit(f"{name} is not exact in {storage}")
        weights[hub_name(name) if variant["names"] == "hub" else name] = stored
    if variant["names"] == "module":  # some writers store the tied head as well
        table = weights["model.language_model.embed_tokens.weight"]
        weights["lm_head.weight"] = table.clone()
    return weights


def write_shards(weights, folder, count):
    """Splits by name order into `count` files of similar size, with the usual index."""
    total = sum(t.numel() * t.element_size() for t in weights.values())
    shards, written = [{} for _ in range(count)], 0
    for name in sorted(weights):
        shards[min(count - 1, written * count // total)][name] = weights[name].contiguous()
        written += weights[name].numel() * weights[name].element_size()
    where = {}
    for index, shard in enumerate(shards, start=1):
        file = f"model-{index:05}-of-{count:05}.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        where |= {name: file for name in shard}
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))}
    text = json.dumps(index, indent=1) + "\n"
    (folder / "model.safetensors.index.json").write_text(text)


def write_checkpoint(model, variant, folder):
    """config.json, weights and generation_config.json in the variant's style."""
    folder.mkdir(parents=True)
    model.generation_config.eos_token_id = variant["end_tokens"]
    if variant["names"] == "saved":
        model.save_pretrained(folder)
        return
    weights = stored_weights(model, variant)
    if variant["names"] == "hub":
        write_shards(weights, folder, 3)
        config = hub_config(variant)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    else:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        config = model.config
        config.dtype = config.text_config.dtype = config.vision_config.dtype = "float16"
        config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
