#!/usr/bin/env bash
# A real Prometheus scrapes a real headd over TCP: the text is as Prometheus wants it, the rules are
# right and evaluate, and every query of the Grafana dashboard finds something.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need prometheus promtool nbdkit fio curl python3

rules=$here/../../head/control/prometheus
promtool check rules "$rules/headstart.rules.yml" || fail "the rules are not rules"
(cd "$rules" && promtool test rules headstart.rules.test.yml) || fail "the rules' own tests"

metrics_port=$(free_port)
printf '[metrics]\nlisten = "[::1]:%s"\n' "$metrics_port" >"$work/head.toml"
start_tail nbdkit -f -i ::1 -p PORT --filter=delay memory 64M rdelay=30ms
start_headd
attach disc --grade gold-1

# Prometheus's own judgement of the text, over both sockets, with and without discs of their own.
for path in "localhost:$metrics_port/metrics" "[::1]:$metrics_port/metrics?disc=disc"; do
  curl -gfsS "http://$path" | promtool check metrics || fail "the text at $path"
done
curl -fsS --unix-socket "$work/run/api.sock" http://head/metrics | promtool check metrics ||
  fail "the text on the Unix socket"

prometheus_port=$(free_port)
cat >"$work/prometheus.yml" <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ["$(realpath "$rules")/headstart.rules.yml"]
scrape_configs:
  - job_name: headstart
    static_configs: [{targets: ["[::1]:$metrics_port"]}]
YAML
background load fio --name=load --ioengine=nbd --uri="$(disc_uri disc)" --rw=randrw --bs=4k \
  --size=64m --iodepth=4 --time_based --runtime=180 --output="$work/fio.log"
background prometheus prometheus --config.file="$work/prometheus.yml" \
  --storage.tsdb.path="$work/tsdb" --web.listen-address="[::1]:$prometheus_port"

python3 "$here/prometheus.py" "http://[::1]:$prometheus_port" "$rules/headstart.dashboard.json" ||
  fail "what Prometheus has is not what it should have"
stop load || true
stop prometheus || fail "prometheus ended with status $?"
stop_headd
