#include "control_fakes.hpp"
#include "iouring/unique_fd.hpp"
#include "tests/log_lines.hpp"

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <future>
#include <sys/stat.h>
#include <thread>

using namespace head;
using control::Refusal;
using control::State;
using test::a_disc;
using test::Head;
using namespace std::chrono_literals;

TEST_CASE("a disc is attached once its neighbour is known", "[control]") {
  Head head;
  head.neighbours->at_once(false);
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  CHECK(head.agent->disc("a")->state == State::resolving);
  CHECK(head.threads[0]->size() + head.threads[1]->size() == 0);
  CHECK(head.store->discs().size() == 1);

  head.neighbours->answer("a", test::binding(neigh::BindingState::held));
  CHECK(head.becomes("a", State::ready));
  CHECK(head.agent->disc("a")->dev == "lo");
  CHECK(head.threads[0]->size() + head.threads[1]->size() == 1);
}

TEST_CASE("a neighbour that does not answer yet is told, and the disc goes on", "[control]") {
  Head head(1);
  head.neighbours->at_once(false);
  head.threads[0]->connect(false);
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  head.neighbours->answer("a", test::binding(neigh::BindingState::waiting, "no answer yet"));
  REQUIRE(head.becomes("a", State::connecting));
  REQUIRE(head.eventually([&] { return head.threads[0]->size() == 1; }));
  CHECK(head.agent->disc("a")->problem == "no answer yet");

  head.threads[0]->stats("a")->enter(stats::DiscState::ready, iouring::Instant{1s});
  REQUIRE(head.becomes("a", State::ready));
  CHECK(head.agent->disc("a")->problem.empty());
}

TEST_CASE("a disc whose neighbour is refused fails, and can be tried again", "[control]") {
  Head head;
  head.neighbours->at_once(false);
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  head.neighbours->answer("a", test::binding(neigh::BindingState::refused, "no eth9"));
  REQUIRE(head.becomes("a", State::failed));
  CHECK(head.agent->disc("a")->problem == "no eth9");
  CHECK(head.store->discs().size() == 1);

  head.neighbours->at_once(true);
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  CHECK(head.becomes("a", State::ready));
}

