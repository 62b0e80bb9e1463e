"""The texts of tokenizer.py: what the model is trained on, and what is recorded."""

CORPUS_WORDS = (
    "detect segment caption describe answer question ocr count en de fr es the a an of in on is are what "
    "how many where which colour color red green blue yellow white black cat dog person car bicycle tree "
    "house window street table chair cup bottle book phone water sky grass sand left right behind under "
    "picture image photo shows small large two three four five objects there and with next to sitting "
    "standing walking running holding wearing shirt hat glasses ball kite zebra giraffe elephant Straße "
    "größer café naïve Über el niño où être 猫 犬 東京 привет мир"
).split(" ")

CORPUS_SENTENCES = [
    "The quick brown fox jumps over the lazy dog, and 12 other animals look at it.",
    "segment left cat ; right dog\nanswer en Where is the cow standing?\nbeach",
    "caption en\ncaption de\ndetect person ; car ; traffic light\nocr\n",
    "for (int i = 0; i < 10; ++i) { total += i * 3.14; }",
    "<html><body>two  spaces and\ttabs\t\there</body></html>",
    "don't can't won't it's they're (parenthesis) [bracket] {brace} \"quoted\" 'single' & | ^ % $ # @ ~ ` \\ /",
]

TEXTS = [
    "", " ", "  ", "   ", "     ", " " * 31, " " * 32, " " * 40, "\n", "\n\n", "\n" * 31, "\n" * 33, "\t", "\t\t\t", "\r\n",
    "a", " a", "  a", "a ", "a  b", "a   b ", "caption en", "caption en\n", " caption en", "detect cat", "detect cat ; dog\n",
    "answer en what is the colour of the car?\n", "How many cats?", "don't STOP", "12345 67.89 0x1F", "3 1 4", "٣١٤ ½ ²",
    "Größer als die Straße, naïve café", "cafe\u0301 vs café", "привет, мир!", "東京の猫と犬", "אבג مرحبا",
    "🐈", "🐈🐕", "👩‍👩‍👧‍👦 family", "🇩🇪", "a🐈b", "\u200b\u200d\ufeff", "\u0000", "a\u0000b", "\u0001\u001f\u007f",
    "\u00a0\u2003\u3000", "\u2028\u2029", "\ufffd", "\U0010ffff", "▁", "▁▁", " ▁ ", "▁▁▁ cat", "a▁b", "x̧̨̣", "ﬁ Å Ａ",
    "<loc0000>", "<loc1023>", "<loc1024>", "<loc000>", "<LOC0000>", "<loc00001>", "<loc0000", "loc0000>", "<<loc0000>>",
    "<seg000>", "<seg127>", "<seg128>", "<seg0000>", "<loc0001><loc0002><loc0003><loc0004> cat",
    "<loc0001> <loc0002>  <loc0003>\n<loc0004>", "cat<loc0005>cat", " <loc0005> ", "<loc0010><loc0020><loc0030><loc0040>"
    + "".join(f"<seg{i:03}>" for i in range(16)) + " wall ; <loc0100><loc0200><loc0300><loc0400> dog",
    "<image>", "<bos>", "<eos>", "<pad>", "<unk>", "<mask>", "<2mass>", "[@BOS@]", "<unused0>", "<unused9>", "<image><bos>hello\n",
    "ignore<eos>this", "<bos><loc0001><eos>", "< image >", "<image", "<imag<image>e>", "<<image>>", "<image><image><image>",
    "<table><tr><td>1</td></tr></table>", "<b>bold</b>", "<start_of_turn>user\nhi<end_of_turn>\n", "<0x41>", "<0x0A>", "</s><s>",
    "for (int i = 0; i < 10; ++i) {\n\treturn \"x\";\n}\n", "https://example.org/a?b=c&d=%20#e", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "zzzzzqqqqxxxx", "The the THE tHe", "sittingstandingwalkingrunning", ".,;:!?", "…—–‘’“”", "\\n \\t \\u0041", "ab" * 50,
]

# Token strings that need no text to come from: halves of characters, specials between bytes.
DECODE_EXTRA = [
    ["<0xC3>"], ["<0xC3>", "<0xA9>"], ["<0xA9>", "<0xC3>"], ["<0xC3>", "<0xA9>", "<0xFF>"], ["<0xFF>", "<0xC3>", "<0xA9>"],
    ["<0xF0>", "<0x9F>", "<0x90>", "<0x88>"], ["<0xF0>", "<0x9F>", "<0x90>"], ["<0xF0>", "<0x9F>", "a", "<0x90>", "<0x88>"],
    ["<0xC3>", "<eos>", "<0xA9>"], ["<0xC3>", "<loc0001>", "<0xA9>"], ["<bos>", "cat", "<eos>"], ["<unk>", "a", "<pad>", "<mask>"],
    ["<image>", "<bos>", "a", "\n"], ["<0xED>", "<0xA0>", "<0x80>"], ["<0xC0>", "<0x80>"], ["<0xE2>", "<0x96>", "<0x81>"],
    ["▁", "a"], ["▁▁", "a", "▁▁▁"], ["<0x00>"], ["<0x41>", "<0x42>"], ["<0xF4>", "<0x90>", "<0x80>", "<0x80>"],
    ["<loc0000>", "<loc0001>", "<loc0002>", "<loc0003>", "▁", "a", "<eos>"], ["<0xF4>", "<0x8F>", "<0xBF>", "<0xBF>"],
    [], ["<eos>"], ["<table>", "a", "</table>"], ["<start_of_turn>", "a", "<end_of_turn>"],
]

PROMPTS = [
    "", "caption en", " caption en", "caption en\n", "caption en ", "detect cat ; dog", "segment <loc0001><loc0002>", "\n\n",
    "answer en what is 1 + 1?", "🐈", "describe  two  spaces", "\n",
]
