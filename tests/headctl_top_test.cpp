// headctl top without a terminal: what it makes of samples, what keys do, what is on the screen.
#include "tools/headctl/top_screen.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>

using namespace headctl;
using nlohmann::json;

namespace {

DiscSample disc(const std::string& name, const std::string& tail, std::uint64_t requests) {
  DiscSample sample;
  sample.name = name;
  sample.state = "ready";
  sample.tail = tail;
  sample.requests = requests;
  sample.bytes = 4096 * requests;
  return sample;
}

TopSample head(double at, std::vector<DiscSample> discs) {
  TopSample sample;
  sample.at = at;
  sample.version = "1";
  sample.entries = 900;
  sample.limits[0] = 128;
  sample.limits[1] = 512;
  sample.limits[2] = 1024;
  for (DiscSample& one : discs) sample.discs[one.name] = one;
  return sample;
}

// Two seconds in which web did 1000 requests a second, db 10, idle none; db stalled.
struct Two {
  TopSample before =
      head(10, {disc("web", "fd00::1", 0), disc("db", "fd00::2", 5), disc("idle", "fd00::1", 7)});
  TopSample now = head(
      12, {disc("web", "fd00::1", 2000), disc("db", "fd00::2", 25), disc("idle", "fd00::1", 7)});
  Two() {
    before.discs["db"].stalls = {{"tail", 50}, {"network", 1}};
    now.discs["db"].stalls = {{"tail", 51}, {"network", 5}};
    now.discs["idle"].state = "reconnecting";
    now.discs["idle"].grade = "gold";
    now.discs["web"].grade = "silver";
    before.latency["db"] = {{1e-3, 100}};
    now.latency["db"] = {{1e-3, 109}, {4.0, 1}};
  }
};

std::string names(const std::vector<TopRow>& rows) {
  std::string text;
  for (const TopRow& row : rows) text += row.name + " ";
  return text;
}

std::string text_of(const std::vector<Line>& screen) {
  std::string text;
  for (const Line& line : screen) {
    for (const Piece& piece : line) text += piece.text;
    text += "\n";
  }
  return text;
}

std::size_t width_of(const Line& line) {
  std::size_t wide = 0;
  for (const Piece& piece : line) wide += width(piece.text);
  return wide;
}

}  // namespace

TEST_CASE("top reads the API's answers", "[headctl][top]") {
  const json status = {
      {"version", "1"},
      {"uptime_s", 5.0},
      {"discs_max", 7},
      {"problems", json::array()},
      {"neighbours",
       {{"problems", {"no capability"}},
        {"table",
         {{"entries", 3},
          {"overflows", 4},
          {"forced_collections", 5},
          {"limits", {{"gc_thresh1", 1}, {"gc_thresh2", 2}, {"gc_thresh3", 9}}}}}}}};
  const json one = {{"name", "a"},
                    {"state", "ready"},
                    {"uri", "nbd://[fd00::7]:10810/x"},
                    {"via", "eth0"},
                    {"grade", "gold"},
                    {"reconnects", 2},
                    {"in_flight", 3},
                    {"guests", 1},
                    {"stalls", {{"tail", 4}}},
                    {"operations",
                     {{"read", {{"requests", 5}, {"bytes", 50}, {"errors", 1}}},
                      {"write", {{"requests", 6}, {"bytes", 60}, {"errors", 2}}}}}};
  const TopSample sample = sample_of(status, {{"discs", {one}}}, 42);
  CHECK(sample.problem == "no capability");
  json worse = status;
  worse["problems"] = {"no metrics"};
  CHECK(sample_of(worse, {{"discs", json::array()}}, 42).problem == "no metrics");
  CHECK(sample.limits[2] == 9);
  const DiscSample& a = sample.discs.at("a");
  CHECK(a.tail == "fd00::7");
  CHECK(a.grade == "gold");
  CHECK(a.requests == 11);
  CHECK(a.bytes == 110);
  CHECK(a.errors == 3);
  CHECK(a.stalls.at("tail") == 4);
  CHECK(tail_of("nonsense") == "nonsense");
  const json latency = {
      {"operations",
       {{"read", {{"buckets", {{1e-3, 1}, {2e-3, 2}}}}}, {"write", {{"buckets", {{1e-3, 4}}}}}}}};
  CHECK(buckets_of(latency) == Buckets{{1e-3, 5}, {2e-3, 2}});
}

