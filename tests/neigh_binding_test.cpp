#include "head/neigh/binding.hpp"
#include "tests/numbered.hpp"

#include <catch2/catch.hpp>

using namespace head::neigh;
using tests::mac;
using namespace std::chrono_literals;

namespace {

Binding of(unsigned lladdr, std::uint64_t generation, Source source) {
  return {.lladdr = mac(lladdr), .source = source, .generation = generation};
}

}  // namespace

TEST_CASE("who is right about a link-layer address", "[neigh]") {
  struct Case {
    const char* what;
    Binding held, claim;
    Ruling ruling;
    Binding after;
  };
  const Binding nobody;
  const auto each = GENERATE_COPY(values<Case>({
      {"nobody knew", nobody, of(1, 0, Source::catalogue), Ruling::first,
       of(1, 0, Source::catalogue)},
      {"nobody knew, and the wire says", nobody, of(1, 0, Source::wire), Ruling::first,
       of(1, 0, Source::wire)},
      {"who knows nothing changes nothing", of(1, 3, Source::wire), nobody, Ruling::confirmed,
       of(1, 3, Source::wire)},
      {"a newer generation wins", of(1, 3, Source::operator_), of(2, 4, Source::catalogue),
       Ruling::moved, of(2, 4, Source::catalogue)},
      {"and over the wire", of(1, 3, Source::wire), of(2, 4, Source::catalogue), Ruling::moved,
       of(2, 4, Source::catalogue)},
      {"an older one does not", of(1, 3, Source::catalogue), of(2, 2, Source::operator_),
       Ruling::overruled, of(1, 3, Source::catalogue)},
      {"nor the same", of(1, 3, Source::catalogue), of(2, 3, Source::catalogue), Ruling::overruled,
       of(1, 3, Source::catalogue)},
      {"the wire beats the catalogue, and keeps its generation", of(1, 3, Source::catalogue),
       of(2, 0, Source::wire), Ruling::moved, of(2, 3, Source::wire)},
      {"without a newer generation the wire stays right", of(2, 3, Source::wire),
       of(1, 3, Source::catalogue), Ruling::overruled, of(2, 3, Source::wire)},
      {"so it does where nobody has generations", of(2, 0, Source::wire),
       of(1, 0, Source::operator_), Ruling::overruled, of(2, 0, Source::wire)},
      {"what was announced is what the wire says, until it says otherwise",
       of(1, 3, Source::catalogue), of(2, 0, Source::announcement), Ruling::moved,
       of(2, 3, Source::announcement)},
      {"and verified when it does", of(2, 3, Source::announcement), of(2, 0, Source::wire),
       Ruling::confirmed, of(2, 3, Source::wire)},
      {"what the wire confirms is still the operator's word", of(1, 3, Source::operator_),
       of(1, 0, Source::wire), Ruling::confirmed, of(1, 3, Source::operator_)},
      {"a catalogue that follows the wire changes nothing", of(1, 3, Source::wire),
       of(1, 3, Source::catalogue), Ruling::confirmed, of(1, 3, Source::wire)},
      {"a newer generation of the same is kept", of(1, 3, Source::wire),
       of(1, 9, Source::catalogue), Ruling::confirmed, of(1, 9, Source::catalogue)},
  }));
  CAPTURE(each.what);
  CHECK(rule(each.held, each.claim) == each.ruling);
  CHECK(merge(each.held, each.claim) == each.after);
}

TEST_CASE("an address that changes to and fro is told of once a second", "[neigh]") {
  Flaps flaps;
  Instant now(1h);
  int told = 0;
  for (int i = 0; i < 100; ++i, now += 100ms) told += flaps.count(now) ? 1 : 0;
  CHECK(flaps.flapping(now));
  CHECK(told >= 10);
  CHECK(told <= 14);
  SECTION("until it is calm") {
    CHECK_FALSE(flaps.flapping(now + 10s));
    CHECK(flaps.count(now + 10s));
    CHECK_FALSE(flaps.flapping(now + 10s));
  }
}

TEST_CASE("seldom moves are none of that", "[neigh]") {
  Flaps flaps;
  Instant now(1h);
  for (int i = 0; i < 100; ++i, now += 11s) {
    CHECK(flaps.count(now));
    CHECK_FALSE(flaps.flapping(now));
  }
}
