#!/bin/sh
# Prints the path of a Python whose venv holds Forebay and what its engine tests need, free-threaded.
#
# The interpreter is $FOREBAY_FREE_THREADED_PYTHON, or python3.14t or python3.13t on PATH, or the one
# that an earlier run built, or CPython 3.13 built now from Debian's source package. That package
# comes from a newer suite than many a machine's own, so apt is given a configuration and lists of
# their own in the cache; the machine's stay as they are.
#
# usage: tools/free_threaded.sh           find or build, install, print the interpreter of the venv
#        tools/free_threaded.sh --python  find or build only, print the interpreter
set -eu

cache=${FOREBAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/forebay}
version=3.13
suite=trixie
prefix=$cache/python${version}t
root=$(cd "$(dirname "$0")/.." && pwd)

say() { echo "free_threaded: $*" >&2; }

is_free_threaded() {
    "$1" -c 'import sysconfig; raise SystemExit(not sysconfig.get_config_var("Py_GIL_DISABLED"))' \
        >/dev/null 2>&1
}

find_interpreter() {
    for candidate in "${FOREBAY_FREE_THREADED_PYTHON:-}" python3.14t python3.13t \
        "$prefix/bin/python${version}t"; do
        found=$(command -v "$candidate" 2>/dev/null) || continue
        if is_free_threaded "$found"; then echo "$found"; return; fi
        if [ "$candidate" = "${FOREBAY_FREE_THREADED_PYTHON:-}" ]; then
            say "FOREBAY_FREE_THREADED_PYTHON=$found has a GIL; unset it, or name another"
            exit 1
        fi
    done
}

need_to_build() { # what Forebay and its tests import of the standard library needs these
    missing=
    for package in build-essential libssl-dev zlib1g-dev libffi-dev libsqlite3-dev \
        liblzma-dev libbz2-dev; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing="$missing $package"
    done
    [ -z "$missing" ] && return
    say "installing$missing"
    # shellcheck disable=SC2086 # one word per package
    apt-get install --yes --no-install-recommends $missing >&2
}

fetch_source() { # into the current directory
    mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
        sed -n 's/^Debian \(.*\/debian\/\)$/\1/p' | head -n 1)
    if [ -z "$mirror" ]; then
        say "no Debian mirror among apt's sources: install python3.14t or python3.13t yourself," \
            "or name one in FOREBAY_FREE_THREADED_PYTHON"
        exit 1
    fi
    mkdir -p apt/lists/partial
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" \
        >apt/sources.list
    set -- -o Dir::Etc::sourcelist="$PWD/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$PWD/apt/lists" -o Dir::Cache="$PWD/apt" -o APT::Sandbox::User= \
        -o APT::Get::List-Cleanup=0 -qq
    apt-get "$@" update >&2
    apt-get "$@" source --download-only "python$version" >&2
    # As it comes from upstream: Debian's patches are for a Python that dpkg looks after.
    tar xf "python${version}"_*.orig.tar.xz
}

build() {
    work=${prefix}-build
    rm -rf "$work"
    mkdir -p "$work"
    cd "$work"
    need_to_build
    fetch_source
    cd "Python-$version"*/
    say "building in $PWD (some minutes; log: ${prefix}-build.log)"
    {
        ./configure --prefix="$prefix" --disable-gil --without-ensurepip &&
            nice -n 10 make -j"${FOREBAY_BUILD_JOBS:-2}" &&
            make install DESTDIR="$work/installed"
    } >"${prefix}-build.log" 2>&1 || {
        tail -n 20 "${prefix}-build.log" >&2
        exit 1
    }
    cd "$root"
    mv "$work/installed$prefix" "$prefix" # whole or not at all
    rm -rf "$work"
}

python=$(find_interpreter)
if [ -z "$python" ]; then
    build
    python=$(find_interpreter)
fi
if [ "${1:-}" = --python ]; then echo "$python"; exit; fi

venv=$root/.venv-free-threaded
stamp=$venv/.installed
if [ ! "$stamp" -nt "$root/pyproject.toml" ]; then
    say "installing into $venv with $python"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    # Only what has wheels for it: no gRPC, no Rerun; of cramjam there are for 3.14 and later.
    set -- --quiet --disable-pip-version-check
    "$venv/bin/python" -m pip install "$@" --only-binary :all: \
        click hypothesis numpy protobuf psutil pyarrow pytest rich >&2
    "$venv/bin/python" -m pip install "$@" --only-binary :all: cramjam >/dev/null 2>&1 ||
        say "no cramjam for it: pyarrow decompresses"
    "$venv/bin/python" -m pip install "$@" --no-deps --editable "$root" >&2
    touch "$stamp"
fi
echo "$venv/bin/python"
