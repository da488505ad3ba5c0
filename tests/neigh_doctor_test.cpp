// What the doctor finds, from evidence; and the ladder it tells of.
#include "head/neigh/doctor.hpp"
#include "head/neigh/history.hpp"

#include <catch2/catch.hpp>

#include <functional>
#include <map>
#include <set>

using namespace head::neigh;

namespace {

netlink::Capabilities all_of_it() {
  netlink::Capabilities kernel;
  kernel.validated = kernel.managed = true;
  return kernel;
}

// A head with 100 discs on eth0 that nothing is wrong with.
Evidence healthy() {
  Evidence evidence;
  KernelEvidence& kernel = evidence.kernel;
  kernel.table.limits = {4096, 8192, 16384};
  kernel.table.entries = 150;
  kernel.neighbours = kernel.exempt = kernel.on_account = 100;
  kernel.route_max_size = 2147483647;
  InterfaceEvidence eth0;
  eth0.name = "eth0";
  eth0.mtu = 9000;
  eth0.settings = netlink::DeviceSettings{.delay_first_probe_ms = 1000,
                                          .retrans_ms = 100,
                                          .base_reachable_ms = 30'000,
                                          .ucast_solicit = 2,
                                          .mcast_resolicit = 3,
                                          .evict_nocarrier = false};
  kernel.interfaces = {eth0};
  DaemonEvidence daemon;
  daemon.capabilities = all_of_it();
  daemon.choice.strategy = daemon.strategy = Strategy::validated;
  daemon.discs = 100;
  daemon.files = 400;
  daemon.files_max = 20'000;
  evidence.daemon = daemon;
  return evidence;
}

struct Case {
  const char* id;
  Gravity gravity;
  std::function<void(Evidence&)> make_ill;
};

// Each makes a healthy head ill in one way, which is all that is found.
const Case cases[] = {
    {"no-daemon", Gravity::warning,
     [](Evidence& e) {
       e.daemon.reset();
       e.no_daemon = "nobody answers";
     }},
    {"unreadable", Gravity::warning, [](Evidence& e) { e.kernel.problem = "the table: EPERM"; }},
    {"limits", Gravity::warning, [](Evidence& e) { e.kernel.table.limits.thresh1 = 128; }},
    {"limits", Gravity::stall, [](Evidence& e) { e.kernel.table.limits.thresh2 = 200; }},
    {"limits", Gravity::stall,
     [](Evidence& e) {
       e.kernel.table.limits = {100, 150, 200};
       e.kernel.table.entries = 100;
     }},
    {"limits-not-writable", Gravity::warning,
     [](Evidence& e) { e.daemon->limits_problem = "not in this namespace"; }},
    {"overflows", Gravity::stall,
     [](Evidence& e) {
       e.daemon->began.table_fulls = 7;
       e.kernel.table.table_fulls = 8;
     }},
    {"collections", Gravity::warning, [](Evidence& e) { e.kernel.table.forced_gc_runs = 1; }},
    {"foreign-entries", Gravity::warning, [](Evidence& e) { e.kernel.foreign = 1; }},
    {"route-max-size", Gravity::warning, [](Evidence& e) { e.kernel.route_max_size = 1223; }},
    {"memory-account", Gravity::warning,
     [](Evidence& e) { e.daemon->memory_objection = "2 MiB of 1 MiB"; }},
    {"memory-machine", Gravity::warning,
     [](Evidence& e) {
       e.daemon->memory_there = 1 << 20;
       e.daemon->memory = e.daemon->kernel_memory = 700 << 10;
     }},
    {"memory-machine", Gravity::warning,
     [](Evidence& e) {
       e.daemon->memory_there = 1 << 30;
       e.daemon->tail_sockets = 2 << 20;
       e.daemon->tcp_limit = 1 << 20;
     }},
    {"link-down", Gravity::stall, [](Evidence& e) { e.kernel.interfaces[0].running = false; }},
    {"duplicate-address", Gravity::stall,
     [](Evidence& e) { e.kernel.interfaces[0].duplicate_addresses = {"fd00::1/64"}; }},
    {"mcast-resolicit", Gravity::stall,
     [](Evidence& e) { e.kernel.interfaces[0].settings->mcast_resolicit = 0; }},
    {"mcast-resolicit", Gravity::warning,
     [](Evidence& e) {
       e.kernel.interfaces[0].settings->mcast_resolicit = 0;
       e.daemon->strategy = Strategy::learned;
     }},
    {"timers", Gravity::warning,
     [](Evidence& e) { e.kernel.interfaces[0].settings->retrans_ms = 101; }},
    {"evict-nocarrier", Gravity::warning,
     [](Evidence& e) { e.kernel.interfaces[0].settings->evict_nocarrier = true; }},
    {"mtu", Gravity::warning,
     [](Evidence& e) {
       e.kernel.interfaces[0].narrow = 3;
       e.kernel.interfaces[0].narrow_mtu = 1500;
       e.kernel.interfaces[0].narrow_disc = "web1";
     }},
    {"strategy", Gravity::warning,
     [](Evidence& e) { e.daemon->choice.problem = "this kernel cannot"; }},
    {"not-probed", Gravity::warning, [](Evidence& e) { e.daemon->capabilities.problem = "EPERM"; }},
    {"not-exempt", Gravity::warning,
     [](Evidence& e) { e.daemon->capabilities.ext_learned = false; }},
    {"keeper-off", Gravity::stall, [](Evidence& e) { e.daemon->enabled = false; }},
    {"keeper-off", Gravity::warning,
     [](Evidence& e) {
       e.daemon->enabled = false;
       e.daemon->discs = 0;
     }},
    {"not-permitted", Gravity::stall, [](Evidence& e) { e.daemon->permitted = false; }},
    {"unready", Gravity::stall,
     [](Evidence& e) {
       e.daemon->hindered = {{Obstacle::unanswered, 1, "web1: no answer", ""}};
     }},
    {"large-packets", Gravity::stall, [](Evidence& e) { e.daemon->swallowed = 1; }},
    {"packets-not-tried", Gravity::warning,
     [](Evidence& e) { e.daemon->echoes_refused = "EPERM"; }},
    {"packets-not-tried", Gravity::warning,
     [](Evidence& e) { e.daemon->connections_untold = "ENOENT"; }},
    {"claims", Gravity::warning, [](Evidence& e) { e.daemon->claims = 1; }},
    {"no-route", Gravity::stall,
     [](Evidence& e) {
       e.daemon->hindered = {{Obstacle::no_route, 1, "web1: none", "eth0"}};
     }},
    {"own-address", Gravity::stall,
     [](Evidence& e) {
       e.daemon->hindered = {{Obstacle::own_address, 1, "web1: ours", ""}};
     }},
    {"unconnected", Gravity::stall, [](Evidence& e) { e.daemon->unconnected = 1; }},
    {"stalled", Gravity::stall, [](Evidence& e) { e.daemon->stalls = 1; }},
    {"notifications-lost", Gravity::warning, [](Evidence& e) { e.daemon->notifications_lost = 1; }},
    {"conflicts", Gravity::warning, [](Evidence& e) { e.daemon->conflicts = 1; }},
    {"flapping", Gravity::stall, [](Evidence& e) { e.daemon->flapping = 1; }},
    {"silent-moves", Gravity::stall, [](Evidence& e) { e.daemon->silent_moves = 1; }},
    {"routes-unheard", Gravity::stall,
     [](Evidence& e) {
       e.daemon->route_mode = true;
       e.daemon->listening = false;
     }},
    {"tails-without-answer", Gravity::warning,
     [](Evidence& e) {
       e.daemon->route_mode = true;
       e.daemon->tails_bad = 1;
     }},
    {"same-export", Gravity::warning, [](Evidence& e) { e.daemon->twins = {"a and b"}; }},
    {"open-files", Gravity::warning, [](Evidence& e) { e.daemon->files = 19'950; }},
    {"no-listener", Gravity::stall,
     [](Evidence& e) {
       e.daemon->deaf = 1;
       e.daemon->deaf_disc = "disc a: no descriptors";
     }},
};

std::set<std::string> ids(const Evidence& evidence) {
  std::set<std::string> found;
  for (const Finding& finding : diagnose(evidence)) found.insert(finding.id);
  return found;
}

}  // namespace

TEST_CASE("the doctor finds nothing on a healthy head", "[neigh][doctor]") {
  CHECK(ids(healthy()).empty());
  CHECK(exit_status(diagnose(healthy())) == 0);
  CHECK(verdict(diagnose(healthy())) == "well");
  CHECK(ids(Evidence{}).empty());
}

TEST_CASE("each illness is found, and nothing else", "[neigh][doctor]") {
  for (const Case& one : cases) {
    CAPTURE(one.id);
    Evidence evidence = healthy();
    one.make_ill(evidence);
    const auto found = diagnose(evidence);
    REQUIRE(found.size() == 1);
    CHECK(found[0].id == one.id);
    CHECK(found[0].gravity == one.gravity);
    CHECK(!found[0].sentence.empty());
    CHECK(!found[0].evidence.empty());
    CHECK(!found[0].fix.empty());
    CHECK(exit_status(found) == (one.gravity == Gravity::stall ? 2 : 1));
  }
}

TEST_CASE("a table that fills is told of, as far as the kernel tells", "[neigh][doctor]") {
  Evidence evidence = healthy();
  evidence.kernel.table.limits = {20'000, 30'000, 1000};  // Only the third matters here.
  evidence.kernel.neighbours = 0;
  evidence.daemon->discs = 0;
  evidence.kernel.exempt = evidence.kernel.on_account = 0;
  const auto room = [&](std::uint32_t entries) -> const char* {
    evidence.kernel.table.entries = entries;
    for (const Finding& finding : diagnose(evidence))
      if (finding.id == "room") return finding.gravity == Gravity::stall ? "stall" : "warning";
    return "";
  };
  CHECK(room(799) == std::string());
  CHECK(room(800) == std::string("warning"));
  CHECK(room(950) == std::string("stall"));
  CHECK(room(1000) == std::string("stall"));
  CHECK(room(1001) == std::string("warning"));  // Others' entries must be exempt: not to be said.
  evidence.daemon->capabilities.protocol = false;  // A kernel before 5.0 counts them.
  CHECK(room(1001) == std::string("stall"));
  evidence.kernel.exempt = evidence.kernel.on_account = 900;
  CHECK(room(950) == std::string("stall"));
  evidence.daemon->capabilities.protocol = true;
  CHECK(room(950) == std::string());
}

TEST_CASE("each reason why packets were not tried has its own fix", "[neigh][doctor]") {
  Evidence evidence = healthy();
  evidence.daemon->echoes_refused = "EPERM";
  CHECK(diagnose(evidence)[0].fix.find("CAP_NET_RAW") != std::string::npos);
  evidence = healthy();
  evidence.daemon->connections_untold = "ENOENT";
  CHECK(diagnose(evidence)[0].fix.find("tcp_diag") != std::string::npos);
}

TEST_CASE("fixes can be typed as they stand", "[neigh][doctor]") {
  Evidence evidence = healthy();
  InterfaceEvidence& device = evidence.kernel.interfaces[0];
  device.settings->mcast_resolicit = 0;
  CHECK(diagnose(evidence)[0].fix == "sysctl -w net.ipv6.neigh.eth0.mcast_resolicit=3");
  device.name = "eth0.7";
  CHECK(diagnose(evidence)[0].fix == "sysctl -w net/ipv6/neigh/eth0.7/mcast_resolicit=3");

  evidence = healthy();
  evidence.kernel.table.limits = {128, 512, 1024};
  evidence.kernel.neighbours = 2000;
  CHECK(diagnose(evidence)[0].fix ==
        "sysctl -w net.ipv6.neigh.default.gc_thresh3=11404 "
        "net.ipv6.neigh.default.gc_thresh2=5702 net.ipv6.neigh.default.gc_thresh1=4128");
  evidence.kernel.initial_namespace = false;
  CHECK(diagnose(evidence)[0].fix.find("nsenter --net=/proc/1/ns/net sysctl -w ") == 0);
}

TEST_CASE("what stalls comes before what does not", "[neigh][doctor]") {
  Evidence evidence = healthy();
  evidence.daemon->conflicts = 1;
  evidence.daemon->silent_moves = 1;
  evidence.kernel.foreign = 1;
  const auto found = diagnose(evidence);
  REQUIRE(found.size() == 3);
  CHECK(found[0].id == "silent-moves");
  CHECK(found[1].gravity == Gravity::warning);
}

TEST_CASE("the best rung that the kernel can is chosen, or the forced one", "[neigh][doctor]") {
  netlink::Capabilities kernel = all_of_it();
  CHECK(choose({}, kernel) == Choice{Strategy::validated, ""});
  for (const Rung& rung : ladder) CHECK(choose(rung.strategy, kernel) == Choice{rung.strategy, ""});
  kernel.validated = false;
  CHECK(choose({}, kernel) == Choice{Strategy::learned, ""});
  const Choice lower = choose(Strategy::validated, kernel);
  CHECK(lower.strategy == Strategy::learned);
  CHECK_THAT(lower.problem, Catch::Contains("validated") && Catch::Contains("learned"));
  kernel.ext_learned = false;
  kernel.validated = true;
  CHECK(choose({}, kernel) == Choice{Strategy::plain, ""});
  for (const Rung& rung : ladder) CHECK(parse_strategy(rung.name) == rung.strategy);
  CHECK(!parse_strategy("auto"));
}

TEST_CASE("the history is bounded, and told from a time on", "[neigh][doctor]") {
  History history;
  const std::chrono::system_clock::time_point start{std::chrono::seconds(1000)};
  for (unsigned i = 0; i < History::kept_max + 10; ++i)
    history.note({.at = start + std::chrono::seconds(i), .change = {}, .disc = ""});
  CHECK(history.forgotten() == 10);
  CHECK(history.since({}).size() == History::kept_max);
  CHECK(history.since({}).front().at == start + std::chrono::seconds(10));
  const auto last = start + std::chrono::seconds(History::kept_max + 9);
  CHECK(history.since(last).size() == 1);
  CHECK(history.since(last + std::chrono::seconds(1)).empty());
}
