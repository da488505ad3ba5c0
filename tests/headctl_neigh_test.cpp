// What headctl shows of neighbours: which entries, in which order, what changed, which limits.
#include "head/neigh/sizing.hpp"
#include "netlink/format.hpp"
#include "tools/headctl/neigh_change.hpp"
#include "tools/headctl/neigh_limits.hpp"
#include "tools/headctl/neigh_list.hpp"
#include "tools/headctl/neigh_listing.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <random>

using namespace headctl;
using netlink::Neighbour;
using nlohmann::json;
using namespace std::chrono_literals;

namespace {

json entry(const char* address, const char* dev, const char* state, const char* owner,
           double confirmed, json discs = json::array()) {
  return {{"address", address},
          {"dev", dev},
          {"state", state},
          {"owner", owner},
          {"confirmed_s", confirmed},
          {"used_s", 2 * confirmed},
          {"updated_s", 3 * confirmed},
          {"marks", "extern_learn proto 72"},
          {"discs", std::move(discs)}};
}

json entries() {
  json list = {entry("fd00::a", "eth0", "STALE", "ours", 30, {"web1", "web2"}),
               entry("fd00::9", "eth1", "FAILED", "kernel", 20),
               entry("fd00::10", "eth0", "REACHABLE", "other", 10, {"db"}),
               entry("ff02::1", "eth0", "NOARP", "kernel", 1)};
  list[0]["lladdr"] = "52:54:00:00:00:0a";
  return list;
}

std::string addresses(const NeighFilter& filter) {
  std::string text;
  for (const json& one : chosen(entries(), filter)) text += one.value("address", "") + " ";
  return text;
}

Neighbour neighbour(const char* address, std::uint16_t state, unsigned char last_of_mac) {
  Neighbour one;
  one.key = {1, *netlink::parse_ip6(address)};
  one.state = state;
  if (last_of_mac != 0) one.lladdr = netlink::Mac{0x52, 0x54, 0, 0, 0, last_of_mac};
  return one;
}

}  // namespace

TEST_CASE("entries that were contradicted are shown with who says what", "[headctl][neigh]") {
  json list = entries();
  list[0].update({{"conflicts", 2},
                  {"binding", "52:54:00:00:00:0b"},
                  {"told", "52:54:00:00:00:0a"},
                  {"source", "wire"},
                  {"generation", 7},
                  {"flapping", true}});
  const json shown = chosen(list, {.conflicts = true});
  REQUIRE(shown.size() == 1);
  const std::string text = conflicts_table(shown).text();
  for (const char* word : {"fd00::a", "52:54:00:00:00:0b", "the wire", "7", "52:54:00:00:00:0a",
                           "2", "yes", "web1 and 1 more"}) {
    CAPTURE(word);
    CHECK(text.find(word) != std::string::npos);
  }
}

TEST_CASE("neighbour entries are chosen by what is asked for", "[headctl][neigh]") {
  CHECK(addresses({}) == "fd00::9 fd00::a fd00::10 ");
  CHECK(addresses({.all = true}) == "fd00::9 fd00::a fd00::10 ff02::1 ");
  CHECK(addresses({.states = {"noarp"}}) == "ff02::1 ");
  CHECK(addresses({.stale = true, .failed = true}) == "fd00::9 fd00::a ");
  CHECK(addresses({.states = {"reachable"}, .stale = true}) == "fd00::a fd00::10 ");
  CHECK(addresses({.foreign = true}) == "fd00::10 ");
  CHECK(addresses({.discs = {"web2"}}) == "fd00::a ");
  CHECK(addresses({.discs = {"nobody"}}).empty());
  CHECK(addresses({.devs = {"eth1", "eth7"}}) == "fd00::9 ");
  CHECK(addresses({.lladdrs = {"52:54:00:00:00:0A"}}) == "fd00::a ");
  CHECK(addresses({.devs = {"eth1"}, .stale = true}).empty());
}

