# What the scripts share: where the tree is, how it speaks, and the kinds of build.
# Sourced by bash; runs nothing by itself. Needs no package, for scripts/setup sources it too.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
JOBS=${WEIR_JOBS:-$(nproc 2>/dev/null || echo 2)}

# Debian's own meson and python: a `meson` or `python3` earlier in PATH may be a shim that lacks
# the module it wraps.
MESON=meson
[[ -x /usr/bin/meson ]] && MESON=/usr/bin/meson
PYTHON=python3
[[ -x /usr/bin/python3 ]] && PYTHON=/usr/bin/python3

say() { printf '%s\n' "$*"; }
step() { printf '== %s\n' "$*"; }
die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# The usage of a script is the comment at its head.
usage() { sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p;}' "$0"; }

# The files that git tracks (and the new ones that it does not ignore), or every file where the
# tree is an export without git.
tracked() {
  (
    cd "$ROOT" || exit
    git -c safe.directory="$ROOT" ls-files --cached --others --exclude-standard -- "$@" 2>/dev/null ||
      find . -type f -not -path './build*' -not -path './.git/*' | sed 's#^\./##'
  ) | while IFS= read -r file; do [[ -f $ROOT/$file ]] && printf '%s\n' "$file"; done | sort -u
}

# The options of one kind of build. WEIR_MESON_ARGS is added to each.
build_options() {
  local no_dpdk='-Ddpdk=disabled -Dhyperscan=disabled -Dbench=false'
  case $1 in
    release) echo '--buildtype=release -Ddebug=true' ;;
    quickstart) echo '--buildtype=release -Ddebug=true -Dtests=false -Dbench=false' ;;
    clang) echo '--buildtype=release -Ddebug=false' ;;
    nodpdk) echo "--buildtype=release -Doptimization=1 -Dtests=false $no_dpdk" ;;
    asan)
      echo '--buildtype=debug -Doptimization=1 -Db_sanitize=address,undefined -Ddpdk=disabled' \
        '-Dbench=false'
      ;;
    tsan) echo "--buildtype=debug -Doptimization=1 -Db_sanitize=thread $no_dpdk" ;;
    fuzz)
      echo '--buildtype=debug -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false' \
        '-Dfuzz=true -Ddpdk=disabled -Dbench=false'
      ;;
    coverage) echo "--buildtype=debug -Db_coverage=true $no_dpdk" ;;
    *) die "no kind of build is called '$1'" ;;
  esac
}

# configure KIND: makes or refreshes build/KIND; no work when its options are as they were.
configure() {
  local kind=$1 dir="$ROOT/build/$1" cxx=g++ cc=gcc options log
  [[ $kind == clang || $kind == fuzz ]] && cxx=clang++ cc=clang
  options="$(build_options "$kind") ${WEIR_MESON_ARGS:-}"
  if [[ -f $dir/build.ninja && $(cat "$dir/.weir-options" 2>/dev/null) == "$options" ]]; then
    return 0
  fi
  rm -rf "$dir"
  mkdir -p "$ROOT/build"
  log="$ROOT/build/$kind-configure.log"
  # shellcheck disable=SC2086 # the options are words
  if ! CXX=$cxx CC=$cc "$MESON" setup $options "$dir" "$ROOT" >"$log" 2>&1 </dev/null; then
    tail -n 15 "$log" >&2
    printf 'configuring build/%s failed (above; whole: build/%s-configure.log)\n' "$kind" "$kind" >&2
    return 1
  fi
  printf '%s' "$options" >"$dir/.weir-options"
}

# build KIND [TARGET...]: configures and compiles. Quiet when it succeeds: the log has it all.
build() {
  local kind=$1 start=$SECONDS log="$ROOT/build/$1-build.log"
  shift
  configure "$kind" || return 1
  if ! ninja -C "$ROOT/build/$kind" -j "$JOBS" "$@" >"$log" 2>&1 </dev/null; then
    grep -E -A12 '(error|FAILED|undefined reference|warning):' "$log" | head -n 60 >&2
    printf 'build/%s does not compile (above; whole: build/%s-build.log)\n' "$kind" "$kind" >&2
    return 1
  fi
  say "build/$kind: built in $((SECONDS - start)) s"
}
