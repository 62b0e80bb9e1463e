"""Makes tiny PaliGemma 1 checkpoints and what Hugging Face's own class computes with them.

    python scripts/goldens/paligemma.py --output Tests/PaliGemmaTests/Fixtures

Layout and meaning of the files: README.md beside this script.
"""

import argparse
import random
import shutil
from pathlib import Path

import numpy
import torch
import transformers
from PIL import Image
from transformers import PaliGemmaForConditionalGeneration, SiglipImageProcessorPil

import checkpoint
import common
from common import require
from variants import VARIANTS

NEWLINE, BOS, EOS = 10, 2, 1
DECODE_STEPS = 8
MINIMUM_VARIETY = 5  # different tokens among the nine of a case

def make_images(size, seed):
    """Two random pictures, [S, S, 3] u8: coarse blocks with noise, so that patches differ."""
    generator = numpy.random.default_rng(seed)
    images = []
    for _ in range(2):
        coarse = generator.integers(0, 256, (5, 5, 3), dtype=numpy.uint8)
        picture = numpy.asarray(Image.fromarray(coarse).resize((size, size), Image.NEAREST))
        noise = generator.integers(-60, 61, picture.shape)
        images.append(numpy.clip(picture + noise, 0, 255).astype(numpy.uint8))
    return images


