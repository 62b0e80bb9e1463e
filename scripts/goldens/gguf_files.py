"""GGUF files as llama.cpp's own Python package writes them, for the tests of the reader and the import.

Run from anywhere: `python scripts/goldens/gguf_files.py` (needs gguf, numpy, safetensors, sentencepiece). It writes
- Tests/CheckpointsTests/Fixtures/types.gguf: a tensor of each type that is expanded and a metadata value of
  each kind, and types.safetensors: what gguf's `dequantize` makes of the former;
- Tests/PaliGemmaTests/Fixtures/gguf: PaliGemma as pairs of a text model and an mmproj: tiny-c in f16 (with
  the old, turned names of ffn_up and ffn_down), and a random model in Q8_0 with the hashes of its weights;
  and tokenizer.gguf, no more than the tokenizer of Tests/TokenizationTests/Fixtures/paligemma;
- seeds in Tests/FuzzingTests/Seeds/gguf.
`gguf_files.py --pair MODEL TEXT MMPROJ [--type Q8_0]` writes any checkpoint's pair; `--sums FILE` writes
FILE.sums, what `GGUFFileTests.aRealFileIsThatOfTheReference` compares a real file's numbers with. Names and the +1 of norms
are those of convert_hf_to_gguf.py (GemmaModel) and of gguf's tensor maps. The same bytes in every run.
"""

import argparse
import json
import pathlib

import gguf
import numpy as np
from safetensors.numpy import save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
Q = gguf.GGMLQuantizationType
QUANTIZED = [Q.Q8_0, Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1]
# gguf-py has no quantiser for these: random blocks, with scales that are ordinary numbers.
SCALES_AT = {Q.Q2_K: (80, 82), Q.Q3_K: (108,), Q.Q4_K: (0, 2), Q.Q5_K: (0, 2), Q.Q6_K: (208,)}


def random_blocks(kind, count, random):
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    for place in SCALES_AT[kind]:
        scales = (random.standard_normal(count) * 0.01).astype(np.float16)
        blocks[:, place : place + 2] = scales.view(np.uint8).reshape(count, 2)
    return blocks


def write(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_types(path):
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "test")
    writer.add_uint8("kind.u8", 255)
    writer.add_int8("kind.i8", -128)
    writer.add_uint16("kind.u16", 65535)
    writer.add_int16("kind.i16", -32768)
    writer.add_uint32("kind.u32", 1 << 31)
    writer.add_int32("kind.i32", -(1 << 31))
    writer.add_uint64("kind.u64", (1 << 64) - 1)
    writer.add_int64("kind.i64", -(1 << 63))
    writer.add_float32("kind.f32", 0.1)
    writer.add_float64("kind.f64", 0.1)
    writer.add_bool("kind.bool", True)
    writer.add_string("kind.text", "▁é")
    writer.add_array("list.i32", [-1, 0, 7])
    writer.add_array("list.f32", [0.5, -0.25])
    writer.add_array("list.bool", [True, False])
    writer.add_array("list.text", ["", "▁a", "é"])
    writer.add_custom_alignment(64)
    expected = {}
    for kind in QUANTIZED:
        values = random.standard_normal((3, 64)).astype(np.float32)
        values[1, :32] = 0
        data = gguf.quantize(values, kind)
        writer.add_tensor(kind.name, data, raw_dtype=kind)
        expected[kind.name] = gguf.dequantize(data, kind)
    for kind in SCALES_AT:
        data = random_blocks(kind, 3, random).reshape(3, -1)
        writer.add_tensor(kind.name, data, raw_dtype=kind)
        expected[kind.name] = gguf.dequantize(data, kind)
    values = random.standard_normal((2, 3, 5)).astype(np.float32)
    for name, kind in (("F32", Q.F32), ("F16", Q.F16), ("BF16", Q.BF16)):
        data = gguf.quantize(values, kind)
        writer.add_tensor(name, data, raw_dtype=kind)
        expected[name] = gguf.dequantize(data, kind).reshape(2, 3, 5).astype(np.float32)
    writer.add_tensor("I32", np.arange(6, dtype=np.int32).reshape(2, 3))
    write(writer)
    save_file({name: np.ascontiguousarray(value) for name, value in expected.items()},
              path.with_suffix(".safetensors"))


TEXT_NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
VISION_NAMES = {
    "layer_norm1": "ln1", "layer_norm2": "ln2", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.out_proj": "attn_out",
    "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down",
}


