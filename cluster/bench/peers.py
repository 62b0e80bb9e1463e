"""Measures Hugging Face transformers on this CPU in turn with Palisade, on one synthesized checkpoint.

Started by scripts/bench-peers. Each round lets both answer the same number of pictures with answers of the same length, one
after the other, and changes places; ratios are taken round by round. Prints a table, appends one JSON line to --append.

Hugging Face runs as shared/peers.md says: PaliGemmaForConditionalGeneration, batches of 4, `generate` with token_type_ids. Mode
int8 is `quantize_dynamic` over every Linear, one module after the other so that no f32 copy of the whole is ever needed.
"""

import argparse
import datetime
import json
import os
import pathlib
import resource
import shlex
import statistics
import subprocess
import sys
import time
import warnings


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a folder in the Hugging Face layout")
    parser.add_argument("--palisade", required=True, help="our binary")
    parser.add_argument("--preset", required=True, help="the shape that ours runs with")
    parser.add_argument("--modes", default="int8", help="of int8 and f32, with commas")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=20)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--decode", default="1,4,8", help="answers under way at once, with commas")
    parser.add_argument("--llama-bench", help="llama.cpp's llama-bench")
    parser.add_argument("--llama-model", help="a GGUF file for it")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND",
                        help="another peer: COMMAND's last line of output is a JSON object")
    parser.add_argument("--append", help="the file for the JSON line")
    options = parser.parse_args()
    if bool(options.llama_bench) != bool(options.llama_model):
        parser.error("--llama-bench PATH and --llama-model FILE.gguf go together")
    if any("=" not in peer for peer in options.peer):
        parser.error("--peer takes NAME=COMMAND")
    if set(options.modes.split(",")) - {"int8", "f32"}:
        parser.error("--modes takes int8, f32 or int8,f32")
    return options


def note(text):
    print(f"bench-peers: {text}", file=sys.stderr, flush=True)


def quantised(model, torch):
    """`quantize_dynamic` for each Linear, everything else in f32."""
    # It works all the same; what is to come after it is not out of the box.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", message=".*(quantize|deprecated).*")
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is torch.nn.Linear:
                weight = torch.nn.Parameter(child.weight.detach().float(), requires_grad=False)
                own = torch.nn.Linear(child.in_features, child.out_features, bias=child.bias is not None)
                own.weight = weight
                if child.bias is not None:
                    own.bias = torch.nn.Parameter(child.bias.detach().float(), requires_grad=False)
                box = torch.nn.Sequential(own)
                torch.ao.quantization.quantize_dynamic(box, {torch.nn.Linear}, dtype=torch.qint8, inplace=True)
                setattr(parent, name, box[0])
    return model.float()


def rate(count, seconds):
    """Nothing where a difference of two times was noise."""
    return count / seconds if seconds > 0 else None


