#!/usr/bin/env python3
"""Make the tokenizer fixtures of Tests/TokenizationTests.

Trains a small sentencepiece model in Gemma's manner (BPE, byte fallback, split digits, identity
normalisation, no dummy prefix, runs of newlines and of spaces as user-defined symbols) on text made
in this file, adds PaliGemma's tokens as Google's repository on the Hub has them, and records what
Hugging Face's GemmaTokenizer and PaliGemmaProcessor make of a list of texts.

    tokenizer.py                     write Tests/TokenizationTests/Fixtures
    tokenizer.py --folder F --out O  record the same texts for a real tokenizer folder F in file O;
                                     PALISADE_TOKENIZER_FOLDER=F PALISADE_TOKENIZER_GOLDENS=O
                                     makes the tests compare with it
"""

import argparse
import json
import os
import random
import shutil
import tempfile

import sentencepiece
import transformers
from PIL import Image
from sentencepiece import sentencepiece_model_pb2 as spm_pb2
from transformers import AutoTokenizer, PaliGemmaProcessor, SiglipImageProcessor
from transformers.convert_slow_tokenizer import generate_merges

from tokenizer_texts import CORPUS_WORDS, CORPUS_SENTENCES, DECODE_EXTRA, PROMPTS, TEXTS

FIXTURES = os.path.join(os.path.dirname(__file__), "../../Tests/TokenizationTests/Fixtures")
NEWLINES = ["\n" * count for count in range(1, 32)]
SPACES = ["▁" * count for count in range(2, 32)]
MARKUP = ["<table>", "<tr>", "<td>", "</table>", "<b>", "</b>", "<start_of_turn>", "<end_of_turn>"]
USER_DEFINED = ["<mask>", "<2mass>", "[@BOS@]"] + [f"<unused{i}>" for i in range(4)] + MARKUP
LOCATIONS = [f"<loc{i:04}>" for i in range(1024)]
SEGMENTS = [f"<seg{i:03}>" for i in range(128)]
SPECIAL = {"<pad>", "<eos>", "<bos>", "<unk>", "<image>"}


def train(folder: str) -> None:
    """Write tokenizer.model, trained on a text made from a seed."""
    draw = random.Random(20)
    lines = list(CORPUS_SENTENCES)
    for _ in range(3000):
        words = [draw.choice(CORPUS_WORDS) for _ in range(draw.randint(2, 9))]
        ends = ["", ".", " ;", " ?", "!", f" {draw.randint(0, 999)}"]
        lines.append(" ".join(words) + draw.choice(ends))
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=os.path.join(folder, "tokenizer"),
        model_type="bpe",
        vocab_size=900,
        character_coverage=1.0,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        pad_id=0, eos_id=1, bos_id=2, unk_id=3,
        pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>", unk_piece="<unk>",
        user_defined_symbols=USER_DEFINED + NEWLINES + SPACES,
        num_threads=1,
        minloglevel=2,
    )
    os.remove(os.path.join(folder, "tokenizer.vocab"))
    model = read_model(folder)
    model.trainer_spec.model_prefix = "tokenizer"  # not the temporary folder: same bytes every time
    with open(os.path.join(folder, "tokenizer.model"), "wb") as file:
        file.write(model.SerializeToString())


def read_model(folder: str) -> spm_pb2.ModelProto:
    model = spm_pb2.ModelProto()
    with open(os.path.join(folder, "tokenizer.model"), "rb") as file:
        model.ParseFromString(file.read())
    return model


def added(content: str) -> dict:
    """One entry of added_tokens, with the flags that Google's repository has."""
    return {
        "content": content, "single_word": False, "lstrip": False, "rstrip": False,
        "normalized": content in LOCATION_SET, "special": content in SPECIAL,
    }


LOCATION_SET = set(LOCATIONS + SEGMENTS)


def template(name: str, type_id: int) -> list[dict]:
    """One text's part of the post-processor: `<bos>` and the text."""
    return [{"SpecialToken": {"id": "<bos>", "type_id": type_id}},
            {"Sequence": {"id": name, "type_id": type_id}}]


