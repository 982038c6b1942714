"""What screens are called on each system, and what a person reads of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from paradigms.devices import screens
from paradigms.devices.screens import Screen, choose_screen, windows_name
from subjects.errors import DeviceError
from subjects.settings.display import DisplaySettings

FOUND: list[Any] = [SimpleNamespace(x=0, y=0, width=800, height=600, _handle=3, _cg_display_id=71),
                    SimpleNamespace(x=800, y=0, width=800, height=600, _handle=4, _cg_display_id=72)]


class User32:
    """A double of Windows' library, which writes a name of 32 places."""

    def __init__(self, name: str) -> None:
        self.name = name.encode("utf-16-le")

    def GetMonitorInfoW(self, _handle: int, info: Any) -> int:
        units = [int.from_bytes(self.name[k:k + 2], "little") for k in range(0, len(self.name), 2)]
        info._obj.device[:len(units)] = units
        return 1


@pytest.mark.parametrize("name", ["", r"\\.\DISPLAY1", "Écran 脳 𝄞", "x" * 32])
def test_a_windows_name_is_read_up_to_its_end(name: str) -> None:
    assert windows_name(3, user32=User32(name)) == name


@pytest.mark.parametrize(("platform", "names"), [
    ("linux", ["screen 0", "HDMI-1"]), ("darwin", ["display 71", "display 72"]), ("win32", ["monitor", "monitor"])])
def test_every_system_has_its_names(monkeypatch: pytest.MonkeyPatch, platform: str, names: list[str]) -> None:
    monkeypatch.setattr(screens, "sys", SimpleNamespace(platform=platform))
    monkeypatch.setattr(screens, "_x_monitors", lambda: {(800, 0, 800, 600): "HDMI-1", (0, 0, 800, 601): "eDP-1"})
    monkeypatch.setattr(screens, "load_windows_library", lambda _: User32("monitor"))
    assert screens._names(FOUND) == names
    assert screens._names([]) == []


def test_a_screen_says_where_it_lies() -> None:
    screen = Screen(1, "Écran", -1920, 30, 1920, 1080)
    assert str(screen) == "1: Écran, 1920x1080 at -1920, 30"
    assert Screen(**screen.to_json()) == screen


@pytest.mark.parametrize("fullscreen", [True, False])
def test_a_screen_that_is_not_there_is_refused_in_a_window_too(fullscreen: bool) -> None:
    one = Screen(0, "eDP-1", 0, 0, 800, 600)
    with pytest.raises(DeviceError, match="screen 'zzz', which is not there; expected 0: eDP-1, 800x600 at 0, 0. Known "
                                          "here: eDP-1. Set display.screen to an index or a name; .* lists them"):
        choose_screen((one,), settings=DisplaySettings(screen="zzz"), fullscreen=fullscreen)
    assert choose_screen((one,), settings=DisplaySettings(screen=0), fullscreen=fullscreen, ours=True) is one
