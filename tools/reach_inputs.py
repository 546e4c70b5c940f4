"""Questions and pictures inside and outside the scene world: they calibrate and check the reach.

The questions are written by hand, apart from the generator's wordings; every second one
calibrates the bound (`tools/choose_defaults.py`), the others check it (`tools/results.py`).
The pictures only check: parts of the two photographs that come with scikit-learn, and textures.
"""

from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_images

UNRELATED = (
    "who won the world cup in 1998?",
    "what is the boiling point of water?",
    "how do i reset my password?",
    "why is the sky blue?",
    "translate good morning into spanish",
    "what is the meaning of life?",
    "when did the second world war end?",
    "recommend a restaurant in tokyo",
    "who wrote romeo and juliet?",
    "how tall is mount everest?",
    "summarise this contract for me",
    "what time does the train leave?",
    "is this patient's x-ray normal?",
    "which stock should i buy?",
    "tell me a joke",
    "what is the square root of two?",
    "how old is the person in the photo?",
    "what is the man's mood?",
    "which breed is this dog?",
    "is it going to rain tomorrow?",
    "what is the population of canada?",
    "explain quantum entanglement",
    "how do i cook rice?",
    "what language is spoken in brazil?",
    "who is the president?",
    "does this rash look dangerous?",
    "how many planets are in the solar system?",
    "what brand is this laptop?",
    "sort this list of names",
    "hello, how are you?",
    "1998年のワールドカップで優勝した国は？",
    "水の沸点は何度ですか？",
    "パスワードを再設定する方法を教えてください",
    "空はなぜ青いのですか？",
    "東京でおすすめのレストランは？",
    "人生の意味とは何ですか？",
    "この契約書を要約してください",
    "電車は何時に出発しますか？",
    "富士山の高さはどのくらいですか？",
    "面白い話をしてください",
    "明日は雨が降りますか？",
    "この人は何歳ですか？",
    "日本の首相は誰ですか？",
    "ご飯の炊き方を教えて",
    "こんにちは、お元気ですか？",
    "この発疹は危険ですか？",
)
"""Nothing to do with pictures of things."""

UNKNOWN = (
    "is there a person?",
    "where is the dog?",
    "what colour is the sky?",
    "how many windows are there?",
    "is the woman left of the tree?",
    "do you see a bicycle?",
    "what colour is the sofa?",
    "where is the cat?",
    "how many people are in the picture?",
    "is there a horse in the image?",
    "what is the colour of the house?",
    "locate the airplane",
    "does the picture contain a giraffe?",
    "are there more dogs than cats?",
    "what is the purple animal?",
    "can you find a fork?",
    "is there a knife?",
    "where is the piano?",
    "how many fingers are shown?",
    "what does the newspaper say?",
    "what is the price of the phone?",
    "which colour does the carpet have?",
    "is the bridge above the river?",
    "count the flowers",
    "name the color of the mountain",
    "tell me where the nurse is",
    "where do you see the engine?",
    "how many eggs are there?",
    "what colour is the bird?",
    "is a sword present?",
    "人はいますか？",
    "犬はどこですか？",
    "空は何色ですか？",
    "窓はいくつありますか？",
    "女性は木の左にいますか？",
    "自転車が見えますか？",
    "ソファは何色ですか？",
    "猫はどこにいますか？",
    "何人写っていますか？",
    "馬はいますか？",
    "犬は猫より多いですか？",
    "橋は川の上にありますか？",
    "花を数えてください",
    "看護師はどこですか？",
    "新聞には何と書いてありますか？",
    "鳥の色を教えてください",
)
"""The wordings of this world, about things that are not in it."""

