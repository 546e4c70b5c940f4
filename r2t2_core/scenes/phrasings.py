"""How questions are worded, by family and phrasing group.

Groups: `narrow` is all that the router's training has seen; `broad` is seen by the
experts' training, the reference set and the test suites, never by the router's
training; `held_out` is seen by no training at all.
"""

from __future__ import annotations

PHRASINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "colour": {
        "narrow": ("what colour is the {a}?", "what is the colour of the {a}?"),
        "broad": (
            "what color is the {a}?",
            "tell me the {a}'s colour",
            "which colour does the {a} have?",
            "name the color of the {a}",
            "the {a} is which colour?",
            "what is the color of the {a} in the picture?",
        ),
        "held_out": ("in which color is the {a} painted?", "please say what colour the {a} has"),
    },
    "kind": {
        "narrow": ("what is the {c} thing?", "what kind of thing is the {c} one?"),
        "broad": (
            "which object is {c}?",
            "name the {c} object",
            "what is the {c} object in the picture?",
            "tell me what the {c} item is",
            "the {c} thing is what?",
            "what object is {c}?",
        ),
        "held_out": ("identify the {c} object", "could you say what the {c} item might be?"),
    },
    "existence": {
        "narrow": ("is there {an}?", "is there {an} in the image?"),
        "broad": (
            "do you see {an}?",
            "does the picture contain {an}?",
            "can you find {an}?",
            "is {an} present?",
            "is {an} visible in the picture?",
            "do we have {an} here?",
        ),
        "held_out": ("can {an} be spotted?", "would you say that the scene shows {an}?"),
    },
    "where": {
        "narrow": ("where is the {a}?", "what is the position of the {a}?"),
        "broad": (
            "where can i find the {a}?",
            "in which part of the picture is the {a}?",
            "locate the {a}",
            "tell me where the {a} is",
            "where do you see the {a}?",
            "what is the location of the {a}?",
        ),
        "held_out": ("point out the place of the {a}", "whereabouts is the {a}?"),
    },
    "relation": {
        "narrow": ("is the {a} {r} the {b}?", "is the {a} {r} the {b} in the image?"),
        "broad": (
            "does the {a} lie {r} the {b}?",
            "can the {a} be found {r} the {b}?",
            "do you see the {a} {r} the {b}?",
            "tell me if the {a} is {r} the {b}",
            "is it true that the {a} is {r} the {b}?",
        ),
        "held_out": (
            "would you say the {a} is {r} the {b}?",
            "has the {a} been placed {r} the {b}?",
        ),
    },
    "count": {
        "narrow": ("how many {p} are there?", "how many {p} are in the image?"),
        "broad": (
            "count the {p}",
            "what is the number of {p}?",
            "how many {p} do you see?",
            "tell me how many {p} there are",
            "how many {p} can be seen in the picture?",
            "give the number of {p}",
        ),
        "held_out": ("state the total of {p}", "what is the count of {p} here?"),
    },
    "comparison": {
        "narrow": ("are there more {p} than {q}?", "are there more {p} than {q} in the image?"),
        "broad": (
            "do you see more {p} than {q}?",
            "does the picture show more {p} than {q}?",
            "are the {p} more numerous than the {q}?",
            "is it true that there are more {p} than {q}?",
            "tell me if there are more {p} than {q}",
        ),
        "held_out": ("do the {p} outnumber the {q}?", "can we count more {p} than {q}?"),
    },
    "text": {
        "narrow": ("what does the sign say?", "what is written on the sign?"),
        "broad": (
            "read the sign",
            "which word is on the sign?",
            "tell me what the sign says",
            "what word is written?",
            "what is the text on the sign?",
            "which word do you read on the sign?",
        ),
        "held_out": ("what can be read on the board?", "spell out the word on the sign"),
    },
    "gauge": {
        "narrow": ("what does the gauge read?", "what is the reading of the gauge?"),
        "broad": (
            "read the gauge",
            "which value does the gauge show?",
            "tell me the value on the gauge",
            "what value does the needle point to?",
            "what number is the gauge at?",
            "what does the dial show?",
        ),
        "held_out": ("at which value does the needle stand?", "give me the dial's reading"),
    },
    "chart": {
        "narrow": ("which bar is the {m}?", "which bar of the chart is the {m}?"),
        "broad": (
            "in the chart, which bar is {m}?",
            "tell me the {m} bar",
            "name the {m} bar of the chart",
            "which of the bars is the {m}?",
            "where in the chart is the {m} bar?",
        ),
        "held_out": ("looking at the bar chart, which bar is {m}?", "find the {m} bar"),
    },
}

PLURALS = {
    "book": "books", "cup": "cups", "shirt": "shirts", "cap": "caps", "umbrella": "umbrellas",
    "car": "cars", "chair": "chairs", "box": "boxes", "bread": "breads", "clock": "clocks",
    "apple": "apples", "key": "keys", "banana": "bananas", "ball": "balls", "wrench": "wrenches",
}  # fmt: skip

RELATIONS = {
    "left of": ("x", -1),
    "to the left of": ("x", -1),
    "right of": ("x", 1),
    "to the right of": ("x", 1),
    "above": ("y", -1),
    "below": ("y", 1),
}
"""Wording → axis and sign of (first − second)."""


def with_article(words: str) -> str:
    """Return the words with `a` or `an` before them."""
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"
