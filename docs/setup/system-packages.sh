#!/bin/sh
# Install what a window without a display needs (Xvfb, Mesa's software GL) and Python's venv,
# each only where it is missing. With --chinese also a font for instructions in Chinese.
set -eu
[ "$(uname -s)" = Linux ] || exit 0
have_gl() { PATH="$PATH:/sbin:/usr/sbin" ldconfig -p | grep -q "$1"; }
packages=""
command -v Xvfb >/dev/null 2>&1 || packages="$packages xvfb"
have_gl libGL.so.1 || packages="$packages libgl1 libgl1-mesa-dri"
have_gl libGLU.so.1 || packages="$packages libglu1-mesa"
have_gl libEGL.so.1 || packages="$packages libegl1"
have_gl libXtst.so.6 || packages="$packages libxtst6 libxi6 libxext6"
if [ "${1:-}" = --chinese ]; then
  [ -n "$(find /usr/share/fonts -name 'NotoSansCJK-Regular.ttc' -o -name 'wqy-*.ttc' 2>/dev/null)" ] ||
    packages="$packages fonts-noto-cjk"
fi
"${PYTHON:-python3}" -c "import ensurepip" 2>/dev/null || packages="$packages python3-venv"
[ -n "$packages" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
  echo "note: this system has no apt-get; install the equivalents of:$packages" >&2
  exit 0
fi
if [ "$(id -u)" = 0 ]; then as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as_root="sudo"
else
  echo "note: root is needed once: sudo apt-get install$packages" >&2
  exit 0
fi
echo "installing system packages:$packages"
$as_root apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $packages >/dev/null