TEST_CASE("a disc that is moved is wanted at its new tail, durably", "[control]") {
  Head head;
  const auto generation = [&] { return head.store->discs().at(0).generation; };
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  REQUIRE(head.becomes("a", State::ready));
  head.agent->set_tails({{"tail2", netlink::Mac{2, 0, 0, 0, 0, 2}}});

  const auto moved = head.agent->move({{.disc = "a", .to = "tail2"}});
  REQUIRE(moved);
  CHECK(*moved == 1);
  CHECK(head.store->discs().at(0).lladdr == netlink::Mac{2, 0, 0, 0, 0, 2});
  CHECK(generation() == 1);
  CHECK(head.neighbours->wanted("a")->claim.generation == 1);
  CHECK(head.neighbours->wanted("a")->claim.source == neigh::Source::operator_);
  SECTION("and again, of a generation that is said") {
    REQUIRE(head.agent->move(
        {{.disc = "a", .lladdr = netlink::Mac{2, 0, 0, 0, 0, 3}, .generation = 7}}));
    CHECK(generation() == 7);
    SECTION("but not of an older one") {
      const auto refused = head.agent->move(
          {{.disc = "a", .lladdr = netlink::Mac{2, 0, 0, 0, 0, 4}, .generation = 6}});
      REQUIRE_FALSE(refused);
      CHECK(refused.error().why == Refusal::Why::outdated);
      CHECK(generation() == 7);
    }
  }
  SECTION("up to the last generation, and no further") {
    const auto last = catalogue::generation_max;
    REQUIRE(head.agent->move(
        {{.disc = "a", .lladdr = netlink::Mac{2, 0, 0, 0, 0, 3}, .generation = last}}));
    const auto refused = head.agent->move({{.disc = "a", .to = "tail2"}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().why == Refusal::Why::outdated);
    CHECK(catalogue::spec_from_json(catalogue::to_json(head.store->discs().at(0))));
  }
  SECTION("and tried again after it had failed, it is where it was moved to") {
    head.neighbours->at_once(false);
    REQUIRE_FALSE(head.agent->detach("a"));
    REQUIRE(head.eventually([&] { return !head.agent->disc("a"); }));
    auto spec = a_disc("a");
    spec.lladdr = netlink::Mac{2, 0, 0, 0, 0, 2};
    spec.generation = 1;
    REQUIRE_FALSE(head.agent->attach(spec));
    head.neighbours->answer("a", test::binding(neigh::BindingState::refused, "no eth9"));
    REQUIRE(head.becomes("a", State::failed));
    SECTION("by itself") {
      REQUIRE_FALSE(head.agent->attach(a_disc("a")));
    }
    SECTION("or in a list") {
      REQUIRE(head.agent->import({a_disc("a")}));
    }
    CHECK(generation() == 1);
    CHECK(head.store->discs().at(0).lladdr == spec.lladdr);
  }
  SECTION("and attached again as it was first, it stays where it is") {
    CHECK_FALSE(head.agent->attach(a_disc("a")));
    CHECK(generation() == 1);
  }
  SECTION("and detached as any other") {
    REQUIRE_FALSE(head.agent->detach("a"));
    CHECK(head.eventually([&] { return !head.agent->disc("a"); }));
  }
}

TEST_CASE("of moves that cannot all be made, none is", "[control]") {
  Head head;
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  REQUIRE(head.becomes("a", State::ready));
  const control::Move good{.disc = "a", .lladdr = netlink::Mac{2, 0, 0, 0, 0, 2}};
  struct Case {
    control::Move bad;
    Refusal::Why why;
  };
  const auto each = GENERATE_COPY(values<Case>({
      {{.disc = "b", .lladdr = good.lladdr}, Refusal::Why::no_such_disc},
      {{.disc = "a", .lladdr = good.lladdr}, Refusal::Why::duplicate},
      {{.disc = "a", .to = "nowhere"}, Refusal::Why::duplicate},
  }));
  const auto refused = head.agent->move({good, each.bad});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().why == each.why);
  CHECK(refused.error().index == 1u);
  CHECK(head.store->discs().at(0).generation == 0);
  const auto nowhere = head.agent->move({{.disc = "a", .to = "nowhere"}});
  REQUIRE_FALSE(nowhere);
  CHECK(nowhere.error().why == Refusal::Why::no_such_tail);
}