def gguf_name(name, turned):
    """The file ("text" or "mmproj") and the name there of the weight with hub name `name`."""
    stem, end = name.rsplit(".", 1)
    if stem.startswith("language_model.model."):
        stem = stem.removeprefix("language_model.model.")
        if stem == "embed_tokens":
            return "text", f"token_embd.{end}"
        if stem == "norm":
            return "text", f"output_norm.{end}"
        _, layer, part = stem.split(".", 2)
        return "text", f"blk.{layer}.{TEXT_NAMES[part]}.{end}"
    if stem.startswith("multi_modal_projector"):
        return "mmproj", (f"mm.0.{end}" if turned else f"mm.input_projection.{end}")
    stem = stem.removeprefix("vision_tower.vision_model.")
    fixed = {"embeddings.patch_embedding": "v.patch_embd", "post_layernorm": "v.post_ln",
             "embeddings.position_embedding": "v.position_embd"}
    if stem in fixed:
        return "mmproj", f"{fixed[stem]}.{end}"
    _, _, layer, part = stem.split(".", 3)
    own = VISION_NAMES[part]
    if turned and own.startswith("ffn"):
        own = "ffn_down" if own == "ffn_up" else "ffn_up"
    return "mmproj", f"v.blk.{layer}.{own}.{end}"


def hub_name(name):
    """Google's name for a weight, whoever wrote the checkpoint; None for a tied head."""
    name = name.removeprefix("model.")
    if "lm_head" in name:
        return None
    if name.startswith("vision_tower.") and not name.startswith("vision_tower.vision_model."):
        name = "vision_tower.vision_model." + name.removeprefix("vision_tower.")
    if name.startswith("language_model.") and not name.startswith("language_model.model."):
        name = "language_model.model." + name.removeprefix("language_model.")
    return name


def weights_of(model):
    """Every weight of a checkpoint folder in f32, by its hub name. By hand: NumPy has no bf16."""
    weights = {}
    for path in sorted(pathlib.Path(model).glob("*.safetensors")):
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        for name, entry in json.loads(content[8 : 8 + length]).items():
            if name == "__metadata__" or not (hub := hub_name(name)):
                continue
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            kind = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[entry["dtype"]]
            values = np.frombuffer(content[start:end], kind)
            if entry["dtype"] == "BF16":
                values = (values.astype("<u4") << 16).view("<f4")
            weights[hub] = values.astype(np.float32).reshape(entry["shape"])
    return weights


def add_tokens(writer, tokens):
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([piece for piece, _, _ in tokens])
    writer.add_token_scores([score for _, score, _ in tokens])
    writer.add_token_types([kind for _, _, kind in tokens])
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(0)
    writer.add_add_space_prefix(False)


def add_metadata(text, mmproj, config, tokens):
    decoder, tower = config["text_config"], config["vision_config"]
    text.add_context_length(decoder.get("max_position_embeddings", 8192))
    text.add_embedding_length(decoder["hidden_size"])
    text.add_block_count(decoder["num_hidden_layers"])
    text.add_feed_forward_length(decoder["intermediate_size"])
    text.add_head_count(decoder["num_attention_heads"])
    text.add_head_count_kv(decoder["num_key_value_heads"])
    text.add_layer_norm_rms_eps(decoder.get("rms_norm_eps", 1e-6))
    text.add_key_length(decoder.get("head_dim", 256))
    text.add_value_length(decoder.get("head_dim", 256))
    add_tokens(text, tokens)
    mmproj.add_string("clip.projector_type", "mlp")
    mmproj.add_bool("clip.has_vision_encoder", True)
    mmproj.add_bool("clip.use_gelu", True)
    mmproj.add_uint32("clip.vision.image_size", tower["image_size"])
    mmproj.add_uint32("clip.vision.patch_size", tower["patch_size"])
    mmproj.add_uint32("clip.vision.embedding_length", tower["hidden_size"])
    mmproj.add_uint32("clip.vision.feed_forward_length", tower["intermediate_size"])
    mmproj.add_uint32("clip.vision.projection_dim", decoder["hidden_size"])
    mmproj.add_uint32("clip.vision.attention.head_count", tower["num_attention_heads"])
    mmproj.add_float32("clip.vision.attention.layer_norm_epsilon", tower.get("layer_norm_eps", 1e-6))
    mmproj.add_uint32("clip.vision.block_count", tower["num_hidden_layers"])
    mmproj.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    mmproj.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])


