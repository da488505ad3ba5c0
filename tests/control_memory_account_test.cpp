// What headd may take of the machine's memory: the sums, what is refused, and how that is said.
#include "head/control/memory_account.hpp"
#include "head/control/memory_here.hpp"
#include "head/stats/memory.hpp"
#include "tests/control_daemon.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <set>
#include <thread>

using namespace head;
using namespace head::control;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

constexpr std::uint64_t mib = 1 << 20;

Config with_threads(unsigned threads) {
  Config config;
  config.data.threads = threads;
  return config;
}

std::uint64_t bytes_of(const MemoryAccount& account, std::string_view name) {
  for (const MemoryPart& part : account.parts)
    if (part.name == name) return part.bytes();
  FAIL("no part " << name);
  return 0;
}

}  // namespace

TEST_CASE("the defaults have room for ten thousand discs", "[control][memory]") {
  const Config config = with_threads(1);
  CHECK_FALSE(memory_account(config, {}, {10'000, 10'000}).objection());
  CHECK(memory_account(config, {}, {11'000, 11'000}).objection());
  const auto empty = memory_account(config, {}, {});
  CHECK(empty.total(MemoryOf::headd) == empty.fixed(MemoryOf::headd));
  std::set<std::string_view> names;
  for (const MemoryPart& part : empty.parts) CHECK(names.insert(part.name).second);
}

