"""Golden scores for `palisade eval`, from the reference implementations.

    python3 -m venv eval-venv
    eval-venv/bin/pip install --requirement scripts/goldens/eval-requirements.txt
    eval-venv/bin/pip install --no-deps lmms-eval==0.7.3
    eval-venv/bin/python scripts/goldens/eval.py --vqa-eval vqaEval.py \
        --output Tests/JobsTests/Fixtures/evaluation.json

`vqaEval.py` is VQAv2's official script (github.com/GT-Vision-Lab/VQA,
PythonEvaluationTools/vqaEvaluation, commit a013f00); it is Python 2, and only its print statements
are changed before it runs. CIDEr and its tokenizer are pycocoevalcap's (Java is needed), mAP is
pycocotools', ANLS that of the package `anls`, ChartQA's relaxed accuracy that of lmms-eval (which is
pix2struct's). The mean overlaps, which no package defines, are computed here with numpy.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import pathlib
import random
import re

import numpy as np
from anls import anls_score
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from eval_texts import ANLS_PAIRS, CAPTIONS, CHART_PAIRS, VQA_TEXTS, random_captions

LABELS = ["cat", "dog", "red car"]


def official_vqa(path):
    """The class VQAEval, made readable for Python 3."""
    source = re.sub(r'print (".*?")', r"print(\1)", pathlib.Path(path).read_text())
    names = {}
    exec(compile(source, str(path), "exec"), names)
    return names["VQAEval"]


class Questions:
    """What VQAEval wants of the dataset's API."""

    def __init__(self, qa):
        self.qa = qa

    def getQuesIds(self):
        return list(self.qa)


def vqa(path):
    rng = random.Random(7)
    cases = []
    for number, text in enumerate(VQA_TEXTS):
        pool = [text] + rng.sample(VQA_TEXTS, 3)
        cases.append((text, [rng.choice(pool) for _ in range(10)]))
        cases.append((rng.choice(pool), [text] * (10 if number % 2 else 7)))
        cases.append((text, [rng.choice(pool) for _ in range(rng.randint(4, 9))]))
    truths, said = {}, {}
    for number, (answer, answers) in enumerate(cases):
        listed = [{"answer": a, "answer_id": i} for i, a in enumerate(answers)]
        truths[number] = {"answers": listed, "question_type": "x", "answer_type": "x"}
        said[number] = {"answer": answer}
    evaluation = official_vqa(path)(Questions(truths), Questions(said), n=12)
    normalized = [[text, evaluation.processDigitArticle(evaluation.processPunctuation(text))]
                  for text in VQA_TEXTS]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
    scored = [{"answer": answer, "references": answers, "score": evaluation.evalQA[number] / 100}
              for number, (answer, answers) in enumerate(cases)]
    return {"normalized": normalized, "cases": scored}


def chartqa():
    folder = pathlib.Path(importlib.util.find_spec("lmms_eval").submodule_search_locations[0])
    found = importlib.util.spec_from_file_location("chartqa", folder / "tasks/chartqa/utils.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return [{"answer": said, "references": [truth],
             "score": float(module.relaxed_correctness(said, truth))} for said, truth in CHART_PAIRS]


def captions():
    """Words of every caption, and CIDEr of three corpora."""
    tokens = PTBTokenizer().tokenize({i: [{"caption": c}] for i, c in enumerate(CAPTIONS)})
    words = [[caption, tokens[i][0].split()] for i, caption in enumerate(CAPTIONS)]
    corpora = []
    for seed, count, references in ((1, 40, 5), (2, 12, 1), (3, 1, 3)):
        rng = random.Random(seed)
        said = random_captions(count, seed)
        truths = [[c if rng.random() < 0.3 else rng.choice(random_captions(9, seed + i))
                   for _ in range(references)] for i, c in enumerate(said)]
        if count > 3:
            said[1], said[2], said[3] = "", rng.choice(CAPTIONS[:20]), said[3] + " " + said[3]
            truths[2] = CAPTIONS[:references]
        tokenize = PTBTokenizer().tokenize
        result = tokenize({i: [{"caption": c}] for i, c in enumerate(said)})
        truth = tokenize({i: [{"caption": c} for c in cs] for i, cs in enumerate(truths)})
        score, scores = Cider().compute_score(truth, result)
        corpora.append({"answers": said, "references": truths, "score": float(score),
                        "scores": [float(s) for s in scores]})
    return {"words": words, "corpora": corpora}


def average_precision(lines, kind):
    """(mAP 0.5:0.95, mAP 0.5) of pycocotools, every score 1, image ids in the order of the lines."""
    truths, results = [], []
    labels = {label: i + 1 for i, label in enumerate(LABELS + ["ghost"])}
    for image, line in enumerate(lines):
        for things, into in ((line["references"], truths), (line["answer"], results)):
            for thing in things:
                entry = {"image_id": image + 1, "category_id": labels[thing["label"]]}
                if kind == "bbox":
                    x1, y1, x2, y2 = thing["xyxy"]
                    entry["bbox"] = [x1, y1, x2 - x1, y2 - y1]
                    entry["area"] = (x2 - x1) * (y2 - y1)
                else:
                    entry["segmentation"] = {"size": thing["size"], "counts": thing["counts"]}
                    entry["area"] = float(coco_mask.area(entry["segmentation"]))
                if into is truths:
                    entry |= {"iscrowd": 0, "id": len(truths) + 1}
                else:
                    entry["score"] = 1.0
                into.append(entry)
    sizes = [(line["references"] + line["answer"] + [{}])[0].get("size", [1, 1]) for line in lines]
    images = [{"id": i + 1, "height": s[0], "width": s[1]} for i, s in enumerate(sizes)]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"images": images, "annotations": truths,
                        "categories": [{"id": i, "name": n} for n, i in labels.items()]}
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


