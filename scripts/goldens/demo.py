"""What Hugging Face says to real pictures with the trained demo checkpoint.

    python scripts/goldens/demo.py --model DIR --images DIR \\
        --output Tests/JobsTests/Fixtures/demo

Runs the reference processor (tokenizer, Pillow resize) and model in f32. A question whose greedy
answer hangs on less than MINIMUM_GAP anywhere is left out, for summation order could flip it.
Layout of the files: README.md beside this script.
"""

import argparse
import hashlib
from pathlib import Path

import numpy
import torch
import transformers
from PIL import Image
from safetensors import safe_open
from transformers import (
    AutoTokenizer,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    SiglipImageProcessorPil,
)

import checkpoint
import common
from common import require

MAXIMUM_NEW_TOKENS = 32
MAXIMUM_BYTES = 300_000
EXAMPLE_COUNT = 16  # pixel values written out, at equal distances
PROMPTS = (
    "caption en",
    "detect circle",
    "count squares",
    "ocr",
    "detect red star",
    "answer en what color is the triangle?",
    "count shapes",
    " caption  en",  # nothing is stripped: the spaces stay
)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def weight_files(folder):
    return sorted(folder.glob("*.safetensors"))


def storage_dtype(folder):
    """The dtype of the stored embedding table, as one of checkpoint.DTYPES' names."""
    names = {"F32": "f32", "BF16": "bf16", "F16": "f16"}
    for file in weight_files(folder):
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():
                if name.endswith("embed_tokens.weight"):
                    return names[tensors.get_slice(name).get_dtype()]
    raise SystemExit(f"no embedding table in {folder}; export the model first")


class Reference:
    """Model and processor of one checkpoint folder."""

    def __init__(self, folder):
        self.folder = folder
        self.dtype = storage_dtype(folder)
        self.model = PaliGemmaForConditionalGeneration.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.scale = checkpoint.embedding_scale(self.model)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        pictures = SiglipImageProcessorPil.from_pretrained(folder)
        self.processor = PaliGemmaProcessor(pictures, self.tokenizer)
        ends = self.model.generation_config.eos_token_id
        self.end_tokens = set(ends if isinstance(ends, list) else [ends])

    def inputs(self, picture, prompt):
        """Token ids and pixel values by the reference processor."""
        text = "<image>" + prompt
        batch = self.processor(images=picture, text=text, return_tensors="pt")
        require(not batch["token_type_ids"].any(), "a prompt token is not prefix")
        return batch["input_ids"][0].tolist(), batch["pixel_values"]


