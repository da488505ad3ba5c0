// Guests that go from one export of a disc to the next, at any moment: each request is answered
// once, with what was written.
#include "head/control/handover.hpp"
#include "head/export/export.hpp"
#include "tests/log_lines.hpp"
#include "tests/memory_volume.hpp"
#include "tests/seeds.hpp"
#include "tests/sim/sim_io.hpp"

#include <catch2/catch.hpp>

#include <map>

using namespace head;
using namespace head::exports;
using namespace std::chrono_literals;
using nbd::Command;
using tests::seeds;

namespace {

constexpr std::uint32_t block = 40 << 10;  // Larger than what a reader copies.
constexpr std::uint64_t blocks = 16;

std::byte content(std::uint64_t number, std::uint64_t version) {
  return static_cast<std::byte>(version == 0 ? 0 : 1 + (number * 31 + version) % 255);
}

// It writes blocks of its own, keeps a few requests in flight, and compares what it reads.
class Guest final : public sim::Peer {
 public:
  explicit Guest(std::uint64_t seed) : random_(seed) {}

  bool on_bytes(sim::Bytes& from_us, sim::Bytes& to_us) override {
    heard_.insert(heard_.end(), from_us.begin(), from_us.end());
    from_us.clear();
    while (step(to_us)) {
    }
    while (talking_ && !ending && unanswered_.size() < 4) ask(to_us);
    return true;
  }
  bool idle() const { return talking_ && unanswered_.empty(); }

  bool ending = false;
  bool too_long = false;  // It asks, next, what is longer than it may be.
  std::uint64_t answers = 0;
  std::vector<std::string> complaints;

 private:
  struct Asked {
    Command command;
    std::uint64_t number;
    std::uint64_t version;
    std::uint32_t length;
    int error = 0;
  };

  template <class T>
  static void put(sim::Bytes& to, const T& value) {
    const auto bytes = nbd::wire::bytes_of(value);
    to.insert(to.end(), bytes.begin(), bytes.end());
  }
  void drop(std::size_t size) {
    heard_.erase(heard_.begin(), heard_.begin() + static_cast<std::ptrdiff_t>(size));
  }

  bool step(sim::Bytes& to_us) {
    if (!greeted_) {
      if (heard_.size() < sizeof(nbd::wire::NewstyleHello)) return false;
      drop(sizeof(nbd::wire::NewstyleHello));
      greeted_ = true;
      put(to_us, be32(3u));
      nbd::wire::OptionRequest name;
      name.option = static_cast<std::uint32_t>(nbd::wire::Option::export_name);
      put(to_us, name);
      return true;
    }
    if (!talking_) {
      if (heard_.size() < sizeof(nbd::wire::ExportNameReply)) return false;
      drop(sizeof(nbd::wire::ExportNameReply));
      return talking_ = true;
    }
    if (heard_.size() < sizeof(nbd::wire::SimpleReply)) return false;
    const auto reply = nbd::wire::load<nbd::wire::SimpleReply>(heard_);
    const auto at = unanswered_.find(reply.cookie);
    if (at == unanswered_.end()) {
      complaints.push_back("an answer to nothing, or a second one");
      heard_.clear();
      return false;
    }
    const Asked asked = at->second;
    const bool reads = asked.command == Command::read;
    const std::size_t size = sizeof reply + (reads ? asked.length : 0);
    if (heard_.size() < size) return false;
    if (nbd::errno_from_wire(reply.error) != asked.error)
      complaints.push_back("an error, or none where one is due, or another one");
    for (std::size_t i = sizeof reply; i < size; ++i)
      if (heard_[i] != content(asked.number, asked.version)) {
        complaints.push_back("a wrong byte");
        break;
      }
    drop(size);
    if (asked.error == 0) versions_[asked.number] = asked.version;
    unanswered_.erase(at);
    ++answers;
    return true;
  }

  void ask(sim::Bytes& to_us) {
    if (std::exchange(too_long, false)) {
      nbd::wire::Request request;
      request.type = static_cast<std::uint16_t>(Command::write);
      request.cookie = ++cookie_;
      request.length = payload_maximum + block;
      put(to_us, request);
      to_us.insert(to_us.end(), request.length, std::byte{7});
      unanswered_[cookie_] = {Command::write, 2 * blocks, 0, 0, EOVERFLOW};
      return;
    }
    const bool writes = random_() % 2 == 0;
    std::uint64_t number = random_() % blocks;
    if (writes && random_() % 8 == 0) number = blocks + 1;  // Beyond the end.
    for (const auto& [cookie, other] : unanswered_)
      if (other.number == number) return put(to_us, flush());
    const std::uint64_t version = versions_[number] + (writes ? 1 : 0);
    nbd::wire::Request request;
    request.type = static_cast<std::uint16_t>(writes ? Command::write : Command::read);
    request.cookie = ++cookie_;
    request.offset = number * block;
    request.length = block;
    put(to_us, request);
    if (writes) to_us.insert(to_us.end(), block, content(number, version));
    const int error = writes && number >= blocks ? ENOSPC : 0;
    unanswered_[cookie_] = {writes ? Command::write : Command::read, number, version, block, error};
  }
  nbd::wire::Request flush() {
    nbd::wire::Request request;
    request.type = static_cast<std::uint16_t>(Command::flush);
    request.cookie = ++cookie_;
    unanswered_[cookie_] = {Command::flush, 3 * blocks + cookie_, 0, 0};
    return request;
  }

