"""A compact PaliGemma 1 for training: the arithmetic of Hugging Face's class, cheaper.

Differences are only in what is computed, not in its result: patches go through one matrix product,
attention reads the single key/value head without copying it, the last layer works on the text
positions alone, and several questions share one vision pass. `hub_tensors` gives Google's names.
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F
from torch import nn

CONFIG = {
    "image": 112, "patch": 14, "vision_width": 160, "vision_layers": 6, "vision_heads": 5,
    "vision_ffn": 512, "width": 128, "layers": 6, "heads": 4, "head_width": 32, "ffn": 256,
}
IMAGE_TOKENS = (CONFIG["image"] // CONFIG["patch"]) ** 2


class VisionLayer(nn.Module):
    """SigLIP's pre-norm layer."""

    def __init__(self, width, heads, ffn):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.fc1, self.fc2 = nn.Linear(width, ffn), nn.Linear(ffn, width)

    def forward(self, x):
        """x [B, P, D]"""
        b, p, d = x.shape
        h = self.norm1(x)
        q, k, v = (m(h).view(b, p, self.heads, -1).transpose(1, 2)
                   for m in (self.q, self.k, self.v))
        scores = (q @ k.transpose(-1, -2)).float() * (d // self.heads) ** -0.5
        mixed = scores.softmax(-1).to(v.dtype) @ v
        x = x + self.out(mixed.transpose(1, 2).reshape(b, p, d))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x)), approximate="tanh"))


class VisionTower(nn.Module):
    """SigLIP and the projector: uint8 [B, 112, 112, 3] to features [B, 64, text width].

    Also gives the second layer's states, on which training puts an outline target.
    """

    def __init__(self, c):
        super().__init__()
        self.side, self.patch_width = c["image"] // c["patch"], c["patch"]
        d = c["vision_width"]
        self.patch = nn.Linear(3 * c["patch"] ** 2, d)
        row = fourier(self.side, d // 2)
        grid = torch.cat((row.repeat_interleave(self.side, 0), row.repeat(self.side, 1)), 1)
        self.position = nn.Parameter(grid * (d / 2) ** 0.5 * 0.4)
        self.layers = nn.ModuleList(
            VisionLayer(d, c["vision_heads"], c["vision_ffn"]) for _ in range(c["vision_layers"]))
        self.norm = nn.LayerNorm(d, eps=1e-6)
        self.projector = nn.Linear(d, c["width"])

    def forward(self, pixels):
        b, s, w = pixels.shape[0], self.side, self.patch_width
        x = pixels.float() / 127.5 - 1
        x = x.view(b, s, w, s, w, 3).permute(0, 1, 3, 5, 2, 4).reshape(b, s * s, -1)
        x = self.patch(x) + self.position
        early = None
        for index, layer in enumerate(self.layers):
            x = layer(x)
            early = x if index == 1 else early
        return self.projector(self.norm(x)).float(), early

    @torch.no_grad()
    def whiten(self, patches):
        """Start the patch matrix from the pictures' principal components. [N, 3·14·14]"""
        mean = patches.mean(0)
        centred = patches - mean
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(patches))
        count = self.patch.weight.shape[0]
        values, vectors = values[-count:], vectors[:, -count:]
        self.patch.weight.copy_((vectors * (values + 0.02).rsqrt()).T)
        self.patch.bias.copy_(-(self.patch.weight @ mean))


