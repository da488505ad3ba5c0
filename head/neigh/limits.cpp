#include "head/neigh/limits.hpp"

#include "head/base/log.hpp"
#include "head/neigh/sizing.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace head::neigh {

namespace {

constexpr auto lower_after = std::chrono::minutes(10);

// Discs and other entries come and go; following each of them would mean writing the limits all the
// time.
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

bool Limits::too_low(std::uint64_t discs, std::uint64_t ours) {
  const auto error = netlink::read_table(reader_, status_.table);
  looked_ = !error;
  if (error) {
    fail("the neighbour table's limits cannot be read: " + error.message());
    return false;
  }
  status_.sized_discs = discs;
  status_.sized_others = others(ours);
  const auto least = size_for({}, discs, status_.sized_others, max_);
  const netlink::TableLimits now = status_.table.limits;
  status_.wanted = now;
  if (larger(now, least) == now) {
    needed_ = larger(status_.original, least);
    status_.problem.clear();
    return false;
  }
  needed_ = larger(status_.original,
                   size_for({}, rounded_up(discs), rounded_up(status_.sized_others), max_));
  status_.wanted = larger(now, needed_);
  return true;
}

bool Limits::write(const netlink::TableLimits& limits) {
  if (!writer_) {
    fail(no_writer_);
    return false;
  }
  if (const auto error = netlink::write_limits(*writer_, limits)) {
    fail(netlink::explain_limits_error(error));
    return false;
  }
  netlink::read_table(reader_, status_.table);
  if (!(status_.table.limits == limits)) {
    fail("the kernel took other limits for the neighbour table than it was given");
    return false;
  }
  status_.problem.clear();
  written_ = status_.wanted = limits;
  return true;
}

bool Limits::ensure(std::uint64_t discs, std::uint64_t ours) {
  if (!too_low(discs, ours)) return false;
  const netlink::TableLimits before = status_.table.limits, after = status_.wanted;
  if (!write(after)) return false;
  log::info(
      "neighbour table: limits raised from {}/{}/{} to {}/{}/{} for {} neighbours of discs beside "
      "{} other entries, of all programs and network namespaces of this kernel",
      before.thresh1, before.thresh2, before.thresh3, after.thresh1, after.thresh2, after.thresh3,
      discs, status_.sized_others);
  return true;
}

void Limits::lower(std::chrono::steady_clock::time_point now) {
  const netlink::TableLimits at = status_.table.limits;
  const bool ours = looked_ && at == written_ && larger(at, needed_) == at;
  // Others have grown used to the room: more of them than are counted, or nearly as many as would
  // have any.
  const bool filled =
      status_.sized_others > others_most || status_.table.entries > needed_.thresh2 / 4 * 3;
  if (!ours || filled || needed_.thresh3 > at.thresh3 / 2) {
    much_less_since_ = {};
    return;
  }
  if (much_less_since_ == std::chrono::steady_clock::time_point{}) much_less_since_ = now;
  if (now - much_less_since_ < lower_after) return;
  much_less_since_ = {};
  if (write(needed_))
    log::info("neighbour table: limits lowered from {}/{}/{} to {}/{}/{}, which are enough again",
              at.thresh1, at.thresh2, at.thresh3, needed_.thresh1, needed_.thresh2,
              needed_.thresh3);
}

void Limits::fail(std::string problem) {
  if (problem != status_.problem) log::warning("{}", problem);  // Once, not every ten seconds.
  status_.problem = std::move(problem);
}

}  // namespace head::neigh