TEST_CASE("neighbour entries are sorted by any column", "[headctl][neigh]") {
  const auto sorted = [](const char* key) { return addresses({.sort = key}); };
  CHECK(sorted("confirmed") == "fd00::10 fd00::9 fd00::a ");
  CHECK(sorted("state") == "fd00::9 fd00::10 fd00::a ");
  CHECK(sorted("owner") == "fd00::9 fd00::10 fd00::a ");
  CHECK(sorted("disc") == "fd00::9 fd00::10 fd00::a ");
  CHECK(sorted("dev") == "fd00::a fd00::10 fd00::9 ");
  CHECK(sorted("lladdr") == "fd00::9 fd00::10 fd00::a ");
  CHECK(sorted("used") == sorted("updated"));
}

TEST_CASE("routes are shown with next hop and lease, and chosen as entries are",
          "[headctl][neigh][routes]") {
  json routes = json::array();
  for (const char* disc : {"web1", "web2"})
    routes.push_back({{"address", std::string("fd00::") + disc[3]},
                      {"dev", "eth0"},
                      {"next_hop", "fe80::7"},
                      {"lladdr", "52:54:00:00:00:0a"},
                      {"present", disc[3] == '1'},
                      {"lease_s", 540},
                      {"conflicts", disc[3] == '1' ? 0 : 1},
                      {"discs", {disc}}});
  const std::string text = routes_table(routes).text();
  CHECK(text.find("fd00::1  eth0  fe80::7   52:54:00:00:00:0a  held       9m  web1") !=
        std::string::npos);
  CHECK(text.find("ABSENT") != std::string::npos);
  CHECK(chosen_routes(routes, {}).size() == 2);
  CHECK(chosen_routes(routes, {.sort = "confirmed"}).size() == 2);
  CHECK(chosen_routes(routes, {.discs = {"web2"}}).size() == 1);
  CHECK(chosen_routes(routes, {.conflicts = true}).size() == 1);
  CHECK(chosen_routes(routes, {.lladdrs = {"52:54:00:00:00:0B"}}).empty());
  CHECK(chosen_routes(routes, {.stale = true}).empty());
}

TEST_CASE("a route's change is told, its renewal is not", "[headctl][neigh][routes]") {
  const netlink::HostRoute was{
      *netlink::parse_ip6("fd00::a"), {1, *netlink::parse_ip6("fe80::1")}, 300s};
  netlink::HostRoute is = was;
  is.lease = 600s;
  CHECK(what_changed(RouteChange{was, is}).empty());
  CHECK(what_changed(RouteChange{{}, is}) == "new");
  CHECK(what_changed(RouteChange{is, {}}) == "gone");
  is.next_hop.address = *netlink::parse_ip6("fe80::2");
  CHECK(change_line(RouteChange{was, is}, {"12:00", "eth0", "web1"}) ==
        "12:00  fd00::a dev eth0 via fe80::2 lease 600s  next hop fe80::1 to fe80::2  disc web1");
  CHECK(change_json(RouteChange{was, is}, {"12:00", "eth0", ""})["event"] == "changed");
}

TEST_CASE("the kernel's entries are added to headd's, not repeated", "[headctl][neigh]") {
  const json ours = json::array({entry("fd00::a", "eth0", "STALE", "ours", 1, {"web1"})});
  const json kernel = {entry("fd00::a", "eth0", "REACHABLE", "ours", 1),
                       entry("fd00::a", "eth1", "STALE", "kernel", 1)};
  const json all = merged(ours, kernel);
  REQUIRE(all.size() == 2);
  CHECK(all[0]["discs"][0] == "web1");
  CHECK(all[1]["dev"] == "eth1");
}

