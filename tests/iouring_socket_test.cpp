#include "iouring/socket.hpp"
#include "tests/folder.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <cstring>
#include <exception>
#include <fstream>
#include <netinet/in.h>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <system_error>

using namespace iouring;
using Catch::Matchers::Contains;
using head::test::Folder;

namespace {

struct stat stat_of(const std::filesystem::path& path) {
  struct stat there {};
  REQUIRE(::stat(path.c_str(), &there) == 0);
  return there;
}

UniqueFd connect_to(const std::filesystem::path& path) {
  UniqueFd fd(adopt, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  REQUIRE(::connect(fd.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

}  // namespace

TEST_CASE("a listener's file has the mode and the group that were asked for", "[iouring]") {
  const Folder folder;
  const auto path = folder.path / "a.sock";
  const auto listener = unix_listener(path.native(), {.mode = 0620, .group = ::getegid()}, 4);
  CHECK((stat_of(path).st_mode & 07777) == 0620);
  CHECK(stat_of(path).st_gid == ::getegid());
}

TEST_CASE("a listener takes the place of one that still lives", "[iouring]") {
  // The ring of a daemon that was killed may hold its listener for a while.
  const Folder folder;
  const auto path = folder.path / "a.sock";
  const auto left = unix_listener(path.native(), {}, 4);
  const auto mine = unix_listener(path.native(), {}, 4);
  const auto client = connect_to(path);
  CHECK(UniqueFd(adopt, ::accept4(mine.fd(), nullptr, nullptr, SOCK_NONBLOCK)));
}

TEST_CASE("a listener replaces nothing but sockets", "[iouring]") {
  const Folder folder;
  const auto path = folder.path / "file";
  std::ofstream(path) << "precious";
  CHECK_THROWS_WITH(unix_listener(path.native(), {}, 4),
                    Contains(path.native()) && Contains("is not a socket"));
  CHECK(std::filesystem::file_size(path) == 8);
}

TEST_CASE("a listener that lacks a file number says where to get more", "[iouring]") {
  const Folder folder;
  rlimit files{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &files) == 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = files.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  std::exception_ptr failure;
  try {
    unix_listener((folder.path / "a.sock").native(), {}, 4);
  } catch (...) {
    failure = std::current_exception();  // To look into it, a sanitizer wants files.
  }
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &files) == 0);
  REQUIRE(failure);
  CHECK_THROWS_WITH(std::rethrow_exception(failure),
                    Contains("a.sock") && Contains("LimitNOFILE="));
}

TEST_CASE("the last file numbers are kept from sockets of discs and guests", "[iouring]") {
  rlimit files{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &files) == 0);
  const rlimit few{.rlim_cur = 1000, .rlim_max = files.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  CHECK_FALSE(is_reserved(935));
  CHECK(is_reserved(936));
  // Below 256 none were kept, and the API answered no more.
  const rlimit fewer{.rlim_cur = 100, .rlim_max = files.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &fewer) == 0);
  CHECK_FALSE(is_reserved(74));
  CHECK(is_reserved(75));
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &files) == 0);
}

// Discs stayed `reconnecting` for as long as a client of the API had the last number below those.
TEST_CASE("a socket that gives its number back at once may have one of the last", "[iouring]") {
  rlimit files{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &files) == 0);
  UniqueFd next(adopt, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int number = next.fd();  // That the next one will have, and the first that is kept.
  next = {};
  const rlimit few{.rlim_cur = static_cast<rlim_t>(number + number / 3),
                   .rlim_max = files.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  const bool kept = is_reserved(number);
  const bool refused = !tcp_socket({}, "");
  const bool taken = static_cast<bool>(tcp_socket({}, "", true));
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &files) == 0);
  REQUIRE(kept);
  CHECK(refused);
  CHECK(taken);
}

TEST_CASE("a send buffer is as wide as it was made", "[iouring]") {
  const UniqueFd fd(adopt, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  widen_send_buffer(fd.fd(), 300'000);
  int size = 0;
  socklen_t length = sizeof size;
  REQUIRE(::getsockopt(fd.fd(), SOL_SOCKET, SO_SNDBUF, &size, &length) == 0);
  CHECK(size >= 2 * 212'992);  // What anybody may have; the kernel counts everything twice.
}

TEST_CASE("a listener's path has a bound", "[iouring]") {
  CHECK_THROWS_WITH(unix_listener("/tmp/" + std::string(200, 'a'), {}, 4),
                    Contains("107 bytes") && Contains("--run-dir"));
}

TEST_CASE("of a process that is killed a tail sees a reset", "[iouring]") {
  sockaddr_storage any{};
  auto& loopback = reinterpret_cast<sockaddr_in6&>(any);
  loopback.sin6_family = AF_INET6;
  loopback.sin6_addr = in6addr_loopback;
  const UniqueFd listener = tcp_listener(any, 4);
  socklen_t size = sizeof any;
  REQUIRE(::getsockname(listener.fd(), reinterpret_cast<sockaddr*>(&any), &size) == 0);
  UniqueFd head = tcp_socket({}, "");
  const auto connected = ::connect(head.fd(), reinterpret_cast<const sockaddr*>(&any), size);
  REQUIRE((connected == 0 || errno == EINPROGRESS));
  const UniqueFd tail(adopt, ::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
  REQUIRE(tail);
  head = {};  // As the kernel does then.
  char byte = 0;
  CHECK(::recv(tail.fd(), &byte, 1, 0) == -1);
  CHECK(errno == ECONNRESET);
}
