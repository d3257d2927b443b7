"""Mnemonics of menus: the letters that choose entries by key. Pure."""

from __future__ import annotations


def with_mnemonic(text: str, taken: set[str]) -> str:
    """Mark with '&' a letter of a text that no other entry of the menu has.

    The letter is added to `taken`.

    The first letters of words come first. A text without a free letter stays as it is.
    """
    starts = [place for place, letter in enumerate(text) if place == 0 or text[place - 1] == " "]
    for place in (*starts, *range(len(text))):
        letter = text[place].lower()
        if letter.isalnum() and letter not in taken:
            taken.add(letter)
            return f"{text[:place]}&{text[place:]}"
    return text


def plain(text: str) -> str:
    """Return a text without its mnemonic."""
    return text.replace("&", "")