class HuggingFace:
    """The reference implementation in one mode."""

    def __init__(self, options, mode):
        import torch
        import transformers

        torch.set_num_threads(options.threads)
        self.torch, self.options = torch, options
        note(f"loading Hugging Face in {mode} …")
        self.versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
        model = transformers.PaliGemmaForConditionalGeneration.from_pretrained(options.model, dtype=torch.bfloat16)
        model.eval()
        self.config = model.config
        if mode == "int8":
            torch.backends.quantized.engine = "x86" if "x86" in torch.backends.quantized.supported_engines else "qnnpack"
            model = quantised(model, torch)
        else:
            model = model.float()
        self.model = model

    def inputs(self, count, seed):
        torch = self.torch
        vision, generator = self.config.vision_config, torch.Generator().manual_seed(seed)
        patches = (vision.image_size // vision.patch_size) ** 2
        vocabulary = self.config.text_config.vocab_size
        prompt = [2] + [3 + i * 37 % min(1000, vocabulary // 2) for i in range(1, 16)]
        ids = torch.tensor([[self.config.image_token_id] * patches + prompt] * count)
        pixels = torch.rand((count, 3, vision.image_size, vision.image_size), generator=generator) * 2 - 1
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids),
                "pixel_values": pixels}

    def generate(self, count, tokens, seed=0):
        start = time.perf_counter()
        with self.torch.inference_mode():
            answers = self.model.generate(**self.inputs(count, seed), min_new_tokens=tokens, max_new_tokens=tokens, do_sample=False)
        assert answers.shape[1] == self.inputs(1, 0)["input_ids"].shape[1] + tokens
        return time.perf_counter() - start

    def end_to_end(self, seed):
        images, start, cpu = self.options.images, time.perf_counter(), time.process_time()
        for first in range(0, images, self.options.batch):
            self.generate(min(self.options.batch, images - first), self.options.max_tokens, seed * 1000 + first)
        return images / (time.perf_counter() - start), images / (time.process_time() - cpu)

    def parts(self):
        """Vision, prefill and decode apart."""
        inputs, vision = self.inputs(1, 1), []
        with self.torch.inference_mode():
            for _ in range(4):
                start = time.perf_counter()
                self.model.get_image_features(inputs["pixel_values"])
                vision.append(time.perf_counter() - start)
        rows = inputs["input_ids"].shape[1]
        vision = statistics.median(vision[1:])
        first = {count: min(self.generate(count, 1) for _ in range(2)) for count in (1, 4)}
        decode = {}
        # Many steps: the difference to a prefill of a second or more is what counts, and that varies by tenths.
        for count in (int(text) for text in self.options.decode.split(",")):
            once = first.get(count) or min(self.generate(count, 1) for _ in range(2))
            decode[str(count)] = rate(count * 32, min(self.generate(count, 33) for _ in range(2)) - once)
        return {
            "vision_seconds_per_image": vision,
            "first_token_seconds": {str(count): seconds for count, seconds in first.items()},
            "prefill_tokens_per_second": {str(count): rate(count * rows, seconds - count * vision)
                                          for count, seconds in first.items()},
            "decode_tokens_per_second": decode,
            "peak_resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }


def palisade(options, *what):
    command = [options.palisade, "bench", *what, "--preset", options.preset, "--threads", str(options.threads), "--json"]
    note("palisade bench " + " ".join(command[2:]))
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def ours(options):
    line = palisade(options, "e2e", "--images", str(options.images), "--max-tokens", str(options.max_tokens), "--rounds", "1")
    return line["images_per_second"], line["images_per_cpu_second"]


def llama(options):
    """Prefill of 272 tokens and decode of one sequence, as llama-bench tells them (text alone: it has no PaliGemma)."""
    command = [options.llama_bench, "-m", options.llama_model, "-p", "272", "-n", "16", "-t", str(options.threads), "-o", "json"]
    note(" ".join(command))
    tests = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
    return {
        "prefill_tokens_per_second": {"1": test["avg_ts"] for test in tests if test.get("n_prompt")},
        "decode_tokens_per_second": {"1": test["avg_ts"] for test in tests if test.get("n_gen")},
        "model": pathlib.Path(options.llama_model).name,
    }


def others(options):
    """Peers that are programs of their own, which may fail: what the rest measures is kept all the same."""
    def command(text):
        note(text)
        done = subprocess.run(shlex.split(text), stdout=subprocess.PIPE, check=True, text=True)
        figures = json.loads(done.stdout.strip().splitlines()[-1])
        if not isinstance(figures, dict):
            raise ValueError("its last line is no JSON object")
        return figures

    wanted = {name: lambda text=text: command(text) for name, text in (peer.split("=", 1) for peer in options.peer)}
    if options.llama_bench:
        wanted["llama.cpp"] = lambda: llama(options)
    figures = {}
    for name, measure in wanted.items():
        try:
            figures[name] = measure()
        except (OSError, subprocess.CalledProcessError, ValueError, IndexError) as error:
            note(f"{name} is left out: {error}")
    return figures


def main():
    options = arguments()
    stage = palisade(options, "stage", "--sequences", options.decode, "--repetitions", "3")
    keys = ["vision_seconds_per_image", "prefill_tokens_per_second", "decode_tokens_per_second"]
    result = {key: stage[key] for key in ["machine", "isa", "cores", "threads", "precision", "preset", "peak_gops", "read_gbps"]}
    result |= {"bench": "peers", "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
               "images": options.images, "max_tokens": options.max_tokens, "palisade": {key: stage[key] for key in keys}, "peers": {}}
    result["peers"] |= others(options)
    own = []
    for mode in options.modes.split(","):
        peer = HuggingFace(options, mode)
        note(f"Hugging Face {mode}: warming up, parts …")
        peer.generate(1, 2)
        figures = peer.parts()
        rates = {"own": [], "peer": []}
        for number in range(options.rounds):
            turns = [("own", lambda: ours(options)), ("peer", lambda: peer.end_to_end(number + 1))]
            for who, measure in turns if number % 2 == 0 else reversed(turns):
                note(f"round {number + 1} of {options.rounds}: {who if who == 'own' else 'Hugging Face ' + mode} …")
                rates[who].append(measure())
        own += [wall for wall, _ in rates["own"]]
        # By wall clock, and by CPU time, which takes the neighbours on the machine out (but not waiting that spins).
        by_wall, by_cpu = ([a[kind] / b[kind] for a, b in zip(rates["own"], rates["peer"])] for kind in (0, 1))
        figures |= {"images_per_second": statistics.median(wall for wall, _ in rates["peer"]), "rounds": rates,
                    "versions": peer.versions, "ratio": statistics.median(by_wall), "ratio_cpu": statistics.median(by_cpu)}
        result["peers"][f"huggingface-{mode}"] = figures
        del peer
    result["palisade"]["images_per_second"] = statistics.median(own)
    result["load"] = os.getloadavg()[0]
    table(result)
    if options.append:
        with open(options.append, "a") as file:
            file.write(json.dumps(result, sort_keys=True) + "\n")


def table(result):
    print(f"{result['preset']}, {result['threads']} threads, {result['isa']} on {result['machine']}, load {result['load']:.1f}")
    print(f"{'':20} {'s/image':>9} {'prefill 1 / 4 tokens/s':>24} {'decode tokens/s':>28} {'images/s':>9} {'ours by it':>10} {'per CPU s':>9}")
    for name, figures in [("palisade " + result["precision"], result["palisade"]), *result["peers"].items()]:
        def each(key):
            return " / ".join("-" if value is None else f"{value:.1f}" for _, value in sorted(figures.get(key, {}).items(), key=lambda item: int(item[0])))
        number = {key: f"{figures[key]:.3f}" if key in figures else "-"
                  for key in ("vision_seconds_per_image", "images_per_second", "ratio", "ratio_cpu")}
        print(f"{name:20} {number['vision_seconds_per_image']:>9} {each('prefill_tokens_per_second') or '-':>24} "
              f"{each('decode_tokens_per_second') or '-':>28} {number['images_per_second']:>9} {number['ratio']:>10} {number['ratio_cpu']:>9}")
    print(f"decode with {', '.join(result['palisade']['decode_tokens_per_second'])} answers under way, images/s with "
          f"{result['images']} images × {result['max_tokens']} tokens; ratios round by round")


main()
