"""References for the demo model's held-out pictures: cluster/demo/eval.jsonl.

    python3 scripts/goldens/eval_demo.py cluster/demo     (needs pillow)

Puts the truths of expected.jsonl beside the requests of batch.jsonl, in the forms that `palisade eval`
wants; boxes in pixels of the picture.
"""

import json
import pathlib
import re
import sys

from PIL import Image

LOC = re.compile(r"<loc(\d{4})>")
SCORES = {"caption": "caption", "detect": "detect", "count": "count", "answer": "vqa", "ocr": "ocr"}


def boxes(text, width, height):
    """[{label, xyxy}] of `<locY1><locX1><locY2><locX2> label ; …`."""
    found = []
    for part in filter(None, (p.strip() for p in text.split(";"))):
        y1, x1, y2, x2 = (int(n) / 1024 for n in LOC.findall(part))
        corners = [x1 * width, y1 * height, x2 * width, y2 * height]
        found.append({"label": LOC.sub("", part).strip(), "xyxy": [round(c, 2) for c in corners]})
    return found


def references(score, truth, picture):
    if score == "count":
        return int(truth)
    if score == "detect":
        with Image.open(picture) as image:
            return boxes(truth, *image.size)
    return [truth]


def main(folder):
    def lines(name):
        return [json.loads(line) for line in (folder / name).read_text().splitlines()]

    truths = {line["custom_id"]: line["expected"] for line in lines("expected.jsonl")}
    with (folder / "eval.jsonl").open("w") as output:
        for request in lines("batch.jsonl"):
            score = SCORES[request["prompt"].split()[0]]
            truth = references(score, truths[request["custom_id"]], folder / request["image"])
            output.write(json.dumps(request | {"score": score, "references": truth}) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