class RMSNorm(nn.Module):
    """Gemma's: x · rsqrt(mean x² + eps) · (1 + w), in f32."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * (1 + self.weight)


def rotate(x, cos, sin):
    """RoPE, half-split: x [..., L, E]"""
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin


class DecoderLayer(nn.Module):
    """Gemma 1's layer with one key/value head."""

    def __init__(self, c):
        super().__init__()
        d, self.heads, self.head_width = c["width"], c["heads"], c["head_width"]
        self.norm1, self.norm2 = RMSNorm(d), RMSNorm(d)
        self.q = nn.Linear(d, self.heads * self.head_width, bias=False)
        self.k, self.v = (nn.Linear(d, self.head_width, bias=False) for _ in range(2))
        self.o = nn.Linear(self.heads * self.head_width, d, bias=False)
        self.gate, self.up = (nn.Linear(d, c["ffn"], bias=False) for _ in range(2))
        self.down = nn.Linear(c["ffn"], d, bias=False)

    def forward(self, x, mask, cos, sin, start=0):
        """x [B, L, D]; mask [B, 1, L, L] additive; gives the positions from `start` on."""
        b, length, d = x.shape
        h, e = self.heads, self.head_width
        normed = self.norm1(x)
        rows = length - start
        q = self.q(normed[:, start:]).view(b, rows, h, e).transpose(1, 2).float()
        q = rotate(q, cos[start:], sin[start:]).reshape(b, h * rows, e)
        k = rotate(self.k(normed).float(), cos, sin)
        v = self.v(normed)
        scores = torch.matmul(q, k.transpose(-1, -2)).float().view(b, h, rows, length) * e ** -0.5
        weights = (scores + mask[:, :, start:]).softmax(-1).to(v.dtype)
        mixed = (weights.view(b, h * rows, length) @ v).view(b, h, rows, e)
        x = x[:, start:] + self.o(mixed.transpose(1, 2).reshape(b, rows, h * e))
        normed = self.norm2(x)
        return x + self.down(F.gelu(self.gate(normed), approximate="tanh") * self.up(normed))


class Decoder(nn.Module):
    """Gemma over image features and text; gives normed states of the text positions."""

    def __init__(self, c, rows, table):
        super().__init__()
        self.width = c["width"]
        self.table = nn.Parameter(table)
        self.layers = nn.ModuleList(DecoderLayer(c) for _ in range(c["layers"]))
        self.norm = RMSNorm(self.width)
        self.frequencies = 10000.0 ** (-torch.arange(0, c["head_width"], 2) / c["head_width"])

    def forward(self, features, ids, prefix):
        """features [B, 64, D], ids [B, T], prefix [B] (image and prompt tokens); [B, T, D]"""
        text = self.table[ids] * math.sqrt(self.width)
        x = torch.cat((features, text), 1)
        length, image = x.shape[1], features.shape[1]
        at = torch.arange(length)
        seen = (at[None, None] < prefix[:, None, None]) | (at[None] <= at[:, None])[None]
        mask = torch.where(seen, 0.0, -1e9)[:, None]
        angles = (at + 1)[:, None] * self.frequencies[None]
        angles = torch.cat((angles, angles), -1)
        cos, sin = angles.cos(), angles.sin()
        for index, layer in enumerate(self.layers):
            x = layer(x, mask, cos, sin, image if index == len(self.layers) - 1 else 0)
        return self.norm(x)