TEST_CASE("a neighbour table shows every entry, and one line of the whole", "[headctl][neigh]") {
  const std::string text = neigh_table(chosen(entries(), {})).text();
  CHECK(text.find("ADDRESS   DEV   LLADDR             STATE      OWNER   CONFIRMED") == 0);
  CHECK(text.find("fd00::a   eth0  52:54:00:00:00:0a  STALE      ours          30s   60s      90s  "
                  "extern_learn proto 72  web1 and 1 more\n") != std::string::npos);
  const json absent = {{"address", "fd00::1"}, {"state", "ABSENT"}, {"owner", "ours"}};
  CHECK(neigh_table(json::array({absent})).text().find("ABSENT  -              -     -        -") !=
        std::string::npos);

  json source = {{"table",
                  {{"entries", 900},
                   {"limits", {{"gc_thresh1", 128}, {"gc_thresh2", 512}, {"gc_thresh3", 1024}}},
                   {"overflows", 7},
                   {"forced_collections", 8}}}};
  CHECK(neigh_summary(source, 3, 4) ==
        "3 of 4 entries shown; 900 in the whole table, limits 128/512/1024, room for 124 more (88 "
        "% full), overflows 7, forced collections 8\n");
  source["table"]["entries"] = 2000;
  CHECK(neigh_summary(source, 3, 4).find("room for 0 more") != std::string::npos);
  source["problems"] = {"bad"};
  CHECK(neigh_summary(source, 3, 4).find("\nproblem: bad\n") != std::string::npos);
}

TEST_CASE("limits are told with the sum they come from", "[headctl][neigh]") {
  const json source = {
      {"table",
       {{"entries", 900},
        {"limits", {{"gc_thresh1", 4228}, {"gc_thresh2", 512}, {"gc_thresh3", 1024}}},
        {"overflows", 7},
        {"forced_collections", 8},
        {"failed_resolutions", 9}}},
      {"devices",
       {{{"name", "eth1"},
         {"settings", {{"mcast_resolicit", 3}, {"ndisc_evict_nocarrier", 0}}},
         {"before", {{"mcast_resolicit", 0}, {"ndisc_evict_nocarrier", 1}}}}}}};
  const json answer = with_needed(source, 2000, 100, 1u << 24);
  const auto needed = head::neigh::size_for({}, 2000, 100, 1u << 24);
  CHECK(answer["needed"]["gc_thresh1"] == needed.thresh1);
  CHECK(answer["needed"]["gc_thresh2"] == needed.thresh2);
  CHECK(answer["needed"]["gc_thresh3"] == needed.thresh3);

  const std::string text = limits_text(answer);
  CAPTURE(text);
  // What is said is what is computed.
  CHECK(needed.thresh1 == 2 * 2000 + 128);
  CHECK(needed.thresh2 == (100 + 2 * 2000 + 512) * 5 / 4);
  CHECK(needed.thresh3 == 2 * needed.thresh2);
  CHECK(text.find("gc_thresh1  4228    4128  enough   2 x 2000 discs + 128;") != std::string::npos);
  CHECK(text.find("gc_thresh2   512    5765  too low  (100 others + 2 x 2000 discs + 512) x 5/4") !=
        std::string::npos);
  CHECK(text.find("eth1       mcast_resolicit          3             0\n") != std::string::npos);
  CHECK(text.find("eth1       ndisc_evict_nocarrier    0             1\n") != std::string::npos);
  CHECK(text.find("overflows           7\n") != std::string::npos);
  CHECK(text.find("failed resolutions  9\n") != std::string::npos);
}

