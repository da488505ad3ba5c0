#include "tools/bench/crowd.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <fstream>
#include <sched.h>
#include <sys/resource.h>
#include <system_error>

namespace bench {

void enter_crowd(const std::filesystem::path& scratch) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  if (::unshare(CLONE_NEWNET) != 0)
    throw std::system_error(errno, std::generic_category(),
                            "making a network namespace (this benchmark needs root)");
  output_of({"ip", "link", "set", "lo", "up"}, scratch);
  output_of({"ip", "-6", "route", "add", "local", "fd00:d15c::/64", "dev", "lo"}, scratch);
}

// One thread per session is plenty for idle ones, and ten thousand times sixteen is too many.
Process crowd_tail(const Scratch& scratch) {
  Process tail(
      {"nbdkit", "-f", "-t", "1", "-i", "::", "-p", std::to_string(crowd_port), "null", "1G"},
      scratch / "tail.log");
  tail.await("listening", [] { return listens(crowd_port); });
  return tail;
}

std::string crowd_address(unsigned disc) {
  return fmt::format("fd00:d15c::1:{:x}", disc + 1);
}

void attach_crowd(const Headd& headd, unsigned discs, const std::filesystem::path& list) {
  std::ofstream file(list);
  for (unsigned disc = 0; disc < discs; ++disc)
    file << fmt::format("d{} nbd://[{}]:{}/\n", disc, crowd_address(disc), crowd_port);
  file.close();
  headd.headctl({"import", list, "--wait"});
}

}  // namespace bench