def make_processor(size):
    processor = SiglipImageProcessorPil(
        size={"height": size, "width": size},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
        resample=Image.Resampling.BICUBIC,
    )
    processor.image_seq_length = (size // 14) ** 2
    return processor


def normalise(processor, picture):
    """[1, 3, S, S] f32 by the reference processor, which is x / 127.5 - 1 to the bit."""
    values = processor(images=Image.fromarray(picture), return_tensors="pt").pixel_values
    ours = torch.from_numpy(picture).permute(2, 0, 1).float() / 127.5 - 1
    require(torch.equal(values[0], ours), "the processor is not x / 127.5 - 1")
    return values


def make_prompts(variant, seed):
    """name -> (indices of the images, token ids after the image tokens)."""
    chooser = random.Random(seed)
    usable = [t for t in range(4, variant["image_token"]) if t != NEWLINE]
    tokens = (variant["vision"]["image_size"] // 14) ** 2
    shapes = {
        "shortest": ([0], 0),
        "medium": ([1], 4),
        "longer-than-image": ([0], tokens + 3),
        "two-images": ([0, 1], 3),
        "end": ([1], 2),
    }
    return {
        name: (images, [BOS] + chooser.sample(usable, count) + [NEWLINE])
        for name, (images, count) in shapes.items()
    }


class Candidate:
    """One seed's model, pictures and prompts, with the greedy runs of every case."""

    def __init__(self, name, seed):
        self.name, self.seed = name, seed
        self.variant = dict(VARIANTS[name])
        size = self.variant["vision"]["image_size"]
        self.model = checkpoint.make_model(self.variant, seed)
        self.processor = make_processor(size)
        self.pictures = make_images(size, seed)
        self.pixels = [normalise(self.processor, picture) for picture in self.pictures]
        self.tokens_per_image = self.processor.image_seq_length
        self.cases = {}
        for case, (images, prompt) in make_prompts(self.variant, seed).items():
            ids = [self.variant["image_token"]] * self.tokens_per_image * len(images) + prompt
            self.cases[case] = (images, ids, torch.cat([self.pixels[i] for i in images]))
        self.end_tokens = set()
        self.runs = self.run()

    def run(self):
        return {
            case: common.greedy(self.model, ids, pixels, DECODE_STEPS, self.end_tokens)
            for case, (_, ids, pixels) in self.cases.items()
        }

    def choose_end(self):
        """Makes case `end`, and only it, stop in the middle; false where this seed cannot."""
        tokens = {case: run[3] for case, run in self.runs.items()}
        used = {t for case, (_, ids, _) in self.cases.items() for t in ids}
        used |= {t for case, list_ in tokens.items() if case != "end" for t in list_} | {EOS}
        ends = [t for i, t in enumerate(tokens["end"][:6]) if i >= 3 and t not in tokens["end"][:i]]
        ends = [t for t in ends if t not in used]
        if not ends or any(EOS in list_ for list_ in tokens.values()):
            return False
        if self.variant["end_tokens"] == EOS:
            checkpoint.swap_tokens(self.model, ends[0], EOS)
            self.end_tokens = {EOS}
        else:
            self.variant["end_tokens"] = sorted([EOS, ends[0]])
            self.end_tokens = {EOS, ends[0]}
        self.runs = self.run()
        return self.runs["end"][3][-1] in self.end_tokens

    def is_good(self):
        """Varied tokens, clear decisions, a visible mask."""
        for case, (_, ids, pixels) in self.cases.items():
            _, logits, _, tokens = self.runs[case]
            if len(set(tokens)) < MINIMUM_VARIETY or self.variant["image_token"] in tokens:
                return False
            if float(common.gaps(logits).min()) < 20 * common.MINIMUM_GAP:
                return False
            if common.causal_difference(self.model, ids, pixels, logits) < 0.1:
                return False
        return self.choose_end()


def search(name):
    for seed in range(1, 2000):
        candidate = Candidate(name, seed)
        if candidate.is_good():
            return candidate
    raise SystemExit(f"no seed suits {name}")


@torch.no_grad()
def verify_terms(candidate):
    """Every weight tensor matters: without it the logits move visibly.

    Not the vision tower's key biases: they shift all scores of a query alike, and softmax
    does not see that.
    """
    _, ids, pixels = candidate.cases["medium"]
    expected = candidate.runs["medium"][1][0]
    for name, parameter in candidate.model.named_parameters():
        if name.endswith("k_proj.bias"):
            continue
        saved = parameter.clone()
        parameter.zero_()
        output, _ = common.prefill(candidate.model, ids, pixels)
        parameter.copy_(saved)
        moved = common.difference(output.logits[0, -1], expected)
        require(moved > 1e-2, f"{candidate.name}: {name} moves the logits by {moved} only")


@torch.no_grad()
def verify_reload(candidate, folder):
    """Hugging Face loads the folder, under its names, to the same weights and logits."""
    model, report = PaliGemmaForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        require(not report[key], f"{candidate.name}: {key} {report[key]}")
    loaded = dict(model.named_parameters())
    for name, parameter in candidate.model.named_parameters():
        require(torch.equal(loaded[name], parameter), f"{candidate.name}: {name} differs")
    _, ids, pixels = candidate.cases["medium"]
    output, _ = common.prefill(model.eval(), ids, pixels)
    require(
        torch.equal(output.logits[0, -1], candidate.runs["medium"][1][0]),
        f"{candidate.name}: the reloaded model computes something else",
    )


def image_tensors(candidate):
    tensors = {}
    _, ids, _ = candidate.cases["shortest"]
    for index, (picture, pixels) in enumerate(zip(candidate.pictures, candidate.pixels)):
        _, records = common.prefill(candidate.model, ids, pixels)
        tensors[f"image.{index}.pixels"] = torch.from_numpy(picture)
        tensors[f"image.{index}.pixel_values"] = pixels[0]
        for name, value in records.items():
            if name.startswith("vision."):
                tensors[f"image.{index}.{name.removeprefix('vision.')}"] = value[0]
    return tensors


@torch.no_grad()
def case_tensors(candidate, case):
    """All tensors of a case, after the reference has been checked against itself."""
    _, ids, pixels = candidate.cases[case]
    records, logits, normed, tokens = candidate.runs[case]
    common.verify_case(candidate.model, ids, pixels, records, logits, tokens, candidate.end_tokens)
    tensors = {
        "input_ids": torch.tensor(ids, dtype=torch.int32),
        "greedy_tokens": torch.tensor(tokens, dtype=torch.int32),
        "logits": logits,
        "log_probabilities": common.chosen_log_probabilities(logits, tokens),
        "decode_final_norm": normed,
    }
    for name, value in records.items():
        if name.startswith("text."):
            tensors[name.removeprefix("text.")] = value[0]
    return {f"case.{case}.{name}": value for name, value in tensors.items()}


def describe(candidate, case):
    images, ids, pixels = candidate.cases[case]
    _, logits, _, tokens = candidate.runs[case]
    wrong = common.causal_difference(candidate.model, ids, pixels, logits)
    return {
        "name": case,
        "images": images,
        "input_ids": ids,
        "image_token_count": candidate.tokens_per_image * len(images),
        "greedy_tokens": tokens,
        "finish": "end" if tokens[-1] in candidate.end_tokens else "length",
        "smallest_gap": round(float(common.gaps(logits).min()), 5),
        "causal_mask_error": round(wrong, 4),
    }


def write_fixture(name, output):
    candidate = search(name)
    folder = output / name
    shutil.rmtree(folder, ignore_errors=True)
    model_folder = folder / "model"
    checkpoint.write_checkpoint(candidate.model, candidate.variant, model_folder)
    candidate.processor.save_pretrained(model_folder)
    verify_reload(candidate, model_folder)
    verify_terms(candidate)
    tensors = image_tensors(candidate)
    for case in candidate.cases:
        tensors |= case_tensors(candidate, case)
    common.write_tensors(tensors, folder / "golden.safetensors")
    document = {
        "generator": "scripts/goldens/paligemma.py",
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "seed": candidate.seed,
        "storage_dtype": candidate.variant["dtype"],
        "embedding_scale": checkpoint.embedding_scale(candidate.model),
        "image_token_id": candidate.variant["image_token"],
        "tokens_per_image": candidate.tokens_per_image,
        "end_token_ids": sorted(candidate.end_tokens),
        "image_count": len(candidate.pictures),
        "cases": [describe(candidate, case) for case in candidate.cases],
    }
    common.write_json(document, folder / "golden.json")
    byte_count = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{name}: seed {candidate.seed}, {byte_count} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", choices=VARIANTS, nargs="*", default=list(VARIANTS))
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    for name in options.only:
        write_fixture(name, options.output)


if __name__ == "__main__":
    main()