TEST_CASE("an account is the sum of its parts, each as it is configured", "[control][memory]") {
  Config config = with_threads(3);
  config.discs.replay_memory_mib = 100;
  config.data.guests_max = 10;
  const auto account = memory_account(config, {}, {.discs = 7, .connections = 9});
  CHECK(bytes_of(account, "payloads") == 3 * 40 * mib);  // The least, each.
  CHECK(bytes_of(account, "replay") == 100 * mib);
  CHECK(bytes_of(account, "discs") == 7 * 9 * 1024);
  CHECK(bytes_of(account, "connections") == 9 * 10'752);
  CHECK(bytes_of(account, "guests_read_ahead") == 10 * 64 * 1024);
  CHECK(bytes_of(account, "neighbours") == 7 * 512);
  CHECK(bytes_of(account, "guest_sockets") == 10 * (512 + 4) * 1024);
  std::uint64_t sum = 0;
  for (const MemoryPart& part : account.parts)
    if (part.of == MemoryOf::headd) sum += part.bytes();
  CHECK(sum == account.total(MemoryOf::headd));
}

TEST_CASE("tails' sockets hold no more than they may, nor than was asked of them",
          "[control][memory]") {
  const Config config = with_threads(1);  // 64 MiB of payloads, 64 for replay.
  const auto tails = [&](std::uint64_t connections) {
    return bytes_of(memory_account(config, {.tcp_send = 4 * mib, .tcp_receive = 6 * mib},
                                   {connections, connections}),
                    "tail_sockets");
  };
  CHECK(tails(1) == 10 * mib);
  CHECK(tails(1000) == 4 * 128 * mib + 1000 * 16 * 1024);
}

TEST_CASE("what does not fit is refused with the sum, its parts and the way out",
          "[control][memory]") {
  Config config = with_threads(1);
  config.memory.ceiling_mib = 330;
  const auto objection =
      memory_account(config, {}, {.discs = 1000, .connections = 1000}).objection();
  REQUIRE(objection);
  CHECK_THAT(*objection, Contains("more than the 330 MiB that memory.ceiling_mib allows"));
  CHECK_THAT(*objection, Contains("64 MiB payloads"));
  CHECK_THAT(*objection, Contains("1000 discs of 9 KiB"));
  CHECK_THAT(*objection, Contains("raise it to 340"));
  CHECK_THAT(*objection, Contains("detach some discs"));

  config.memory = {.ceiling_mib = 512, .kernel_ceiling_mib = 64};
  const auto of_kernel = memory_account(config, {}, {}).objection();
  REQUIRE(of_kernel);
  CHECK_THAT(*of_kernel, Contains("memory.kernel_ceiling_mib"));
  CHECK_THAT(*of_kernel, Contains("4096 guest_sockets of 516 KiB"));
  CHECK_THAT(*of_kernel, !Contains("detach"));  // It would not help.
}

TEST_CASE("data threads that are not said are as many as there is memory for",
          "[control][memory]") {
  Config config;
  for (const unsigned ceiling : {64u, 512u, 4096u}) {
    config.memory.ceiling_mib = ceiling;
    CHECK(data_threads(config) >= 1);
    CHECK(data_threads(config) <= std::max(1u, ceiling / 4 / 40));
  }
}

TEST_CASE("an agent refuses what there is no memory for, and what runs goes on",
          "[control][memory][agent]") {
  test::Head head(1, 100);
  Config config = with_threads(1);
  // Room for two discs.
  const auto fixed = memory_account(config, {}, {}).total(MemoryOf::headd);
  config.memory.ceiling_mib = static_cast<unsigned>((fixed + mib - 1) / mib);
  const auto room = config.memory.ceiling_mib * mib - fixed;
  const auto most = static_cast<std::size_t>(room / (19 * 1024 + 512));
  config.data.guests_max = 4096;
  head.agent->set_memory({config, {}});
  std::vector<catalogue::DiscSpec> list;
  for (std::size_t i = 0; i < most; ++i) list.push_back(test::a_disc("d" + std::to_string(i)));
  REQUIRE(head.agent->import(list));

  const auto refusal = head.agent->attach(test::a_disc("more"));
  REQUIRE(refusal);
  CHECK(refusal->why == Refusal::Why::no_memory);
  CHECK_THAT(refusal->sentence, Contains("memory.ceiling_mib"));
  CHECK_FALSE(head.agent->disc("more"));
  CHECK_FALSE(head.agent->import({test::a_disc("more"), list.front()}));
  // What is there already may be said again.
  CHECK_FALSE(head.agent->attach(list.front()));
  CHECK(head.agent->import(list));
  CHECK(head.agent->discs().size() == most);

  ++config.memory.ceiling_mib;
  head.agent->set_memory({config, {}});
  CHECK_FALSE(head.agent->attach(test::a_disc("more")));
}

// Those of an earlier headd are not turned away.
TEST_CASE("guests beyond data.guests_max are counted", "[control][memory][agent]") {
  test::Head head(1, 100);
  Config config = with_threads(1);
  config.data.guests_max = 10;
  config.memory.ceiling_mib = static_cast<unsigned>(
      (memory_account(config, {}, {.discs = 1, .connections = 1}).total(MemoryOf::headd) + mib) /
      mib);
  head.agent->set_memory({config, {}});
  REQUIRE_FALSE(head.agent->attach(test::a_disc("a")));
  REQUIRE(head.eventually([&] { return head.threads[0]->size() == 1; }));
  auto& guests = head.threads[0]->stats("a")->guests;
  guests = 9;
  CHECK(bytes_of(*head.agent->memory(), "guest_sockets") == 10 * (512 + 4) * 1024);
  CHECK_FALSE(head.agent->memory()->objection());
  guests = 1000;
  CHECK(bytes_of(*head.agent->memory(), "guest_sockets") == 1000 * (512 + 4) * 1024);
  CHECK(head.agent->memory()->objection());
}

TEST_CASE("the group whose memory is limited is found", "[control][memory]") {
  CHECK(memory_group("").path.empty());
  CHECK(memory_group("0::/system.slice/headd.service\n").path == "/system.slice/headd.service");
  CHECK(memory_group("0::/a\n").unified);
  const auto v1 = memory_group("9:cpu,cpuacct:/x\n4:memory:/pods/7\n0::/\n");
  CHECK(v1.path == "/pods/7");
  CHECK_FALSE(v1.unified);
  CHECK(memory_group("nonsense\n1:memory\n::\n").path.empty());
}

TEST_CASE("what the kernel says of memory is read", "[control][memory]") {
  const char* text = "MemTotal:       24683520 kB\nMemFree: 1 kB\nMemAvailable:  100 kB\n";
  CHECK(meminfo_bytes(text, "MemTotal") == 24'683'520ull * 1024);
  CHECK(meminfo_bytes(text, "MemAvailable") == 102'400);
  CHECK(meminfo_bytes(text, "Mem") == 0);
  CHECK(third_number("4096\t16384\t4194304\n") == 4'194'304);
  CHECK(third_number("4096 16384") == 0);
  CHECK(memory_here().resident > mib);
  CHECK(memory_here().total > 64 * mib);
  CHECK(mebibytes(1536) == "1.5 KiB");
  CHECK(mebibytes(64 * mib) == "64 MiB");
  CHECK(mebibytes(12) == "12 bytes");
}

TEST_CASE("the API tells the account, and refuses beyond it with a type of its own",
          "[control][memory]") {
  const test::Daemon daemon;
  Config config = with_threads(1);
  daemon.agent->set_memory({config, {}});
  const auto status = json::parse(daemon.ask("GET", "/v1/status").text)["memory"];
  CHECK(status["ceiling"] == 512 * mib);
  CHECK(status["resident"] > mib);
  std::uint64_t sum = 0;
  for (const json& part : status["parts"])
    if (part["of"] == "headd") sum += part["bytes"].get<std::uint64_t>();
  CHECK(status["account"] == sum);
  CHECK_FALSE(status.contains("problem"));
  CHECK_THAT(daemon.ask("GET", "/metrics").text,
             Contains("head_memory_account_bytes{part=\"replay\"} 67108864") &&
                 Contains("head_memory_ceiling_bytes 536870912"));

  config.memory.ceiling_mib = 64;
  daemon.agent->set_memory({config, {}});
  const auto refused = daemon.ask("PUT", "/v1/discs/a", R"({"uri": "nbd://[fd00::1]/"})");
  CHECK(refused.status == 507);
  CHECK_THAT(refused.text, Contains("urn:headstart:memory-ceiling") && Contains("raise it to"));
  CHECK(json::parse(daemon.ask("GET", "/v1/status").text)["memory"].contains("problem"));
}

TEST_CASE("what clients send and are sent has so much room, and waits for it in vain at last",
          "[control][memory]") {
  using namespace std::chrono_literals;
  ExchangeRoom room(100);
  auto first = room.take(60, 0ms);
  REQUIRE(first);
  CHECK_FALSE(room.take(60, 1ms));
  auto second = room.take(40, 0ms);
  CHECK(second);
  std::jthread later([&] {
    std::this_thread::sleep_for(5ms);
    first.reset();
    second.reset();
  });
  CHECK(room.take(1000, 20s));  // More than there is: alone.
}

TEST_CASE("statistics have so much memory, and counters the last of it", "[stats][memory]") {
  using namespace stats::memory;
  const std::size_t before = used();
  REQUIRE(take(For::octave, for_octaves / 2));
  CHECK_FALSE(take(For::octave, for_octaves / 2));
  CHECK(refused() > 0);
  CHECK(take(For::counters, 1000));
  give_back(For::counters, 1000);
  give_back(For::octave, for_octaves / 2);
  CHECK(used() == before);

  // Without memory nothing is counted, and nothing else happens.
  std::size_t taken = 0;
  while (take(For::counters, 100'000)) taken += 100'000;
  while (take(For::counters, 100)) taken += 100;
  stats::DiscStats disc;
  disc.record(stats::Operation::read, 1, 0, {});
  CHECK(disc.snapshot().by_operation[0].requests == 0);
  for (; taken >= 100'000; taken -= 100'000) give_back(For::counters, 100'000);
  for (; taken != 0; taken -= 100) give_back(For::counters, 100);
  CHECK(used() == before);
  disc.record(stats::Operation::read, 1, 0, {});
  CHECK(disc.snapshot().by_operation[0].requests == 1);
}