def picked_layers(count):
    """Middle and last."""
    return sorted({count // 2, count - 1})


def picked_rows(value):
    """Middle and last row of [T, D]."""
    return value[[value.shape[0] // 2, value.shape[0] - 1]]


def image_record(file, picture, pixels):
    flat = pixels.numpy().ravel()
    places = numpy.linspace(0, flat.size - 1, EXAMPLE_COUNT).astype(int).tolist()
    return {
        "file": file.name,
        "file_sha256": sha256(file.read_bytes()),
        "width": picture.width,
        "height": picture.height,
        "rgb_sha256": sha256(picture.tobytes()),
        "pixel_values_sha256": sha256(flat.astype("<f4").tobytes()),
        "pixel_value_examples": {str(place): float(flat[place]) for place in places},
    }


def image_tensors(reference, index, records):
    """Rows of some vision layers, small enough to commit."""
    count = reference.model.config.vision_config.num_hidden_layers
    names = ["patch_embedding"] + [f"layer.{i}" for i in picked_layers(count)]
    names += ["post_layernorm", "projector"]
    return {
        f"image.{index}.{name}.rows": picked_rows(records[f"vision.{name}"][0]) for name in names
    }


def case_tensors(reference, key, records, logits, tokens):
    """Last prefix row of some layers, the norms of all, and the first logits."""
    count = reference.model.config.text_config.num_hidden_layers
    names = ["embeddings"] + [f"layer.{i}" for i in range(count)] + ["final_norm"]
    norms = [float(records[f"text.{name}"][0].double().norm()) for name in names]
    tensors = {
        f"{key}.{name}.last_row": records[f"text.{name}"][0, -1]
        for name in [f"layer.{i}" for i in picked_layers(count)] + ["final_norm"]
    }
    tensors[f"{key}.norms"] = torch.tensor(norms)
    tensors[f"{key}.logits"] = logits[0]
    tensors[f"{key}.log_probabilities"] = common.chosen_log_probabilities(logits, tokens)
    return tensors


def answer(reference, picture, prompt):
    """One question, checked; None where a near tie makes the answer unfit as a golden."""
    ids, pixels = reference.inputs(picture, prompt)
    records, logits, _, tokens = common.greedy(
        reference.model, ids, pixels, MAXIMUM_NEW_TOKENS - 1, reference.end_tokens
    )
    gap = float(common.gaps(logits).min())
    if gap <= common.MINIMUM_GAP:
        print(f"left out: {prompt!r}, gap {gap:.1e}")
        return None
    common.verify_case(
        reference.model, ids, pixels, records, logits, tokens, reference.end_tokens
    )
    decode = reference.tokenizer.decode
    document = {
        "prompt": prompt,
        "input_ids": ids,
        "greedy_tokens": tokens,
        "finish": "end" if tokens[-1] in reference.end_tokens else "length",
        "text": decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False),
        "smallest_gap": round(gap, 5),
    }
    return document, records, logits, pixels


def choose_pictures(folder, count):
    """`count` files at equal distances in name order."""
    kinds = {".png", ".jpg", ".jpeg", ".webp"}
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in kinds)
    require(files, f"no pictures in {folder}")
    places = numpy.linspace(0, len(files) - 1, min(count, len(files))).astype(int)
    return [files[place] for place in places]


def build(reference, files, per_picture):
    tensors, images, cases = {}, [], []
    for file in files:
        picture = Image.open(file).convert("RGB")
        image, taken = len(images), 0
        start = 3 * image % len(PROMPTS)  # other questions first for each picture
        for prompt in PROMPTS[start:] + PROMPTS[:start]:
            found = answer(reference, picture, prompt) if taken < per_picture else None
            if found is None:
                continue
            document, records, logits, pixels = found
            if taken == 0:
                images.append(image_record(file, picture, pixels[0]))
                tensors |= image_tensors(reference, image, records)
            key = f"case.{len(cases)}"
            tensors |= case_tensors(reference, key, records, logits, document["greedy_tokens"])
            cases.append({"image": image} | document)
            taken += 1
            print(f"{file.name}: {document['prompt']!r} -> {document['text']!r}")
    return tensors, images, cases


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--questions", type=int, default=4, help="at most, a picture")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    reference = Reference(options.model)
    files = choose_pictures(options.images, options.pictures)
    tensors, images, cases = build(reference, files, options.questions)
    require(cases, "no question has a clear answer")
    options.output.mkdir(parents=True, exist_ok=True)
    common.write_tensors(tensors, options.output / "golden.safetensors")
    document = {
        "generator": "scripts/goldens/demo.py",
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "weights_sha256": {f.name: sha256(f.read_bytes()) for f in weight_files(options.model)},
        "storage_dtype": reference.dtype,
        "embedding_scale": reference.scale,
        "end_token_ids": sorted(reference.end_tokens),
        "maximum_new_tokens": MAXIMUM_NEW_TOKENS,
        "images": images,
        "cases": cases,
    }
    common.write_json(document, options.output / "golden.json")
    byte_count = sum(f.stat().st_size for f in options.output.glob("golden.*"))
    print(f"{len(cases)} cases, {byte_count} bytes")
    require(byte_count <= MAXIMUM_BYTES, "the fixture is too big; lower --questions")


if __name__ == "__main__":
    main()