def fourier(count, width):
    """A smooth code of the positions 0..1: row i and its neighbours are alike. [count, width]"""
    t = (torch.arange(count) + 0.5)[:, None] / count
    f = torch.logspace(math.log10(0.5), math.log10(40), width // 2)[None]
    weight = (1 / (1 + f / 8)).expand(1, -1)
    code = torch.cat((torch.cos(math.pi * 2 * f * t) * weight,
                      torch.sin(math.pi * 2 * f * t) * weight), 1)
    return code / code.pow(2).sum(1, keepdim=True).sqrt()


class DemoModel(nn.Module):
    """Vision tower, decoder, and the dense heads that are used in training only."""

    dense_sizes = (15, 6, 4, 4)

    def __init__(self, rows, first_loc, c=None):
        super().__init__()
        c = c or CONFIG
        table = torch.randn(rows, c["width"]) * c["width"] ** -0.5
        table[first_loc:first_loc + 1024] = fourier(1024, c["width"])
        self.vision = VisionTower(c)
        self.text = Decoder(c, rows, table)
        self.box_code = fourier(1024, 32) * 4
        self.dense = nn.Linear(c["width"], sum(self.dense_sizes) + 4 * 33)
        self.outline = nn.Linear(c["vision_width"], 49)


def _linear(out, name, module):
    out[name + ".weight"] = module.weight
    if module.bias is not None:
        out[name + ".bias"] = module.bias


def hub_tensors(model):
    """The weights under Google's hub names; the head is tied and left out."""
    out, v, t = {}, model.vision, model.text
    base = "vision_tower.vision_model."
    width = v.patch.weight.shape[0]
    side = v.patch_width
    out[base + "embeddings.patch_embedding.weight"] = v.patch.weight.view(width, 3, side, side)
    out[base + "embeddings.patch_embedding.bias"] = v.patch.bias
    out[base + "embeddings.position_embedding.weight"] = v.position
    for index, layer in enumerate(v.layers):
        at = f"{base}encoder.layers.{index}."
        for name, module in (
                ("layer_norm1", layer.norm1), ("layer_norm2", layer.norm2),
                ("self_attn.q_proj", layer.q), ("self_attn.k_proj", layer.k),
                ("self_attn.v_proj", layer.v), ("self_attn.out_proj", layer.out),
                ("mlp.fc1", layer.fc1), ("mlp.fc2", layer.fc2)):
            _linear(out, at + name, module)
    _linear(out, base + "post_layernorm", v.norm)
    _linear(out, "multi_modal_projector.linear", v.projector)
    base = "language_model.model."
    out[base + "embed_tokens.weight"] = t.table
    for index, layer in enumerate(t.layers):
        at = f"{base}layers.{index}."
        for name, module in (
                ("self_attn.q_proj", layer.q), ("self_attn.k_proj", layer.k),
                ("self_attn.v_proj", layer.v), ("self_attn.o_proj", layer.o),
                ("mlp.gate_proj", layer.gate), ("mlp.up_proj", layer.up),
                ("mlp.down_proj", layer.down)):
            _linear(out, at + name, module)
        out[at + "input_layernorm.weight"] = layer.norm1.weight
        out[at + "post_attention_layernorm.weight"] = layer.norm2.weight
    out[base + "norm.weight"] = t.norm.weight
    return {name: tensor.detach().clone().contiguous() for name, tensor in out.items()}


def write_config(folder, rows, image_token, c=None):
    """`config.json` in the older hub form, which every reader knows, with explicit sizes."""
    c = c or CONFIG
    text = {
        "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 2, "eos_token_id": 1,
        "head_dim": c["head_width"], "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh", "hidden_size": c["width"],
        "intermediate_size": c["ffn"], "max_position_embeddings": 8192, "model_type": "gemma",
        "num_attention_heads": c["heads"], "num_hidden_layers": c["layers"],
        "num_image_tokens": IMAGE_TOKENS, "num_key_value_heads": 1, "pad_token_id": 0,
        "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "torch_dtype": "bfloat16",
        "vocab_size": rows}
    vision = {
        "attention_dropout": 0.0, "hidden_act": "gelu_pytorch_tanh",
        "hidden_size": c["vision_width"], "image_size": c["image"],
        "intermediate_size": c["vision_ffn"], "layer_norm_eps": 1e-06,
        "model_type": "siglip_vision_model", "num_attention_heads": c["vision_heads"],
        "num_channels": 3, "num_hidden_layers": c["vision_layers"],
        "num_image_tokens": IMAGE_TOKENS, "patch_size": c["patch"],
        "projection_dim": c["width"], "vision_use_head": False}
    config = {
        "architectures": ["PaliGemmaForConditionalGeneration"], "bos_token_id": 2,
        "eos_token_id": 1, "hidden_size": c["width"], "image_token_index": image_token,
        "model_type": "paligemma", "pad_token_id": 0, "projection_dim": c["width"],
        "text_config": text, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
        "vision_config": vision, "vocab_size": rows}
    path = pathlib.Path(folder) / "config.json"
    path.write_text(json.dumps(config, indent=2) + "\n")
