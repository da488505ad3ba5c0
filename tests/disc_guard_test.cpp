// A guard alone, before a tail that is the test: who is told, and when, of syncs that fail beside
// others.
#include "head/disc/guard.hpp"
#include "tests/sim/sim_io.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

using namespace head;
using namespace std::chrono_literals;
using nbd::Command;
using nbd::Durability;
namespace flag = nbd::transmission_flag;

namespace {

struct Asked final : nbd::Request {
  Asked(Command what, std::uint64_t at)
      : memory_{bytes.data(), what == Command::flush ? 0u : bytes.size()} {
    command = what;
    offset = at;
    length = static_cast<std::uint32_t>(memory_.iov_len);
    memory = std::span(&memory_, 1);
  }
  void on_done(int) noexcept override {}

  std::array<std::byte, 512> bytes{};

 private:
  iovec memory_;
};

class Desk final : disc::Guard::Owner {
 public:
  // The first FLUSHes, by which the guard finds out whether the tail knows it, are `refused`.
  explicit Desk(Durability mode, std::uint16_t offers = flag::send_flush | flag::send_fua,
                unsigned refused = 0)
      : guard(io_, *this, {.durability = mode, .memory = &memory_}) {
    nbd::ExportInfo tail;
    tail.size = 1 << 20;
    tail.flags = static_cast<std::uint16_t>(flag::has_flags | offers);
    guard.learn(tail);
    guard.on_open();
    guard.send_own();
    for (unsigned i = 0; !own_.empty(); ++i) answer_own(i < refused ? EINVAL : 0);
  }
  ~Desk() {  // Nothing is left behind.
    while (guard.pop() != nullptr) continue;
    for (auto& chunk : taken_) memory_.give(std::move(chunk));
  }

  // It goes to the tail at once, or once it may.
  nbd::Request& ask(Command what, std::uint64_t at = 0, bool fua = false, bool precedes = false) {
    Asked& request = asked_.emplace_back(what, at);
    request.flags = fua ? nbd::command_flag::fua : 0;
    request.precedes_change = precedes;
    send(request);
    return request;
  }
  void send(nbd::Request& request) {
    if (guard.replaying())
      waiting_.push(request);
    else if (guard.admit(request, request))
      with_tail.insert(&request);
  }
  // And another one is there at once. The tail carries out nothing more.
  void lose_connection() {
    nbd::RequestQueue again;
    guard.fence_others();
    for (nbd::Request* own : std::exchange(own_, {})) {
      guard.lose_sync(*own);
      guard.lost(*own, {});
    }
    for (nbd::Request* request : std::exchange(with_tail, {})) {
      if (nbd::is_sync(*request)) guard.lose_sync(*request);
      if (!guard.lost(*request, {})) again.push(*request);
    }
    guard.lost_others(again);
    guard.on_open();
    go_on(again);
  }
  // Others' logs have it.
  void take_all_memory() {
    while (auto chunk = memory_.take()) taken_.push_back(std::move(chunk));
  }
  // The tail answers; as a disc does with that.
  void answer(nbd::Request& request, int error) {
    REQUIRE((with_tail.erase(&request) + own_.erase(&request)) == 1);
    if (nbd::is_sync(request)) {
      lost += guard.on_sync_answered(request, error) ? 0 : 1;
      guard.believe();
    }
    if (guard.settle(request, error)) on_settled(request, error);
  }
  void answer_own(int error = 0) {
    REQUIRE_FALSE(own_.empty());
    answer(**own_.begin(), error);
  }
  bool asks_itself() const { return !own_.empty(); }
  bool is_told(const nbd::Request& request) const { return told.count(&request) != 0; }

  std::set<nbd::Request*> with_tail;
  std::map<const nbd::Request*, int> told;
  unsigned lost = 0;  // So often were guests to be told that something may be lost.

