#include "head/base/directory_lock.hpp"
#include "tests/folder.hpp"

#include <catch2/catch.hpp>

using namespace head;
using Catch::Matchers::Contains;

TEST_CASE("a directory has one owner, and then another", "[base]") {
  const test::Folder folder;
  {
    const auto first = lock_directory(folder.path, "--run-dir");
    CHECK_THROWS_WITH(lock_directory(folder.path, "--run-dir"), Contains(folder.path.native()) &&
                                                                    Contains("is running") &&
                                                                    Contains("--run-dir"));
  }
  CHECK(lock_directory(folder.path, "--run-dir"));
}

TEST_CASE("what cannot be locked is named, with the way out", "[base]") {
  const test::Folder folder;
  CHECK_THROWS_WITH(lock_directory(folder.path / "missing", "--run-dir"),
                    Contains("missing/lock") && Contains("--run-dir"));
}
