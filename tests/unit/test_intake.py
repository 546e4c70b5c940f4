"""Pictures and questions of every bad kind: a right result or one clear sentence."""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from r2t2_core.errors import ImageError, QuestionError
from r2t2_core.intake import image as intake
from r2t2_core.intake.image import read_image, read_image_file
from r2t2_core.intake.question import NOTE_CONTROL, NOTE_EMOJI, read_question


def save(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(mode: str = "RGB") -> Image.Image:
    values = np.linspace(0, 255, 40 * 60 * 3).reshape(40, 60, 3).astype(np.uint8)
    return Image.fromarray(values).convert(mode)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_format_is_read(kind):
    read = read_image(save(gradient(), kind))
    assert (read.image.mode, read.width, read.height, read.format) == ("RGB", 60, 40, kind)
    assert read.notes == ()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"hello, I am a text file", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (save(gradient())[:90], "damaged|not a picture"),
        (save(gradient(), "JPEG")[:300], "damaged|not a picture"),
        (png_header(9000, 7000), "63 megapixels; the limit is 40"),
        (png_header(60000, 60000), "megapixels"),
        (save(Image.new("RGB", (1, 10000))), "too long and narrow"),
        (save(Image.new("RGB", (4, 5))), "too small"),
        (png_header(100, 100), "damaged"),
    ],
)
def test_what_cannot_be_used_gets_one_sentence_and_a_remedy(data, words):
    with pytest.raises(ImageError, match=words) as caught:
        read_image(data)
    assert caught.value.remedy
    assert "{" not in str(caught.value)


def test_a_file_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(intake, "MAX_BYTES", 1000)
    with pytest.raises(ImageError, match="limit"):
        read_image(save(gradient()) * 20)


def test_cmyk_becomes_rgb():
    read = read_image(save(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "JPEG", quality=95))
    red, green, blue = read.image.getpixel((10, 10))
    assert red > 200
    assert green < 60
    assert blue < 60
    assert read.notes == (intake.NOTE_CMYK,)


def test_sixteen_bits_are_scaled_not_clipped():
    values = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    read = read_image(save(Image.fromarray(values)))
    grey = np.asarray(read.image)[..., 0]
    assert abs(int(grey[32, 0]) - 128) <= 2
    assert read.notes == (intake.NOTE_DEPTH,)


def test_sixteen_bits_of_colour_are_noted():
    def chunk(name: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + check

    row = b"\0" + struct.pack(">HHH", 65535, 32768, 0) * 16
    header = struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row * 16)) + chunk(b"IEND", b"")
    read = read_image(b"\x89PNG\r\n\x1a\n" + data)
    assert read.image.getpixel((3, 3)) == (255, 128, 0)
    assert read.notes == (intake.NOTE_DEPTH,)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.linspace(0, 255, 1024).reshape(32, 32).astype(np.int32), 255),
        (np.linspace(0, 65535, 1024).reshape(32, 32).astype(np.int32), 255),
        (np.linspace(0, 1, 1024).reshape(32, 32).astype(np.float32), 255),
    ],
    ids=["32 bits, small values", "32 bits", "floats up to one"],
)
def test_wide_grey_values_keep_their_range(values, expected):
    grey = np.asarray(read_image(save(Image.fromarray(values), "TIFF")).image)[..., 0]
    assert grey[0, 0] == 0
    assert grey[-1, -1] == expected
    assert abs(int(grey[16, 0]) - 128) <= 3


def test_a_pixel_that_is_no_number_does_not_blacken_the_rest():
    values = np.full((32, 32), 200, dtype=np.float32)
    values[3, 3] = np.inf
    values[4, 4] = np.nan
    grey = np.asarray(read_image(save(Image.fromarray(values), "TIFF")).image)[..., 0]
    assert grey[20, 20] == 255


def frames() -> list[Image.Image]:
    return [gradient("P"), gradient("L").convert("P")]