TEST_CASE("top makes rates of what came between two samples", "[headctl][top]") {
  const Two two;
  const auto rows = top_rows(two.before, two.now, {});
  CHECK(names(rows) == "web db idle ");
  CHECK(rows[0].requests_s == 1000);
  CHECK(rows[0].bytes_s == 4096 * 1000);
  CHECK(rows[0].p99_s < 0);
  CHECK(rows[1].requests_s == 10);
  CHECK(rows[1].stalls_s == 2.5);
  CHECK(rows[1].stalls == 56);
  CHECK(rows[1].cause == "network");  // Just now, whatever there was before.
  CHECK(rows[1].p50_s == Approx(1e-3).epsilon(0.02));
  CHECK(rows[1].p99_s == Approx(4).epsilon(0.02));
  CHECK(rows[2].requests_s == 0);

  // Counters that began anew, discs that are new, samples at one moment.
  TopSample again = two.now;
  again.discs["web"].requests = 3;
  again.discs["new"] = disc("new", "fd00::3", 1000);
  for (const TopRow& row : top_rows(two.now, again, {})) CHECK(row.requests_s == 0);
  for (const TopRow& row : top_rows(two.before, two.before, {})) CHECK(row.requests_s == 0);
}

TEST_CASE("top sorts by any key, and filters", "[headctl][top]") {
  const Two two;
  const auto sorted = [&](TopSort sort, bool reverse = false) {
    return names(top_rows(two.before, two.now, {.sort = sort, .reverse = reverse}));
  };
  CHECK(sorted(TopSort::requests, true) == "idle db web ");
  CHECK(sorted(TopSort::bytes) == "web db idle ");
  CHECK(sorted(TopSort::p99) == "db idle web ");
  CHECK(sorted(TopSort::stalls) == "db idle web ");
  CHECK(sorted(TopSort::cause) == "db idle web ");
  CHECK(sorted(TopSort::state) == "db web idle ");
  CHECK(sorted(TopSort::grade) == "idle web db ");  // The one without is last.
  CHECK(sorted(TopSort::name) == "db idle web ");
  const auto filtered = [&](const char* filter) {
    return names(top_rows(two.before, two.now, {.filter = filter}));
  };
  CHECK(filtered("e") == "web db idle ");  // ready, reconnecting
  CHECK(filtered("reconn") == "idle ");
  CHECK(filtered("fd00::2") == "db ");
  CHECK(filtered("network") == "db ");
  CHECK(filtered("gold") == "idle ");
  CHECK(filtered("none").empty());
}

TEST_CASE("top adds discs up by tail", "[headctl][top]") {
  const Two two;
  const auto rows = top_rows(two.before, two.now, {.view = TopView::tails});
  REQUIRE(names(rows) == "fd00::1 fd00::2 ");
  CHECK(rows[0].discs == 2);
  CHECK(rows[0].ready == 1);
  CHECK(rows[0].state == "reconnecting");
  CHECK(rows[0].requests_s == 1000);
  CHECK(rows[0].grade == "gold,silver");
  CHECK(rows[1].cause == "network");
}

TEST_CASE("top asks for the latency of those shown and of the busiest", "[headctl][top]") {
  const Two two;
  const TopChoice by_name = {.sort = TopSort::name};
  CHECK(worth_asking(two.before, two.now, by_name, 1, 2) == std::vector<std::string>{"db", "web"});
  CHECK(worth_asking(two.before, two.now, {.view = TopView::tails}, 1, 2) ==
        std::vector<std::string>{"web", "db"});
  CHECK(worth_asking(two.before, two.now, by_name, 10, 100).size() == 3);
}

