#include "head/neigh/announcements.hpp"
#include "tests/numbered.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <vector>

using namespace head::neigh;

namespace {

using Message = std::vector<std::byte>;

Message message(std::uint8_t flags, std::vector<int> options) {
  Message made(24);
  made[0] = std::byte{136};
  made[4] = std::byte{flags};
  const auto target = tests::address(7);
  std::transform(target.begin(), target.end(), made.begin() + 8,
                 [](std::uint8_t byte) { return std::byte{byte}; });
  for (const int byte : options) made.push_back(static_cast<std::byte>(byte));
  return made;
}

const std::vector<int> lladdr{2, 1, 2, 0, 0, 0, 0, 9};

}  // namespace

TEST_CASE("an announcement is told as it is, override flag or not", "[neigh]") {
  const auto flags = GENERATE(std::uint8_t{0}, std::uint8_t{0x20}, std::uint8_t{0x80});
  const auto found = parse_announcement(message(flags, lladdr), 255, 3);
  REQUIRE(found);
  CHECK(*found == Announcement{{3, tests::address(7)}, tests::mac(9), (flags & 0x20) != 0, false});
}

TEST_CASE("an answer is told as one", "[neigh]") {
  const auto found = parse_announcement(message(0x60, lladdr), 255, 3);
  REQUIRE(found);
  CHECK(*found == Announcement{{3, tests::address(7)}, tests::mac(9), true, true});
}

TEST_CASE("options that are not known are passed over", "[neigh]") {
  std::vector<int> options{14, 1, 0, 0, 0, 0, 0, 0};
  options.insert(options.end(), lladdr.begin(), lladdr.end());
  CHECK(parse_announcement(message(0, options), 255, 3));
}

TEST_CASE("what is no announcement of a host's is not told", "[neigh]") {
  CHECK_FALSE(parse_announcement(message(0, lladdr), 254, 3));  // Not from this link.
  CHECK_FALSE(parse_announcement(message(0, {}), 255, 3));      // Without an address.
  CHECK_FALSE(parse_announcement(message(0, {2, 0, 0, 0, 0, 0, 0, 0}), 255, 3));
  CHECK_FALSE(parse_announcement(message(0, {2, 2, 2, 0, 0, 0, 0, 9}), 255, 3));
  CHECK_FALSE(parse_announcement(message(0, {2, 1, 3, 0, 0, 0, 0, 9}), 255, 3));  // Multicast.
  CHECK_FALSE(parse_announcement(message(0, {2, 1, 0, 0, 0, 0, 0, 0}), 255, 3));
  Message other = message(0, lladdr);
  other[0] = std::byte{135};
  CHECK_FALSE(parse_announcement(other, 255, 3));
  Message code = message(0, lladdr);
  code[1] = std::byte{1};
  CHECK_FALSE(parse_announcement(code, 255, 3));
  Message group = message(0, lladdr);
  group[8] = std::byte{0xff};
  CHECK_FALSE(parse_announcement(group, 255, 3));
  const Message whole = message(0, lladdr);
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK_FALSE(parse_announcement(std::span(whole).first(size), 255, 3));
}

TEST_CASE("our own announcement says where our address is, and that it overrides", "[neigh]") {
  const bool router = GENERATE(false, true);
  const auto said = announcement(tests::address(7), tests::mac(9), router);
  const Announcement ours{{3, tests::address(7)}, tests::mac(9), true, false};
  CHECK(parse_announcement(said, 255, 3) == ours);
  CHECK(said[4] == (router ? std::byte{0xa0} : std::byte{0x20}));
}
