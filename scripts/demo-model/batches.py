"""Endless training batches, drawn afresh by one background process."""

import os

import numpy as np
import torch
from PIL import Image

from model import IMAGE_TOKENS
from scenes import DigitSource, jpeg_round_trip, render, sample_scene, to_model_square
from tasks import dense_targets, training_questions
from tokenizer import Tokenizer

IMAGES, QUESTIONS, TEXT = 36, 100, 26
TASKS = ("caption", "detect", "count", "colour", "ocr")


def encode_question(tokenizer, prompt, answer):
    """(ids of `<bos> prompt \\n answer <eos>`, length of the prompt part)."""
    head = [2] + tokenizer.encode(prompt + "\n")
    return head + tokenizer.encode(answer) + [1], len(head)


class Batches(torch.utils.data.IterableDataset):
    """Batches of IMAGES scenes and up to QUESTIONS questions of at most TEXT ids.

    `digit_scenes` is a shared integer, so that the mix can be changed while training runs.
    """

    def __init__(self, folder, seed, digit_scenes):
        self.folder, self.seed, self.digit_scenes = folder, seed, digit_scenes

    def __iter__(self):
        os.nice(5)
        torch.set_num_threads(1)
        tokenizer = Tokenizer(self.folder)
        source = DigitSource(held_out=False)
        rng = np.random.default_rng(self.seed)
        while True:
            yield self.batch(rng, source, tokenizer)

    def batch(self, rng, source, tokenizer):
        pixels, labels, boxes, covers, asked = [], [], [], [], []
        digit_scenes = int(self.digit_scenes.value)
        for index in range(IMAGES):
            scene = sample_scene(rng, source, index < digit_scenes)
            cover = Image.new("L", (scene.width, scene.height), 0)
            picture = render(scene, cover)
            cover = np.asarray(cover.resize((56, 56), Image.BOX)).reshape(8, 7, 8, 7)
            covers.append(cover.transpose(0, 2, 1, 3).reshape(64, 49))
            if rng.random() < 0.12:
                picture = jpeg_round_trip(picture, int(rng.integers(70, 96)))
            pixels.append(to_model_square(picture))
            label, box = dense_targets(scene)
            labels.append(label)
            boxes.append(box)
            for task, prompt, answer in training_questions(rng, scene):
                ids, head = encode_question(tokenizer, prompt, answer)
                if len(ids) <= TEXT:
                    asked.append((index, TASKS.index(task), ids, head))
        asked = asked[:QUESTIONS]
        ids = np.zeros((QUESTIONS, TEXT), dtype=np.int64)
        target = np.full((QUESTIONS, TEXT), -1, dtype=np.int64)
        which = np.zeros(QUESTIONS, dtype=np.int64)
        task = np.full(QUESTIONS, -1, dtype=np.int64)
        prefix = np.full(QUESTIONS, IMAGE_TOKENS + 1, dtype=np.int64)
        for row, (index, kind, sequence, head) in enumerate(asked):
            ids[row, : len(sequence)] = sequence
            target[row, head - 1 : len(sequence) - 1] = sequence[head:]
            which[row], task[row], prefix[row] = index, kind, IMAGE_TOKENS + head
        arrays = {"pixels": np.stack(pixels), "labels": np.stack(labels), "boxes": np.stack(boxes),
                  "covers": np.stack(covers),
                  "ids": ids, "target": target, "which": which, "task": task, "prefix": prefix}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def loader(folder, seed, digit_scenes):
    return torch.utils.data.DataLoader(
        Batches(folder, seed, digit_scenes), batch_size=None, num_workers=1, prefetch_factor=6)


def patch_statistics(folder, batches=6):
    """Training pictures' patches as the vision tower sees them: [N, 3·14·14] f32."""
    digit_scenes = type("Fixed", (), {"value": IMAGES // 2})
    maker = Batches(folder, 1, digit_scenes)
    rng, tokenizer = np.random.default_rng(11), Tokenizer(folder)
    source = DigitSource(held_out=False)
    made = [maker.batch(rng, source, tokenizer)["pixels"] for _ in range(batches)]
    x = torch.cat(made).float() / 127.5 - 1
    x = x.view(-1, 8, 14, 8, 14, 3).permute(0, 1, 3, 5, 2, 4)
    return x.reshape(-1, 3 * 14 * 14)