def write_pair(weights, config, tokens, text_path, mmproj_path, kind, turned=False):
    """Writes both files; gives what the weights are there, by their hub names."""
    writers = {"text": gguf.GGUFWriter(text_path, "gemma"), "mmproj": gguf.GGUFWriter(mmproj_path, "clip")}
    add_metadata(writers["text"], writers["mmproj"], config, tokens)
    stored = {}
    for hub, values in sorted(weights.items()):
        place, name = gguf_name(hub, turned)
        is_norm = place == "text" and name.endswith("norm.weight")
        if is_norm:
            values = values + np.float32(1)
        # One dimension, the patches' kernel and positions stay floats, as llama.cpp leaves them.
        own = Q.F32 if values.ndim == 1 else kind
        if values.ndim == 4 or "position_embd" in name or values.shape[-1] % 32:
            own = Q.F16 if kind == Q.Q8_0 and values.ndim > 1 else own
        data = gguf.quantize(np.ascontiguousarray(values), own)
        writers[place].add_tensor(name, data, raw_dtype=own)
        back = gguf.dequantize(data, own).reshape(values.shape).astype(np.float32)
        stored[hub] = back - np.float32(1) if is_norm else back
    for writer in writers.values():
        write(writer)
    return stored


def fnv(values):
    """FNV-1a (64 bits) over the f32 bytes."""
    hash = 0xCBF29CE484222325
    for byte in np.ascontiguousarray(values, "<f4").tobytes():
        hash = ((hash ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{hash:016x}"


def made_up_tokens(count, image):
    """Gemma's manner: control tokens, bytes, a few letters, a user-defined piece of spaces, padding."""
    tokens = [(b"<pad>", 0.0, 3), (b"<eos>", 0.0, 3), (b"<bos>", 0.0, 3), (b"<unk>", 0.0, 2)]
    tokens += [(b"  ", -1000.0, 4)]
    pieces = ["▁", "a", "b", "c", "t", "ca", "at", "cat", "▁cat"]
    tokens += [(piece.encode(), -float(rank), 1) for rank, piece in enumerate(pieces)]
    tokens += [(f"<0x{byte:02X}>".encode(), 0.0, 6) for byte in range(256)][: image - len(tokens)]
    assert len(tokens) == image
    tokens.append((b"<image>", 0.0, 3))
    tokens += [(f"[PAD{index}]".encode(), -1000.0, 5) for index in range(len(tokens), count)]
    return tokens


def spiece_tokens(model, count):
    """As convert_hf_to_gguf.py has them: the model's pieces, then what tokenizer_config.json adds, whose ▁ are
    written as spaces; user-defined pieces of the model itself count as normal ones."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(pathlib.Path(model) / "tokenizer.model"))
    kinds = [("is_unknown", 2), ("is_control", 3), ("is_unused", 5), ("is_byte", 6)]
    config = json.loads((pathlib.Path(model) / "tokenizer_config.json").read_text())
    added = {int(key): value for key, value in config.get("added_tokens_decoder", {}).items()}
    tokens = []
    for index in range(count):
        if index in added:
            text = added[index]["content"]
            kind = 3 if added[index].get("special") else 4
            text = text.replace("▁", " ") if kind == 4 else text
            tokens.append((text.encode(), -1000.0, 2 if text == "<unk>" else kind))
        elif index < processor.get_piece_size():
            kind = next((k for test, k in kinds if getattr(processor, test)(index)), 1)
            tokens.append((processor.id_to_piece(index).encode(), processor.get_score(index), kind))
        else:
            tokens.append((f"[PAD{index}]".encode(), -1000.0, 5))
    return tokens


def small_model():
    """A random model whose products have whole blocks of 32."""
    random = np.random.default_rng(2)
    width, tower, inner, heads, vocabulary = 64, 64, 96, 32, 300
    config = {
        "text_config": {"hidden_size": width, "num_hidden_layers": 2, "intermediate_size": inner,
                        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": heads},
        "vision_config": {"hidden_size": tower, "num_hidden_layers": 1, "intermediate_size": inner,
                          "num_attention_heads": 2, "image_size": 28, "patch_size": 14},
    }
    shapes = {"vision_tower.vision_model.embeddings.patch_embedding.weight": (tower, 3, 14, 14),
              "vision_tower.vision_model.embeddings.patch_embedding.bias": (tower,),
              "vision_tower.vision_model.embeddings.position_embedding.weight": (4, tower),
              "multi_modal_projector.linear.weight": (width, tower),
              "multi_modal_projector.linear.bias": (width,),
              "language_model.model.embed_tokens.weight": (vocabulary, width),
              "language_model.model.norm.weight": (width,)}
    for end in ("weight", "bias"):
        shapes[f"vision_tower.vision_model.post_layernorm.{end}"] = (tower,)
    layer = "vision_tower.vision_model.encoder.layers.0."
    for part in VISION_NAMES:
        outputs, inputs = {"mlp.fc1": (inner, tower), "mlp.fc2": (tower, inner)}.get(part, (tower, tower))
        shapes[f"{layer}{part}.weight"] = (tower,) if "norm" in part else (outputs, inputs)
        shapes[f"{layer}{part}.bias"] = (outputs,)
    for index in range(2):
        layer = f"language_model.model.layers.{index}."
        for part in TEXT_NAMES:
            shapes[f"{layer}{part}.weight"] = {
                "self_attn.q_proj": (2 * heads, width), "self_attn.k_proj": (heads, width),
                "self_attn.v_proj": (heads, width), "self_attn.o_proj": (width, 2 * heads),
                "mlp.gate_proj": (inner, width), "mlp.up_proj": (inner, width),
                "mlp.down_proj": (width, inner)}.get(part, (width,))
    weights = {name: (random.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
               for name, shape in sorted(shapes.items())}
    return weights, config, made_up_tokens(vocabulary, 270)


def write_fixtures():
    write_types(ROOT / "Tests/CheckpointsTests/Fixtures/types.gguf")
    out = ROOT / "Tests/PaliGemmaTests/Fixtures/gguf"
    out.mkdir(exist_ok=True)
    model = ROOT / "Tests/PaliGemmaTests/Fixtures/tiny-c/model"
    config = json.loads((model / "config.json").read_text())
    write_pair(weights_of(model), config, made_up_tokens(261, 258), out / "tiny-c-text.gguf",
               out / "tiny-c-mmproj.gguf", Q.F16, turned=True)
    stored = write_pair(*small_model(), out / "q8-text.gguf", out / "q8-mmproj.gguf", Q.Q8_0)
    hashes = {name: fnv(values) for name, values in sorted(stored.items())}
    (out / "q8.json").write_text(json.dumps(hashes, indent=1) + "\n")
    tokenizer = gguf.GGUFWriter(out / "tokenizer.gguf", "gemma")
    add_tokens(tokenizer, spiece_tokens(ROOT / "Tests/TokenizationTests/Fixtures/paligemma", 2060))
    write(tokenizer)
    seeds = ROOT / "Tests/FuzzingTests/Seeds/gguf"
    seeds.mkdir(exist_ok=True)
    write_types(seeds / "types.gguf")
    (seeds / "types.safetensors").unlink()
    (seeds / "types.gguf").rename(seeds / "types")
    writer = gguf.GGUFWriter(seeds / "small", "gemma")
    add_tokens(writer, [(b"<pad>", 0.0, 3), (b"<eos>", 0.0, 3), (b"<bos>", 0.0, 3), (b"<unk>", 0.0, 2),
                        (b"  ", -1.0, 4), (b"a", -1.0, 1), (b"[PAD6]", -1.0, 5)])
    writer.add_tensor("token_embd.weight", np.ones((2, 4), np.float32))
    writer.add_tensor("blk.0.attn_q.weight", gguf.quantize(np.ones((1, 32), np.float32), Q.Q8_0), raw_dtype=Q.Q8_0)
    write(writer)
    write(gguf.GGUFWriter(seeds / "empty", "gemma"))


def write_sums(path):
    """For each tensor the sum of its numbers' f32 bits, each times its index made odd, modulo 2^64."""
    lines = []
    for tensor in gguf.GGUFReader(path).tensors:
        bits = np.ascontiguousarray(gguf.dequantize(tensor.data, tensor.tensor_type), np.float32)
        bits = bits.ravel().view(np.uint32).astype(np.uint64)
        factors = np.arange(bits.size, dtype=np.uint64) | np.uint64(1)
        lines.append(f"{tensor.name} {int(np.sum(bits * factors, dtype=np.uint64))}\n")
    pathlib.Path(f"{path}.sums").write_text("".join(lines))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pair", nargs=3, metavar=("MODEL", "TEXT", "MMPROJ"))
    parser.add_argument("--type", default="F32", choices=["F32", "F16", "BF16", "Q8_0"])
    parser.add_argument("--sums", metavar="FILE")
    options = parser.parse_args()
    if options.sums:
        return write_sums(options.sums)
    if options.pair is None:
        return write_fixtures()
    model, text, mmproj = options.pair
    config = json.loads((pathlib.Path(model) / "config.json").read_text())
    weights = weights_of(model)
    rows = weights["language_model.model.embed_tokens.weight"].shape[0]
    write_pair(weights, config, spiece_tokens(model, rows), text, mmproj, Q[options.type])


main()