PARAPHRASES = (
    "can you tell me where the chair is?",
    "whereabouts is the ball?",
    "the chair is located where?",
    "how many cups can you count?",
    "give me the number of books",
    "what number of apples do you see?",
    "which thing in the picture is yellow?",
    "what colour would you say the car is?",
    "is the chair to the left of the clock?",
    "is the key higher than the cup?",
    "does the sign say something? read it",
    "what word is on the sign?",
    "what is the reading on the gauge?",
    "which bar is the tallest one?",
    "are there more books than cups?",
    "is any banana in the scene?",
    "i am looking for the umbrella, where is it?",
    "is the wrench below the box?",
    "what value does the dial point to?",
    "which of the bars is shortest?",
    "what do the letters on the sign spell?",
    "would you find a clock here?",
    "show me where the bread is",
    "how many red things are in this picture?",
    "what's the shirt's colour?",
    "do you notice an apple?",
    "is the book on the right side of the chair?",
    "are the cups fewer than the balls?",
    "what is the object that is green?",
    "position of the key?",
    "椅子がどこにあるか分かりますか？",
    "ボールはどのへんにある？",
    "カップを数えるといくつ？",
    "本の数を教えて",
    "黄色いものを答えて",
    "車の色は何だと思う？",
    "椅子は時計の左側ですか？",
    "鍵はカップより上にありますか？",
    "看板の字を読んで",
    "メーターの針はいくつを指してる？",
    "どの棒が一番高い？",
    "カップと本ではカップの方が多い？",
    "バナナはどこかにありますか？",
    "傘を探しているのですが、どこですか？",
    "レンチは箱の下にありますか？",
    "赤いものは全部でいくつ？",
)
"""Questions that the model should answer, in words of their own."""


def photographs(count: int, seed: int = 0) -> list[Image.Image]:
    """Cut out parts of two photographs (a temple, a flower), of all sizes."""
    rng = random.Random(seed)
    sources = [Image.fromarray(array) for array in load_sample_images().images]
    cut = []
    for number in range(count):
        source = sources[number % 2]
        width = rng.randint(60, source.width)
        height = min(source.height, round(width * rng.uniform(0.7, 1.4)))
        left, top = rng.randint(0, source.width - width), rng.randint(0, source.height - height)
        cut.append(source.crop((left, top, left + width, top + height)))
    return cut


def textures(count: int, seed: int = 0) -> list[Image.Image]:
    """Draw colour ramps, chequers, noise, triangles, pages of text and plain colours."""
    generator = np.random.default_rng(seed)
    return [_TEXTURES[number % len(_TEXTURES)](generator) for number in range(count)]


def _ramp(generator: np.random.Generator) -> Image.Image:
    row = np.linspace(*(generator.random((2, 3)) * 255), 128)
    return Image.fromarray(np.broadcast_to(row, (128, 128, 3)).astype(np.uint8))


def _chequers(generator: np.random.Generator) -> Image.Image:
    side = int(generator.integers(4, 32))
    cells = generator.random((128 // side + 1, 128 // side + 1, 3)) * 255
    return Image.fromarray(np.kron(cells, np.ones((side, side, 1)))[:128, :128].astype(np.uint8))


def _noise(generator: np.random.Generator) -> Image.Image:
    return Image.fromarray(generator.integers(0, 256, (128, 128, 3), dtype=np.uint8))


def _colour(generator: np.random.Generator) -> tuple[int, ...]:
    return tuple(generator.integers(0, 256, 3).tolist())


def _triangles(generator: np.random.Generator) -> Image.Image:
    picture = Image.new("RGB", (128, 128), _colour(generator))
    draw = ImageDraw.Draw(picture)
    for _ in range(8):
        corners = [tuple(generator.integers(0, 128, 2).tolist()) for _ in range(3)]
        draw.polygon(corners, fill=_colour(generator))
    return picture


def _page(generator: np.random.Generator) -> Image.Image:
    picture = Image.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(picture)
    words = "the quick brown fox jumps over the lazy dog and runs away from it all day"
    for y in range(8, 248, 12):
        draw.text((8, y), words[int(generator.integers(0, 30)) :][:38], fill="black")
    return picture


def _plain(generator: np.random.Generator) -> Image.Image:
    return Image.new("RGB", (128, 128), _colour(generator))


_TEXTURES = (_ramp, _chequers, _noise, _triangles, _page, _plain)