TEST_CASE("keys change what top shows", "[headctl][top]") {
  TopChoice choice;
  const auto type = [&](std::string_view keys) {
    for (const char c : keys) press(choice, c, 10, 25);
  };
  type("s");
  CHECK(choice.sort == TopSort::bytes);
  type("<<");
  CHECK(choice.sort == TopSort::name);
  type(">");
  CHECK(choice.sort == TopSort::requests);
  type("r");
  CHECK(choice.reverse);
  type("t");
  CHECK(choice.view == TopView::tails);
  type("t");
  CHECK(choice.view == TopView::discs);

  press(choice, key::page_down, 10, 25);
  CHECK(choice.first == 10);
  press(choice, key::page_down, 10, 25);
  CHECK(choice.first == 15);
  press(choice, key::down, 10, 25);
  CHECK(choice.first == 15);
  press(choice, key::up, 10, 25);
  CHECK(choice.first == 14);
  press(choice, key::home, 10, 25);
  press(choice, key::up, 10, 25);
  CHECK(choice.first == 0);
  press(choice, key::end, 10, 25);
  CHECK(choice.first == 15);
  press(choice, key::end, 10, 3);
  CHECK(choice.first == 0);

  type("/qweb");  // Not the end: it is typed.
  CHECK_FALSE(choice.quit);
  CHECK(choice.filter == "qweb");
  press(choice, key::backspace, 10, 25);
  press(choice, 300, 10, 25);
  press(choice, key::enter, 10, 25);
  CHECK(choice.filter == "qwe");
  CHECK_FALSE(choice.typing);
  press(choice, key::escape, 10, 25);
  CHECK(choice.filter.empty());
  type("/" + std::string(100, 'x'));
  CHECK(choice.filter.size() == 64);
  press(choice, key::escape, 10, 25);
  CHECK(choice.filter.empty());
  type("q");
  CHECK(choice.quit);
}

TEST_CASE("top's columns fit any width, the important ones first", "[headctl][top]") {
  const auto view = GENERATE(TopView::discs, TopView::tails);
  std::size_t before = 0;
  for (std::size_t columns = 0; columns <= 300; ++columns) {
    CAPTURE(columns);
    const auto layout = top_layout(view, columns);
    std::size_t wide = 0;
    for (const TopColumn& column : layout) wide += column.wide + 1;
    CHECK(wide <= columns + 1);
    CHECK(layout.size() >= before);
    before = layout.size();
  }
  const auto has = [&](std::size_t columns, std::string_view name) {
    const auto layout = top_layout(view, columns);
    return std::any_of(layout.begin(), layout.end(),
                       [&](const TopColumn& column) { return column.name == name; });
  };
  for (const char* name : {"STATE", "REQ/S", "P99", "STALL/S"}) CHECK(has(80, name));
  for (const char* name : {"BYTES/S", "CAUSE", "P50", "FLIGHT", "GRADE", "VIA", "PROBLEM"})
    CHECK(has(200, name));
  CHECK_FALSE(has(80, "PROBLEM"));
}

TEST_CASE("top's screen fits terminals of any size", "[headctl][top]") {
  Two two;
  two.now.problem =
      "a problem whose sentence is longer than most terminals are wide, " + std::string(300, 'x');
  for (int i = 0; i < 100; ++i) {
    const DiscSample more = disc("disc" + std::to_string(i), "fd00::9", 0);
    two.now.discs[more.name] = more;
  }
  for (const unsigned columns : {1u, 10u, 40u, 80u, 200u})
    for (const std::size_t lines : {1u, 2u, 5u, 6u, 7u, 24u, 50u})
      for (const bool unicode : {false, true}) {
        CAPTURE(columns, lines, unicode);
        const auto screen =
            top_screen(two.before, two.now, {}, lines, {.unicode = unicode, .columns = columns});
        REQUIRE(screen.size() == lines);
        for (const Line& line : screen) REQUIRE(width_of(line) <= columns);
      }
}

TEST_CASE("top says what matters on 80 columns", "[headctl][top]") {
  const Two two;
  constexpr Style style{.columns = 80};
  const std::string text = text_of(top_screen(two.before, two.now, {}, 24, style));
  CAPTURE(text);
  CHECK(text.find("3 of at most 0 discs: 2 ready, 1 reconnecting\n") != std::string::npos);
  CHECK(text.find("1010 requests/s, 3.9 MiB/s, 0 in flight; stalls/s: network 2.5\n") !=
        std::string::npos);
  CHECK(text.find("neighbours [########..] 900 of 128/512/1024, room for 124, overflows 0") !=
        std::string::npos);
  CHECK(text.find("REQ/Sv") != std::string::npos);
  CHECK(text.find("\nweb ") < text.find("\ndb "));
  CHECK(text.find("1-3 of 3  q quit") != std::string::npos);
  const std::string typed =
      text_of(top_screen(two.before, two.now, {.filter = "we", .typing = true}, 24, style));
  CHECK(typed.find("filter: we_\n") != std::string::npos);
  const std::string tails =
      text_of(top_screen(two.before, two.now, {.view = TopView::tails}, 24, style));
  CHECK(tails.find("\nfd00::1 ") != std::string::npos);
  TopSample over = two.now;
  over.overflows = 3;
  CHECK(text_of(top_screen(two.before, over, {}, 24, style)).find("overflows 3 (+3)") !=
        std::string::npos);
}
