#include "head/base/locks.hpp"
#include "netlink/socket.hpp"
#include "tests/folder.hpp"
#include "tests/log_lines.hpp"
#include "tests/scratch_namespace.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

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

// The second one removed the entries of the first as leftovers of a run before it.
TEST_CASE("one headd keeps the neighbour table of a network namespace", "[base][kernel]") {
  scratch::with_veth([](int) {
    auto first = lock_neighbours();
    REQUIRE(first);
    CHECK_THROWS_WITH(lock_neighbours(),
                      Contains(std::to_string(::getpid())) && Contains("--no-neigh"));
    netlink::run_in_namespace({}, [] { CHECK(lock_neighbours()); });

    // Whoever takes over has it as well.
    std::vector<iouring::UniqueFd> handed;
    handed.emplace_back(iouring::adopt, ::dup(first.fd()));
    inherit_locks(std::move(handed));
    const auto second = lock_neighbours();
    CHECK(second);
    first = {};
    CHECK_THROWS(lock_neighbours());
    // However many have asked: those who are turned away leave room.
    for (int i = 0; i < 2 * SOMAXCONN; ++i) {
      CHECK_THROWS(lock_neighbours());
      if (i % 1000 == 0) turn_away(second);
    }
  });
}

TEST_CASE("another user does not keep headd from its table", "[base][kernel]") {
  scratch::with_veth([](int) {
    int there[2];
    REQUIRE(::pipe(there) == 0);
    const ::pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::setresuid(65534, 65534, 65534) != 0) ::_exit(1);
      const auto lock = lock_neighbours();
      if (::write(there[1], lock ? "1" : "0", 1) == 1) ::pause();
      ::_exit(0);
    }
    char taken = 0;
    const bool said = ::read(there[0], &taken, 1) == 1;
    CHECK(said);
    CHECK(taken == '1');
    const tests::LogLines log;
    CHECK_FALSE(lock_neighbours());
    CHECK(log.count("by user 65534") == 1);
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    CHECK(lock_neighbours());
  });
}
