"""Draw the demo's short film: shapes in the demo model's style that move, come and go.

    python3 clip.py cluster/demo/video

Writes `shapes.mp4` (H.264, encoded by ffmpeg) and `shapes.jsonl`, one line for each frame with its time and what is truly in
it. Nothing but Python and ffmpeg is needed: shapes are rasterised here, four samples a side.
"""

import json
import math
import pathlib
import subprocess
import sys

SIZE, RATE, SECONDS = 224, 10, 8
FINE = 4
GROUND = (205, 212, 218)
COLOURS = {
    "red": (215, 35, 40), "green": (35, 155, 60), "blue": (35, 75, 210),
    "yellow": (245, 215, 30), "purple": (135, 45, 165),
}
# Kind, colour, seconds from and to, half its size, and the centre at the beginning and at the end, in pixels.
ITEMS = (
    ("circle", "red", 0, 4, 30, (45, 60), (150, 75)),
    ("square", "blue", 2, 6, 28, (60, 160), (165, 165)),
    ("triangle", "green", 4, 6, 32, (60, 60), (110, 65)),
    ("star", "purple", 6, 8, 36, (70, 80), (150, 150)),
)


def outline(kind):
    """A shape in [-1, 1]², y downwards, as scenes.py has it."""
    if kind == "square":
        return [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]
    if kind == "triangle":
        return [(0, -1.0), (1.05, 0.85), (-1.05, 0.85)]
    if kind == "circle":
        angles = [2 * math.pi * step / 48 for step in range(48)]
        return [(math.cos(angle), math.sin(angle)) for angle in angles]
    radii = [1.12 if step % 2 == 0 else 0.5 for step in range(10)]
    angles = [step * math.pi / 5 - math.pi / 2 for step in range(10)]
    return [(radius * math.cos(angle), radius * math.sin(angle)) for radius, angle in zip(radii, angles)]


def spans(points, y):
    """Where the line at height y is inside the polygon."""
    crossings = []
    for (x1, y1), (x2, y2) in zip(points, points[1:] + points[:1]):
        if (y1 <= y) != (y2 <= y):
            crossings.append(x1 + (y - y1) * (x2 - x1) / (y2 - y1))
    crossings.sort()
    return list(zip(crossings[::2], crossings[1::2]))


def paint(pixels, points, colour):
    for row in range(max(0, int(min(y for _, y in points))), min(SIZE, int(max(y for _, y in points)) + 1)):
        cover = {}
        for step in range(FINE):
            for left, right in spans(points, row + (step + 0.5) / FINE):
                for sample in range(math.ceil(left * FINE - 0.5), math.floor(right * FINE - 0.5) + 1):
                    if 0 <= sample < SIZE * FINE:
                        cover[sample // FINE] = cover.get(sample // FINE, 0) + 1
        for column, count in cover.items():
            share, at = count / FINE**2, 3 * (row * SIZE + column)
            for channel in range(3):
                ground = pixels[at + channel]
                pixels[at + channel] = round(ground + (colour[channel] - ground) * share)


def frame(number):
    """The pixels of a frame, and what is in it."""
    time = number / RATE
    pixels, truth = bytearray(bytes(GROUND) * (SIZE * SIZE)), []
    for kind, colour, start, end, half, first, last in ITEMS:
        if not start <= time < end:
            continue
        share = (time - start) / (end - start)
        centre = [a + (b - a) * share for a, b in zip(first, last)]
        points = [(centre[0] + half * x, centre[1] + half * y) for x, y in outline(kind)]
        paint(pixels, points, COLOURS[colour])
        xs, ys = [x for x, _ in points], [y for _, y in points]
        truth.append({"kind": kind, "colour": colour, "xyxy": [round(value, 1) for value in (min(xs), min(ys), max(xs), max(ys))]})
    return bytes(pixels), {"frame": number, "pts": time, "items": truth}


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    frames = [frame(number) for number in range(RATE * SECONDS)]
    subprocess.run(
        ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{SIZE}x{SIZE}", "-r", str(RATE),
         "-i", "-", "-c:v", "libx264", "-crf", "16", "-pix_fmt", "yuv420p", "-g", str(RATE), "-bf", "2", "-threads", "1",
         "-movflags", "+faststart", str(folder / "shapes.mp4")],
        input=b"".join(pixels for pixels, _ in frames), check=True)
    (folder / "shapes.jsonl").write_text("".join(json.dumps(truth) + "\n" for _, truth in frames))


if __name__ == "__main__":
    main()
