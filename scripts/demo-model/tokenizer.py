"""Make the demo's tokenizer in Gemma's manner and write it in the Hugging Face layout.

Sentencepiece BPE with byte fallback, identity normalisation, no dummy prefix, "\\n" a piece of its
own; pad 0, eos 1, bos 2, unk 3. Behind its pieces follow <loc0000>..<loc1023>, <seg000>..<seg127>
and <image>, in Google's order, as added tokens.
"""

import io
import json
import pathlib
import sys

import numpy as np
import sentencepiece as spm

SIZE = 112
IMAGE_TOKENS = 64
SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>")
ADDED = tuple(f"<loc{i:04d}>" for i in range(1024)) + tuple(
    f"<seg{i:03d}>" for i in range(128)) + ("<image>",)


def corpus():
    """Sentences of the five tasks (and some plain English letters), enough to merge every word."""
    from scenes import DigitSource, sample_scene
    from tasks import training_questions

    rng = np.random.default_rng(7)
    source = DigitSource(held_out=False)
    for index in range(4000):
        for _, prompt, answer in training_questions(rng, sample_scene(rng, source, index % 4 == 0)):
            yield prompt
            yield answer.split(">")[-1] if "<loc" in answer else answer
    for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,;:?!'\"()-":
        yield letter


def train_sentencepiece(path):
    """Train and write `tokenizer.model`."""
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=(line for line in corpus() if line), model_writer=model,
        model_type="bpe", vocab_size=512, byte_fallback=True, character_coverage=1.0,
        normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=False, split_digits=True, user_defined_symbols=["\n"],
        pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>",
        bos_piece="<bos>", unk_piece="<unk>", hard_vocab_limit=False, num_threads=1,
        minloglevel=2)
    path.write_bytes(model.getvalue())


def merges_of(pieces):
    """The BPE merges that a piece list implies, by rank of the merged piece."""
    rank = {piece: index for index, piece in enumerate(pieces)}
    found = []
    for piece in pieces:
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in rank and right in rank:
                found.append((rank[piece], rank[left], rank[right], [left, right]))
    return [pair for *_, pair in sorted(found, key=lambda entry: entry[:3])]


def added_entry(content, identifier, special):
    return {"id": identifier, "content": content, "single_word": False, "lstrip": False,
            "rstrip": False, "normalized": False, "special": special}


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def write_tokenizer(folder):
    """Write tokenizer.model, tokenizer.json, tokenizer_config.json and special_tokens_map.json."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    train_sentencepiece(folder / "tokenizer.model")
    pieces = spm.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    vocab = {pieces.id_to_piece(i): i for i in range(pieces.get_piece_size())}
    ordinary = [p for p, i in vocab.items() if not pieces.is_control(i)
                and not pieces.is_byte(i) and not pieces.is_unknown(i) and p != "\n"]
    added = [added_entry(p, i, True) for i, p in enumerate(SPECIAL)]
    added.append(added_entry("\n", vocab["\n"], False))
    first = len(vocab)
    added += [added_entry(p, first + i, p == "<image>") for i, p in enumerate(ADDED)]
    bos = {"SpecialToken": {"id": "<bos>", "type_id": 0}}
    sequence = {"Sequence": {"id": "A", "type_id": 0}}
    second = {"Sequence": {"id": "B", "type_id": 1}}
    write_json(folder / "tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "},
                          "behavior": "MergedWithPrevious", "invert": False},
        "post_processor": {
            "type": "TemplateProcessing", "single": [bos, sequence],
            "pair": [bos, sequence, second],
            "special_tokens": {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>",
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": vocab, "merges": merges_of(ordinary)}})
    decoder = {str(e["id"]): {k: v for k, v in e.items() if k != "id"} for e in added}
    write_json(folder / "tokenizer_config.json", {
        "add_bos_token": True, "add_eos_token": False, "added_tokens_decoder": decoder,
        "additional_special_tokens": ["<image>"],
        "mask_token": None, "bos_token": "<bos>", "clean_up_tokenization_spaces": False, "eos_token": "<eos>",
        "model_max_length": 1000000000000000019884624838656, "pad_token": "<pad>",
        "processor_class": "PaliGemmaProcessor", "sp_model_kwargs": {},
        "spaces_between_special_tokens": False, "tokenizer_class": "GemmaTokenizer",
        "unk_token": "<unk>", "use_default_system_prompt": False})
    write_json(folder / "special_tokens_map.json", {
        "additional_special_tokens": ["<image>"], "bos_token": "<bos>", "eos_token": "<eos>",
        "pad_token": "<pad>", "unk_token": "<unk>"})
    write_json(folder / "preprocessor_config.json", {
        "do_convert_rgb": None, "do_normalize": True, "do_rescale": True, "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5], "image_processor_type": "SiglipImageProcessor",
        "image_seq_length": IMAGE_TOKENS, "image_std": [0.5, 0.5, 0.5],
        "processor_class": "PaliGemmaProcessor", "resample": 3, "rescale_factor": 1 / 255,
        "size": {"height": SIZE, "width": SIZE}})
    write_json(folder / "generation_config.json", {
        "_from_model_config": True, "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0,
        "max_new_tokens": 64})
    return first


class Tokenizer:
    """Text to ids as the training loop needs it: added tokens are split off before sentencepiece."""

    def __init__(self, folder):
        path = pathlib.Path(folder) / "tokenizer.model"
        self.pieces = spm.SentencePieceProcessor(model_file=str(path))
        self.first_loc = self.pieces.get_piece_size()
        self.image = self.first_loc + len(ADDED) - 1
        self.rows = self.image + 1

    def encode(self, text):
        """Ids without bos or eos; `<locNNNN>` are recognised."""
        ids, rest = [], text
        while True:
            at = rest.find("<loc")
            if at < 0:
                return ids + self.pieces.encode(rest)
            ids += self.pieces.encode(rest[:at])
            ids.append(self.first_loc + int(rest[at + 4:at + 8]))
            rest = rest[at + 9:]


if __name__ == "__main__":
    print("pieces:", write_tokenizer(sys.argv[1]))
