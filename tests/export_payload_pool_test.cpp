#include "head/export/payload_pool.hpp"

#include <catch2/catch.hpp>

#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <vector>

using head::exports::PayloadPool;

namespace {

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

// A guest of one disc: asks for memory, holds it, and gives it back in any order.
class Guest final : public PayloadPool::Waiter {
 public:
  explicit Guest(PayloadPool& pool) : account(pool) {}

  void ask(std::uint32_t payload, unsigned char mark) {
    wanted.push_back({payload, mark});
    if (!waiting) go_on();
  }
  void on_memory(const PayloadPool::Lease& lease) noexcept override {
    waiting = false;
    keep(lease);
    go_on();
  }
  void give_back(std::size_t which) {
    const Held one = held[which];
    intact = intact && is_intact(one);
    held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
    account.give_back(one.lease);
  }

  PayloadPool::Account account;
  std::deque<std::pair<std::uint32_t, unsigned char>> wanted;
  std::vector<Held> held;
  bool waiting = false;
  bool intact = true;

 private:
  void keep(const PayloadPool::Lease& lease) {
    intact = intact && lease.payload == wanted.front().first &&
             size_of(lease) == wanted.front().first;  // In order, and whole.
    held.push_back({lease, wanted.front().second});
    wanted.pop_front();
    fill(held.back());
  }
  void go_on() {
    PayloadPool::Lease lease;
    while (!waiting && !wanted.empty()) {
      if (account.take(wanted.front().first, lease)) {
        keep(lease);
      } else {
        waiting = true;
        account.wait(*this, wanted.front().first);
      }
    }
  }
};

}  // namespace

TEST_CASE("A lease is as large as asked, in few parts", "[export]") {
  PayloadPool pool(0);
  Guest guest(pool);
  const auto parts = [&](std::uint32_t payload) {
    PayloadPool::Lease lease;
    REQUIRE(guest.account.take(payload, lease));
    CHECK(size_of(lease) == payload);
    const std::size_t count = lease.parts.size();
    guest.account.give_back(lease);
    return count;
  };
  CHECK(parts(0) == 0);
  CHECK(parts(1) == 1);
  CHECK(parts(4096) == 1);
  CHECK(parts(4097) == 2);
  CHECK(parts(60 << 10) == 15);
  CHECK(parts((60 << 10) + 1) == 1);
  CHECK(parts(64 << 10) == 1);
  CHECK(parts(1 << 20) == 16);
  CHECK(parts(32 << 20) == 512);
  CHECK(pool.whole());
}

TEST_CASE("The largest request fits the smallest pool", "[export]") {
  PayloadPool pool(1);
  PayloadPool::Account account(pool);
  PayloadPool::Lease lease;
  REQUIRE(account.take(PayloadPool::payload_max, lease));
  account.give_back(lease);
  CHECK(pool.whole());
}

TEST_CASE("A large request is not overtaken by small ones of its disc", "[export]") {
  PayloadPool pool(0);
  Guest guest(pool);
  guest.ask(4096, 1);
  guest.ask(PayloadPool::payload_max, 2);  // More than the share: not while something is held.
  for (unsigned char i = 0; i < 10; ++i) guest.ask(4096, 3);
  CHECK(guest.held.size() == 1);
  guest.give_back(0);
  REQUIRE(guest.held.size() == 1);
  CHECK(guest.held[0].mark == 2);
  guest.give_back(0);
  CHECK(guest.held.size() == 10);
  while (!guest.held.empty()) guest.give_back(0);
  CHECK(guest.intact);
}

TEST_CASE("A disc that gives nothing back leaves the others their memory", "[export]") {
  PayloadPool pool(64 << 20);
  Guest stuck(pool), other(pool);
  for (int i = 0; i < 1000; ++i) stuck.ask(1 << 20, 1);
  CHECK(stuck.held.size() == 15);  // A quarter of 64 MiB, less the cells.
  for (int i = 0; i < 15; ++i) other.ask(1 << 20, 2);
  CHECK(other.held.size() == 15);
  while (!other.held.empty()) other.give_back(0);

  stuck.account.give_up(stuck);
  stuck.wanted.clear();
  while (!stuck.held.empty()) stuck.give_back(0);
  CHECK(pool.whole());
}

TEST_CASE("Discs that wait for memory take turns", "[export]") {
  PayloadPool pool(0);
  std::vector<std::unique_ptr<Guest>> guests;
  for (int i = 0; i < 6; ++i) guests.push_back(std::make_unique<Guest>(pool));
  for (auto& guest : guests)
    for (int i = 0; i < 4; ++i) guest->ask(8 << 20, 7);  // One each is all that the share allows.
  const auto holding = [&] {
    std::size_t count = 0;
    for (auto& guest : guests) count += guest->held.size();
    return count;
  };
  CHECK(holding() == 3);
  // Whoever gives back goes behind those that had nothing yet.
  for (const std::size_t i : {0u, 1u, 2u}) {
    guests[i]->give_back(0);
    CHECK(guests[i + 3]->held.size() == 1);
  }
  guests[3]->give_back(0);
  CHECK(guests[0]->held.size() == 1);
  for (unsigned rounds = 0; holding() > 0; ++rounds) {
    REQUIRE(rounds < 100);
    for (auto& guest : guests)
      if (!guest->held.empty()) guest->give_back(0);
  }
  for (auto& guest : guests) CHECK(guest->wanted.empty());
  CHECK(pool.whole());
}

TEST_CASE("Leases never overlap, and everybody is served in the end", "[export]") {
  const auto seed = GENERATE(range(0u, 60u));
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto below = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  PayloadPool pool(0);
  std::vector<std::unique_ptr<Guest>> guests;
  for (int i = 0; i < 5; ++i) guests.push_back(std::make_unique<Guest>(pool));

  constexpr std::uint32_t sizes[] = {0, 4096, 4096, 4096, 8192, 65536, 100000, 1 << 20, 4 << 20};
  for (int step = 0; step < 600; ++step) {
    Guest& guest = *guests[below(guests.size())];
    const bool more = guest.wanted.size() < 4 && below(100) < 55;
    if (more) guest.ask(sizes[below(std::size(sizes))], static_cast<unsigned char>(1 + step % 250));
    if (!more && !guest.held.empty()) guest.give_back(below(guest.held.size()));
  }
  for (unsigned rounds = 0; !pool.whole(); ++rounds) {
    REQUIRE(rounds < 10000);
    for (auto& guest : guests)
      if (!guest->held.empty()) guest->give_back(below(guest->held.size()));
  }
  for (auto& guest : guests) {
    CHECK(guest->intact);
    CHECK(guest->wanted.empty());
    CHECK(!guest->waiting);
  }
}
