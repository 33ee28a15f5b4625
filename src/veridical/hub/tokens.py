"""The vocabulary of a run as a tokenizer of the library transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from veridical.conditions.vocabulary import Vocabulary
from veridical.core.tokens import BEGIN, END, PAD, SPECIAL

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# What separates words for Python, which is more than for others.
_SPACES = "[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+"


def fast_tokenizer(vocabulary: Vocabulary) -> PreTrainedTokenizerFast:
    """A tokenizer that makes of sentences what `Vocabulary.spell` makes of them.

    It normalises sentences itself, begins and ends them, and cuts and fills them up to the length that the vocabulary has.
    """
    from tokenizers import Regex, Tokenizer, normalizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer.from_str(vocabulary.tokenizer.to_str())
    names = "|".join(name[1:-1] for name in SPECIAL)
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex(f"<(?=(?:{names})>)"), "< "),
            normalizers.Replace(Regex(_SPACES), " "),
            normalizers.Replace(Regex(r"\A | \z"), ""),
            normalizers.Prepend(" "),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{SPECIAL[BEGIN]} $A {SPECIAL[END]}", special_tokens=[(SPECIAL[BEGIN], BEGIN), (SPECIAL[END], END)]
    )
    make: Any = PreTrainedTokenizerFast  # which has no types
    made: PreTrainedTokenizerFast = make(
        tokenizer_object=tokenizer,
        bos_token=SPECIAL[BEGIN],
        eos_token=SPECIAL[END],
        pad_token=SPECIAL[PAD],
        padding_side="right",
        truncation_side="right",
        model_max_length=vocabulary.spelled,
        split_special_tokens=True,  # "<pad>" in a sentence is text
        clean_up_tokenization_spaces=False,
    )
    return made
