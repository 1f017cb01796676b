"""The vocabulary of the demo's vision-language model, and its tokenizer."""

import string
from pathlib import Path
from typing import Any

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]")
START = SPECIAL.index("[DEC]")
END = SPECIAL.index("[SEP]")
PADDING = SPECIAL.index("[PAD]")


def words_of(texts: list[str]) -> list[str]:
    """The distinct words of some texts, lower case, without punctuation, sorted."""
    table = str.maketrans(string.punctuation, " " * len(string.punctuation))
    return sorted({word for text in texts for word in text.lower().translate(table).split()})


def entries(texts: list[str]) -> list[str]:
    """A WordPiece vocabulary: special tokens, single characters (so that any English text can be encoded), words."""
    letters = [*string.ascii_lowercase, *string.digits]
    characters = [*string.punctuation, *letters, *(f"##{letter}" for letter in letters)]
    return [*SPECIAL, *characters, *(word for word in words_of(texts) if len(word) > 1)]


def write_tokenizer(folder: Path, texts: list[str]) -> Any:
    """Write a BertTokenizer with the words of `texts` into a folder, and return it."""
    from transformers import BertTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = BertTokenizer(
        vocab={entry: i for i, entry in enumerate(entries(texts))}, do_lower_case=True, bos_token="[DEC]"
    )
    tokenizer.save_pretrained(folder)
    return tokenizer