 private:
  bool send_own(nbd::Request& request) noexcept override { return own_.insert(&request).second; }
  void go_on(nbd::RequestQueue requests) noexcept override {
    while (nbd::Request* request = waiting_.pop()) requests.push(*request);
    waiting_ = requests;
    guard.send_own();
    while (!waiting_.empty() && !guard.replaying()) send(*waiting_.pop());
  }
  void on_settled(nbd::Request& request, int error) noexcept override { told[&request] = error; }
  void on_flush_unknown() noexcept override {}
  void on_sync_failed(Command, int) noexcept override { ++lost; }
  void on_abandoned() noexcept override {}
  void on_replay_refused(int) noexcept override {}

  sim::SimIo io_{1, {}, [] { return nullptr; }};
  disc::ReplayMemory memory_{1 << 20};
  std::vector<std::unique_ptr<disc::ReplayMemory::Chunk>> taken_;
  std::deque<Asked> asked_;
  nbd::RequestQueue waiting_;
  std::set<nbd::Request*> own_;

 public:
  disc::Guard guard;
};

}  // namespace

TEST_CASE("a tail that offers FLUSH knows it unless it refuses it again and again", "[disc]") {
  const unsigned refused = GENERATE(0u, 1u, 3u, 4u);
  CAPTURE(refused);
  Desk desk(Durability::replay, flag::send_flush, refused);
  desk.answer(desk.ask(Command::write), 0);
  CHECK((desk.guard.kept_bytes() != 0) == (refused < 4));
  // An error of before, which is told once only.
  CHECK(desk.lost == (refused != 0 && refused < 4 ? 1 : 0));
}

TEST_CASE("replay tells a FLUSH once all that were with the tail are answered", "[disc]") {
  Desk desk(Durability::replay);
  desk.answer(desk.ask(Command::write), 0);
  CHECK(desk.guard.kept_bytes() != 0);
  nbd::Request& first = desk.ask(Command::flush);
  nbd::Request& second = desk.ask(Command::flush);
  desk.answer(second, 0);
  CHECK_FALSE(desk.is_told(second));
  SECTION("and lets go then") {
    desk.answer(first, 0);
    CHECK(desk.told.at(&first) == 0);
    CHECK(desk.told.at(&second) == 0);
    CHECK(desk.guard.kept_bytes() == 0);
  }
  SECTION("or asks it again, where one has failed, behind what is written again") {
    desk.answer(first, EIO);
    CHECK(desk.told.at(&first) == EIO);
    CHECK_FALSE(desk.is_told(second));
    CHECK(desk.with_tail.empty());
    CHECK(desk.guard.kept_bytes() != 0);
    desk.answer_own();  // The write.
    REQUIRE(desk.with_tail.count(&second) == 1);
    desk.answer(second, 0);
    CHECK(desk.told.at(&second) == 0);
    CHECK(desk.guard.kept_bytes() == 0);
  }
  CHECK(desk.lost == 0);
}

TEST_CASE("a FLUSH that fails again and again beside another fails it as well", "[disc]") {
  Desk desk(Durability::replay);
  desk.answer(desk.ask(Command::write), 0);
  nbd::Request& flush = desk.ask(Command::flush);
  for (unsigned i = 0; i <= nbd::Request::repeats_max; ++i) {
    REQUIRE_FALSE(desk.is_told(flush));
    nbd::Request& failing = desk.ask(Command::flush);
    desk.answer(failing, ENOSPC);
    CHECK(desk.told.at(&failing) == ENOSPC);
    desk.answer(flush, 0);  // Perhaps because that one has failed.
    if (desk.asks_itself()) desk.answer_own();
  }
  CHECK(desk.told.at(&flush) == ENOSPC);
  CHECK(desk.guard.kept_bytes() != 0);
}