@pytest.mark.parametrize(
    "data",
    [
        save(gradient()),
        save(gradient(), "JPEG"),
        save(gradient(), "WEBP"),
        save(gradient(), "BMP"),
        save(gradient(), "TIFF"),
        save(gradient(), "TIFF", compression="tiff_lzw"),
        save(frames()[0], "GIF", save_all=True, append_images=frames()[1:]),
        save(gradient(), "PNG", save_all=True, append_images=[gradient("L").convert("RGB")]),
    ],
    ids=["png", "jpeg", "webp", "bmp", "tiff", "tiff-lzw", "gif", "apng"],
)
def test_a_cut_or_mutated_file_is_a_picture_or_one_sentence(data):
    random = np.random.default_rng(0)
    damaged = [data[:length] for length in range(1, len(data), max(1, len(data) // 400))]
    for _ in range(300):
        bytes_ = bytearray(data)
        for place in random.integers(0, min(len(data), 400), 3):
            bytes_[place] = int(random.integers(0, 256))
        damaged.append(bytes(bytes_))
    for file in damaged:
        with contextlib.suppress(ImageError):
            assert read_image(file).image.mode == "RGB"


def test_palette_with_alpha_goes_on_white():
    image = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 10, 20))
    read = read_image(save(image.quantize(8)))
    assert read.image.getpixel((15, 10)) == (255, 255, 255)
    assert read.image.getpixel((5, 10))[2] > 200
    assert read.notes == (intake.NOTE_ALPHA,)


def test_only_the_first_frame_of_an_animation_is_used():
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
    read = read_image(save(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert read.image.getpixel((5, 5)) == (255, 0, 0)
    assert read.notes == (intake.NOTE_FIRST_FRAME,)


def test_camera_rotation_is_applied():
    image = Image.new("RGB", (30, 20), "white")
    image.paste("red", (0, 0, 30, 5))
    exif = image.getexif()
    exif[0x0112] = 6
    read = read_image(save(image, "JPEG", exif=exif, quality=95))
    assert (read.width, read.height) == (20, 30)
    assert read.image.getpixel((18, 15))[1] < 100
    assert read.notes == (intake.NOTE_TURNED,)


def test_a_pipe_is_refused_at_once(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ImageError, match="not a regular file"):
        read_image_file(pipe)


def test_hashes_tell_bytes_from_pixels():
    image = gradient()
    first, second = read_image(save(image)), read_image(save(image, "BMP"))
    assert first.raw_sha256 != second.raw_sha256
    assert first.pixels_sha256 == second.pixels_sha256


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(ImageError, match="cannot be read"):
            read_image_file(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("  \n\t ", "empty"),
        ("a" * 10_000, "10000 characters; the limit is 300"),
        ("???", "no words"),
        ("😀🎉", "no words"),
        ("椅子在哪里呢我想知道", "English"),
        ("Где стул?", "English"),
        ("أين الكرسي؟", "English"),
        ("איפה הכיסא", "English"),
        ("où est la chaise ?", "English"),
        ("Wo ist der Stuhl?", "English"),
        ("¿Dónde está la silla?", "English"),
    ],
)
def test_questions_that_cannot_be_answered(text, words):
    with pytest.raises(QuestionError, match=words) as caught:
        read_question(text)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "clean", "notes"),
    [
        ("Where is\tthe  chair?\n", "Where is the chair?", ()),
        ("Where is the \x00\x07chair?", "Where is the chair?", (NOTE_CONTROL,)),
        ("Where is the \u202echair\u202c?", "Where is the chair?", (NOTE_CONTROL,)),
        ("Where is the chair 🪑?", "Where is the chair ?", (NOTE_EMOJI,)),
        ("What colour is the café sign?", "What colour is the café sign?", ()),
        ("ｗｈｅｒｅ　ｉｓ the ｃｈａｉｒ？", "where is the chair?", ()),
        ("Is 3 < 5 ^ 2 ° ©?", "Is 3 < 5 ^ 2 ° ©?", ()),
        ("is there a die in the picture", "is there a die in the picture", ()),
        ("椅子は　どこですか？", "椅子は どこですか?", ()),
        ("椅子どこ", "椅子どこ", ()),
        ("看板のEXITという文字は？", "看板のEXITという文字は?", ()),
        ("ｶｯﾌﾟは何個？", "カップは何個?", ()),
    ],
)
def test_questions_are_cleaned(text, clean, notes):
    read = read_question(text)
    assert (read.text, read.notes) == (clean, notes)