TEST_CASE("what happened to a neighbour is said in words", "[headctl][neigh]") {
  const Neighbour stale = neighbour("fd00::1", netlink::nud::stale, 1);
  Neighbour reachable = neighbour("fd00::1", netlink::nud::reachable, 2);
  CHECK(what_changed({{}, stale}) == "new");
  CHECK(what_changed({stale, {}}) == "gone");
  CHECK(what_changed({stale, stale}).empty());
  CHECK(what_changed({stale, reachable}) ==
        "STALE to REACHABLE, lladdr 52:54:00:00:00:01 to 52:54:00:00:00:02");
  reachable.protocol = netlink::our_protocol;
  CHECK(what_changed({stale, reachable}).find("owner kernel to ours, flags none to proto 72") !=
        std::string::npos);
  CHECK(change_line({{}, stale}, {"12:00:00.000", "eth0", "web1"}) ==
        "12:00:00.000  fd00::1 dev eth0 lladdr 52:54:00:00:00:01 STALE  new  disc web1");
  const json object = change_json({stale, reachable}, {"now", "eth0", ""});
  CHECK(object["event"] == "changed");
  CHECK(object["state"] == "REACHABLE");
  CHECK(object["state_before"] == "STALE");
  CHECK(object["lladdr_before"] == "52:54:00:00:00:01");
  CHECK_FALSE(object.contains("disc"));
  CHECK(change_json({stale, {}}, {})["event"] == "gone");
}

TEST_CASE("the difference of two dumps is every change", "[headctl][neigh]") {
  const Neighbour a = neighbour("fd00::1", netlink::nud::stale, 1);
  const Neighbour b = neighbour("fd00::2", netlink::nud::stale, 2);
  const Neighbour c = neighbour("fd00::3", netlink::nud::stale, 3);
  Neighbour failed = b;
  failed.state = netlink::nud::failed;
  CHECK(differences({a, b, c}, {a, b, c}).empty());
  const auto changes = differences({a, b}, {failed, c});
  REQUIRE(changes.size() == 3);
  CHECK(what_changed(changes[0]) == "gone");
  CHECK(what_changed(changes[1]) == "STALE to FAILED");
  CHECK(what_changed(changes[2]) == "new");
  CHECK(differences({}, {a, b}).size() == 2);
  CHECK(differences({a, b}, {}).size() == 2);
}

