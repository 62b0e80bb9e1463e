"""Draws results.jsonl: decode over answers under way, images/s over stages, seconds over picture sizes.

plot.py RESULTS FOLDER writes decode.svg, stages.svg and sizes.svg (and the same as PNG). Of several lines of one kind the
newest of each machine and precision counts.
"""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
# Text stays text, and the same lines give the same bytes.
matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "palisade"}
import matplotlib.pyplot as plt

COLOURS = ["#1b6ca8", "#d1495b", "#66a182", "#edae49", "#5b5f97", "#8d5a97"]


def read(path):
    """The lines of the file that are JSON objects of a measurement, oldest first."""
    lines = []
    for number, text in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
        except json.JSONDecodeError as error:
            sys.exit(f"{path}:{number}: {error}")
        if "bench" in line:
            lines.append(line)
    return lines


def newest(lines, key):
    """By what `key` says of a line, the last one."""
    return {key(line): line for line in lines}


def label(line):
    where = f"{line['machine']} {line['isa']}"
    return f"{line.get('precision', '')}, {line['threads']} threads, {where}"


def frame(title, x, y):
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def save(figure, folder, name):
    for ending in ("svg", "png"):
        figure.savefig(folder / f"{name}.{ending}", dpi=110, metadata={"Date": None} if ending == "svg" else None)
    plt.close(figure)
    print(folder / f"{name}.svg")


def decode(lines, folder):
    stages = [line for line in lines if line["bench"] == "stage" and len(line["decode_tokens_per_second"]) > 1]
    chosen = newest(stages, lambda line: (line.get("preset") or line.get("model"), label(line)))
    if not chosen:
        return
    figure, axes = frame("Decode: answers under way", "answers under way", "tokens/s, all together")
    for colour, ((model, text), line) in zip(COLOURS, chosen.items()):
        points = sorted((int(count), rate) for count, rate in line["decode_tokens_per_second"].items())
        axes.plot(*zip(*points), "o-", color=colour, label=f"{model} {text}")
        if line is max(chosen.values(), key=lambda other: max(other["decode_tokens_per_second"].values())):
            # Of the fastest alone: the others' stand too close.
            for count, rate in points:
                axes.annotate(f"{rate:.0f}", (count, rate), textcoords="offset points", xytext=(0, 6), ha="center", fontsize=8)
    axes.set_xscale("log", base=2)
    axes.set_xticks([point[0] for point in points], [str(point[0]) for point in points])
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, frameon=False)
    save(figure, folder, "decode")


def stages(lines, folder):
    measured = [line for line in lines if line["bench"] == "pipeline"]
    chosen = newest(measured, lambda line: (line.get("preset") or line.get("model"), line["precision"], line["machine"], line["stages"]))
    if not chosen:
        return
    figure, axes = frame("Stages as processes on one machine, a thread each", "stages", "images/s")
    groups = {}
    for (model, precision, machine, count), line in sorted(chosen.items(), key=lambda item: item[0]):
        groups.setdefault((model, precision, machine, line["cores"]), []).append((count, line))
    for number, ((model, precision, machine, cores), points) in enumerate(groups.items()):
        colour = COLOURS[number % len(COLOURS)]
        counts = [count for count, _ in points]
        axes.plot(counts, [line["images_per_second"] for _, line in points], "o-", color=colour,
                  label=f"pipeline, {model} {precision}, {cores} cores of {machine}")
        axes.plot(counts, [line["images_per_second_one_process"] for _, line in points], "s--", color=colour, alpha=0.55,
                  label="one process with as many threads (cores at most)")
        for count, line in points:
            axes.annotate(f"{100 * line['pipeline_efficiency']:.0f} %", (count, line["images_per_second"]),
                          textcoords="offset points", xytext=(0, -14), ha="center", fontsize=8)
    axes.set_xticks(sorted({count for points in groups.values() for count, _ in points}))
    axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
    axes.legend(fontsize=8, frameon=False, loc="lower left", title="% is of the one process, in the same run", title_fontsize=8,
                alignment="left")
    save(figure, folder, "stages")


def sizes(lines, folder):
    sides = [line for line in lines if line["bench"] == "stage" and str(line.get("preset", "")).startswith("paligemma-3b-")]
    chosen = newest(sides, lambda line: (label(line), line["image_side"]))
    groups = {}
    for (text, side), line in sorted(chosen.items()):
        groups.setdefault(text, []).append((side, line))
    groups = {text: points for text, points in groups.items() if len(points) > 1}
    if not groups:
        return
    figure, axes = frame("PaliGemma-3B: one picture, by its size", "side of the picture in pixels", "seconds")
    for number, (text, points) in enumerate(groups.items()):
        colour = COLOURS[number % len(COLOURS)]
        across = [side for side, _ in points]
        vision = [line["vision_seconds_per_image"] for _, line in points]
        prefill = [line["prefix_rows"] / line["prefill_tokens_per_second"]["1"] for _, line in points]
        axes.plot(across, vision, "o-", color=colour, label=f"vision, {text}")
        axes.plot(across, prefill, "s--", color=colour, alpha=0.7, label="prefill of its rows and 16 tokens")
        for values, above in ((vision, -13), (prefill, 7)):
            for side, value in zip(across, values):
                axes.annotate(f"{value:.2f}", (side, value), textcoords="offset points", xytext=(0, above), ha="center", fontsize=8)
    axes.set_xticks(across)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(0.6 * low, 1.6 * high)  # room for the numbers
    axes.legend(fontsize=8, frameon=False)
    save(figure, folder, "sizes")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    lines, folder = read(sys.argv[1]), pathlib.Path(sys.argv[2])
    for draw in (decode, stages, sizes):
        draw(lines, folder)


main()
