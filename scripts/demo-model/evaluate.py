"""Held-out figures.

    evaluate.py MODEL_FOLDER --scenes 300 [--json OUT]

Fresh scenes (a seed training never uses) with held-out digit images, answered by greedy generation
with Hugging Face's own class and processor on the exported bf16 weights, in f32 arithmetic.
"""

import argparse
import json
import re
import time

import numpy as np
import torch

from scenes import COLOUR_NAMES, SHAPES, DigitSource, jpeg_round_trip, render, sample_scene, to_model_square
from tasks import ask_colour, ask_count, ask_detect, caption, detect, digit_row

TASKS = ("caption", "detect", "count", "colour", "ocr", "absent")
LOC = re.compile(r"<loc(\d{4})>")


def question(task, rng, scene):
    """(prompt, answer) of one task, or None when the scene does not suit it."""
    if task == "caption":
        return "caption en", caption(scene)
    if task == "detect":
        return ask_detect(rng, scene, present=True)
    if task == "count":
        return ask_count(rng, scene)
    if task == "colour":
        return ask_colour(rng, scene)
    if task == "absent":
        colour, kind = str(rng.choice(COLOUR_NAMES)), str(rng.choice(SHAPES))
        return None if detect(scene, colour, kind) else (f"detect {colour} {kind}", "")
    return "ocr", digit_row(scene)


def held_out(task, count, seed):
    """`count` cases (Pillow picture, prompt, answer, scene), each with a scene of its own."""
    rng = np.random.default_rng([seed, TASKS.index(task), 99])
    source = DigitSource(held_out=True)
    cases = []
    while len(cases) < count:
        scene = sample_scene(rng, source, task == "ocr")
        asked = question(task, rng, scene)
        if asked is None:
            continue
        picture = render(scene)
        if rng.random() < 0.12:
            picture = jpeg_round_trip(picture, 85)
        cases.append((picture, *asked, scene))
    return cases


def boxes_of(text):
    """The boxes of a detection answer as fractions (y1, x1, y2, x2)."""
    found = []
    for part in text.split(";"):
        numbers = [int(n) / 1024 for n in LOC.findall(part)]
        if len(numbers) == 4:
            found.append(numbers)
    return found


def overlap(a, b):
    """Intersection over union of two boxes."""
    tall = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    wide = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - tall * wide
    return tall * wide / union if union > 0 else 0.0


def score(task, said, truth):
    """1 or 0 for exact answers; mean IoU (box by box, missing or extra ones count 0) for detect."""
    if task != "detect":
        return float(said == truth)
    mine, theirs = boxes_of(said), boxes_of(truth)
    total = sum(overlap(a, b) for a, b in zip(mine, theirs))
    return total / max(len(mine), len(theirs), 1)


@torch.no_grad()
def greedy(model, tokenizer, squares, prompt, limit=40):
    """Greedy answers by the compact model (no cache), for pictures that share one prompt."""
    head = [2] + tokenizer.encode(prompt + "\n")
    features, _ = model.vision(torch.from_numpy(np.stack(squares)))
    ids = torch.tensor([head] * len(squares))
    prefix = torch.full((len(squares),), features.shape[1] + len(head))
    done = torch.zeros(len(squares), dtype=torch.bool)
    for _ in range(limit):
        states = model.text(features, ids, prefix)[:, -1]
        following = (states @ model.text.table.T).argmax(-1)
        following[done] = 0
        done |= following == 1
        ids = torch.cat((ids, following[:, None]), 1)
        if bool(done.all()):
            break
    return [[int(t) for t in row[len(head):]] for row in ids]


def as_text(tokenizer, ids):
    """Ids up to eos as text, locations written out."""
    text = ""
    for i in ids:
        if i == 1:
            break
        if i >= tokenizer.first_loc:
            text += f"<loc{i - tokenizer.first_loc:04d}>"
        elif i > 3:
            text += tokenizer.pieces.id_to_piece(i).replace("\u2581", " ")
    return text


def quick_figures(model, tokenizer, count=40):
    """One line of held-out figures by the compact model, for the training log."""
    model.eval()
    line = []
    for task in TASKS:
        cases = held_out(task, count, seed=5)
        by_prompt = {}
        for picture, prompt, truth, _ in cases:
            by_prompt.setdefault(prompt, []).append((to_model_square(picture), truth))
        total = 0.0
        for prompt, members in by_prompt.items():
            answers = greedy(model, tokenizer, [m[0] for m in members], prompt)
            for ids, (_, truth) in zip(answers, members):
                total += score(task, as_text(tokenizer, ids), truth)
        line.append(f"{task} {total / count:.3f}")
    return " ".join(line)


def answer(model, processor, picture, prompt):
    """Hugging Face's greedy answer to one question."""
    inputs = processor(images=picture, text="<image>" + prompt, return_tensors="pt")
    inputs.pop("labels", None)
    with torch.no_grad():
        out = model.generate(**inputs, max_new_tokens=48, do_sample=False)
    return processor.tokenizer.decode(
        out[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True)


def main():
    from transformers import AutoProcessor, PaliGemmaForConditionalGeneration

    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--json")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    processor = AutoProcessor.from_pretrained(chosen.folder)
    model = PaliGemmaForConditionalGeneration.from_pretrained(chosen.folder, dtype=torch.float32)
    model.eval()
    figures = {}
    for task in TASKS:
        began, total, misses = time.time(), 0.0, []
        for picture, prompt, truth, _ in held_out(task, chosen.scenes, chosen.seed):
            said = answer(model, processor, picture, prompt)
            points = score(task, said, truth)
            total += points
            if points < 0.5:
                misses.append([prompt, truth, said])
        figures[task] = {"scenes": chosen.scenes, "figure": round(total / chosen.scenes, 4)}
        print(f"{task}: {total / chosen.scenes:.4f} of {chosen.scenes} "
              f"({time.time() - began:.0f} s); misses e.g. {misses[:4]}", flush=True)
    if chosen.json:
        with open(chosen.json, "w") as stream:
            json.dump(figures, stream, indent=1)


if __name__ == "__main__":
    main()
