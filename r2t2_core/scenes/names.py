"""What things, colours and relations are called in English and Japanese."""

from __future__ import annotations

from dataclasses import dataclass

PLURALS = {
    "box": "boxes", "bread": "breads", "battery": "batteries", "tomato": "tomatoes",
    "cactus": "cacti", "switch": "switches", "toolbox": "toolboxes",
}  # fmt: skip
"""Plurals that are not the word with an `s`."""

KIND_JA = {
    "book": "本", "cup": "カップ", "shirt": "シャツ", "cap": "帽子", "umbrella": "傘",
    "car": "車", "balloon": "風船", "bucket": "バケツ", "backpack": "リュック", "light": "ランプ",
    "chair": "椅子", "box": "箱", "bread": "パン", "clock": "時計", "apple": "りんご",
    "key": "鍵", "banana": "バナナ", "ball": "ボール", "wrench": "レンチ", "plant": "植木",
    "cactus": "サボテン", "teddy": "ぬいぐるみ", "bell": "ベル", "television": "テレビ",
    "camera": "カメラ", "door": "ドア", "can": "缶", "cheese": "チーズ", "carrot": "にんじん",
    "tomato": "トマト", "lemon": "レモン", "cookie": "クッキー", "jar": "つぼ", "bottle": "瓶",
    "pear": "洋梨", "bolt": "ボルト", "battery": "電池", "gear": "歯車", "magnet": "磁石",
    "brick": "レンガ", "toolbox": "工具箱", "lock": "南京錠", "plug": "プラグ",
    "ladder": "はしご", "switch": "スイッチ", "pencil": "鉛筆",
}  # fmt: skip

COLOUR_JA = {
    "red": "赤い", "yellow": "黄色い", "green": "緑色の", "blue": "青い", "purple": "紫色の",
    "black": "黒い", "brown": "茶色の", "grey": "灰色の", "orange": "オレンジ色の",
}  # fmt: skip
"""Colours as they stand before a noun."""

ANSWER_JA = {
    "red": "赤", "yellow": "黄色", "green": "緑", "blue": "青", "purple": "紫", "black": "黒",
    "brown": "茶色", "grey": "灰色", "orange": "オレンジ色", "top left": "左上", "top": "上",
    "top right": "右上", "left": "左", "centre": "中央", "right": "右", "bottom left": "左下",
    "bottom": "下", "bottom right": "右下", "middle": "真ん中", "yes": "はい", "no": "いいえ",
    **KIND_JA,
}  # fmt: skip
"""Answers that are words; numbers and what signs say are the same in every language."""

RELATIONS: dict[str, tuple[str, int, dict[str, tuple[str, ...]]]] = {
    "left": ("x", -1, {"en": ("left of", "to the left of"), "ja": ("左",)}),
    "right": ("x", 1, {"en": ("right of", "to the right of"), "ja": ("右",)}),
    "above": ("y", -1, {"en": ("above",), "ja": ("上",)}),
    "below": ("y", 1, {"en": ("below",), "ja": ("下",)}),
    "front": ("y", 1, {"en": ("in front of",), "ja": ("手前",)}),
    "behind": ("y", -1, {"en": ("behind",), "ja": ("奥",)}),
}
"""Relation → axis, sign of (first − second) along it, and its wordings by language.

Depth is read from the ground: what stands lower in the picture is nearer.
"""


def answer_in(language: str, answer: str) -> str:
    """Say an answer of the vocabulary in a language; a word that is not ours stands as it is."""
    return ANSWER_JA.get(answer, answer) if language == "ja" else answer


DEPTH = ("front", "behind")

EXTREMES: dict[str, dict[bool, tuple[str, ...]]] = {
    "en": {True: ("tallest", "highest"), False: ("shortest", "lowest")},
    "ja": {True: ("一番高い", "最も高い"), False: ("一番低い", "最も低い")},
}
"""Language → is it the maximum? → wordings."""


@dataclass(frozen=True)
class Noun:
    """What a question speaks of: a kind, a colour, or both.

    Attributes
    ----------
    kind : str or None
        One of `KINDS`; None for a thing of any kind.
    colour : str or None
        One of `COLOURS`; None where it is not named.
    """

    kind: str | None
    colour: str | None = None

    def say(self, language: str, plural: bool = False) -> str:
        """Return the noun phrase, without an article."""
        if language == "ja":
            thing = KIND_JA[self.kind] if self.kind else "もの"
            return (COLOUR_JA[self.colour] if self.colour else "") + thing
        thing = self.kind or "thing"
        if plural:
            thing = PLURALS.get(thing, f"{thing}s")
        return f"{self.colour} {thing}" if self.colour else thing

    def say_one(self, language: str) -> str:
        """Return the noun phrase as one of many: with `a` or `an` in English."""
        words = self.say(language)
        if language == "ja":
            return words
        return f"an {words}" if words[0] in "aeiou" else f"a {words}"
