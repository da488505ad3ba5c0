// What a tail of head-bench chaos stores, and what it loses.
#include "tests/check/pattern.hpp"
#include "tests/folder.hpp"
#include "tools/bench/chaos_store.hpp"

#include <catch2/catch.hpp>

#include <array>

using bench::chaos::Store;

namespace {

constexpr std::uint64_t bytes = 8 * check::sector_bytes;
using Block = std::array<std::byte, check::sector_bytes>;

Block block(check::Change change) {
  Block sector;
  check::fill(sector, change, 0, 0);
  return sector;
}

check::Change there(const Store& store) {
  const auto sector = store.read(0, check::sector_bytes).first<check::sector_bytes>();
  return check::origin_of(sector, {})->change;
}

}  // namespace

TEST_CASE("chaos: a store loses with its process what was not flushed", "[bench][chaos]") {
  const head::test::Folder folder;
  {
    Store store(folder / "disc", bytes);
    store.write(0, block(1));
    store.flush();
    store.write(0, block(2));
    CHECK(there(store) == 2);
  }
  CHECK(there(Store(folder / "disc", bytes)) == 1);
}

TEST_CASE("chaos: what a store has forgotten is there for a while", "[bench][chaos]") {
  const head::test::Folder folder;
  Store store(folder / "disc", bytes);
  store.write(0, block(1));
  store.forget();
  store.flush();  // It finds nothing to do.
  CHECK(there(store) == 1);
  SECTION("and then not") {
    store.drop_forgotten();
    CHECK(there(store) == 0);
  }
  SECTION("and for good when it is written again") {
    store.write(0, block(1));
    store.drop_forgotten();
    CHECK(there(store) == 1);
    store.flush();
    CHECK(there(Store(folder / "disc", bytes)) == 1);
  }
}