TEST_CASE("a FLUSH that was taken back keeps the log and not the guests", "[disc]") {
  Desk desk(Durability::replay);
  desk.answer(desk.ask(Command::write), 0);
  nbd::Request& stuck = desk.ask(Command::flush);
  const disc::Fence::Witness there{.connection = &desk, .cookie = 7};
  desk.with_tail.erase(&stuck);
  desk.guard.fence_others();
  desk.guard.orphan_sync(stuck, there);
  CHECK_FALSE(desk.guard.orphaned(stuck, there));
  const bool fails = GENERATE(false, true);
  // As many as come: nothing grows with them.
  for (unsigned i = 0; i < 200u; ++i) {
    nbd::Request& flush = desk.ask(Command::flush);
    desk.answer(flush, 0);
    REQUIRE(desk.told.at(&flush) == 0);
    REQUIRE(desk.guard.unbelieved() <= 2);
  }
  CHECK(desk.guard.kept_bytes() != 0);
  if (fails) {
    CHECK(desk.guard.on_sync_answered(stuck, EIO));
    CHECK(desk.guard.replaying());
  }
  desk.guard.settle_ghost(there);
  CHECK((desk.guard.kept_bytes() != 0) == fails);
  if (!fails) return;
  desk.guard.send_own();
  desk.answer_own();
  desk.answer(desk.ask(Command::flush), 0);
  CHECK(desk.guard.kept_bytes() == 0);
}

TEST_CASE("what is with the tail when a FLUSH fails is asked again", "[disc]") {
  const auto mode = GENERATE(Durability::writeback, Durability::writethrough);
  const bool fua = GENERATE(false, true);
  Desk desk(mode);
  nbd::Request& write = desk.ask(Command::write, 0, fua);
  nbd::Request& overlapping = desk.ask(Command::write);
  CHECK(desk.with_tail.count(&overlapping) == 0);
  desk.answer(desk.ask(Command::flush), EIO);
  CHECK(desk.lost == 1);
  desk.answer(write, 0);
  CHECK_FALSE(desk.is_told(write));
  CHECK(desk.with_tail == std::set{&write});  // It keeps its turn.
  SECTION("once") {
    desk.answer(write, 0);
    CHECK(desk.told.at(&write) == 0);
    CHECK(desk.with_tail == std::set{&overlapping});
    desk.answer(overlapping, 0);
  }
  SECTION("and fails where others fail beside it again and again") {
    for (unsigned i = 1; i <= nbd::Request::repeats_max; ++i) {
      desk.answer(desk.ask(Command::flush), ENOSPC);
      REQUIRE_FALSE(desk.is_told(write));
      desk.answer(write, 0);
    }
    CHECK(desk.told.at(&write) == ENOSPC);
    desk.answer(overlapping, 0);
  }
  SECTION("or is refused then") {
    desk.answer(write, EPERM);
    CHECK(desk.told.at(&write) == EPERM);
    desk.answer(overlapping, 0);
  }
}

TEST_CASE("outside replay a FLUSH fails with the one beside it", "[disc]") {
  Desk desk(Durability::writeback);
  nbd::Request& first = desk.ask(Command::flush);
  nbd::Request& second = desk.ask(Command::flush);
  const bool answered_before = GENERATE(false, true);
  if (answered_before) desk.answer(second, 0);
  desk.answer(first, EIO);
  if (!answered_before) desk.answer(second, 0);
  CHECK(desk.told.at(&second) == EIO);
  desk.answer(desk.ask(Command::flush), 0);
}

TEST_CASE("what waits for a FLUSH behind it is asked again when another one fails", "[disc]") {
  Desk desk(Durability::writethrough, flag::send_flush);
  nbd::Request& covered = desk.ask(Command::write);
  desk.answer(covered, 0);
  REQUIRE(desk.asks_itself());  // A FLUSH.
  nbd::Request& put_off = desk.ask(Command::write, 4096);
  desk.answer(put_off, 0);
  nbd::Request& failing = desk.ask(Command::flush);
  desk.answer(failing, EIO);
  CHECK(desk.lost == 1);
  CHECK(desk.with_tail == std::set<nbd::Request*>{&covered, &put_off});
  desk.answer_own();  // It says nothing of them.
  CHECK_FALSE(desk.is_told(covered));
  desk.answer(covered, 0);
  desk.answer(put_off, 0);
  for (int i = 0; i < 4 && desk.asks_itself(); ++i) desk.answer_own();
  CHECK(desk.told.at(&covered) == 0);
  CHECK(desk.told.at(&put_off) == 0);
}

