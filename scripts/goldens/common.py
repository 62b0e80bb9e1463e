"""Shared by the golden makers: reference runs of Hugging Face's PaliGemma, and their capture.

Everything runs in float32 on one thread with eager attention, one request at a time, unpadded,
and always with `token_type_ids` (0 prefix, 1 suffix): without them eager attention is causal.
"""

import json
import re
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)

MINIMUM_GAP = 1e-3  # between the best and second logit: f32 summation order cannot flip a token


class Capture:
    """Records what chosen modules put out (and what the first decoder layer takes in)."""

    def __init__(self, model):
        base = model.model
        tower = getattr(base.vision_tower, "vision_model", base.vision_tower)
        self.records = {}
        self.handles = [
            tower.embeddings.register_forward_hook(self._keep("vision.patch_embedding")),
            tower.post_layernorm.register_forward_hook(self._keep("vision.post_layernorm")),
            base.multi_modal_projector.register_forward_hook(self._keep("vision.projector")),
            base.language_model.norm.register_forward_hook(self._keep("text.final_norm")),
            base.language_model.layers[0].register_forward_pre_hook(
                lambda module, arguments: self._store("text.embeddings", arguments[0])
            ),
        ]
        for prefix, layers in (
            ("vision", tower.encoder.layers),
            ("text", base.language_model.layers),
        ):
            for index, layer in enumerate(layers):
                hook = self._keep(f"{prefix}.layer.{index}")
                self.handles.append(layer.register_forward_hook(hook))

    def _keep(self, name):
        return lambda module, arguments, output: self._store(name, output)

    def _store(self, name, value):
        value = value[0] if isinstance(value, tuple) else value
        self.records[name] = value.detach().clone()

    def close(self):
        for handle in self.handles:
            handle.remove()


@contextmanager
def capturing(model):
    capture = Capture(model)
    try:
        yield capture.records
    finally:
        capture.close()


def token_types(prefix_count, suffix_count):
    return torch.tensor([[0] * prefix_count + [1] * suffix_count])


@torch.no_grad()
def prefill(model, ids, pixel_values, suffix=(), use_cache=True):
    """One forward of the prefix (and, without cache, a suffix behind it), with all states."""
    with capturing(model) as records:
        output = model(
            input_ids=torch.tensor([list(ids) + list(suffix)]),
            pixel_values=pixel_values,
            token_type_ids=token_types(len(ids), len(suffix)),
            use_cache=use_cache,
        )
    return output, records


@torch.no_grad()
def greedy(model, ids, pixel_values, decode_steps, end_tokens):
    """Greedy decoding over the cache: the prefix's states, and per token its logits.

    Returns prefix records, logits [G, V] (row 0 from the last prefix position, row k after
    feeding token k-1), final-norm rows of the decode steps [G-1, D], and the G tokens.
    """
    output, records = prefill(model, ids, pixel_values)
    rows, normed, tokens = [output.logits[0, -1]], [], []
    cache = output.past_key_values
    for step in range(decode_steps + 1):
        tokens.append(int(rows[-1].argmax()))
        if tokens[-1] in end_tokens or step == decode_steps:
            break
        with capturing(model) as later:
            output = model(
                input_ids=torch.tensor([[tokens[-1]]]),
                token_type_ids=torch.ones(1, 1, dtype=torch.long),
                past_key_values=cache,
                use_cache=True,
            )
        rows.append(output.logits[0, -1])
        normed.append(later["text.final_norm"][0, -1])
    width = records["text.final_norm"].shape[-1]
    normed = torch.stack(normed) if normed else torch.zeros(0, width)
    return records, torch.stack(rows), normed, tokens


def gaps(logits):
    """Distance between the best and the second logit of each row."""
    best = logits.topk(2, dim=-1).values
    return best[:, 0] - best[:, 1]


def chosen_log_probabilities(logits, tokens):
    table = torch.log_softmax(logits.double(), dim=-1)
    return table[torch.arange(len(tokens)), torch.tensor(tokens)].float()


def difference(a, b):
    return float((a - b).abs().max())


def require(condition, text):
    """An assertion that `python -O` cannot remove."""
    if not condition:
        raise SystemExit(f"golden check failed: {text}")


def verify_case(model, ids, pixel_values, records, logits, tokens, end_tokens):
    """Cached decode == full re-forward; the suffix leaves the prefix alone; generate() agrees."""
    output, again = prefill(model, ids, pixel_values, tokens[:-1], use_cache=False)
    count = len(ids)
    require(
        torch.allclose(output.logits[0, count - 1 :], logits, atol=1e-4, rtol=1e-5),
        f"cached decode differs: {difference(output.logits[0, count - 1:], logits)}",
    )
    for name, value in records.items():
        if name.startswith("text."):
            prefix = again[name][:, :count]
            require(
                torch.allclose(prefix, value, atol=1e-4, rtol=1e-5),
                f"the suffix changes {name} by {difference(prefix, value)}",
            )
    with torch.no_grad():
        generated = model.generate(
            input_ids=torch.tensor([ids]),
            attention_mask=torch.ones(1, count, dtype=torch.long),
            token_type_ids=token_types(count, 0),
            pixel_values=pixel_values,
            max_new_tokens=len(tokens),
            do_sample=False,
            eos_token_id=sorted(end_tokens),
            pad_token_id=0,
        )[0, count:].tolist()
    require(generated == tokens, f"generate() gives {generated}, not {tokens}")
    require(float(gaps(logits).min()) > MINIMUM_GAP, "two logits are too close")


@torch.no_grad()
def causal_difference(model, ids, pixel_values, logits):
    """How far off the last prefix logits are under a plain causal mask: must be visible."""
    wrong = model(
        input_ids=torch.tensor([ids]),
        pixel_values=pixel_values,
        token_type_ids=token_types(0, len(ids)),
        use_cache=False,
    )
    return difference(wrong.logits[0, -1], logits[0])


def write_tensors(tensors, path):
    save_file({name: t.contiguous() for name, t in tensors.items()}, path)


def write_json(value, path):
    """Indented, but with each list of numbers on one line."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    text = re.sub(r"\[[-\d.,\s]+\]", lambda found: " ".join(found[0].split()), text)
    Path(path).write_text(text + "\n")