namespace {

// A table of so many random entries on three interfaces, by key.
KernelTable random_table(std::mt19937& random, std::size_t count) {
  const auto upto = [&](std::uint32_t most) {
    return static_cast<std::uint32_t>(random()) % (most + 1);
  };
  constexpr std::uint16_t states[] = {0, 1, 2, 4, 8, 16, 32, 64, 128};
  KernelTable made{.state = {.limits = {1, 2, 3}, .entries = 5},
                   .entries = {},
                   .names = {{3, "eth0"}, {4, "br\"0\\"}, {5, "0"}}};
  for (std::size_t i = 0; i < count; ++i) {
    Neighbour one = neighbour("2001:db8::", states[upto(8)], 0);
    one.key.ifindex = static_cast<int>(3 + upto(2));
    for (int at : {4, 9, 14, 15}) one.key.address[at] = static_cast<std::uint8_t>(upto(3));
    if (upto(4) != 0) one.lladdr = netlink::Mac{2, 0, 0, 0, 0, static_cast<std::uint8_t>(upto(9))};
    one.flags = upto(1) != 0 ? netlink::ntf::ext_learned : netlink::ntf::router;
    one.protocol = upto(1) != 0 ? netlink::our_protocol : 0;
    one.confirmed_ms = upto(3) != 0 ? 10 * upto(100'000) : static_cast<std::uint32_t>(random());
    one.used_ms = upto(5) * 1000;
    one.updated_ms = upto(2000);
    made.entries.push_back(one);
  }
  std::ranges::sort(made.entries, {}, &Neighbour::key);
  const auto same = [](const Neighbour& a, const Neighbour& b) { return a.key == b.key; };
  made.entries.erase(std::unique(made.entries.begin(), made.entries.end(), same),
                     made.entries.end());
  return made;
}

json values_of(const KernelTable& table) {
  json list = json::array();
  for (const Neighbour& one : table.entries)
    list.push_back(entry_of(one, table.names.at(one.key.ifindex)));
  return list;
}

std::string written(const Listing& listing) {
  std::string text;
  listing.write_json([&](std::string_view piece) { text += piece; });
  return text;
}

}  // namespace

// The text that is written straight away says what the values would be printed as.
TEST_CASE("the kernel's table is written as its values are printed", "[headctl][neigh]") {
  const bool all = GENERATE(false, true);
  const std::size_t count = GENERATE(0, 1, 2, 3000);
  std::mt19937 random(7);
  KernelTable table = random_table(random, count);
  json values = kernel_answer(table.state);
  values["entries"] = chosen(values_of(table), {.all = all});
  const Listing listing(nullptr, table, all);
  const std::string text = written(listing);
  CHECK((json::parse(text) == values));
  CHECK(std::ranges::count(text, '\n') == std::ranges::count(answer_text(values), '\n'));
  CHECK((listing.table().text() == neigh_table(values["entries"]).text()));
  CHECK(listing.shown() == values["entries"].size());
}

TEST_CASE("headd's entries are listed among the kernel's as their values would be",
          "[headctl][neigh]") {
  const bool all = GENERATE(false, true);
  std::mt19937 random(GENERATE(range(1u, 20u)));
  KernelTable table = random_table(random, 500);
  // Some are headd's, as it says them; one of its own the kernel has not.
  json of_headd = json::array();
  for (json entry : values_of(table)) {
    if (random() % 2 == 0) continue;
    entry.update({{"conflicts", 1}, {"flapping", false}, {"discs", {"web1", "web2"}}});
    if (entry["state"] == "NONE") entry["state"] = "ABSENT";  // As headd calls it.
    of_headd.push_back(std::move(entry));
  }
  of_headd.push_back(entry("fd00::1", "eth0", "ABSENT", "kernel", 0, {"db"}));
  of_headd.back()["marks"] = "";
  json answer = {{"table", kernel_answer(table.state)["table"]},
                 {"problems", {"one with \"quotes\" and a \\"}},
                 {"entries", of_headd},
                 {"routes", json::array()}};
  json said = answer;
  if (GENERATE(false, true))  // Without what the kernel has of them.
    for (json& entry : said["entries"])
      for (const char* name :
           {"lladdr", "marks", "owner", "state", "confirmed_s", "updated_s", "used_s"})
        entry.erase(name);
  const std::string body = said.dump(GENERATE(-1, 2));
  json values = answer;
  values["source"] = "headd";
  values["entries"] = chosen(merged(of_headd, values_of(table)), {.all = all});

  auto headd = HeaddAnswer::parse(body);
  REQUIRE(headd);
  const Listing listing(&*headd, table, all);
  CHECK((json::parse(written(listing)) == values));
  CHECK((listing.table().text() == neigh_table(values["entries"]).text()));
  CHECK(listing.read() == table.entries.size() + 1);
}

TEST_CASE("what is no answer of headd's is not taken apart", "[headctl][neigh]") {
  const std::string entry = R"({"address": "fd00::1", "dev": "e\"0", "discs": ["a"]})";
  auto answer = HeaddAnswer::parse(R"({"entries": [)" + entry + "]}");
  REQUIRE(answer);
  REQUIRE(answer->entries().size() == 1);
  CHECK(answer->entries()[0].dev == "e\"0");
  CHECK(answer->entries()[0].text == entry);
  CHECK(answer->rest() == json::object());
  for (const std::string& bad :
       {std::string(), std::string("[]"), std::string("{}"), R"({"entries": [)" + entry,
        R"({"entries": [)" + entry + "]", R"({"entries": [)" + entry + ",]}",
        std::string(R"({"entries": [{"address": "fd00::g"}]})"),
        std::string(R"({"entries": [{"dev": "eth0"}]})"),
        std::string(R"({"entries": [{"address": "fd00::1", "dev": 7}]})"),
        std::string(R"({"entries": {}})"), std::string(R"({"entries": [], "rest": {]})")}) {
    CAPTURE(bad);
    CHECK_FALSE(HeaddAnswer::parse(bad));
  }
}