// Without FUA each waits for a FLUSH behind it, and may have to be asked again.
TEST_CASE("changes that overlap keep their order until they are told", "[disc]") {
  Desk desk(Durability::writethrough, flag::send_flush);
  nbd::Request& first = desk.ask(Command::write);
  nbd::Request& second = desk.ask(Command::write);
  desk.answer(first, 0);
  CHECK(desk.with_tail.empty());
  SECTION("when another FLUSH fails") {
    desk.answer(desk.ask(Command::flush), EIO);
    CHECK(desk.with_tail == std::set{&first});
  }
  SECTION("when the connection is lost") {
    desk.lose_connection();
    CHECK(desk.with_tail == std::set{&first});
    nbd::Request& early = desk.ask(Command::read);
    CHECK(desk.with_tail == std::set{&first});
    desk.answer(first, 0);
    CHECK(desk.with_tail == std::set{&early});  // There is what it asks for.
    desk.answer(early, 0);
  }
  for (int i = 0; i < 8 && !desk.is_told(second); ++i) {
    const bool own = desk.asks_itself();
    own ? desk.answer_own() : desk.answer(**desk.with_tail.begin(), 0);
    CHECK(desk.is_told(first) >= desk.is_told(second));
  }
  CHECK(desk.told.at(&first) == 0);
  CHECK(desk.told.at(&second) == 0);
}

TEST_CASE("a block that was read before a replay is read again behind it", "[disc]") {
  Desk desk(Durability::replay);
  desk.answer(desk.ask(Command::write), 0);
  nbd::Request& read = desk.ask(Command::read, 0, false, true);
  desk.answer(desk.ask(Command::flush), EIO);
  CHECK_FALSE(desk.asks_itself());  // The replay waits for that.
  desk.answer(read, 0);
  CHECK_FALSE(desk.is_told(read));
  desk.answer_own();
  CHECK(desk.with_tail == std::set{&read});
  desk.answer(read, 0);
  CHECK(desk.told.at(&read) == 0);
}

TEST_CASE("what fails beside a FLUSH, and whose guest is gone, leaves nothing behind", "[disc]") {
  Desk desk(Durability::replay);
  // As there are others, what does not fit goes with FUA.
  desk.take_all_memory();
  nbd::Request& write = desk.ask(Command::write, 0);
  nbd::Request& flush = desk.ask(Command::flush);
  desk.answer(write, 0);
  REQUIRE_FALSE(desk.is_told(write));  // Neither kept nor surely stable.
  write.unwanted = true;
  desk.answer(flush, EIO);
  CHECK(desk.is_told(write));
  // It is another request from now on.
  write.unwanted = false;
  desk.told.clear();
  desk.send(write);
  nbd::Request& other = desk.ask(Command::flush);
  desk.answer(write, 0);
  desk.answer(other, EIO);
  CHECK_FALSE(desk.is_told(write));
  CHECK(desk.with_tail == std::set{&write});
  desk.answer(write, 0);
  CHECK(desk.told.at(&write) == 0);
}

TEST_CASE("a doubt dies with its request's connection", "[disc]") {
  Desk desk(Durability::writeback);
  nbd::Request& write = desk.ask(Command::write);
  desk.answer(desk.ask(Command::flush), EIO);
  desk.lose_connection();
  CHECK(desk.with_tail == std::set{&write});
  desk.answer(write, 0);
  CHECK(desk.told.at(&write) == 0);
}
