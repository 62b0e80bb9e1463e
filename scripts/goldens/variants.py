"""The sizes and writing styles of the tiny checkpoints. Text and FFN widths avoid multiples of 16.

`names`: "saved" as transformers' save_pretrained writes; "hub" as Google's files of 2024, in
three shards with a sparse config.json; "module" with every name under `model.` and the tied
head stored a second time. `end_tokens`: what generation_config.json says.
"""

VARIANTS = {
    "tiny-a": {
        "dtype": "f32",
        "names": "saved",
        "vocabulary": 269,
        "image_token": 262,
        "end_tokens": 1,
        "vision": {
            "image_size": 28,
            "hidden_size": 144,
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "intermediate_size": 22,
        },
        "text": {
            "hidden_size": 50,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": 18,
            "num_hidden_layers": 3,
            "intermediate_size": 52,
        },
    },
    "tiny-b": {
        "dtype": "bf16",
        "names": "hub",
        "vocabulary": 263,
        "image_token": 257,
        "end_tokens": 1,
        "vision": {
            "image_size": 42,
            "hidden_size": 36,
            "num_attention_heads": 2,
            "num_hidden_layers": 3,
            "intermediate_size": 50,
        },
        "text": {  # no head_dim: the default, 256, as in Google's files
            "hidden_size": 18,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "num_hidden_layers": 2,
            "intermediate_size": 46,
        },
    },
    "tiny-c": {
        "dtype": "f16",
        "names": "module",
        "vocabulary": 261,
        "image_token": 258,
        "end_tokens": None,  # [1, a token that greedy yields]
        "vision": {
            "image_size": 56,
            "hidden_size": 40,
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "intermediate_size": 44,
        },
        "text": {
            "hidden_size": 36,
            "num_attention_heads": 3,
            "num_key_value_heads": 1,
            "head_dim": 14,
            "num_hidden_layers": 3,
            "intermediate_size": 50,
        },
    },
}
