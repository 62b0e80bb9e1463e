"""Train the demo model: first the vision tower on dense targets, then everything together.

    train.py --folder MODEL_FOLDER --run RUN_FOLDER --until 2026-11-23T23:00 [--vision-minutes 6]

Progress follows the clock: learning rates fall to nothing at `--until`, however fast the machine
is. `RUN_FOLDER/knobs.json` ({"digit_scenes": 16, "weights": {"ocr": 1.0, ...}}) is read again every
100 steps. Resumes from RUN_FOLDER/latest.pt.
"""

import argparse
import copy
import datetime
import json
import multiprocessing
import pathlib
import time

import torch
import torch.nn.functional as F

from batches import IMAGES, TASKS, loader, patch_statistics
from evaluate import quick_figures
from model import DemoModel
from optimiser import make_optimisers
from tokenizer import Tokenizer

DENSE_WEIGHTS = (2.0, 0.5, 0.5, 0.5)
CLASS_WEIGHTS = torch.tensor([0.2] + [1.0] * 14)


def dense_loss(model, features, early, batch):
    """Per patch: class, colour, ranks, the box and its smooth code, and early on the items' outline."""
    labels, boxes = batch["labels"], batch["boxes"]
    parts = model.dense(features).split((*model.dense_sizes, 4 * 33), -1)
    total, shown = 0, []
    for index, weight in enumerate(DENSE_WEIGHTS):
        part = F.cross_entropy(
            parts[index].flatten(0, 1), labels[:, index].flatten(), ignore_index=-1,
            weight=CLASS_WEIGHTS if index == 0 else None)
        shown.append(float(part.detach()))
        total = total + weight * part
    outline = F.binary_cross_entropy_with_logits(
        model.outline(early.float()), batch["covers"].float() / 255)
    shown.append(float(outline.detach()))
    total = total + 2.0 * outline
    inside = labels[:, 0].flatten() > 0
    wanted = boxes.flatten(0, 1)[inside]
    bins = (wanted * 1024).long().clamp(0, 1023)
    code = torch.cat((model.box_code[bins], wanted[..., None] * 2 - 1), -1).flatten(1)
    said = parts[-1].flatten(0, 1)[inside]
    box = (said[:, 32::33] - code[:, 32::33]).abs().mean()
    return total + F.mse_loss(said, code) + 4.0 * box, [*shown, float(box.detach())]


def answer_loss(logits, target, task, first_loc, sigma, weights):
    """Weighted mean cross-entropy; locations are scored against a Gaussian over the bins."""
    scores = F.log_softmax(logits, -1)
    bins = target - first_loc
    is_loc = (bins >= 0) & (bins < 1024)
    loss = -scores.gather(1, target[:, None])[:, 0]
    if bool(is_loc.any()):
        at = torch.arange(1024, dtype=torch.float32)
        bell = torch.exp(-0.5 * ((at[None] - bins[is_loc][:, None].float()) / sigma) ** 2)
        bell = bell / bell.sum(1, keepdim=True)
        soft = -(bell * scores[is_loc, first_loc:first_loc + 1024]).sum(1)
        loss = loss.masked_scatter(is_loc, soft)
    weight = torch.where(is_loc, 0.7, 1.0) * weights[task]
    by_task = [float(loss[(task == t) & ~is_loc].detach().mean()) for t in range(len(TASKS))]
    return (loss * weight).sum() / weight.sum(), by_task


