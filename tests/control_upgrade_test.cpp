// What the next headd is started from, and an upgrade that cannot be: this headd has its guests
// again at once, and takes changes.
#include "control_fakes.hpp"
#include "head/control/next_headd.hpp"
#include "head/control/trusted_program.hpp"
#include "head/control/upgrade.hpp"

#include <filesystem>
#include <fstream>
#include <thread>

using namespace head;
using control::Upgrader;
using test::a_disc;
using test::Head;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;

fs::path write_script(const fs::path& path, const std::string& does) {
  std::ofstream(path) << "#!/bin/sh\n" << does << "\n";
  fs::permissions(path, fs::perms::owner_all);
  return path;
}

// For scripts: a message of the other headd's, each.
constexpr auto hear = "dd bs=4096 count=1 <&3 >/dev/null 2>&1\n";

// A head whose first data thread has a disc with guests, and its upgrades.
struct Upgrading : Head {
  explicit Upgrading(Upgrader::Options options = {.binary = {}, .arguments = {}, .locks = {}})
      : upgrader(*agent, inheritance, std::move(options)) {
    threads[0]->lets_go_of = {"a"};
  }
  Result<control::Upgraded, control::NotUpgraded> upgrade_to(const std::string& does) {
    return upgrader.upgrade(write_script(folder.path / "next", does));
  }
  // Each that has let go of its guests has them again, and changes are taken.
  void goes_on() {
    for (const auto* thread : threads) CHECK(thread->taken_back == thread->handed_over);
    CHECK(inheritance->take("a").has_value() == (threads[0]->handed_over != 0));
    CHECK_FALSE(agent->attach(a_disc("b")));
    CHECK_FALSE(upgrader.handed_over());
  }

  const std::shared_ptr<control::Inheritance> inheritance =
      std::make_shared<control::Inheritance>();
  Upgrader upgrader;
};

