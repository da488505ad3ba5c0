// What headctl doctor, report and watch --since say and take, without a daemon.
#include "tools/headctl/doctor.hpp"
#include "tools/headctl/neigh_change.hpp"
#include "tools/headctl/report_members.hpp"
#include "tools/headctl/since.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <cstdlib>

using namespace headctl;
using nlohmann::json;

TEST_CASE("findings are told in words, the gravest first", "[headctl][doctor]") {
  const auto finding = [](const char* id, const char* severity) {
    return json{{"id", id},
                {"severity", severity},
                {"subject", "eth0"},
                {"sentence", "It is so."},
                {"evidence", "a is 0"},
                {"fix", "one\ntwo"}};
  };
  json answer = {{"verdict", "can-stall"},
                 {"source", "headd"},
                 {"findings", {finding("small", "warning"), finding("grave", "stall")}},
                 {"strategies",
                  {{{"name", "validated"}, {"possible", false}, {"chosen", false}},
                   {{"name", "learned"}, {"possible", true}, {"chosen", true}},
                   {{"name", "plain"}, {"possible", true}, {"chosen", false}}}}};
  CHECK(doctor_text(answer, {}) ==
        "STALL    grave eth0\n  It is so.\n  seen: a is 0\n    one\n    two\n\n"
        "WARNING  small eth0\n  It is so.\n  seen: a is 0\n    one\n    two\n\n"
        "This head can stall: 1 of 2 findings say so.\n"
        "Neighbour entries are written as: learned; besides: validated (this kernel cannot), "
        "plain\n");
  answer["findings"] = json::array();
  answer["source"] = "kernel";
  answer.erase("strategies");
  CHECK(doctor_text(answer, {}) ==
        "Nothing found that stalls this head (the kernel alone was asked).\n");
}

TEST_CASE("a time in the past is read as people write it", "[headctl][doctor]") {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  constexpr std::time_t now = 1'800'000'000;  // 2027-01-15 08:00:00 UTC
  const std::pair<const char*, std::time_t> right[] = {
      {"0s", now},
      {"90s", now - 90},
      {"10m", now - 600},
      {"2h", now - 7200},
      {"1d", now - 86'400},
      {"07:30", now - 1800},
      {"07:30:10", now - 1790},
      {"08:30", now + 1800 - 86'400},  // Yesterday.
      {"2027-01-15T07:59:59", now - 1},
      {"2027-01-15T07:59:59Z", now - 1},
      {"2027-01-15 07:00:00", now - 3600},
      {"2027-01-15", now - 8 * 3600},
      {"@1799999999", now - 1},
  };
  for (const auto& [text, then] : right) {
    CAPTURE(text);
    CHECK(parse_since(text, now) == then);
  }
  for (const char* wrong :
       {"", "m", "-5m", "5", "5w", "1.5h", "25:00", "07:60", "2027-01-15T08:00:01", "yesterday",
        "@", "@-1", "99999999999999999999s", "2027-13-01"}) {
    CAPTURE(wrong);
    CHECK(!parse_since(wrong, now));
  }
}

TEST_CASE("a change that headd remembers is the same line as one that is seen",
          "[headctl][doctor]") {
  const json change = {{"address", "fd00::1"}, {"dev", "eth0"},  {"state", "STALE"},
                       {"marks", "proto 72"},  {"what", "gone"}, {"disc", "web1"}};
  CHECK(change_line(change, "T") == "T  fd00::1 dev eth0 lladdr - proto 72 STALE  gone  disc web1");
}

TEST_CASE("what is in a report is listed with its size", "[headctl][doctor]") {
  const std::vector<Member> members{{"a.txt", "the first", "12345"}, {"b/c", "the second", ""}};
  const std::string text = listing(members);
  CHECK(text.find("5 B  a.txt  the first") != std::string::npos);
  CHECK(text.find("2 files, 5 B") != std::string::npos);
  CHECK(listing_json(members)[0] == json{{"name", "a.txt"}, {"what", "the first"}, {"bytes", 5}});
}