def forward_states(model, batch, with_text):
    """Features of each picture and, unless in the vision stage, states of the text positions."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features, early = model.vision(batch["pixels"])
        if not with_text:
            return features, early, None
        return features, early, model.text(
            features[batch["which"]], batch["ids"], batch["prefix"])


class Trainer:
    """The loop's state: model, its running average, optimisers, and the clock."""

    def __init__(self, chosen):
        self.chosen = chosen
        self.run = pathlib.Path(chosen.run)
        self.run.mkdir(parents=True, exist_ok=True)
        self.tokenizer = Tokenizer(chosen.folder)
        self.model = DemoModel(self.tokenizer.rows, self.tokenizer.first_loc)
        self.average = copy.deepcopy(self.model)
        self.optimisers = make_optimisers(self.model)
        self.step, self.questions, self.pictures = 0, 0, 0
        self.started = time.time()
        self.end = datetime.datetime.fromisoformat(chosen.until).replace(
            tzinfo=datetime.timezone.utc).timestamp()
        self.weights = torch.ones(len(TASKS))
        self.digit_scenes = multiprocessing.Value("i", chosen.digit_scenes)
        self.peak = 1.0
        self.model.vision.whiten(patch_statistics(chosen.folder))
        if (self.run / "latest.pt").exists():
            self.load()
        self.base_rates = [o.param_groups[0]["lr"] for o in make_optimisers(self.model)]
        self.forward = torch.compile(forward_states, dynamic=False)

    def load(self):
        state = torch.load(self.run / "latest.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"]):
            optimiser.load_state_dict(saved)
        self.step, self.questions = state["step"], state["questions"]
        self.pictures, self.started = state["pictures"], state["started"]

    def save(self, name="latest.pt"):
        state = {"model": self.model.state_dict(), "average": self.average.state_dict(),
                 "optimisers": [o.state_dict() for o in self.optimisers], "step": self.step,
                 "questions": self.questions, "pictures": self.pictures, "started": self.started}
        torch.save(state, self.run / "writing.pt")
        (self.run / "writing.pt").replace(self.run / name)

    def read_knobs(self):
        path = self.run / "knobs.json"
        if path.exists():
            knobs = json.loads(path.read_text())
            self.digit_scenes.value = knobs.get("digit_scenes", self.digit_scenes.value)
            self.peak = knobs.get("peak", self.peak)
            if "until" in knobs:
                self.end = datetime.datetime.fromisoformat(knobs["until"]).replace(
                    tzinfo=datetime.timezone.utc).timestamp()
            for name, value in knobs.get("weights", {}).items():
                self.weights[TASKS.index(name)] = value

    def set_rates(self, now):
        """Warm up 100 steps, hold, then fall linearly to nothing over the clock's last 60 %."""
        done = min(1.0, (now - self.started) / max(1.0, self.end - self.started))
        rate = min(1.0, (self.step + 1) / 100) * min(1.0, (1 - done) / 0.6)
        for optimiser, base in zip(self.optimisers, self.base_rates):
            for group in optimiser.param_groups:
                group["lr"] = base * self.peak * max(rate, 0.002)
        return done

    def update(self, batch):
        """One step; gives the answer losses by task and the dense losses."""
        now = time.time()
        done = self.set_rates(now)
        with_text = now - self.started > self.chosen.vision_minutes * 60
        features, early, states = self.forward(self.model, batch, with_text)
        dense, shown = dense_loss(self.model, features, early, batch)
        loss, by_task = dense, []
        if with_text:
            sigma = 40.0 * (3.0 / 40.0) ** min(1.0, done / 0.6)
            rows = (batch["target"] >= 0).flatten()
            task = batch["task"][:, None].expand_as(batch["target"]).flatten()[rows]
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = states.flatten(0, 1)[rows] @ self.model.text.table.T
            words, by_task = answer_loss(
                logits.float(), batch["target"].flatten()[rows], task,
                self.tokenizer.first_loc, sigma, self.weights)
            loss = words + 0.3 * dense
            self.questions += int((batch["task"] >= 0).sum())
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        for optimiser in self.optimisers:
            optimiser.step()
        with torch.no_grad():
            keep = min(0.998, (self.step + 1) / (self.step + 10))
            for mean, p in zip(self.average.parameters(), self.model.parameters()):
                mean.lerp_(p, 1 - keep)
        self.step += 1
        self.pictures += IMAGES
        return by_task, shown

    def log(self, text):
        print(f"{datetime.datetime.now(datetime.timezone.utc):%H:%M:%S} {text}", flush=True)

    def loop(self):
        data = iter(loader(self.chosen.folder, self.step + 17, self.digit_scenes))
        last_save, last_test, last = time.time(), time.time(), time.time()
        self.log(f"start at step {self.step}")
        waited = 0.0
        while time.time() < self.end:
            if self.step % 100 == 0:
                self.read_knobs()
            began = time.time()
            batch = next(data)
            waited += time.time() - began
            by_task, dense = self.update(batch)
            if self.step % 50 == 0:
                took, last = (time.time() - last) / 50, time.time()
                losses = " ".join(f"{t} {v:.3f}" for t, v in zip(TASKS, by_task))
                dense = " ".join(f"{v:.3f}" for v in dense)
                self.log(f"step {self.step} {took:.3f} s/step, waited {waited:.1f}, "
                         f"class colour rank kind outline box: {dense} | {losses}")
                waited = 0.0
            if time.time() - last_save > 90:
                self.save()
                last_save = time.time()
            if by_task and time.time() - last_test > self.chosen.test_minutes * 60:
                self.log("held out " + quick_figures(self.average, self.tokenizer))
                last_test = time.time()
        self.save()
        self.save("final.pt")
        self.log("end; held out " + quick_figures(self.average, self.tokenizer, 60))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--until", required=True, help="UTC, e.g. 2026-11-23T23:00")
    parser.add_argument("--vision-minutes", type=float, default=6)
    parser.add_argument("--test-minutes", type=float, default=8)
    parser.add_argument("--digit-scenes", type=int, default=18, help=f"of {IMAGES} a step")
    torch.set_num_threads(1)
    torch.manual_seed(20)
    Trainer(parser.parse_args()).loop()


if __name__ == "__main__":
    main()