def matched(overlaps):
    """The sum of overlaps of pairs, the largest first."""
    pairs = sorted(((v, -i, -j) for i, row in enumerate(overlaps) for j, v in enumerate(row) if v > 0),
                   reverse=True)
    rows, columns, total = set(), set(), 0.0
    for value, i, j in pairs:
        if i not in rows and j not in columns:
            rows.add(i)
            columns.add(j)
            total += value
    return total


def boxes_case(seed, count):
    rng = random.Random(seed)

    def box(label):
        x, y = rng.randrange(0, 300), rng.randrange(0, 200)
        return {"label": label, "xyxy": [x, y, x + rng.randrange(5, 120), y + rng.randrange(5, 120)]}

    def near(box):
        shift = rng.choice([0, 1, 4, 10, 25])
        corners = [c + rng.uniform(-shift, shift) for c in box["xyxy"]]
        if corners[2] - corners[0] < 1 or corners[3] - corners[1] < 1:
            corners = box["xyxy"]
        return {"label": box["label"], "xyxy": [round(c, 2) for c in corners]}

    lines, overlap_sum = [], 0.0
    for number in range(count):
        truths = [box(rng.choice(LABELS[: 1 + seed % 3])) for _ in range(rng.choice([0, 1, 2, 3, 6]))]
        said = [near(t) for t in truths if rng.random() < 0.8]
        said += [box(rng.choice(LABELS + ["ghost"])) for _ in range(rng.choice([0, 0, 1, 2]))]
        said += said[:1] if number % 4 == 1 else []
        if number == 2:  # an overlap of exactly one half, and two equal overlaps
            truths = [{"label": "cat", "xyxy": [0, 0, 20, 10]}, {"label": "cat", "xyxy": [20, 0, 40, 10]}]
            said = [{"label": "cat", "xyxy": [0, 0, 10, 10]}, {"label": "cat", "xyxy": [10, 0, 30, 10]}]
        if number == 3 and seed % 2:  # more than COCO's maxDets
            said = said + [box("cat") for _ in range(120)]
        rng.shuffle(said)
        total = 0.0
        for label in LABELS + ["ghost"]:
            mine = [b["xyxy"] for b in said if b["label"] == label]
            theirs = [b["xyxy"] for b in truths if b["label"] == label]
            if mine and theirs:
                wide = lambda b: [b[0], b[1], b[2] - b[0], b[3] - b[1]]
                total += matched(coco_mask.iou([wide(b) for b in mine], [wide(b) for b in theirs],
                                               [0] * len(theirs)).tolist())
        most = max(len(said), len(truths))
        overlap_sum += total / most if most else 1
        lines.append({"references": truths, "answer": said})
    strict, half = average_precision(lines, "bbox")
    return {"lines": lines, "mAP": strict, "mAP50": half, "mean_iou": overlap_sum / count}


def masks_case(seed, count):
    rng = np.random.default_rng(seed)

    def region(height, width):
        bits = np.zeros((height, width), np.uint8)
        y, x = rng.integers(0, height - 4), rng.integers(0, width - 4)
        bits[y:y + rng.integers(3, height), x:x + rng.integers(3, width)] = 1
        return bits * (rng.random((height, width)) < 0.9)

    def written(label, bits):
        rle = coco_mask.encode(np.asfortranarray(bits.astype(np.uint8)))
        return {"label": label, "size": list(rle["size"]), "counts": rle["counts"].decode()}

    lines, overlap_sum, pixels = [], 0.0, {}
    for _ in range(count):
        height, width = int(rng.integers(8, 30)), int(rng.integers(8, 30))
        truths = [(str(rng.choice(LABELS[:2])), region(height, width)) for _ in range(rng.integers(0, 4))]
        said = [(label, np.roll(bits, rng.integers(0, 3), 1)) for label, bits in truths
                if rng.random() < 0.8]
        if rng.random() < 0.3:
            said.append(("ghost" if rng.random() < 0.5 else "cat", region(height, width)))
        names = sorted({label for label, _ in truths + said})
        total = 0.0
        for name in names:
            empty = np.zeros((height, width), bool)
            mine = np.logical_or.reduce([empty] + [b > 0 for n, b in said if n == name])
            theirs = np.logical_or.reduce([empty] + [b > 0 for n, b in truths if n == name])
            shared, either = int((mine & theirs).sum()), int((mine | theirs).sum())
            before = pixels.get(name, (0, 0))
            pixels[name] = (before[0] + shared, before[1] + either)
            total += shared / either if either else 1
        overlap_sum += total / len(names) if names else 1
        lines.append({"references": [written(*t) for t in truths], "answer": [written(*s) for s in said]})
    strict, _ = average_precision(lines, "segm")
    shares = [shared / either for shared, either in pixels.values() if either]
    return {"lines": lines, "mAP": strict, "mean_iou": overlap_sum / count,
            "mean_iou_of_labels": sum(shares) / len(shares)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vqa-eval", required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    chosen = parser.parse_args()
    golden = {
        "vqa": vqa(chosen.vqa_eval),
        "chartqa": chartqa(),
        "anls": [{"answer": a, "references": r, "score": anls_score(a, r)} for a, r in ANLS_PAIRS],
        "captions": captions(),
        "detect": [boxes_case(seed, count) for seed, count in ((1, 12), (2, 9), (3, 12))],
        "segment": [masks_case(seed, count) for seed, count in ((5, 10), (6, 14))],
    }
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in golden.items()]
    chosen.output.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
