"""Writes Tests/CheckpointsTests/Fixtures: `.npz` files as NumPy writes them, and one it can't read.

Run from anywhere: `python scripts/goldens/npz.py` (needs numpy). The same bytes in every run.
"""

import io
import pathlib
import zipfile

import numpy as np

OUT = pathlib.Path(__file__).resolve().parents[2] / "Tests/CheckpointsTests/Fixtures"


def arrays():
    count = np.arange(24)
    return {
        "f4": (count / 8).astype("<f4").reshape(2, 3, 4),
        "turned": np.asfortranarray((count / 8).astype("<f4").reshape(2, 3, 4)),
        "f2": np.array([0.5, -2.25], "<f2"),
        "u1": np.array([[1], [255]], "|u1"),
        "i4": np.array([-7, 70_000], "<i4"),
        "i8": np.array(-(1 << 40), "<i8"),
        "none": np.zeros((0, 5), "<f4"),
        "f8": np.array([1.5]),
        "big": np.array([1.5], ">f4"),
        "object": np.array([{}, None], dtype=object),
    }


def archive(name, method, members):
    with zipfile.ZipFile(OUT / name, "w", method) as file:
        for member, data in members:
            file.writestr(zipfile.ZipInfo(member), data, method)


def npy(array):
    out = io.BytesIO()
    np.lib.format.write_array(out, array, allow_pickle=True)
    return out.getvalue()


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    np.savez(OUT / "stored.npz", **arrays())
    members = [(f"{name}.npy", npy(array)) for name, array in arrays().items()]
    archive("deflated.npz", zipfile.ZIP_DEFLATED, members)
    archive("bzip2.npz", zipfile.ZIP_BZIP2, members[:1])
    zeros = npy(np.zeros((65 << 20,), "|u1"))
    archive("bomb.npz", zipfile.ZIP_DEFLATED, [("f4.npy", zeros)])


if __name__ == "__main__":
    main()
