#!/usr/bin/env bash
# The API answers as its OpenAPI document says.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit qemu-io python3
python3 -c 'import jsonschema, yaml' 2>/dev/null || skip "python3-jsonschema, python3-yaml"

start_tail nbdkit -f -i ::1 -p PORT --filter=delay memory 16M delay-read=40ms
start_headd
attach a
qemu-io -f raw -c 'read 0 4k' "$(disc_uri a)" >"$work/read.log"
sources=$here/../../head/control
python3 "$here/openapi.py" "$sources/openapi.yaml" "$sources/API.md" "$work/run/api.sock" \
  "$work/head.toml" "$tail_uri"
stop_headd