  std::mt19937_64 random_;
  sim::Bytes heard_;
  bool greeted_ = false;
  bool talking_ = false;
  std::uint64_t cookie_ = 0;
  std::map<std::uint64_t, Asked> unanswered_;
  std::map<std::uint64_t, std::uint64_t> versions_;
};

class World final : Export::Owner {
 public:
  explicit World(std::uint64_t seed)
      : io(seed, {.partial = 0.5, .stall = 0.2}, [] { return nullptr; }) {
    Export::Owner& self = *this;
    served.emplace(io, "disk", volume, stats, stalls, *pool, iouring::UniqueFd(), self);
  }

  Guest& guest(std::uint64_t seed) {
    auto made = std::make_unique<Guest>(seed);
    Guest& there = *made;
    io.knock(std::move(made));
    return there;
  }
  void some_steps(std::size_t most) {
    for (std::size_t i = io.pick(most); i > 0; --i) {
      if (!volume.waiting.empty() && io.chance(0.3)) volume.answer(io.pick(volume.waiting.size()));
      io.step_or_wait();
    }
  }
  void let_go() {
    handed.reset();
    served->hand_over();
    for (int i = 0; !handed; ++i) {
      REQUIRE(i < 100'000);
      if (closing && !volume.waiting.empty())
        volume.answer(io.pick(volume.waiting.size()), io.chance(0.5) ? ESHUTDOWN : 0);
      else if (!volume.waiting.empty() && io.chance(0.1))
        volume.answer(io.pick(volume.waiting.size()));
      io.step_or_wait();
    }
    served.reset();
    closing = false;
    CHECK(pool->whole());
    CHECK(stats.in_flight == 0);
  }
  // As after an upgrade that has failed.
  void take_back() {
    let_go();
    Export::Owner& self = *this;
    served.emplace(io, "disk", volume, stats, stalls, *pool, self);
    served->take_up(std::move(handed->listener), std::move(handed->sessions),
                    handed->listener_stays);
    CHECK(served->listens());
  }
  // To another export, as another process would have it: through the document.
  void pass_on(std::size_t guests_max = SIZE_MAX) {
    let_go();
    CHECK(io.sockets_open() == 0);
    pool.emplace(io, 0, guests_max);

    std::vector<HandedDisc> discs;
    discs.push_back(std::move(*handed));
    auto read = control::parse_document(control::to_document(discs));
    REQUIRE(read.problem.empty());
    auto taken = std::move(read.discs);
    taken[0].listener = std::move(discs[0].listener);
    for (std::size_t i = 0; i < taken[0].sessions.size(); ++i)
      taken[0].sessions[i].socket = std::move(discs[0].sessions[i].socket);
    Export::Owner& self = *this;
    served.emplace(io, "disk", volume, stats, stalls, *pool, self);
    CHECK(!served->listens());
    served->take_up(std::move(taken[0].listener), std::move(taken[0].sessions));
    CHECK(served->listens());
  }
  void close() {
    served->close();
    for (int i = 0; i < 100'000 && closed == 0; ++i) {
      if (!volume.waiting.empty()) volume.answer(0);
      io.step_or_wait();
    }
    CHECK(closed == 1);
    served.reset();
    CHECK(pool->whole());
    CHECK(io.sockets_open() == 0);
    CHECK(volume.complaints == std::vector<std::string>{});
  }

  sim::SimIo io;
  tests::MemoryVolume volume{blocks * block};
  stats::DiscStats stats;
  stats::StallLog log;
  stats::Stalls stalls{20ms, log};
  std::optional<PayloadPool> pool{std::in_place, io, 0};
  std::optional<Export> served;
  std::optional<HandedDisc> handed;
  bool closing = false;
  int closed = 0;

 private:
  void on_export_closed(Export&) noexcept override { ++closed; }
  void on_export_quiet(Export&) noexcept override { closing = true; }
  void on_export_handed(Export&, HandedDisc disc) noexcept override { handed = std::move(disc); }
};

}  // namespace

TEST_CASE("Guests that are handed over at any moment notice nothing", "[export][sim][handover]") {
  const auto seed = GENERATE(range(0u, seeds(200)));
  CAPTURE(seed);
  World world(seed);
  world.volume.known = seed % 4 != 0;
  Guest& one = world.guest(seed);
  // Its blocks are the other's as well: so it comes when that one has ended.
  for (int i = 0; i < 12; ++i) {
    world.some_steps(seed % 3 == 0 ? 8 : 120);
    if (i == 3 && !world.volume.known) world.volume.become_known();
    world.pass_on();
    CHECK(one.complaints == std::vector<std::string>{});
  }
  one.ending = true;
  for (int i = 0; i < 200'000 && !one.idle(); ++i) world.some_steps(10);
  CHECK(one.idle());
  CHECK(one.answers > 0);
  CHECK(one.complaints == std::vector<std::string>{});
  CHECK(world.served->guests() == 1);
  world.close();
}

TEST_CASE("What a guest asked that had waited for its disc is handed over as well",
          "[export][sim][handover]") {
  const auto seed = GENERATE(range(0u, seeds(100)));
  CAPTURE(seed);
  World world(seed);
  world.volume.known = false;
  Guest& one = world.guest(seed);
  for (int i = 0; i < 300; ++i) world.io.step_or_wait();
  world.volume.become_known();
  for (int i = 0; i < 2'000 && world.volume.waiting.empty(); ++i) world.io.step_or_wait();
  REQUIRE(!world.volume.waiting.empty());
  world.pass_on();
  one.ending = true;
  for (int i = 0; i < 200'000 && !one.idle(); ++i) world.some_steps(10);
  CHECK(one.idle());
  CHECK(one.complaints == std::vector<std::string>{});
  world.close();
}

TEST_CASE("A guest of before is held where the disc is smaller than it was told",
          "[export][sim][handover]") {
  World world(1);
  Guest& guest = world.guest(1);
  while (guest.answers == 0) world.some_steps(50);
  world.volume.described.size /= 2;
  world.pass_on();
  const auto before = guest.answers;
  world.some_steps(2000);
  CHECK(world.volume.waiting.empty());
  CHECK(guest.answers <= before + 8);  // What was on its way.
  world.volume.described.size *= 2;
  world.volume.become_known();
  while (guest.answers < before + 20) world.some_steps(50);
  CHECK(guest.complaints == std::vector<std::string>{});
  world.close();
}

// An upgrade that failed for want of descriptors had hung up on those guests, and nobody could
// connect to the disc any more.
TEST_CASE("A socket that no descriptor can be made of is taken back all the same",
          "[export][sim][handover]") {
  World world(3);
  Guest& one = world.guest(3);
  while (one.answers == 0) world.some_steps(50);
  const bool listener = GENERATE(true, false);
  world.io.duplicate_errors = {listener ? EMFILE : 0, EMFILE};
  world.take_back();
  CHECK(world.io.duplicate_errors.empty());
  CHECK(world.served->guests() == 1);
  const auto before = one.answers;
  while (one.answers < before + 20) world.some_steps(50);
  CHECK(one.complaints == std::vector<std::string>{});
  Guest& other = world.guest(4);  // It writes the same blocks.
  for (int i = 0; i < 10'000 && other.answers == 0; ++i) world.some_steps(50);
  CHECK(other.answers != 0);
  world.close();
}

// It got EIO beyond the old end, and nobody was told that it still believed in that.
TEST_CASE("A disc that grows says what its guests believe, after a hand-over too",
          "[export][sim][handover]") {
  World world(1);
  world.io.advance(100'000s);  // Past what other tests have said.
  Guest& guest = world.guest(1);
  CHECK(world.stats.guest_sizes().empty());
  while (guest.answers == 0) world.some_steps(50);
  const std::uint64_t size = world.volume.described.size;
  CHECK(world.stats.guest_sizes() == std::vector{size});
  {
    tests::LogLines log;
    world.volume.described.size *= 2;
    world.volume.data.resize(world.volume.described.size);
    world.volume.become_known();
    CHECK(log.count("1 connected guest was told 655360 when connecting") == 1);
  }
  CHECK(world.stats.guest_sizes() == std::vector{size});
  {
    tests::LogLines log;
    world.pass_on();
    CHECK(log.count("1 connected guest was told 655360 when connecting") == 1);
  }
  CHECK(world.stats.guest_sizes() == std::vector{size});
  Guest& later = world.guest(2);
  while (later.answers == 0) world.some_steps(50);
  CHECK(world.stats.guest_sizes() == std::vector{size, 2 * size});
  world.close();
  CHECK(world.stats.guest_sizes().empty());
}

TEST_CASE("A write that is too long is told so, wherever it is handed over",
          "[export][sim][handover]") {
  World world(2);
  Guest& guest = world.guest(2);
  while (guest.answers == 0) world.some_steps(50);
  guest.too_long = true;
  while (guest.too_long) world.some_steps(20);
  world.some_steps(200);
  const auto before = guest.answers;
  world.pass_on();
  CHECK(guest.answers == before);  // It was in the midst of it.
  while (guest.answers < before + 20) world.some_steps(50);
  CHECK(guest.complaints == std::vector<std::string>{});
  world.close();
}

// As when data.guests_max is less for the next headd than it was.
TEST_CASE("Guests of before are kept beyond what is allowed, and counted",
          "[export][sim][handover]") {
  World world(1);
  Guest& one = world.guest(1);
  while (one.answers == 0) world.some_steps(50);
  world.pass_on(0);
  CHECK(world.stats.guests == 1);
  const auto before = one.answers;
  while (one.answers < before + 20) world.some_steps(50);
  world.guest(2);
  world.some_steps(500);
  CHECK(world.stats.guests == 1);
  CHECK(one.complaints == std::vector<std::string>{});
  world.close();
}
