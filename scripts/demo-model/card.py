"""Write the model card beside the weights, with the measured figures.

    card.py MODEL_FOLDER FIGURES_JSON
"""

import json
import pathlib
import sys

from safetensors import safe_open

TARGETS = {"caption": 0.90, "detect": 0.75, "count": 0.95, "colour": 0.98, "ocr": 0.85}
PROMPTS = {
    "caption": ("caption en", "exact answers"),
    "detect": ("detect red circle", "mean IoU (missing and extra boxes count 0)"),
    "count": ("count circles", "exact answers"),
    "colour": ("answer en what color is the circle?", "exact answers"),
    "ocr": ("ocr", "exact digit rows"),
    "absent": ("detect red circle", "empty answers where there is none"),
}
TEXT = """---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
---
# Palisade's demo model

A very small PaliGemma 1, trained from scratch on drawn scenes, so that Palisade can be tried and
tested without downloading three gigabytes. It is not derived from Google's weights. It has
{parameters:,} parameters: SigLIP 6 × 160 (5 heads, FFN 512) at 112 px, patch 14, 64 image tokens;
Gemma 6 × 128 (4 heads × 32, one key/value head, FFN 256); {rows} vocabulary rows.

It knows coloured shapes (circle, square, triangle, star; red, green, blue, yellow, orange, purple)
and rows of one to four handwritten digits, on muted backgrounds — nothing else. On a photograph it
talks nonsense.

| prompt | measure | held-out figure | aim |
|---|---|---|---|
{table}

Each figure: {scenes} fresh scenes, made from a seed that training never uses, with digit images
held out from training (each fifth one; writers may occur in both parts); greedy generation with
Hugging Face's own class on these bf16 weights (`scripts/demo-model/evaluate.py`).
{missed}

`detect` answers `<locY1><locX1><locY2><locX2> label` in 1/1024 of the picture, several joined by
` ; ` from left to right, and nothing at all (just `<eos>`) if there is no such object. Other prompts it
has seen: `detect circle`, `count shapes`, `count digits`. Pictures of any size work; they are
squeezed to 112 × 112.

`cluster/demo/sample.jsonl` (the quickstart's table) holds the first requests of each task of
`cluster/demo/batch.jsonl` that the model answers rightly; the whole batch, mistakes included, is in
`batch.jsonl` with its truths in `expected.jsonl`.

Digits: scikit-learn's `load_digits` (UCI optical recognition of handwritten digits, CC BY 4.0).
Made by `scripts/demo-model` of the Palisade repository.
"""


def main():
    folder, figures = pathlib.Path(sys.argv[1]), json.loads(pathlib.Path(sys.argv[2]).read_text())
    with safe_open(folder / "model.safetensors", framework="pt") as stored:
        parameters = sum(stored.get_tensor(name).numel() for name in stored.keys())
    rows = json.loads((folder / "config.json").read_text())["vocab_size"]
    lines, missed = [], []
    for task, (prompt, measure) in PROMPTS.items():
        value, aim = figures[task]["figure"], TARGETS.get(task)
        shown = f"{value:.3f}" if task == "detect" else f"{value:.1%}"
        goal = "none set" if aim is None else f"{aim:.2f}" if task == "detect" else f"{aim:.0%}"
        lines.append(f"| `{prompt}` | {measure} | {shown} | {goal} |")
        if aim is not None and value < aim:
            missed.append(task)
    note = f"Below its aim: {', '.join(missed)}." if missed else "All aims are met."
    (folder / "README.md").write_text(TEXT.format(
        parameters=parameters, rows=rows, table="\n".join(lines),
        scenes=figures["caption"]["scenes"], missed=note), encoding="utf-8")


if __name__ == "__main__":
    main()
