#!/bin/sh
# Install what a window without a display needs (Xvfb, Mesa's software GL), where it is missing and may be installed.
set -eu
[ "$(uname -s)" = Linux ] || exit 0
have_gl() { PATH="$PATH:/sbin:/usr/sbin" ldconfig -p | grep -q "$1"; }
if command -v Xvfb >/dev/null 2>&1 && have_gl libGL.so.1 && have_gl libGLU.so.1 && have_gl libEGL.so.1; then exit 0; fi
packages="xvfb libgl1 libgl1-mesa-dri libglu1-mesa libegl1 libxext6 libxi6 libxtst6"
if ! command -v apt-get >/dev/null 2>&1; then
  echo "note: Xvfb or Mesa GL is missing and this system has no apt-get; install the equivalents of: $packages" >&2
  exit 0
fi
if [ "$(id -u)" = 0 ]; then as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as_root="sudo"
else
  echo "note: Xvfb or Mesa GL is missing and root is needed to install it: sudo apt-get install $packages" >&2
  exit 0
fi
echo "installing system packages: $packages"
$as_root apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $packages >/dev/null
