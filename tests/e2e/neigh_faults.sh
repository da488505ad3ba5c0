#!/usr/bin/env bash
# One event of neigh_faults.py, which says what that is: neigh_faults.sh EVENT [OPTION]...
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit ip nft python3 unshare nsenter
need_root
status=0
timeout 200 python3 "$here/neigh_faults.py" "$@" || status=$?
((status == 0 || status == 77)) || fail "neigh_faults.py $* ended with status $status"
exit $status
