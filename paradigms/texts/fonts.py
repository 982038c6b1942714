"""Fonts for what a subject reads: found on this computer, and asked glyph by glyph before anybody reads.

A font without a character draws an empty box, in silence; here it is refused by name.
"""

from __future__ import annotations

import functools
import os
import sys
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont, features

from subjects.errors import SettingsError
from subjects.settings.subject_side import InstructionsSettings

_NOTO = ("opentype/noto", "truetype/noto", "noto-cjk", "google-noto-cjk", "google-noto-sans-cjk-fonts")
_KNOWN = {
    "linux": (
        *(f"/usr/share/fonts/{folder}/NotoSansCJK-Regular.ttc" for folder in _NOTO),
        "/usr/share/fonts/opentype/source-han-sans/SourceHanSansSC-Regular.otf",
        "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc", "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
        "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf"),
    "win32": tuple(f"{os.environ.get('WINDIR', 'C:/Windows')}/Fonts/{name}"
                   for name in ("msyh.ttc", "simhei.ttf", "simsun.ttc", "segoeui.ttf", "arial.ttf")),
    "darwin": ("/System/Library/Fonts/PingFang.ttc", "/System/Library/Fonts/Hiragino Sans GB.ttc",
               "/System/Library/Fonts/STHeiti Light.ttc", "/Library/Fonts/Arial Unicode.ttf"),
}
_SHAPED = ((0x0590, 0x08FF), (0x0900, 0x109F), (0x1780, 0x17FF), (0xFB1D, 0xFEFC))
"""Scripts whose letters join, stack or run from right to left: Hebrew, Arabic, Indic, Thai, Tibetan, Khmer, ..."""


@dataclass(frozen=True)
class Font:
    """A face of a font file.

    Parameters
    ----------
    path : str
        The file.
    index : int
        The face, in a file with several.
    """

    path: str
    index: int = 0

    @property
    def name(self) -> str:
        """Name it as records do: file and face."""
        return f"{Path(self.path).name}#{self.index}"

    def at(self, height_px: int) -> ImageFont.FreeTypeFont:
        """Give it at a height in pixels."""
        return _loaded(self.path, self.index, height_px)

    def missing(self, text: str) -> str:
        """List the characters of a text, each once, that it cannot draw."""
        return "".join(dict.fromkeys(one for one in text if _is_drawn(one) and ord(one) not in _glyphs(self)))


@functools.lru_cache(maxsize=64)
def _loaded(path: str, index: int, height_px: int) -> ImageFont.FreeTypeFont:
    engine = ImageFont.Layout.RAQM if features.check("raqm") else ImageFont.Layout.BASIC
    return ImageFont.truetype(path, height_px, index=index, layout_engine=engine)


@functools.lru_cache(maxsize=16)
def _glyphs(font: Font) -> frozenset[int]:
    from fontTools.ttLib import TTFont  # a tenth of a second, and only where a text is checked

    with TTFont(font.path, fontNumber=font.index, lazy=True) as opened:
        return frozenset(opened.getBestCmap() or ())


def _is_drawn(character: str) -> bool:
    return not character.isspace() and unicodedata.category(character) not in ("Cc", "Cf")


def choose_font(section: InstructionsSettings, *, texts: Iterable[str], root: Path) -> Font:
    """Choose a font that has every character of some texts.

    Parameters
    ----------
    section : InstructionsSettings
        ``font`` names a file; without it the fonts known to this computer are tried in order.
    texts : iterable of str
        Everything that will be read.
    root : Path
        The study's folder, to which a font's path is relative.

    Raises
    ------
    SettingsError
        If the font cannot be read or lacks a character, no font has all of them, or the script wants letters joined
        and this computer's Pillow cannot.
    """
    text = "".join(texts)
    _require_shaping(text)
    if section.font is not None:
        font = _face(root / section.font, section.language, where=f"instructions.font = {section.font!r}")
        _require_all(font, text)
        return font
    tried = [_face(path, section.language, where=str(path)) for path in known_fonts()]
    for font in tried:
        if not font.missing(text):
            return font
    lacking = min((font.missing(text) for font in tried), key=len, default=text[:1])
    raise SettingsError("instructions.font", came=f"no font on this computer with {_spelled(lacking)}",
                        expected="a font with every character of the texts",
                        remedy="Install one (on Debian: fonts-noto-cjk; see docs/subject.md), or name a font file.")


def known_fonts(platform: str = sys.platform) -> list[Path]:
    """List the fonts that are tried: matplotlib's DejaVu Sans, and the system's with East Asian characters."""
    spec = find_spec("matplotlib")
    own = [] if spec is None or not spec.submodule_search_locations else \
        [Path(spec.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"]
    return [path for path in (*own, *map(Path, _KNOWN.get(platform, ()))) if path.is_file()]


def _face(path: Path, language: str, *, where: str) -> Font:
    """Take the face of a file that is drawn for a language: Simplified Chinese glyphs differ from Japanese ones."""
    try:
        if path.suffix.lower() not in (".ttc", ".otc") or language != "zh":
            ImageFont.truetype(str(path), 12)
            return Font(str(path))
        from fontTools.ttLib import TTCollection

        with path.open("rb") as file, TTCollection(file, lazy=True) as faces:
            names = [str(face["name"].getDebugName(4)) for face in faces.fonts]
    except Exception as error:
        raise SettingsError(where, came=f"a file that is no font ({error})", expected="a TrueType or OpenType font",
                            remedy="Name another file.") from error
    return Font(str(path), next((k for k, name in enumerate(names) if " SC" in name and "Mono" not in name), 0))


def _require_all(font: Font, text: str) -> None:
    if missing := font.missing(text):
        raise SettingsError(f"instructions.font = {font.path!r}", came=f"a font without {_spelled(missing)}",
                            expected="a font with every character of the texts",
                            remedy="Name another font, or leave it out to have one looked for.")


def _require_shaping(text: str) -> None:
    shaped = next((one for one in text if any(low <= ord(one) <= high for low, high in _SHAPED)), None)
    if shaped is not None and not (features.check("raqm") and features.check("fribidi")):
        raise SettingsError("instructions", came=f"{_spelled(shaped)}, of a script whose letters join or turn",
                            expected="a Pillow with Raqm and FriBiDi", remedy="Install libraqm and libfribidi.")


def _spelled(characters: str) -> str:
    """Name characters by themselves and by number, since a terminal may lack their glyphs as well."""
    first = ", ".join(f"{one} (U+{ord(one):04X})" for one in characters[:6])
    return first + (f" and {len(characters) - 6} more characters" if len(characters) > 6 else "")
