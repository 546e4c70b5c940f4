"""Files that people upload, to RGB pictures; everything else to one clear sentence."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from r2t2_core.errors import ImageError
from r2t2_core.i18n import N_

INTAKE_VERSION = "intake-2"

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")

MAX_BYTES = 30_000_000
MAX_PIXELS = 40_000_000
MIN_SIDE = 8
MAX_ASPECT = 20

NOTE_FIRST_FRAME = N_("The picture is animated; only its first frame is used.")
NOTE_TURNED = N_("The picture was turned as its camera data say.")
NOTE_DEPTH = N_("The picture has more than 8 bits a channel; it was reduced to 8.")
NOTE_ALPHA = N_("Transparent parts were put on white.")
NOTE_CMYK = N_("The picture is in printing colours (CMYK); they were converted to RGB.")

CHOOSE_ANOTHER = N_("Choose a PNG, JPEG, WebP, GIF, BMP or TIFF picture.")


@dataclass(frozen=True)
class IntakeImage:
    """A picture as the model takes it.

    Attributes
    ----------
    image : PIL.Image.Image
        RGB, upright.
    raw_sha256, pixels_sha256 : str
        Hashes of the bytes as received, and of the RGB pixels.
    width, height : int
        In pixels, upright.
    format : str
        Format of the file.
    notes : tuple of str
        What was done to it (message identifiers).
    """

    image: Image.Image
    raw_sha256: str
    pixels_sha256: str
    width: int
    height: int
    format: str
    notes: tuple[str, ...]


def read_image_file(path: Path) -> bytes:
    """Read a picture file's bytes.

    Raises
    ------
    ImageError
        There is no such file, it is no regular file, or it cannot be read.
    """
    try:
        size = path.stat().st_size
        if not path.is_dir() and not path.is_file():
            # A pipe or a device may never end.
            raise ImageError(
                N_("{path} is not a regular file."),
                N_("Check the path and the permissions."),
                path=str(path),
            )
        if size > MAX_BYTES:
            _refuse_size(size)
        return path.read_bytes()
    except OSError as error:
        raise ImageError(
            N_("The file {path} cannot be read: {reason}."),
            N_("Check the path and the permissions."),
            path=str(path),
            reason=error.strerror or str(error),
        ) from error


def read_image(data: bytes) -> IntakeImage:
    """Decode an uploaded picture.

    Parameters
    ----------
    data : bytes
        The file as received.

    Raises
    ------
    ImageError
        Empty, too large, not a picture, damaged, too small, too long and narrow.
    """
    if not data:
        raise ImageError(N_("The file is empty (0 bytes)."), CHOOSE_ANOTHER)
    if len(data) > MAX_BYTES:
        _refuse_size(len(data))
    with warnings.catch_warnings():
        # The size is checked here, with a sentence of our own; a damaged tag is no news to anybody.
        warnings.simplefilter("ignore")
        source = _open(data)
        _check_shape(source)
        notes: list[str] = []
        if source.format == "PNG" and data[24:25] == b"\x10":
            # Byte 24 of a PNG is the header's bit depth; Pillow reduces colours without a word.
            notes.append(NOTE_DEPTH)
        image = _decode(source, notes)
    return IntakeImage(
        image,
        hashlib.sha256(data).hexdigest(),
        hashlib.sha256(f"{image.width}x{image.height}|".encode() + image.tobytes()).hexdigest(),
        image.width,
        image.height,
        str(source.format),
        tuple(notes),
    )


def _refuse_size(size: int) -> None:
    raise ImageError(
        N_("The file has {size} MB; the limit is {limit} MB."),
        N_("Reduce the picture and try again."),
        size=round(size / 1e6),
        limit=round(MAX_BYTES / 1e6),
    )


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ImageError(
            N_("The file is not a picture that can be read."), CHOOSE_ANOTHER
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            N_("The picture has far more than {limit} megapixels."),
            N_("Reduce the picture and try again."),
            limit=MAX_PIXELS // 1_000_000,
        ) from error
    except Exception as error:  # Damaged files raise whatever a decoder stumbles over.
        raise ImageError(N_("The picture is damaged or cut off."), CHOOSE_ANOTHER) from error


def _check_shape(source: Image.Image) -> None:
    """Refuse by the header's size, before a single pixel is decoded."""
    width, height = source.size
    if width * height > MAX_PIXELS:
        raise ImageError(
            N_("The picture has {size} megapixels; the limit is {limit}."),
            N_("Reduce the picture and try again."),
            size=round(width * height / 1e6),
            limit=MAX_PIXELS // 1_000_000,
        )
    long, short = max(width, height), min(width, height)
    if long > MAX_ASPECT * short:
        raise ImageError(
            N_("The picture is {width} × {height} pixels: too long and narrow to show a scene."),
            N_("Cut out the part that your question is about."),
            width=width,
            height=height,
        )
    if short < MIN_SIDE:
        raise ImageError(
            N_("The picture is {width} × {height} pixels: too small to see anything."),
            N_("Choose a picture of {least} pixels or more on each side."),
            width=width,
            height=height,
            least=MIN_SIDE,
        )


def _decode(source: Image.Image, notes: list[str]) -> Image.Image:
    try:
        if getattr(source, "n_frames", 1) > 1:
            notes.append(NOTE_FIRST_FRAME)
            source.seek(0)
        source.load()
        if source.getexif().get(0x0112, 1) in range(2, 9):
            notes.append(NOTE_TURNED)
        upright = ImageOps.exif_transpose(source)
        return _to_rgb(upright, notes)
    except ImageError:
        raise
    except Exception as error:  # Damaged files raise whatever a decoder stumbles over.
        raise ImageError(N_("The picture is damaged or cut off."), CHOOSE_ANOTHER) from error


def _to_rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        if NOTE_DEPTH not in notes:
            notes.append(NOTE_DEPTH)
        return _eight_bits(image)
    if image.mode == "CMYK":
        notes.append(NOTE_CMYK)
        return image.convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        colour = image.convert("RGBA")
        if colour.getchannel("A").getextrema() != (255, 255):
            notes.append(NOTE_ALPHA)
        white = Image.new("RGBA", colour.size, "white")
        return Image.alpha_composite(white, colour).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale grey values of 16 or 32 bits, or floats, to 8 bits, where Pillow would clip them."""
    values = np.array(image, dtype=np.float32)
    finite = np.isfinite(values)
    values[~finite] = 0
    top = float(values.max())
    if image.mode.startswith("I;16"):
        top = 65535.0
    elif image.mode == "I":
        # The file says 32 bits; the values tell which range is meant.
        top = next((limit for limit in (255.0, 65535.0) if top <= limit), top)
    values *= 255 / max(top, 1.0 if image.mode != "F" else 1e-12)
    grey = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")
