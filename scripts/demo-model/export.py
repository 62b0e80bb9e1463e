"""Write the trained weights in the Hugging Face layout, and prove they mean the same there.

    export.py CHECKPOINT FOLDER [--check-only]

The check compares this trainer's logits with `PaliGemmaForConditionalGeneration` in f32.
"""

import argparse
import pathlib

import torch
from safetensors.torch import save_file
from transformers import PaliGemmaForConditionalGeneration

from model import IMAGE_TOKENS, DemoModel, hub_tensors, write_config
from tokenizer import Tokenizer


def write_model(model, tokenizer, folder, dtype=torch.bfloat16):
    """config.json and model.safetensors."""
    tensors = {name: tensor.to(dtype) for name, tensor in hub_tensors(model).items()}
    save_file(tensors, f"{folder}/model.safetensors", metadata={"format": "pt"})
    pathlib.Path(folder, "model.safetensors").chmod(0o644)
    write_config(folder, tokenizer.rows, tokenizer.image)


def logits_difference(model, tokenizer, folder):
    """Largest difference of text logits for a random picture and a prompt with its answer."""
    reference = PaliGemmaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    reference.eval()
    pixels = torch.randint(0, 256, (2, 112, 112, 3), dtype=torch.uint8)
    prompt = [2] + tokenizer.encode("detect red circle\n")
    answer = tokenizer.encode("<loc0100><loc0200><loc0300><loc0400> red circle")
    text = torch.tensor([prompt + answer] * 2)
    prefix = torch.full((2,), IMAGE_TOKENS + len(prompt))
    ids = torch.cat((torch.full((2, IMAGE_TOKENS), tokenizer.image), text), 1)
    types = (torch.arange(ids.shape[1])[None] >= prefix[:, None]).long()
    with torch.no_grad():
        mine = model.text(model.vision(pixels)[0], text, prefix) @ model.text.table.T
        theirs = reference(
            input_ids=ids, token_type_ids=types, attention_mask=torch.ones_like(ids),
            pixel_values=pixels.permute(0, 3, 1, 2).float() / 127.5 - 1).logits
    return (mine - theirs[:, IMAGE_TOKENS:]).abs().max().item(), theirs.abs().max().item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("folder")
    parser.add_argument("--dtype", default="bfloat16")
    chosen = parser.parse_args()
    tokenizer = Tokenizer(chosen.folder)
    model = DemoModel(tokenizer.rows, tokenizer.first_loc)
    if chosen.checkpoint == "random":
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    else:
        state = torch.load(chosen.checkpoint, map_location="cpu", weights_only=True)
        model.load_state_dict(state["average"])
    dtype = getattr(torch, chosen.dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(dtype).float())
    write_model(model, tokenizer, chosen.folder, dtype)
    difference, scale = logits_difference(model, tokenizer, chosen.folder)
    print(f"largest logit difference from Hugging Face: {difference:.2e} (logits up to {scale:.1f})")
    print("parameters:", sum(t.numel() for t in hub_tensors(model).values()))
    if difference > 1e-4 * max(1.0, scale):
        raise SystemExit("the exported model differs from the trained one")


if __name__ == "__main__":
    main()
