// Memory for requests: what leases are made of, who may have how much, and who comes when.
#include "head/export/payload_pool.hpp"
#include "tests/sim/sim_io.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <vector>

using namespace head::exports;
using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t kib = 1024, mib = 1024 * kib;

// The same numbers for the same seed; each call's below what it is given.
auto numbers_below(unsigned seed) {
  return [random = std::mt19937_64(seed)](std::size_t n) mutable { return random() % n; };
}

struct Held {
  PayloadPool::Lease lease;
  unsigned char mark = 0;
};

std::size_t size_of(const PayloadPool::Lease& lease) {
  std::size_t size = 0;
  for (const iovec& part : lease.parts) size += part.iov_len;
  return size;
}

void fill(const Held& held) {
  std::memset(held.lease.cell, held.mark, PayloadPool::cell_room);
  for (const iovec& part : held.lease.parts) std::memset(part.iov_base, held.mark, part.iov_len);
}

bool is_intact(const Held& held) {
  const auto intact = [&](const void* memory, std::size_t size) {
    const auto* bytes = static_cast<const unsigned char*>(memory);
    return bytes[0] == held.mark && std::memcmp(bytes, bytes + 1, size - 1) == 0;
  };
  if (!intact(held.lease.cell, PayloadPool::cell_room)) return false;
  for (const iovec& part : held.lease.parts)
    if (part.iov_len > 1 && !intact(part.iov_base, part.iov_len)) return false;
  return true;
}

// A session: asks for memory, one request after the other, and gives it back in any order.
class Guest final : public PayloadPool::Lessee {
 public:
  explicit Guest(PayloadPool::Account& account) : Lessee(account) {}
  ~Guest() {
    give_up();
    while (!held.empty()) give_back_one(0);
  }

  void ask(std::uint32_t payload, unsigned char mark = 1) {
    wanted.push_back({payload, mark});
    if (!waiting) go_on();
  }
  void on_memory(const PayloadPool::Lease& lease) noexcept override {
    waiting = false;
    keep(lease);
    go_on();
  }
  void give_back_one(std::size_t which) {
    const Held one = held[which];
    intact = intact && is_intact(one);
    held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
    give_back(one.lease);
  }

  std::deque<std::pair<std::uint32_t, unsigned char>> wanted;
  std::vector<Held> held;
  std::size_t served = 0;
  bool waiting = false;
  bool intact = true;

 private:
  void keep(const PayloadPool::Lease& lease) {
    intact = intact && lease.payload == wanted.front().first &&
             size_of(lease) == wanted.front().first;  // In order, and whole.
    held.push_back({lease, wanted.front().second});
    wanted.pop_front();
    ++served;
    fill(held.back());
  }
  void go_on() {
    PayloadPool::Lease lease;
    while (!waiting && !wanted.empty()) {
      if (take(wanted.front().first, lease)) {
        keep(lease);
      } else {
        waiting = true;
        wait(wanted.front().first);
      }
    }
  }
};

struct World {
  explicit World(std::size_t bytes = 0) : pool(io, bytes) {}
  ~World() {
    for (auto& guest : guests) guest->give_up();
    guests.clear();
    CHECK(pool.whole());
  }

  // A session of a disc of its own.
  Guest& guest() { return guest_of(accounts.emplace_back(pool)); }
  Guest& guest_of(PayloadPool::Account& account) {
    return *guests.emplace_back(std::make_unique<Guest>(account));
  }

  sim::SimIo io{1, {}, [] { return nullptr; }};
  PayloadPool pool;
  std::deque<PayloadPool::Account> accounts;
  std::vector<std::unique_ptr<Guest>> guests;
};

}  // namespace

TEST_CASE("A lease is as large as asked, in few parts", "[export]") {
  World world;
  Guest& guest = world.guest();
  const auto parts = [&](std::uint32_t payload) {
    guest.ask(payload);
    REQUIRE(guest.held.size() == 1);
    CHECK(size_of(guest.held[0].lease) == payload);
    const std::size_t count = guest.held[0].lease.parts.size();
    guest.give_back_one(0);
    return count;
  };
  CHECK(parts(0) == 0);
  CHECK(parts(1) == 1);
  CHECK(parts(4096) == 1);
  CHECK(parts(4097) == 2);
  CHECK(parts(60 * kib) == 15);
  CHECK(parts(60 * kib + 1) == 1);
  CHECK(parts(64 * kib) == 1);
  CHECK(parts(1 * mib) == 16);
  CHECK(parts(32 * mib) == 512);
  CHECK(world.pool.whole());
  CHECK(guest.intact);
}

