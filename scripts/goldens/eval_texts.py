"""Texts for eval.py: captions and answers with everything that scoring has to get right."""

import random

CAPTIONS = """
A man riding a wave on top of a surfboard.
A man's dog isn't here; it can't jump, and won't run!
The girls' team (two players) ate "pizza" at 5:30 p.m. on Mr. Smith's farm.
a black-and-white cat on a 10-foot pole costs $5.00 & 20% off
Two dogs, three cats and a bird are sitting on the bench .
A woman in a red t-shirt holding a Nintendo Wii remote...
There are 2 men/women playing frisbee w/ a dog and/or a cat.
a stop sign that reads "STOP" and 'all way'
it's 10 o'clock on St. Mary's tower in the U.S.
The 1950's-style diner, with red/white checkered floors -- nice!
a sign that says don’t walk, “one way” only
An elephant's trunk is 6 ft. long at No. 5 Main St.
café with crème brûlée & jalapeño poppers
A T.V. and a DVD player on a 3-shelf stand
I'm gonna wanna gimme lemme cannot
the man said: "hello, I've been here since 1,000 B.C."
A 7'6" tall player (no. 23) shoots a 3-pointer
The AT&T store next to the A&W, rock 'n' roll playing
Half of a sandwich and 1/2 of an apple; 3 1/2 oranges
a kid's birthday cake with a #1 candle @home
The bus is number 42.It goes downtown.
What is this?! A cat!!! On a keyboard??
People at a farmers' market buying fruits,vegetables and flowers
a big o'l dog ma'am c'mon y'all
'Tis a dog. 'Twas a cat. Get 'em in the '90s!
a - b -- c – d — e … f
A man in a suit and tie, smiling.
Vehicles stopped at 5th Ave. and 42nd St. in N.Y.
a person, wearing a hat; standing: on skis
Mrs. Jones, Dr. Who and Prof. X in Washington, D.C.
two-tiered cake w/o frosting
A mother and daughter's hands (close-up) [blurred]
the player's about to hit the ball, he'll run
someone's cell-phone and laptop's keyboard
Several people's bikes; they're parked, they've been left
a 4x4 truck, a 2x4, a 3D model and a 50mm lens
we'd like to see who'd win; should've, couldn't've
Man on skis going down hill at 20mph.
A clock tower showing 12:05pm
the giraffe eats leaves.the zebra doesn't
a sheep-like dog lying on the so-called "bed"
An umbrella costs £5 or 5€ at 70°
A   lot    of	spaces   here
e.g. a cat, i.e. a dog, etc.
a man & a woman vs. the Jr. team
x
.

no punctuation here at all
100% pure orange juice, 2 for $3.50
a plate of mac 'n cheese and fish 'n' chips
the year 2,014 and the 21st century's best
"quoted whole sentence."
a room with a bed/couch, chair(s) and table
A bear is in the grass - looking - at the camera
left-handed batter's box, catcher's mitt, and umpire
Coca-Cola sign over a 7-Eleven in Tokyo
a U.S.-based airline's plane, a Boeing 747-400
She's eating; he's not. It'd be fun!
don't dont didnt can't cant
""".strip("\n").split("\n")

NOUNS = ["man", "woman", "dog", "cat", "girl", "t-shirt", "surfboard", "man's hat", "bus", "pizza"]
ADJECTIVES = ["red", "big", "black-and-white", "young", "two-story", "old", "wooden", "U.S."]
VERBS = ["riding", "holding", "looking at", "isn't near", "jumping over", "standing by"]
TAILS = [".", "", " on a sunny day.", ", smiling", " at 5 p.m.", "!", " in the street", " (blurry)"]


def random_captions(count, seed):
    """`count` captions from a small grammar, so that n-grams meet."""
    rng = random.Random(seed)

    def thing():
        adjective = rng.choice(ADJECTIVES) + " " if rng.random() < 0.5 else ""
        return rng.choice(["a ", "the ", "A ", "two "]) + adjective + rng.choice(NOUNS)

    return [f"{thing()} {rng.choice(VERBS)} {thing()}{rng.choice(TAILS)}" for _ in range(count)]


VQA_TEXTS = [
    "yes", "Yes.", "no", "2", "two", "Two", "a dog", "The Dog!", "dog,cat", "dog, cat", "1,000",
    "1,000 people", "dont know", "don't know", "its", "weve", "he'dve", "somebody'd", "U.S.",
    "3.5", "3.", ".5", "t-shirt", "t -shirt", "blue/green", "blue / green", "\"stop\"", "stop?",
    "none", "zero", "ten", "eleven", "the", "an a the", "", " ", "on  the\ttable", "black\nwhite",
    "it's 5:30", "(left)", "[left] right", "a.b.c", "man's", "Ill", "Id've", "shed've",
    "what? no!", "50%", "$5", "red & blue", "._-", "100,000,000", "5 ,6", "y'allll", "É é",
]

CHART_PAIRS = [
    ("5", "5"), ("5.2", "5"), ("5.25", "5"), ("5.26", "5"), ("4.75", "5"), ("4.7", "5"),
    ("0", "0"), ("0.0", "0"), ("0.01", "0"), ("5%", "0.05"), ("5%", "5"), ("5 %", "0.05"),
    ("Yes", "yes"), ("yes.", "yes"), ("2,000", "2000"), ("2000", "2,000"), ("-3", "-3.1"),
    ("-3", "3"), ("1e3", "1000"), ("1E3", "1000"), ("nan", "nan"), ("inf", "inf"),
    ("0x10", "16"), (" 5 ", "5"), ("5", " 5"), ("", ""), ("", "5"), ("5.", "5"), (".5", "0.5"),
    ("+5", "5"), ("US", "us"), ("Blue ", "blue"), ("2019", "2018"), ("1900", "2018"), ("%", "%"),
    ("5%%", "5%"), ("1e", "1e"), ("--5", "--5"), ("[1, 2]", "[1, 2]"), ("1.05", "1"),
    ("0.95", "1"), ("105", "100"), ("105.0000001", "100"),
]

ANLS_PAIRS = [
    ("abc", ["abc"]), ("ABC", ["abc"]), ("abd", ["abc"]), ("ab", ["abcd"]), ("a", ["abcd"]),
    ("", [""]), ("", ["a"]), ("a", [""]), ("$ 3,000", ["$3,000"]), ("hello  world", ["Hello World"]),
    ("hello world", ["helloworld"]), ("kitten", ["sitting"]), ("rosettacode", ["raisethysword"]),
    ("January 5, 1998", ["Jan 5, 1998", "5 January 1998", "1998"]), ("naïve café", ["naive cafe"]),
    ("straße", ["strasse"]), ("q1 2014", ["q2 2014", "Q1 2014."]), ("日本語", ["日本"]),
    ("the quick brown fox", ["the quick brown fax", "quick brown fox"]), ("x" * 40, ["x" * 30]),
]
