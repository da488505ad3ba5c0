#include "head/neigh/limits.hpp"

#include "head/base/log.hpp"
#include "head/neigh/sizing.hpp"

#include <cerrno>
#include <system_error>

namespace head::neigh {

namespace {

// Other entries come and go; following each of them would mean writing the limits all the time.
std::uint64_t rounded_up(std::uint64_t entries) {
  return (entries + 255) / 256 * 256;
}

}  // namespace

Limits::Limits(const std::string& netns, std::uint32_t max) : max_(max) {
  netlink::read_table(reader_, status_.table);
  status_.original = status_.table.limits;
  try {
    writer_.emplace(netns);
  } catch (const std::system_error& error) {
    no_writer_ = std::string("the limits of the neighbour table cannot be raised: ") + error.what();
    const int why = error.code().value();
    if (why == EPERM || why == EACCES)
      no_writer_ +=
          "; that needs CAP_SYS_ADMIN and CAP_SYS_PTRACE: start headd as root, or set "
          "net.ipv6.neigh.default.gc_thresh1, 2 and 3 there with sysctl";
  }
}

std::uint64_t Limits::others(std::uint64_t ours) const noexcept {
  return status_.table.entries > ours ? status_.table.entries - ours : 0;
}

netlink::TableLimits Limits::size(std::uint64_t discs, std::uint64_t others) const noexcept {
  return size_for(status_.table.limits, discs, rounded_up(others), max_);
}

bool Limits::too_low(std::uint64_t discs, std::uint64_t ours) {
  if (const auto error = netlink::read_table(reader_, status_.table)) {
    fail("the neighbour table's limits cannot be read: " + error.message());
    return false;
  }
  status_.wanted = size(discs, others(ours));
  if (!(status_.wanted == status_.table.limits)) return true;
  status_.problem.clear();
  return false;
}

bool Limits::ensure(std::uint64_t discs, std::uint64_t ours) {
  if (!too_low(discs, ours)) return false;
  status_.sized_discs = discs;
  status_.sized_others = others(ours);
  const netlink::TableLimits before = status_.table.limits;
  if (!writer_) {
    fail(no_writer_);
    return false;
  }
  if (const auto error = netlink::write_limits(*writer_, status_.wanted)) {
    fail(netlink::explain_limits_error(error));
    return false;
  }
  netlink::read_table(reader_, status_.table);
  if (!(status_.table.limits == status_.wanted)) {
    fail("the kernel took other limits for the neighbour table than it was given");
    return false;
  }
  status_.problem.clear();
  log::info(
      "neighbour table: limits raised from {}/{}/{} to {}/{}/{} for {} neighbours of discs beside "
      "{} other entries, of all programs and network namespaces of this kernel",
      before.thresh1, before.thresh2, before.thresh3, status_.wanted.thresh1,
      status_.wanted.thresh2, status_.wanted.thresh3, discs, status_.sized_others);
  return true;
}

void Limits::fail(std::string problem) {
  if (problem != status_.problem) log::warning("{}", problem);  // Once, not every ten seconds.
  status_.problem = std::move(problem);
}

}  // namespace head::neigh