TEST_CASE("The more there is, the more may be taken, and what is owed is left", "[export]") {
  const auto seed = GENERATE(range(0u, 300u));
  CAPTURE(seed);
  auto below = numbers_below(seed);
  Claim claim{.held = below(2) * below(8 * mib),
              .together = 0,
              .wanted = 1 + below(below(2) == 0 ? 64 * kib : 32 * mib),
              .guaranteed = 4096u << below(8),
              .free = below(64 * mib),
              .owed = below(8 * mib),
              .may_exceed = below(2) == 0};
  claim.together = claim.held + below(2) * below(8 * mib);
  const Grant now = judge(claim);
  Claim other = claim;
  other.free += below(mib);
  if (now != Grant::no) CHECK(judge(other) != Grant::no);
  other = claim;
  other.held = other.together = 0;
  if (now != Grant::no) CHECK(judge(other) != Grant::no);  // Who holds less has no worse chances.
  if (claim.held + claim.wanted <= claim.guaranteed)
    CHECK(now == Grant::share);
  else if (now != Grant::no)
    CHECK(claim.free >= claim.wanted + claim.owed);
  if (now == Grant::excess) CHECK((claim.may_exceed && claim.held == 0));
}

TEST_CASE("Guarantees are an eighth of the pool at most, or a small request each", "[export]") {
  for (const std::size_t sessions : {0u, 1u, 2u, 3u, 16u, 1000u, 2048u})
    CHECK(guarantee(64 * mib, sessions, 4096) * sessions <= 8 * mib);
  CHECK(guarantee(64 * mib, 2048, 4096) == 4096);
  CHECK(guarantee(64 * mib, 100'000, 4096) == 4096);
}

TEST_CASE("The largest request is served in the smallest pool, whatever is owed", "[export]") {
  World world;
  for (int i = 0; i < 3000; ++i) world.guest();
  Guest& large = world.guest();
  large.ask(32 * mib);
  CHECK(large.held.size() == 1);
  Guest& next = world.guest();  // One at a time.
  next.ask(32 * mib);
  CHECK(next.held.empty());
  large.give_back_one(0);
  CHECK(next.held.size() == 1);
}

TEST_CASE("A disc that gives nothing back leaves the others their memory", "[export]") {
  World world(64 * mib);
  PayloadPool::Account dead(world.pool);
  std::vector<Guest*> stuck;
  for (int i = 0; i < 4; ++i) stuck.push_back(&world.guest_of(dead));
  for (int i = 0; i < 64; ++i)
    for (Guest* guest : stuck) guest->ask(1 * mib);
  std::size_t held = 0;
  for (const Guest* guest : stuck) held += guest->held.size();
  CHECK(held >= 12);
  CHECK(held <= 16);  // A quarter.

  Guest& other = world.guest();
  for (int i = 0; i < 10; ++i) other.ask(1 * mib);
  CHECK(other.held.size() == 10);
  world.guests.clear();
}

TEST_CASE("Discs that wait for their tails leave the others what they would hold", "[export]") {
  constexpr std::size_t dead_discs = 30;
  World world(64 * mib);
  head::stats::DiscStats away;
  away.enter(GENERATE(head::stats::DiscState::reconnecting, head::stats::DiscState::held),
             world.io.now());
  std::deque<PayloadPool::Account> dead;
  std::vector<Guest*> stuck;
  for (std::size_t i = 0; i < dead_discs; ++i)
    stuck.push_back(&world.guest_of(dead.emplace_back(world.pool, &away)));
  for (Guest* guest : stuck)
    for (int i = 0; i < 32; ++i) guest->ask(64 * kib);
  std::size_t held = 0;
  for (const Guest* guest : stuck) held += guest->held.size() * 64 * kib;
  CHECK(held > 0);  // What is guaranteed to them.
  CHECK(held <= world.pool.size() / 8);
  Guest& other = world.guest();
  for (int i = 0; i < 10; ++i) other.ask(1 * mib);
  CHECK(other.held.size() == 10);

  // It is there again.
  away.enter(head::stats::DiscState::ready, world.io.now());
  const std::size_t before = stuck[0]->held.size();
  dead[0].ask_soon();
  world.io.advance(1ms);
  CHECK(stuck[0]->held.size() > before);
  world.guests.clear();
}

TEST_CASE("So many sessions as the pool promises have a small request each", "[export]") {
  constexpr std::size_t size = 64 * mib, promised = size / (40 * kib);
  World world(size);
  for (std::size_t i = 0; i < promised; ++i) world.guest();
  // Some take what they can get, and give nothing back.
  std::size_t greedy = 0;
  for (std::uint32_t most = 32 * mib; most >= 8 * kib; most /= 2)
    for (int i = 0; i < 3; ++i) {
      Guest& guest = *world.guests[greedy++];
      while (guest.wanted.empty()) guest.ask(most);
    }
  std::size_t waiting = 0;
  for (std::size_t i = greedy; i < promised; ++i) {
    world.guests[i]->ask(4 * kib);
    waiting += world.guests[i]->waiting ? 1 : 0;
  }
  CHECK(waiting == 0);
}

TEST_CASE("Everybody is served in the end, even when greedy ones never give back", "[export]") {
  const auto seed = GENERATE(range(0u, 40u));
  CAPTURE(seed);
  auto below = numbers_below(seed);
  World world(64 * mib);
  const std::size_t greedy = 1 + below(200), live = 50;
  for (std::size_t i = 0; i < greedy + live; ++i) world.guest();
  constexpr std::uint32_t greedy_sizes[] = {4 * kib, 16 * kib, 128 * kib,
                                            1 * mib, 8 * mib,  32 * mib};
  for (std::size_t i = 0; i < greedy; ++i)
    for (int request = 0; request < 64; ++request)
      world.guests[i]->ask(greedy_sizes[below(std::size(greedy_sizes))]);

  // No more than is guaranteed to each of so many.
  constexpr std::uint32_t sizes[] = {0, 512, 4 * kib, 8 * kib, 16 * kib};
  std::size_t asked = 0;
  for (int step = 0; step < 3000; ++step) {
    Guest& guest = *world.guests[greedy + below(live)];
    if (guest.wanted.size() < 4 && below(2) == 0) {
      guest.ask(sizes[below(std::size(sizes))], static_cast<unsigned char>(1 + step % 250));
      ++asked;
    } else if (!guest.held.empty()) {
      guest.give_back_one(below(guest.held.size()));
    }
  }
  // Nobody waits for others: only for its own.
  for (std::size_t i = greedy; i < greedy + live; ++i) {
    Guest& guest = *world.guests[i];
    CHECK((guest.wanted.empty() || !guest.held.empty()));
    while (!guest.held.empty()) guest.give_back_one(0);
    CHECK(guest.wanted.empty());
    while (!guest.held.empty()) guest.give_back_one(0);
    CHECK(guest.intact);
  }
  std::size_t served = 0;
  for (std::size_t i = greedy; i < greedy + live; ++i) served += world.guests[i]->served;
  CHECK(served == asked);
}

TEST_CASE("A large request is served although others never stop", "[export]") {
  World world;
  std::vector<Guest*> busy;
  for (int i = 0; i < 100; ++i) busy.push_back(&world.guest());
  Guest& large = world.guest();
  std::mt19937 random(7);
  const auto work = [&] {
    Guest& guest = *busy[random() % busy.size()];
    if (guest.wanted.size() < 3) guest.ask(512 * kib);
    if (guest.held.size() > 1 || (!guest.held.empty() && random() % 2 == 0)) guest.give_back_one(0);
    world.io.step();
  };
  for (int i = 0; i < 2000; ++i) work();
  large.ask(32 * mib);
  const auto rounds = [&](int most) {
    std::size_t before = 0, after = 0;
    for (const Guest* guest : busy) before += guest->served;
    for (int i = 0; i < most && large.held.empty(); ++i) {
      world.io.advance(200us);
      work();
    }
    for (const Guest* guest : busy) after += guest->served;
    return after - before;
  };
  CHECK(rounds(500) > 0);  // The others are not held up meanwhile.
  CHECK(large.held.empty());
  rounds(60'000);
  REQUIRE(large.held.size() == 1);
  large.give_back_one(0);
}

TEST_CASE("Who waits is asked in rotation, nobody for ever behind a large one", "[export]") {
  World world(64 * mib);
  Guest& dead = world.guest();
  dead.ask(32 * mib);
  REQUIRE(dead.held.size() == 1);
  Guest& large = world.guest();
  large.ask(32 * mib);  // Waits as long as the tail of `dead` is away.
  REQUIRE(large.held.empty());
  std::vector<Guest*> others;
  for (int i = 0; i < 100; ++i) others.push_back(&world.guest());
  for (int round = 0; round < 20; ++round)
    for (Guest* guest : others) guest->ask(256 * kib);
  for (int i = 0; i < 40'000; ++i) {
    world.io.advance(1ms);
    Guest& guest = *others[static_cast<std::size_t>(i) % others.size()];
    if (!guest.held.empty()) guest.give_back_one(0);
  }
  for (const Guest* guest : others) CHECK(guest->served == 20);
  CHECK(large.held.empty());
  dead.give_back_one(0);
  CHECK(large.held.size() == 1);
}

TEST_CASE("Who cannot be served for now costs the others next to nothing", "[export]") {
  World world;
  std::vector<Guest*> busy;
  for (int i = 0; i < 97; ++i) busy.push_back(&world.guest());
  Guest& dead = world.guest();
  dead.ask(32 * mib);  // Its tail is away.
  REQUIRE(dead.held.size() == 1);
  Guest& hopeless = world.guest();
  hopeless.ask(2 * mib);  // More than a share of what is left.
  REQUIRE(hopeless.held.empty());

  Guest& prompt = *busy[0];
  const auto waits = [&](int milliseconds) {
    int waited = 0;
    for (int i = 0; i < milliseconds; ++i) {
      if (prompt.wanted.empty()) prompt.ask(64 * kib);
      prompt.held.empty() ? void(++waited) : prompt.give_back_one(0);
      world.io.advance(1ms);
    }
    return waited;
  };
  waits(20'000);
  const int waited = waits(300'000);
  CHECK(waited > 0);  // It is tried again, seldom.
  CHECK(waited < 3'000);

  SECTION("and when it can be served, it is") {
    dead.give_back_one(0);
    CHECK(hopeless.held.size() == 1);
  }
  SECTION("while another gets its turn as soon as ever") {
    std::mt19937 random(7);
    Guest& large = world.guest();
    const auto work = [&](int milliseconds) {
      for (int i = 0; i < milliseconds && large.held.empty(); ++i) {
        for (Guest* guest : busy) {
          if (guest->wanted.size() < 3) guest->ask(128 * kib);
          if (!guest->held.empty() && random() % 2 == 0) guest->give_back_one(0);
        }
        world.io.advance(1ms);
      }
    };
    work(5'000);
    large.ask(1 * mib);
    REQUIRE(large.held.empty());
    work(500);
    CHECK(large.held.empty());
    work(10'000);
    CHECK(large.held.size() == 1);
  }
}

TEST_CASE("However many wait, all are asked when there is more", "[export]") {
  World world;
  Guest& large = world.guest();
  large.ask(32 * mib);
  std::vector<Guest*> others;
  for (int i = 0; i < 200; ++i) others.push_back(&world.guest());
  for (Guest* guest : others) guest->ask(64 * kib);
  const auto served = [&] {
    return std::count_if(others.begin(), others.end(), [](Guest* guest) { return guest->served; });
  };
  REQUIRE(served() < 100);
  large.give_back_one(0);
  for (int i = 0; i < 10; ++i) world.io.advance(1us);
  CHECK(served() == 200);
}

TEST_CASE("Leases never overlap, and everybody is served in the end", "[export]") {
  const auto seed = GENERATE(range(0u, 60u));
  CAPTURE(seed);
  auto below = numbers_below(seed);
  World world;
  for (int i = 0; i < 5; ++i) world.guest();
  auto& guests = world.guests;

  constexpr std::uint32_t sizes[] = {0, 4096, 4096, 4096, 8192, 65536, 100000, 1 * mib, 4 * mib};
  for (int step = 0; step < 600; ++step) {
    Guest& guest = *guests[below(guests.size())];
    const bool more = guest.wanted.size() < 4 && below(100) < 55;
    if (more) guest.ask(sizes[below(std::size(sizes))], static_cast<unsigned char>(1 + step % 250));
    if (!more && !guest.held.empty()) guest.give_back_one(below(guest.held.size()));
  }
  for (unsigned rounds = 0; !world.pool.whole(); ++rounds) {
    REQUIRE(rounds < 10000);
    for (auto& guest : guests)
      if (!guest->held.empty()) guest->give_back_one(below(guest->held.size()));
  }
  for (auto& guest : guests) {
    CHECK(guest->intact);
    CHECK(guest->wanted.empty());
    CHECK(!guest->waiting);
  }
}

TEST_CASE("guests, what is kept for them, and long options have bounds", "[export][memory]") {
  sim::SimIo io{1, {}, [] { return nullptr; }};
  constexpr std::size_t most = PayloadPool::far_readers_max + 2;
  PayloadPool pool(io, 0, most);
  PayloadPool::Account account(pool);
  struct Guest final : PayloadPool::Lessee {
    using Lessee::Lessee;
    void on_memory(const PayloadPool::Lease&) noexcept override {}
  };
  std::deque<Guest> guests;
  for (std::size_t i = 0; i < most; ++i) {
    CHECK_FALSE(account.full());
    guests.emplace_back(account);
    CHECK(guests.back().is_far_reader() == (i < PayloadPool::far_readers_max));
  }
  CHECK(account.full());
  guests.pop_front();
  CHECK_FALSE(account.full());
  CHECK(guests.emplace_back(account).is_far_reader());

  CHECK(guests[0].take_option(PayloadPool::options_max));
  CHECK(guests[0].take_option(10));  // In the same memory.
  CHECK_FALSE(guests[1].take_option(1));
  guests.pop_front();
  CHECK(guests[1].take_option(PayloadPool::options_max));
  guests[1].give_back_option();
  CHECK(guests[0].take_option(1));
}