def dump(value: object, path: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")


def write_folder(folder: str) -> None:
    """Write the JSON files beside tokenizer.model, as Google's PaliGemma repository has them."""
    proto = read_model(folder)
    scores = [(piece.piece, piece.score) for piece in proto.pieces]
    vocab = {piece: index for index, (piece, _) in enumerate(scores)}
    if "\t" not in vocab:  # what GemmaConverter does: the tab replaces its byte's piece
        index = vocab.pop("<0x09>")
        scores[index], vocab["\t"] = ("\t", 0.0), index
    vocab = dict(sorted(vocab.items(), key=lambda item: item[1]))
    merges = generate_merges(vocab, scores)
    control = ["<pad>", "<eos>", "<bos>", "<unk>"]
    tokens = [(vocab[t], t) for t in control + USER_DEFINED + NEWLINES + SPACES]
    tokens += [(len(scores) + i, t) for i, t in enumerate(LOCATIONS + SEGMENTS + ["<image>"])]
    dump({
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": index, **added(token)} for index, token in tokens],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": template("A", 0),
            "pair": template("A", 0) + template("B", 1),
            "special_tokens": {
                "<bos>": {"id": "<bos>", "ids": [vocab["<bos>"]], "tokens": ["<bos>"]}},
        },
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>",
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": True, "byte_fallback": True, "vocab": vocab,
                  "merges": [f"{left} {right}" for left, right in merges]},
    }, os.path.join(folder, "tokenizer.json"))
    dump({
        "add_bos_token": True, "add_eos_token": False,
        "added_tokens_decoder": {  # without the flags that are false, to keep the fixture small
            str(index): {k: flag for k, flag in added(token).items() if flag or k == "normalized"}
            for index, token in tokens},
        "additional_special_tokens": ["<image>"],
        "bos_token": "<bos>", "clean_up_tokenization_spaces": False, "eos_token": "<eos>",
        "pad_token": "<pad>", "processor_class": "PaliGemmaProcessor", "unk_token": "<unk>",
        "sp_model_kwargs": {}, "spaces_between_special_tokens": False,
        "tokenizer_class": "GemmaTokenizer", "use_default_system_prompt": False,
    }, os.path.join(folder, "tokenizer_config.json"))
    dump({
        "model_type": "paligemma", "architectures": ["PaliGemmaForConditionalGeneration"],
        "image_token_index": len(scores) + 1152, "bos_token_id": 2, "eos_token_id": 1,
        "pad_token_id": 0, "vocab_size": len(scores) + 1153,
    }, os.path.join(folder, "config.json"))
    user_defined = spm_pb2.ModelProto.SentencePiece.USER_DEFINED
    for symbol in LOCATIONS + SEGMENTS:  # big_vision's manner: the tokens inside the model itself
        proto.pieces.add(piece=symbol, score=0.0, type=user_defined)
    proto.trainer_spec.vocab_size = len(proto.pieces)
    with open(os.path.join(FIXTURES, "big_vision.model"), "wb") as file:
        file.write(proto.SerializeToString())


def processor_of(folder: str) -> PaliGemmaProcessor:
    images = SiglipImageProcessor(size={"height": 28, "width": 28})
    images.image_seq_length = 4
    return PaliGemmaProcessor(images, AutoTokenizer.from_pretrained(folder))


def random_texts(count: int) -> list[str]:
    """Texts whose pieces meet at unusual places, from a seed."""
    draw = random.Random(7)
    parts = CORPUS_WORDS + TEXTS + [" ", "  ", "\n", "\t", "\t\t", "<loc0512>", "<seg127>", "é", "🐈", "<"]
    return ["".join(draw.choice(parts) for _ in range(draw.randint(1, 7))) for _ in range(count)]


def record(folder: str, random_count: int = 60) -> dict:
    """What Hugging Face makes of every text: `ids` as it is, `plain`, where it differs, with special
    tokens taken as text."""
    processor = processor_of(folder)
    tokenizer = processor.tokenizer
    texts = list(dict.fromkeys(TEXTS + random_texts(random_count)))
    encoded, decoded = [], []
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False)
        plain = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        encoded.append({"text": text, "ids": ids} | ({"plain": plain} if plain != ids else {}))
        decoded.append({"ids": ids, "text": processor.decode(ids, skip_special_tokens=True)})
    for tokens in DECODE_EXTRA:
        ids = [tokenizer.convert_tokens_to_ids(token) for token in tokens]
        decoded.append({"ids": ids, "text": processor.decode(ids, skip_special_tokens=True)})
    picture = Image.new("RGB", (28, 28))
    prompts = []
    for prompt in PROMPTS:
        for count in (1, 2):
            ids = processor(images=[[picture] * count], text=[prompt])["input_ids"][0]
            prompts.append({"prompt": prompt, "imageCount": count, "tokensPerImage": 4,
                            "ids": [int(value) for value in ids]})
    names = LOCATIONS + SEGMENTS
    return {
        "transformers": transformers.__version__,
        "encoded": encoded, "decoded": decoded, "prompts": prompts,
        "imageToken": processor.image_token_id,
        "locations": [tokenizer.convert_tokens_to_ids(name) for name in names[:1024]],
        "segments": [tokenizer.convert_tokens_to_ids(name) for name in names[1024:]],
    }


def main() -> None:
    transformers.logging.set_verbosity_error()
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--folder")
    arguments.add_argument("--out", default="goldens.json")
    arguments.add_argument("--random", type=int, default=60, help="random texts beside the listed ones")
    options = arguments.parse_args()
    if options.folder:
        dump(record(options.folder, options.random), options.out)
        return
    os.makedirs(FIXTURES, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        train(folder)
        write_folder(folder)
        dump(record(folder), os.path.join(FIXTURES, "goldens.json"))
        target = os.path.join(FIXTURES, "paligemma")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target)


if __name__ == "__main__":
    main()
