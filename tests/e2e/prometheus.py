"""Asks a Prometheus: prometheus.py URL DASHBOARD, for prometheus.sh."""
import json
import sys
import time
import urllib.parse
import urllib.request

URL, DASHBOARD = sys.argv[1:]


def get(path, **query):
    with urllib.request.urlopen(f"{URL}{path}?" + urllib.parse.urlencode(query), timeout=9) as it:
        answer = json.load(it)
    assert answer["status"] == "success", answer
    return answer["data"]


def results(query):
    return get("/api/v1/query", query=query)["result"]


def wait_for(query):
    """Its results, once there are any that are numbers."""
    end = time.monotonic() + 40
    while True:
        try:
            found = [one for one in results(query) if one["value"][1] != "NaN"]
        except OSError:
            found = []
        if found:
            return found
        assert time.monotonic() < end, f"there is nothing for {query}"
        time.sleep(0.3)


def number(query):
    found = wait_for(query)
    assert len(found) == 1, (query, found)
    return float(found[0]["value"][1])


assert number('head_discs{state="ready"}') == 1
assert number('head_tail_discs{grade="gold-1"}') == 1
assert number('head_guests') == 1
assert 0 < number("head_neighbour_table_headroom_ratio") <= 1
assert number('rate(head_requests_total{grade="gold-1", operation="read"}[10s])') > 10
# Each read is 30 ms late at the tail.
assert 0.03 <= number('rate(head_request_seconds_sum{operation="read"}[10s])'
                      ' / rate(head_request_seconds_count{operation="read"}[10s])') < 0.3
assert number('rate(head_stalls_total{cause="tail"}[10s])') > 1

rules = [rule for group in get("/api/v1/rules")["groups"] for rule in group["rules"]]
assert len(rules) > 10
for rule in rules:
    if rule["type"] == "recording":
        wait_for(rule["name"])
end = time.monotonic() + 40
while any(rule["health"] == "unknown" for rule in rules) and time.monotonic() < end:
    time.sleep(0.3)
    rules = [rule for group in get("/api/v1/rules")["groups"] for rule in group["rules"]]
for rule in rules:
    assert rule["health"] == "ok", rule

with open(DASHBOARD, encoding="utf-8") as file:
    dashboard = json.load(file)
queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
assert len(queries) > 15
for query in queries:
    query = query.replace("$__rate_interval", "10s").replace("$instance", ".*")
    assert "$" not in query, query
    wait_for(query)
print(f"{len(rules)} rules and {len(queries)} queries")