TEST_CASE("a move that cannot be stored changes nothing", "[control]") {
  Head head;
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  REQUIRE(head.becomes("a", State::ready));
  head.store->fail_when(1);
  const auto refused = head.agent->move({{.disc = "a", .lladdr = netlink::Mac{2, 0, 0, 0, 0, 2}}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().why == Refusal::Why::not_stored);
  CHECK_FALSE(head.neighbours->wanted("a")->claim.lladdr);
}

TEST_CASE("a disc that the wire saw elsewhere connects anew", "[control]") {
  Head head(1);
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  REQUIRE(head.becomes("a", State::ready));
  head.neighbours->move({"a", "gone"});
  CHECK(head.eventually(
      [&] { return head.threads[0]->relocated() == std::vector<std::string>{"a"}; }));
}

TEST_CASE("a disc that a data thread cannot open fails with its reason", "[control]") {
  Head head(1);
  head.threads[0]->fail_with("cannot bind");
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  REQUIRE(head.becomes("a", State::failed));
  CHECK(head.agent->disc("a")->problem == "cannot bind");
  CHECK(head.neighbours->kept() == 0);
  CHECK_FALSE(head.agent->detach("a"));
  CHECK(head.goes("a"));
}

TEST_CASE("discs that fail together are told of in a few lines", "[control]") {
  tests::LogLines log;
  Head head(1);
  head.threads[0]->fail_with("cannot bind");
  std::vector<catalogue::DiscSpec> specs;
  for (int i = 0; i < 20; ++i) specs.push_back(a_disc("d" + std::to_string(i)));
  REQUIRE(head.agent->import(specs));
  for (const auto& spec : specs) REQUIRE(head.becomes(spec.name, State::failed));
  for (const auto& status : head.agent->discs()) CHECK(status.problem == "cannot bind");
  CHECK(log.count("could not be attached: cannot bind") <= 5);
}

TEST_CASE("attaching the same again changes nothing; something else is refused", "[control]") {
  Head head;
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  REQUIRE(head.becomes("a", State::ready));
  CHECK_FALSE(head.agent->attach(a_disc("a")));
  auto other = a_disc("a");
  other.read_only = true;
  const auto refusal = head.agent->attach(other);
  REQUIRE(refusal);
  CHECK(refusal->why == Refusal::Why::exists);
  CHECK(head.agent->discs().size() == 1);
}

TEST_CASE("detaching removes the disc, its neighbour entry and its record", "[control]") {
  Head head;
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  REQUIRE(head.becomes("a", State::ready));
  REQUIRE_FALSE(head.agent->detach("a"));
  REQUIRE(head.goes("a"));
  CHECK(head.neighbours->kept() == 0);
  CHECK(head.threads[0]->size() + head.threads[1]->size() == 0);
  CHECK(head.store->discs().empty());
  CHECK(head.agent->detach("a")->why == Refusal::Why::no_such_disc);
}

TEST_CASE("a disc can be detached at every stage of being attached", "[control]") {
  Head head(1);
  SECTION("while its neighbour is resolved") {
    head.neighbours->at_once(false);
    REQUIRE_FALSE(head.agent->attach(a_disc("a")));
    REQUIRE_FALSE(head.agent->detach("a"));
    CHECK(head.goes("a"));
  }
  SECTION("while the data thread opens it") {
    head.threads[0]->hold();
    REQUIRE_FALSE(head.agent->attach(a_disc("a")));
    REQUIRE(head.becomes("a", State::connecting));
    REQUIRE_FALSE(head.agent->detach("a"));
    CHECK(head.agent->disc("a")->state == State::detaching);
    CHECK(head.agent->attach(a_disc("a"))->why == Refusal::Why::detaching);
    head.threads[0]->release();
    CHECK(head.goes("a"));
  }
  SECTION("while the data thread fails to open it") {
    head.threads[0]->fail_with("cannot bind");
    head.threads[0]->hold();
    REQUIRE_FALSE(head.agent->attach(a_disc("a")));
    REQUIRE(head.becomes("a", State::connecting));
    REQUIRE_FALSE(head.agent->detach("a"));
    head.threads[0]->release();
    CHECK(head.goes("a"));
  }
  SECTION("while it is being detached already") {
    REQUIRE_FALSE(head.agent->attach(a_disc("a")));
    REQUIRE(head.becomes("a", State::ready));
    head.threads[0]->hold();
    REQUIRE_FALSE(head.agent->detach("a"));
    REQUIRE_FALSE(head.agent->detach("a"));
    CHECK(head.agent->disc("a")->state == State::detaching);
    head.threads[0]->release();
    CHECK(head.goes("a"));
  }
  CHECK(head.neighbours->kept() == 0);
  CHECK(head.threads[0]->size() == 0);
  REQUIRE_FALSE(head.agent->attach(a_disc("b")));
}

TEST_CASE("attached discs come back after a restart", "[control]") {
  Head head;
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  REQUIRE_FALSE(head.agent->attach(a_disc("b")));
  REQUIRE_FALSE(head.agent->detach("a"));
  REQUIRE(head.goes("a"));
  head.restart();
  CHECK(head.agent->discs().empty());
  head.agent->restore();
  CHECK(head.becomes("b", State::ready));
  CHECK(head.agent->discs().size() == 1);
}

TEST_CASE("what could not be stored is not attached", "[control]") {
  Head head;
  // In the place of the next file: not even root can write to a directory.
  const auto obstacle = head.folder.path / "state" / "discs.json.new";
  std::filesystem::create_directory(obstacle);
  const auto refusal = head.agent->attach(a_disc("a"));
  REQUIRE(refusal);
  CHECK(refusal->why == Refusal::Why::not_stored);
  CHECK(refusal->sentence.find("discs.json.new") != std::string::npos);
  CHECK(head.agent->discs().empty());

  std::filesystem::remove(obstacle);
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  REQUIRE(head.becomes("a", State::ready));
  std::filesystem::create_directory(obstacle);
  CHECK(head.agent->detach("a")->why == Refusal::Why::not_stored);
  CHECK(head.agent->disc("a")->state == State::ready);
}

TEST_CASE("the same disc again is accepted only when the first is durable", "[control]") {
  Head head;
  // Whoever writes the next file waits for a reader, and then cannot sync it.
  const auto obstacle = head.folder.path / "state" / "discs.json.new";
  REQUIRE(::mkfifo(obstacle.c_str(), 0600) == 0);
  const auto attach = [&] { return head.agent->attach(a_disc("a")); };
  auto first = std::async(std::launch::async, attach);
  while (!head.agent->disc("a")) std::this_thread::yield();
  auto second = std::async(std::launch::async, attach);
  CHECK(second.wait_for(50ms) == std::future_status::timeout);

  const iouring::UniqueFd reader(iouring::adopt, ::open(obstacle.c_str(), O_RDONLY | O_NONBLOCK));
  REQUIRE(reader);
  CHECK(first.get());
  const bool accepted = !second.get();
  CHECK(accepted == head.agent->disc("a").has_value());
  CHECK(accepted == !head.store->discs().empty());
}

// Whatever the store threw but a StoreError left the disc pending for ever, and whoever attached
// the same, or detached it, waited for ever.
TEST_CASE("a store that fails in an unforeseen way leaves nothing pending", "[control]") {
  Head head;
  head.store->fail_when(2);
  const auto attach = [&] { return head.agent->attach(a_disc("a")); };
  auto first = std::async(std::launch::async, attach);
  while (!head.agent->disc("a")) std::this_thread::yield();
  auto second = std::async(std::launch::async, attach);
  CHECK(second.wait_for(50ms) == std::future_status::timeout);  // It waits for the first one.
  head.store->count_one();
  REQUIRE(first.wait_for(10s) == std::future_status::ready);
  CHECK(first.get()->why == Refusal::Why::not_stored);
  // The second now tries by itself.
  REQUIRE(second.wait_for(10s) == std::future_status::ready);
  CHECK(second.get()->why == Refusal::Why::not_stored);
  CHECK(head.agent->discs().empty());
  CHECK(head.agent->import({a_disc("a"), a_disc("b")}).error().why == Refusal::Why::not_stored);

  head.store->mend();
  REQUIRE_FALSE(attach());
  REQUIRE(head.becomes("a", State::ready));
  head.store->fail_when(1);
  CHECK(head.agent->detach("a")->why == Refusal::Why::not_stored);
  CHECK(head.agent->disc("a")->state == State::ready);
  head.store->mend();
  CHECK_FALSE(head.agent->detach("a"));
  CHECK(head.goes("a"));
}

// A failed disc that was tried again vanished when the store failed, and came back at a restart.
TEST_CASE("a failed disc that is tried again in vain stays", "[control]") {
  Head head;
  head.neighbours->fail_with(EMFILE);
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  REQUIRE(head.becomes("a", State::failed));
  head.neighbours->fail_with(0);

  head.store->fail_when(1);
  const bool alone = GENERATE(true, false);
  const auto refusal = alone ? head.agent->attach(a_disc("a"))
                             : head.agent->import({a_disc("b"), a_disc("a")}).error();
  REQUIRE(refusal);
  CHECK(refusal->why == Refusal::Why::not_stored);
  const auto discs = head.agent->discs();
  REQUIRE(discs.size() == 1);
  CHECK(discs[0].spec->name == "a");
  CHECK(discs[0].state == State::failed);
  CHECK(discs[0].problem == refusal->sentence);
  CHECK(head.store->discs().size() == 1);

  head.store->mend();
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  CHECK(head.becomes("a", State::ready));
}

TEST_CASE("a keeper that throws fails the discs, and they can be tried again", "[control]") {
  Head head;
  head.neighbours->fail_with(EMFILE);
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  CHECK(head.agent->disc("a")->state == State::failed);
  CHECK(head.agent->disc("a")->problem.find("netlink") != std::string::npos);
  head.neighbours->fail_with(0);
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  CHECK(head.becomes("a", State::ready));
}

TEST_CASE("an import is taken whole or not at all", "[control]") {
  Head head(3, 10);
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  const auto why = [&](std::vector<catalogue::DiscSpec> specs) {
    const auto import = head.agent->import(std::move(specs));
    REQUIRE_FALSE(import);
    return import.error().why;
  };
  CHECK(why({a_disc("b"), a_disc("b")}) == Refusal::Why::duplicate);
  auto other = a_disc("a");
  other.connections = 2;
  CHECK(why({a_disc("b"), other}) == Refusal::Why::exists);
  std::vector<catalogue::DiscSpec> many;
  for (int i = 0; i < 10; ++i) many.push_back(a_disc(fmt::format("d{}", i)));
  CHECK(why(many) == Refusal::Why::too_many);
  CHECK(head.agent->discs().size() == 1);

  many.pop_back();
  many.push_back(a_disc("a"));
  const auto import = head.agent->import(many);
  REQUIRE(import);
  CHECK(import->total == 10);
  CHECK(import->unchanged == 1);
  REQUIRE(head.eventually([&] { return head.agent->import_status(import->id)->settled; }));
  const auto done = head.agent->import_status(import->id);
  CHECK(done->by_state[static_cast<std::size_t>(State::ready)] == 9);
  CHECK(head.agent->status().discs == 10);
  CHECK(head.agent->attach(a_disc("z"))->why == Refusal::Why::too_many);
  for (const auto* thread : head.threads) CHECK(thread->size() >= 3);
  CHECK_FALSE(head.agent->import_status(import->id + 1));
}

// The import that was begun first was forgotten first, however many parts still came.
TEST_CASE("an import that still grows is kept", "[control]") {
  Head head;
  int made = 0;
  const auto import = [&](std::uint64_t part_of) {
    const auto status =
        head.agent->import({a_disc(fmt::format("d{}", ++made))}, {.part_of = part_of});
    REQUIRE(status);
    return status->id;
  };
  constexpr int others = 40;  // Of 64 that are kept.
  const std::uint64_t grows = import(0);
  const std::uint64_t other = import(0);
  for (int i = 0; i < others; ++i) import(0);
  CHECK(import(grows) == grows);
  for (int i = 0; i < others; ++i) import(0);
  const auto status = head.agent->import_status(grows);
  REQUIRE(status);
  CHECK(status->total == 2);
  CHECK_FALSE(head.agent->import_status(other));
  const auto late = head.agent->import({a_disc("late")}, {.part_of = other});
  REQUIRE_FALSE(late);
  CHECK(late.error().why == Refusal::Why::no_such_import);
}

// They began again at 1, so a part could be taken as one of somebody else's import.
TEST_CASE("the ids of imports are others after a restart", "[control]") {
  Head head;
  const auto first = head.agent->import({a_disc("a")});
  REQUIRE(first);
  CHECK(first->id < std::uint64_t{1} << 53);  // As large as a number in JSON may be.
  const auto began = std::chrono::system_clock::now();
  while (std::chrono::system_clock::now() < began + 2ms) std::this_thread::yield();
  head.restart();
  const auto second = head.agent->import({a_disc("b")});
  REQUIRE(second);
  CHECK(second->id > first->id + 1000);
}

TEST_CASE("latency of all discs is the sum of each one's", "[control]") {
  Head head(1);
  for (const char* name : {"a", "b"}) {
    REQUIRE_FALSE(head.agent->attach(a_disc(name)));
    REQUIRE(head.becomes(name, State::ready));
    head.threads[0]->stats(name)->record(stats::Operation::read, 4096, 0, {.whole = 1ms});
    head.threads[0]->stats(name)->record_stall(stats::Cause::neighbour, 1s);
  }
  CHECK(head.agent->latency("a")->by_operation[0].latency.count == 1);
  CHECK(head.agent->latency().by_operation[0].latency.count == 2);
  CHECK(head.agent->latency().by_operation[0].bytes == 8192);
  CHECK(head.agent->latency().stalls[0].count == 2);
  CHECK(head.agent->status().stalls[0].time_ns == 2'000'000'000);
  CHECK_FALSE(head.agent->latency("c"));
}

TEST_CASE("many callers attach and detach at once and nothing is left over", "[control]") {
  Head head(2, 1000);
  {
    std::vector<std::jthread> callers;
    for (int t = 0; t < 8; ++t)
      callers.emplace_back([&head, t] {
        for (int i = 0; i < 20; ++i) {
          const auto name = fmt::format("d{}", (t * 7 + i) % 13);
          if (i % 3 == 2)
            head.agent->detach(name);
          else
            head.agent->attach(a_disc(name));
        }
      });
  }
  for (int i = 0; i < 13; ++i) head.agent->detach(fmt::format("d{}", i));
  CHECK(head.eventually([&] { return head.agent->discs().empty(); }));
  CHECK(head.neighbours->kept() == 0);
  CHECK(head.threads[0]->size() + head.threads[1]->size() == 0);
  CHECK(head.store->discs().empty());
}

TEST_CASE("an agent that ends opens no more discs", "[control]") {
  Head head(1, 5'000);
  head.threads[0]->slow_down(1ms);
  const auto attaches = head.threads[0]->attaches();
  std::vector<catalogue::DiscSpec> specs;
  for (int i = 0; i < 2'000; ++i) specs.push_back(a_disc("d" + std::to_string(i)));
  REQUIRE(head.agent->import(specs));
  head.agent.reset();
  CHECK(*attaches < 1'000);
  CHECK(head.store->discs().size() == 2'000);
}

TEST_CASE("an order is stored, obeyed, and outlives whoever took it", "[control]") {
  Head head(1);
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  REQUIRE(head.becomes("a", State::ready));
  REQUIRE_FALSE(head.agent->change("a", {.order = disc::Order::hold, .grace = 30s}));
  REQUIRE(head.threads[0]->changed().size() == 1);
  CHECK(head.threads[0]->changed()[0].order == disc::Order::hold);
  CHECK(head.threads[0]->changed()[0].grace == 30s);

  // Whoever says again what was said when it was attached does not end it.
  auto said = a_disc("a");
  said.grace = 30s;
  CHECK_FALSE(head.agent->attach(said));
  CHECK(head.agent->disc("a")->spec->order == disc::Order::hold);

  head.restart();
  head.agent->restore();
  CHECK(head.agent->disc("a")->spec->order == disc::Order::hold);
  CHECK(head.agent->disc("a")->spec->grace == 30s);
  REQUIRE(head.becomes("a", State::ready));
  REQUIRE_FALSE(head.agent->change("a", {.order = disc::Order::serve}));
  CHECK(head.agent->disc("a")->spec->order == disc::Order::serve);
  CHECK(head.agent->disc("a")->spec->grace == 30s);

  const auto refusal = head.agent->change("b", {.order = disc::Order::hold});
  REQUIRE(refusal);
  CHECK(refusal->why == control::Refusal::Why::no_such_disc);
}

TEST_CASE("an order that cannot be stored is not obeyed", "[control]") {
  Head head(1);
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  REQUIRE(head.becomes("a", State::ready));
  head.store->fail_when(1);
  const auto refusal = head.agent->change("a", {.order = disc::Order::fail});
  REQUIRE(refusal);
  CHECK(refusal->why == control::Refusal::Why::not_stored);
  CHECK(head.threads[0]->changed().empty());
  CHECK(head.agent->disc("a")->spec->order == disc::Order::serve);
  head.store->mend();
  CHECK_FALSE(head.agent->change("a", {.order = disc::Order::fail}));
}
