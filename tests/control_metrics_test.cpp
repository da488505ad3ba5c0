#include "head/control/metrics.hpp"

#include <catch2/catch.hpp>

#include <sstream>
#include <string>

using namespace head;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

stats::OperationSnapshot asked(std::initializer_list<stats::Duration> latencies) {
  stats::DiscStats disc;
  for (const auto latency : latencies)
    disc.record(stats::Operation::read, 4096, 0, {.whole = latency, .away = latency / 2});
  return disc.snapshot().by_operation[0];
}

control::Scrape scrape() {
  control::Scrape scrape;
  scrape.version = "1.2.3";
  scrape.agent.discs = 2;
  scrape.agent.by_state[static_cast<std::size_t>(control::State::ready)] = 2;
  scrape.agent.stalls[static_cast<std::size_t>(stats::Cause::neighbour)] = {
      .count = 3, .time_ns = 1'500'000'000};
  scrape.agent.neighbour_stalls = {.count = 2, .time_ns = 250'000'000};
  scrape.agent.interface_waits = {.count = 5, .time_ns = 750'000'000};
  scrape.agent.slow_openings[static_cast<std::size_t>(stats::Cause::reconnect)] = {
      .count = 4, .time_ns = 8'500'000'000};
  control::GroupLatency tail{.key = {"gold", "02:00:00:00:00:01"}, .discs = 2, .latency = {}};
  tail.latency.by_operation[0] = asked({20us, 100us, 50ms});
  scrape.groups.push_back(tail);
  scrape.neighbours.table.table.limits = {.thresh1 = 128, .thresh2 = 512, .thresh3 = 1000};
  scrape.neighbours.table.table.entries = 250;
  return scrape;
}

// The value of a series, as it stands in the text.
std::string value_of(const std::string& text, const std::string& series) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.compare(0, series.size() + 1, series + " ") == 0)
      return line.substr(series.size() + 1);
  return "no " + series;
}

}  // namespace

TEST_CASE("a scrape tells the head's state, and why requests were slow", "[control]") {
  const std::string text = control::metrics_text(scrape());
  CHECK(value_of(text, "head_build_info{version=\"1.2.3\"}") == "1");
  CHECK(value_of(text, "head_discs{state=\"ready\"}") == "2");
  CHECK(value_of(text, "head_discs{state=\"failed\"}") == "0");
  CHECK(value_of(text, "head_stalls_total{cause=\"neighbour\"}") == "3");
  CHECK(value_of(text, "head_stall_seconds_total{cause=\"neighbour\"}") == "1.5");
  CHECK(value_of(text, "head_slow_openings_total{cause=\"reconnect\"}") == "4");
  CHECK(value_of(text, "head_slow_openings_total{cause=\"tail\"}") == "0");
  CHECK(value_of(text, "head_slow_opening_seconds_total{cause=\"reconnect\"}") == "8.5");
  CHECK(value_of(text, "head_interface_waits_total") == "5");
  CHECK(value_of(text, "head_interface_wait_seconds_total") == "0.75");
  CHECK(value_of(text, "head_neighbour_stalls_total") == "2");
  CHECK(value_of(text, "head_neighbour_stall_seconds_total") == "0.25");
  CHECK(value_of(text, "head_neighbour_table_headroom_ratio") == "0.75");
}

TEST_CASE("a scraped histogram counts exactly and ends with everything", "[control]") {
  const std::string text = control::metrics_text(scrape());
  const std::string name = "head_request_seconds";
  const std::string labels = "grade=\"gold\",tail=\"02:00:00:00:00:01\",operation=\"read\"";
  CHECK(value_of(text, name + "_count{" + labels + "}") == "3");
  CHECK(value_of(text, name + "_bucket{" + labels + ",le=\"+Inf\"}") == "3");
  CHECK(value_of(text, name + "_bucket{" + labels + ",le=\"1.6384e-05\"}") == "0");
  CHECK(value_of(text, name + "_bucket{" + labels + ",le=\"3.2768e-05\"}") == "1");
  CHECK(value_of(text, name + "_bucket{" + labels + ",le=\"0.000131072\"}") == "2");
  CHECK(value_of(text, name + "_bucket{" + labels + ",le=\"0.067108864\"}") == "3");
  CHECK(value_of(text, "head_tail_discs{grade=\"gold\",tail=\"02:00:00:00:00:01\"}") == "2");
  CHECK(value_of(text, "head_requests_total{" + labels + "}") == "3");
  CHECK(value_of(text, "head_request_bytes_total{" + labels + "}") == "12288");
}

TEST_CASE("a disc's series are there only where it was asked for", "[control]") {
  auto what = scrape();
  CHECK_THAT(control::metrics_text(what), !Contains("head_disc_"));
  control::DiscSeries disc{.name = "we\"b\\1", .in_flight = 1, .latency = {}};
  disc.latency.by_operation[0] = asked({1ms});
  what.discs.push_back(disc);
  CHECK_THAT(control::metrics_text(what),
             Contains("head_disc_requests_total{disc=\"we\\\"b\\\\1\",operation=\"read\"} 1"));
}
