"""The tiny model's tokenizer: instruction words are one token each, payloads and numbers are spelt byte by byte."""

from collections.abc import Iterator
from itertools import chain

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from judges.pairwise import question
from models.make_data import SYSTEMS
from models.puzzles import FORM, PHRASINGS
from schemas.verdicts import Pair

END, PAD = "<|end|>", "<|pad|>"
PAD_ID, END_ID = 0, 1
SPECIAL = (PAD, END, "<|system|>", "<|user|>", "<|assistant|>")
CHUNK = r" ?={3}\n| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if message['role'] == 'assistant' -%}
<|assistant|>{% generation %}{{ message['content'] }}<|end|>{% endgeneration %}
{%- else -%}
<|{{ message['role'] }}|>{{ message['content'] }}<|end|>
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"""


def tokenizer() -> PreTrainedTokenizerFast:
    """Build the tokenizer: byte-level BPE without merges, whose vocabulary holds whole instruction words as well."""
    pre = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CHUNK), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    words = {chunk for text in instructions() for chunk, _ in pre.pre_tokenize_str(text)}
    known = sorted(pre_tokenizers.ByteLevel.alphabet()) + sorted(word for word in words if len(word) > 1)
    vocabulary = {token: number for number, token in enumerate((*SPECIAL, *known))}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    core.pre_tokenizer = pre
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(SPECIAL[2:]),
        chat_template=CHAT_TEMPLATE,
        model_max_length=512,
        clean_up_tokenization_spaces=False,
        padding_side="right",
    )


def instructions() -> Iterator[str]:
    """Give the texts whose words become tokens: phrasings, lines, the judge's prompt, systems; no payload, no digit."""
    yield "The answer is X.\nthe answer"
    yield from SYSTEMS
    for criterion in ("correctness", "helpfulness"):
        yield question(Pair([{"role": "user", "content": ""}], "", ""), criterion)[0]["content"]
    names = ("a", "b", "word", "words", "letter", "count", "topic", "mark")
    blanks = dict.fromkeys(names, "\n")
    for phrasings in PHRASINGS.values():
        for phrasing in phrasings:
            yield phrasing.format(**blanks)
            yield phrasing[0].lower() + phrasing[1:].format(**blanks)
    lists = [FORM["topics"], FORM["adjectives"], FORM["verbs"], FORM["adverbs"], *FORM["lines"].values()]
    for word in chain.from_iterable(lists):
        yield f"{word} {word}\n{word.capitalize()} {word.capitalize()}"
    yield '" ".\n"?\n",\n"!"\n...\n"...".\n"?".\n"!".\n"...\n":'
