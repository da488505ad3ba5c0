# shellcheck shell=bash disable=SC2034
# What tools/check and tools/demo share: what they install, how they build, how they speak.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

build_packages=(
  g++ cmake ninja-build pkgconf ccache git ca-certificates python3
  liburing-dev libnl-3-dev libnl-route-3-dev libsystemd-dev libncurses-dev
  libfmt-dev libspdlog-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev
  libcpp-httplib-dev prometheus-cpp-dev libarchive-dev libdw-dev libxxhash-dev
  libsimdjson-dev catch2
)
lint_packages=(clang libclang-rt-dev clang-format shellcheck groff-base man-db zsh fish)
peer_packages=(
  nbdkit libnbd-bin nbd-server qemu-utils qemu-system-x86 fio fuse3 curl
  iproute2 nftables bpftrace procps busybox-static cpio systemd tmux ncurses-term
  python3-jsonschema python3-yaml prometheus chromium
)
demo_packages=(nbdkit iproute2 nftables procps)

say() { printf '%s\n' "$*"; }

# Installs those of the named Debian packages that are not there yet.
install_packages() {
  local package missing=()
  for package in "$@"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    say "Not installed: ${missing[*]}. Run this as root, or: apt-get install ${missing[*]}" >&2
    return 1
  fi
  say "Installing ${missing[*]}."
  apt-get update -qq
  # Some of these would start a service at once; a test machine has no use for that.
  local policy=/usr/sbin/policy-rc.d made=
  if [[ ! -e $policy ]]; then
    made=yes
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
  fi
  local status=0
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null || status=$?
  [[ -z $made ]] || rm -f $policy
  return $status
}

# Configures and builds a preset; what is built already stays.
build_preset() {
  local preset=$1
  shift
  # What was compiled in one copy of the tree serves all others.
  export CCACHE_BASEDIR=$top CCACHE_NOHASHDIR=1
  local launcher=()
  ! command -v ccache >/dev/null || launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  cmake -S "$top" --preset "$preset" "${launcher[@]}" &&
    cmake --build "$top/build/$preset" "$@"
}

# The URI of the Debian mirror this machine installs from.
debian_mirror() {
  local uri
  uri=$(apt-get indextargets --format '$(SITE) $(LABEL)' 2>/dev/null |
    awk '$1 ~ /debian$/ { print $1; exit }')
  [[ -n $uri ]] || uri=$(sed -nE 's/^(URIs: *|deb +(\[[^]]*\] +)?)([^ ]+debian)\/?( .*)?$/\3/p' \
    /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)
  printf '%s' "$uri"
}