bool says(const std::string& sentence, std::string_view part) {
  CAPTURE(sentence, part);
  return sentence.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("only a program that nobody else can write is started", "[control][upgrade]") {
  const test::Folder folder;
  const auto path = folder.path / "headd";
  CHECK_FALSE(control::open_trusted("headd"));
  CHECK_FALSE(control::open_trusted(path));
  CHECK_FALSE(control::open_trusted(folder.path));
  std::ofstream(path) << "#!/bin/sh\n";
  CHECK_FALSE(control::open_trusted(path));  // It cannot be run.
  fs::permissions(path, fs::perms::owner_all);
  REQUIRE(control::open_trusted(path));
  CHECK(control::open_trusted(path)->script);
  CHECK_FALSE(control::open_trusted("/bin/false")->script);
  fs::create_symlink(path, folder.path / "link");
  CHECK(control::open_trusted(folder.path / "link")->path == fs::canonical(path));
  fs::permissions(path, fs::perms::owner_all | fs::perms::others_write);
  CHECK_FALSE(control::open_trusted(path));
  fs::permissions(path, fs::perms::owner_all);
  fs::permissions(folder.path, fs::perms::owner_all | fs::perms::group_write);
  CHECK_FALSE(control::open_trusted(path));
  fs::permissions(folder.path, fs::perms::owner_all);
}

// It was looked at by its path, and run by its path some time later.
TEST_CASE("what is run is what was looked at", "[control][upgrade]") {
  const test::Folder folder;
  const auto link = folder.path / "link";
  std::string ends;
  SECTION("a script") {
    write_script(folder.path / "good", "exit 55");
    write_script(folder.path / "bad", "exit 66");
    ends = "status 55";
  }
  SECTION("a program") {
    fs::copy_file("/bin/false", folder.path / "good");
    fs::copy_file("/bin/true", folder.path / "bad");
    ends = "status 1";
  }
  fs::create_symlink(folder.path / "good", link);
  const auto program = control::open_trusted(link);
  REQUIRE(program);
  fs::remove(link);
  fs::create_symlink(folder.path / "bad", link);
  fs::rename(folder.path / "bad", folder.path / "good");
  control::NextHeadd next;
  REQUIRE_FALSE(next.start(*program, {}));
  const auto why = next.await("ready", 5s);
  REQUIRE(why);
  CHECK(says(*why, ends));
}

// Guests of the other threads would be halted in vain.
TEST_CASE("no guest is halted while a data thread hangs", "[control][upgrade]") {
  Upgrading head({.binary = {}, .arguments = {}, .locks = {}, .answered_within = 20ms});
  head.threads[1]->hold();
  const auto done = head.upgrade_to("exit 5");
  REQUIRE_FALSE(done);
  CHECK(says(done.error().sentence, "a data thread hangs"));
  CHECK(head.threads[0]->handed_over == 0);
  head.threads[1]->release();
  head.goes_on();
}

// It was waited for without end, and the guests of the others with it.
TEST_CASE("a data thread that does not let go ends the upgrade", "[control][upgrade]") {
  Upgrading head({.binary = {}, .arguments = {}, .locks = {}, .let_go_within = 20ms});
  head.threads[1]->lets_go_late = true;
  head.threads[1]->lets_go_of = {"late"};
  const auto done = head.upgrade_to(hear + std::string("printf 'ready ' >&3\nexec sleep 60"));
  REQUIRE_FALSE(done);
  CHECK(says(done.error().sentence, "a data thread hangs"));
  CHECK(head.threads[0]->taken_back == 1);
  CHECK(head.threads[1]->taken_back == 0);
  CHECK_FALSE(head.inheritance->take("late"));
  head.threads[1]->release();
  CHECK(head.inheritance->take("late"));
  head.goes_on();
}

// It succeeded, and nobody could connect to those discs, or their guests were hung up on.
TEST_CASE("an upgrade without descriptors for all sockets is given up", "[control][upgrade]") {
  Upgrading head;
  head.threads[0]->keeps_listeners = true;
  const auto done = head.upgrade_to(hear + std::string("printf 'ready ' >&3\nexec sleep 60"));
  REQUIRE_FALSE(done);
  CHECK(says(done.error().sentence, "1 sockets of discs and guests cannot be handed over"));
  CHECK(head.threads[0]->taken_back == 1);
  head.goes_on();
}

TEST_CASE("a data thread that comes to it too late lets go of nothing", "[control][handover]") {
  Head head;
  head.threads[1]->hold();
  int given = 0;
  CHECK_FALSE(head.agent->hand_over(100, 20ms, [&](const auto&) { ++given; }));
  CHECK(given == 1);
  CHECK(head.threads[0]->taken_back == 1);
  head.threads[1]->release();
  CHECK(head.threads[1]->handed_over == 0);
  CHECK(head.threads[1]->taken_back == 0);
  CHECK(head.agent->hand_over(100, 20ms, [](const auto&) {}));
  CHECK(head.threads[1]->handed_over == 1);
}

// At the end of this process there is nobody to give anything back to.
TEST_CASE("what comes in time is handed over without the rest", "[control][handover]") {
  Head head;
  head.threads[0]->lets_go_of = {"a", "b"};
  head.threads[1]->hold();
  CHECK(head.agent->hand_over_what_comes(100, 20ms).size() == 2);
  head.threads[1]->release();
  CHECK(head.threads[0]->taken_back == 0);
}

TEST_CASE("an upgrade that fails leaves a head that goes on", "[control][upgrade]") {
  Upgrading head;
  const auto began = Clock::now();
  std::string why;
  SECTION("as the next one ends") {
    const auto done = head.upgrade_to("exit 5");
    REQUIRE_FALSE(done);
    CHECK(says(done.error().sentence, "status 5"));
    CHECK(head.threads[0]->handed_over == 0);
  }
  SECTION("as the next one ends with the guests") {
    const auto done =
        head.upgrade_to(hear + std::string("printf 'ready ' >&3\n") + hear + "exit 6");
    REQUIRE_FALSE(done);
    CHECK(says(done.error().sentence, "status 6"));
    CHECK(head.threads[0]->handed_over == 1);
  }
  // It may be gone before it is told anything.
  SECTION("as the next one has ended before that") {
    const auto done = head.upgrade_to("exec 3>&-\nsleep 0.02\nexit 5");
    REQUIRE_FALSE(done);
    CHECK(says(done.error().sentence, "status 5"));
  }
  // It was waited for, though it knew of nothing that it could answer.
  SECTION("as the next one cannot be told of the guests") {
    head.upgrader.set_listeners({-1});
    const auto done = head.upgrade_to(hear + std::string("printf 'ready ' >&3\nexec sleep 60"));
    REQUIRE_FALSE(done);
    CHECK(says(done.error().sentence, "cannot be told \"guests\""));
    CHECK(head.threads[0]->handed_over == 1);
  }
  // The head took no changes ever after.
  SECTION("as there is no memory") {
    head.threads[1]->asks_until_bad = 0;
    const auto done = head.upgrade_to("exec sleep 60");
    REQUIRE_FALSE(done);
    CHECK(says(done.error().sentence, "bad_alloc"));
    head.threads[1]->asks_until_bad = -1;
  }
  CHECK(Clock::now() - began < 2500ms);
  head.goes_on();
}

TEST_CASE("what was let go is taken back when there is no memory for the rest",
          "[control][upgrade]") {
  Upgrading head({.binary = {}, .arguments = {}, .locks = {}, .let_go_within = 20ms});
  head.threads[1]->asks_until_bad = 1;  // The first is whether it hangs.
  CHECK_FALSE(head.upgrade_to(hear + std::string("printf 'ready ' >&3\nexec sleep 60")));
  CHECK(head.threads[0]->handed_over == 1);
  head.threads[1]->asks_until_bad = -1;
  head.goes_on();
}

TEST_CASE("an upgrade is over before a head that was told to end does", "[control][upgrade]") {
  Upgrading head;
  std::string does;
  int handed_over = 0;
  SECTION("while the next one begins") {
    does = "exec sleep 60";
  }
  SECTION("while the next one takes the guests") {
    does = hear + std::string("printf 'ready ' >&3\nexec sleep 60");
    handed_over = 1;
  }
  std::jthread ending([&] {
    const auto until = Clock::now() + 5s;
    while (head.threads[0]->handed_over < handed_over && Clock::now() < until)
      std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(50ms);
    head.upgrader.cancel();
    CHECK_FALSE(head.upgrader.handed_over());
  });
  const auto began = Clock::now();
  CHECK_FALSE(head.upgrade_to(does));
  ending.join();
  CHECK(Clock::now() - began < 2500ms);
  CHECK(head.threads[0]->handed_over == handed_over);
  CHECK_FALSE(head.upgrade_to("exit 5"));  // Nothing begins any more.
  head.goes_on();
}
