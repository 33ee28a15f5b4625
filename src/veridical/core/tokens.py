"""Tokens of captions that are no words: what the vocabulary writes and the models read."""

PAD, NUM, BEGIN, END = (
    0,
    1,
    2,
    3,
)  # fills up; stands for a number whose value is beside it; where a spelled caption begins, ends
SPECIAL = ("<pad>", "<num>", "<begin>", "<end>")
NEGATIVE = "negative_"  # begins the name of a condition that guidance leads away from
