"""Make `cluster/demo`: held-out sample pictures, a batch of requests, and its truths.

    samples.py CLUSTER_DEMO_FOLDER                 pictures, batch.jsonl, expected.jsonl
    samples.py CLUSTER_DEMO_FOLDER --model FOLDER  also sample.jsonl, and the model's score

Everything follows from one seed which neither training nor the evaluation uses; digits come from
the held-out split. `sample.jsonl` takes, in batch order, the first requests of each task that the
model answers rightly, so it shows working examples; the score over the whole batch is printed.
"""

import argparse
import json
import pathlib

import numpy as np
from PIL import Image, ImageDraw

from evaluate import answer, boxes_of, overlap
from scenes import DigitSource, render, sample_scene
from tasks import ask_colour, ask_count, ask_detect, caption, digit_row

SEED = 31337
SHAPE_PICTURES, DIGIT_PICTURES = 48, 24
SAMPLE = {"caption": 3, "detect": 3, "count": 2, "colour": 2, "ocr": 2}


def save(picture, scene, folder, stem, index):
    """Write one picture: PNG where it compresses well, else JPEG; one RGBA PNG, one WebP."""
    if index == 5:
        name = stem + ".png"
        # Transparent corners over unchanged colours: right whether alpha is dropped or blended.
        alpha = Image.new("L", picture.size, 0)
        ImageDraw.Draw(alpha).rounded_rectangle((0, 0, *picture.size), 12, fill=255)
        picture.putalpha(alpha)
        picture.save(folder / name, optimize=True)
    elif index == 9:
        name = stem + ".webp"
        picture.save(folder / name, quality=90)
    elif scene.width > 112 and (scene.background["noise"] or index % 4 == 3):
        name = stem + ".jpg"
        picture.save(folder / name, quality=90)
    else:
        name = stem + ".png"
        picture.save(folder / name, optimize=True)
    return name


def requests_of(rng, scene, turn, count):
    """`count` (task, prompt, truth) of a picture; tasks take turns from `turn` on."""
    if scene.digits:
        return [("ocr", "ocr", digit_row(scene))]
    makers = [
        ("detect", lambda: ask_detect(rng, scene, present=True)),
        ("caption", lambda: ("caption en", caption(scene))),
        ("count", lambda: ask_count(rng, scene)),
        ("colour", lambda: ask_colour(rng, scene)),
    ]
    chosen = []
    for offset in range(count):
        task, make = makers[(turn + offset) % 4]
        asked = make()
        if asked is None:
            task, asked = "caption", ("caption en", caption(scene))
        chosen.append((task, *asked))
    return chosen


def write_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def make(folder):
    """Draw everything; gives [(task, request, truth)]."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    for old in images.iterdir():
        old.unlink()
    rng = np.random.default_rng(SEED)
    source = DigitSource(held_out=True)
    cases, turn = [], 0
    for index in range(SHAPE_PICTURES + DIGIT_PICTURES):
        digits = index % 3 == 2
        scene = sample_scene(rng, source, digits)
        kind = "digits" if digits else "shapes"
        name = save(render(scene), scene, images, f"{kind}-{index + 1:02d}", index)
        asked = requests_of(rng, scene, turn, 1 + index % 2)
        turn += 0 if digits else len(asked)
        for task, prompt, truth in asked:
            request = {"custom_id": f"demo-{len(cases) + 1:03d}", "image": f"images/{name}",
                       "prompt": prompt}
            cases.append((task, request, truth))
    write_lines(folder / "batch.jsonl", [request for _, request, _ in cases])
    write_lines(folder / "expected.jsonl", [
        {"custom_id": request["custom_id"], "expected": truth} for _, request, truth in cases])
    return cases


def right(task, said, truth):
    """Exact, or for detect every box at IoU >= 0.75."""
    if task != "detect":
        return said == truth
    mine, theirs = boxes_of(said), boxes_of(truth)
    return len(mine) == len(theirs) and all(overlap(a, b) >= 0.75 for a, b in zip(mine, theirs))


def choose_sample(folder, cases, model_folder):
    """Answer the batch with Hugging Face's class and write sample.jsonl."""
    from transformers import AutoProcessor, PaliGemmaForConditionalGeneration

    processor = AutoProcessor.from_pretrained(model_folder)
    model = PaliGemmaForConditionalGeneration.from_pretrained(model_folder).float().eval()
    wanted, chosen, pictures = dict(SAMPLE), [], set()
    score = {task: [0, 0] for task in SAMPLE}
    for task, request, truth in cases:
        picture = Image.open(folder / request["image"]).convert("RGB")
        said = answer(model, processor, picture, request["prompt"])
        good = right(task, said, truth)
        score[task][0] += good
        score[task][1] += 1
        if not good:
            print("wrong:", request, "truth:", truth, "said:", said)
        fresh = request["image"] in pictures or len(pictures) < 10
        if good and wanted[task] and fresh:
            wanted[task] -= 1
            pictures.add(request["image"])
            chosen.append(request)
    write_lines(folder / "sample.jsonl", chosen)
    print("batch:", score, "sample:", len(chosen), "requests over", len(pictures), "pictures")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--model")
    chosen = parser.parse_args()
    cases = make(chosen.folder)
    if chosen.model:
        choose_sample(chosen.folder, cases, chosen.model)


if __name__ == "__main__":
    main()
