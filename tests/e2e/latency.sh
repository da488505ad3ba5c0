#!/usr/bin/env bash
# What headctl latency and the metrics say of a run is what the client of that run measured: within
# the histogram's error (3 %), and what the client itself takes.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit nbdinfo fio python3 curl

start_tail nbdkit -f -i ::1 -p PORT -t 32 --filter=delay memory 64M delay-read=8ms
start_headd
attach web1
fio --name=run --ioengine=nbd --uri="$(disc_uri web1)" --rw=randread --bs=4k --iodepth=4 \
  --time_based --runtime=3 --percentile_list=50:90 --output-format=json \
  --output="$work/fio.json" >"$work/fio.log"
headctl latency web1 --json >"$work/latency.json"
curl -sf --unix-socket "$work/run/api.sock" 'http://head/metrics?disc=web1' >"$work/metrics.txt"
python3 - "$work" <<'EOF'
import json, re, sys
work = sys.argv[1]
fio = json.load(open(f"{work}/fio.json"))["jobs"][0]["read"]
ours = json.load(open(f"{work}/latency.json"))["operations"]["read"]
metrics = open(f"{work}/metrics.txt").read()

def near(what, told, seen, own_cost=1e-3):
    assert seen * 0.97 - own_cost <= told <= seen * 1.03, f"{what}: {told} s, and fio saw {seen} s"

# fio's own buckets are up to 1.6 % wide, and it reads an answer a little after it has come.
percentiles = fio["clat_ns"]["percentile"]
near("p50", ours["p50_s"], percentiles["50.000000"] / 1e9)
near("p90", ours["p90_s"], percentiles["90.000000"] / 1e9)
near("mean", ours["mean_s"], fio["lat_ns"]["mean"] / 1e9)
assert ours["tail_p50_s"] >= 0.0075, f"the tail took {ours['tail_p50_s']} s"
assert 0 < ours["wire_p99_s"] < 0.001, f"the wire, of no length, took {ours['wire_p99_s']} s"
assert ours["head_p50_s"] < 0.002, f"the head took {ours['head_p50_s']} s"

def sample(name):
    labels = '{[^}]*disc="web1"[^}]*operation="read"[^}]*}'
    value = re.search(rf"^{name}{labels} (\S+)$", metrics, re.M)
    assert value, f"there is no {name} in the metrics"
    return float(value[1])

parts = sum(ours[f"{part}_mean_s"] for part in ("head", "wire", "tail"))
assert abs(parts - ours["mean_s"]) < 1e-8, f"the parts are {parts} s of {ours['mean_s']} s"

count = sample("head_disc_request_seconds_count")
assert count == ours["requests"], f"{count} requests in the metrics, {ours['requests']} in the API"
assert count >= fio["total_ios"], f"{count} requests, and fio made {fio['total_ios']}"
mean = sample("head_disc_request_seconds_sum") / count
near("the metrics' mean", mean, fio["lat_ns"]["mean"] / 1e9)
EOF
stop_headd

# A long way is told from a slow tail: of about 14 ms, 6 are the wire's and 8 the tail's.
((EUID == 0)) && [[ -c /dev/net/tun ]] || exit 0
near=head-near-$$ far=head-far-$$
clean_more() {
  ip netns del "$near"
  ip netns del "$far"
}
ip netns add "$near"
ip netns add "$far"
background wire "$here/slow_wire.py" "$near" fd00:d15c::1/64 "$far" fd00:d15c::2/64 0.003
background far ip netns exec "$far" nbdkit -f -p 10809 -t 32 --filter=delay memory 64M \
  delay-read=8ms
headd_prefix=(ip netns exec "$near")
start_headd
await 10 "the tail" ip netns exec "$near" nbdinfo 'nbd://[fd00:d15c::2]/'
headctl attach web2 'nbd://[fd00:d15c::2]/' --wait >/dev/null
fio --name=run --ioengine=nbd --uri="$(disc_uri web2)" --rw=randread --bs=4k --iodepth=1 \
  --time_based --runtime=3 --output="$work/fio.log"
headctl latency web2 --json >"$work/far.json"
python3 - "$work/far.json" <<'EOF2'
import json, sys
ours = json.load(open(sys.argv[1]))["operations"]["read"]
assert 0.006 <= ours["wire_p50_s"] < 0.008, f"the wire took {ours['wire_p50_s']} s"
assert ours["wire_p99_s"] < 0.008, f"the wire took {ours['wire_p99_s']} s"
assert 0.0075 <= ours["tail_p50_s"] < 0.012, f"the tail took {ours['tail_p50_s']} s"
EOF2
stop_headd
