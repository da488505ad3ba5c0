// The production disc on a tail that leaves after every single byte, in either direction: what is
// said in tests/e2e/cut.sh of what a real one says, and also of what it hears.
#include "tests/disc_world.hpp"

#include <string>
#include <vector>

using namespace head;
using nbd::Command;
using tests::disc_world::Asked;

namespace {

enum class Cut { heard, said };

// A well-behaved tail behind a wire that is cut after so many bytes.
class CutTail final : public sim::Peer {
 public:
  CutTail(sim::TailState& state, std::uint64_t seed, Cut cut, std::size_t after, bool reset)
      : tail_(state, seed), cut_(cut), left_(after), reset_(reset) {}

  bool on_bytes(sim::Bytes& from_us, sim::Bytes& to_us) override {
    if (cut_ == Cut::heard) return hear(from_us, to_us);
    const std::size_t before = to_us.size();
    const bool stays = tail_.on_bytes(from_us, to_us);
    if (to_us.size() - before < left_) {
      left_ -= to_us.size() - before;
      return stays;
    }
    to_us.resize(before + left_);
    left_ = 0;
    return false;
  }
  std::size_t room() const override { return cut_ == Cut::heard ? left_ : SIZE_MAX; }
  bool resets() const override { return reset_; }

 private:
  // What the tail has not taken yet stays in `from_us`.
  bool hear(sim::Bytes& from_us, sim::Bytes& to_us) {
    left_ -= from_us.size() - kept_;
    const bool stays = tail_.on_bytes(from_us, to_us);
    kept_ = from_us.size();
    return stays && left_ != 0;
  }

  sim::NbdServer tail_;
  Cut cut_;
  std::size_t left_;
  std::size_t kept_ = 0;
  bool reset_;
};

constexpr std::uint32_t size = 512;

// A request of each kind, all under way at once.
void ask_all(tests::disc_world::World& world, std::byte with) {
  std::deque<Asked> asked;
  const auto ask = [&](Command command, std::uint32_t at, std::uint32_t length) -> Asked& {
    return asked.emplace_back(command, at, length, world.io.now());
  };
  Asked& write = ask(Command::write, 4 * size, size);
  std::fill(write.bytes.begin(), write.bytes.end(), with);
  std::fill_n(world.model.begin() + 4 * size, size, with);
  const Asked& read = ask(Command::read, 0, 3 * size);
  if (world.tail.options.structured) ask(Command::block_status, 0, 4 * size);
  ask(Command::flush, 0, 0).memory = {};
  for (Asked& one : asked) world.disc->submit(one);
  world.run_until([&] { return world.disc->outstanding() == 0; });
  for (const Asked& one : asked) {
    REQUIRE(one.answers == 1);
    REQUIRE(one.error == 0);
  }
  REQUIRE(std::equal(read.bytes.begin(), read.bytes.end(), world.model.begin()));
}

}  // namespace

TEST_CASE("T10 a connection that is cut after any byte, either way, is a pause", "[disc][sim]") {
  const bool structured = GENERATE(true, false);
  const Cut cut = GENERATE(Cut::heard, Cut::said);
  const bool reset = GENERATE(false, true);
  CAPTURE(structured, cut == Cut::heard, reset);
  // Beyond these every kind of message has been cut everywhere.
  const std::size_t last = cut == Cut::heard ? 1'200 : 2'500;
  std::size_t next = 0;
  const auto make = [&](sim::TailState& state, std::uint64_t seed) -> std::unique_ptr<sim::Peer> {
    if (++next > last) return std::make_unique<sim::NbdServer>(state, seed);
    return std::make_unique<CutTail>(state, seed, cut, next, reset);
  };
  tests::disc_world::World world(1, {}, {.structured = structured}, 1, {}, disc::Identity::shape,
                                 std::chrono::seconds(5), make);
  // Hundreds of connections in a row end in the midst of the same request, and it is not to blame.
  world.connection.poison_attempts = 0;
  world.run_until([&] { return world.disc->info() != nullptr; });
  int round = 0;
  while (next <= last) {
    REQUIRE(round < 100'000);
    ask_all(world, std::byte(round++));
  }
  ask_all(world, std::byte{0x5a});
  CHECK(world.tail.complaints == std::vector<std::string>{});
  CHECK(world.tail.data == world.model);
}
