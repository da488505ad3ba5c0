// What can be wrong with the kernel's one neighbour table.
#include "head/neigh/doctor_parts.hpp"
#include "head/neigh/sizing.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace head::neigh {

namespace {

std::string text(const netlink::TableLimits& limits) {
  return fmt::format("{}/{}/{}", limits.thresh1, limits.thresh2, limits.thresh3);
}

std::string set_limits(const netlink::TableLimits& limits, bool initial_namespace) {
  const char* where = initial_namespace ? "" : "nsenter --net=/proc/1/ns/net ";
  return fmt::format(
      "{}sysctl -w net.ipv6.neigh.default.gc_thresh3={} net.ipv6.neigh.default.gc_thresh2={} "
      "net.ipv6.neigh.default.gc_thresh1={}",
      where, limits.thresh3, limits.thresh2, limits.thresh1);
}

std::uint64_t others_of(const KernelEvidence& kernel) {
  return kernel.table.entries - std::min<std::uint64_t>(kernel.on_account, kernel.table.entries);
}

// From nothing, so that it is said what is needed, and not what somebody set.
netlink::TableLimits needed(const KernelEvidence& kernel) {
  return size_for({}, kernel.neighbours, others_of(kernel), 1u << 24);
}

// With headd dead and the entries gone, the kernel makes two for each neighbour.
void look_at_limits(const Evidence& evidence, std::vector<Finding>& found) {
  const KernelEvidence& kernel = evidence.kernel;
  const netlink::TableLimits now = kernel.table.limits;
  const netlink::TableLimits need = needed(kernel);
  const std::uint64_t dead = others_of(kernel) + 2 * kernel.neighbours;
  const bool low =
      now.thresh1 < need.thresh1 || now.thresh2 < need.thresh2 || now.thresh3 < need.thresh3;
  const std::string problem = evidence.daemon ? evidence.daemon->limits_problem : "";
  if (!low && !problem.empty())
    found.push_back({"limits-not-writable", "", Gravity::warning,
                     "headd could not raise the table's limits, should that be needed", problem,
                     "headd --table-netns /proc/1/ns/net   # as root; or set them with sysctl"});
  if (!low) return;
  const std::string seen = fmt::format(
      "limits {}, needed {}; without headd {} neighbours of discs take 2 entries each, beside {} "
      "of "
      "others: {} together{}{}",
      text(now), text(need), kernel.neighbours, others_of(kernel), dead,
      problem.empty() ? "" : "; headd says: ", problem);
  const std::string fix = set_limits(larger(now, need), kernel.initial_namespace);
  if (dead >= now.thresh3)
    found.push_back({"limits", "", Gravity::stall,
                     "without headd the neighbour table is too small: the kernel would refuse new "
                     "entries, and requests would wait for ever",
                     seen, fix});
  else if (dead > now.thresh2)
    found.push_back({"limits", "", Gravity::stall,
                     "without headd the neighbour table is too small: the kernel would throw out "
                     "idle discs' entries all the time",
                     seen, fix});
  else
    found.push_back({"limits", "", Gravity::warning,
                     "the neighbour table's limits are lower than these discs need", seen, fix});
}

// Entries of other network namespaces may be exempt as well, which the kernel does not tell: more
// than the table takes of the others must be.
void look_at_room(const Evidence& evidence, std::vector<Finding>& found) {
  const KernelEvidence& kernel = evidence.kernel;
  const std::uint64_t most = kernel.table.limits.thresh3;
  // Kernels before 5.0, which do not keep NDA_PROTOCOL either, count exempt entries as well.
  const bool counts_all = evidence.daemon && !evidence.daemon->capabilities.protocol;
  const std::uint64_t all = kernel.table.entries;
  const std::uint64_t exempt = counts_all ? 0 : std::min(kernel.exempt, all);
  const std::uint64_t filled = all - exempt;
  const auto share = [&](unsigned percent) { return 100 * filled >= percent * most; };
  if (most == 0 || !share(80)) return;
  const bool unclear = filled > most && !counts_all;
  const bool full = share(95) && !unclear;
  const auto wider = larger(
      kernel.table.limits,
      size_for({}, std::max<std::uint64_t>(1, kernel.neighbours), others_of(kernel), 1u << 24));
  found.push_back(
      {"room", "", full ? Gravity::stall : Gravity::warning,
       unclear ? "how much room the neighbour table has left cannot be said: other network "
                 "namespaces have entries that are exempt from collection"
       : full  ? "the neighbour table is full: the kernel refuses new entries"
               : "the neighbour table has less than 20 % of its room left",
       fmt::format("{} entries, of which {} of ours are exempt, in a table of at most {}", all,
                   exempt, most),
       set_limits(wider, kernel.initial_namespace)});
}

void look_at_counters(const Evidence& evidence, std::vector<Finding>& found) {
  const netlink::TableState& now = evidence.kernel.table;
  const netlink::TableState began =
      evidence.daemon ? evidence.daemon->began : netlink::TableState{};
  const char* since = evidence.daemon ? "since headd began" : "since the machine started";
  const std::uint64_t overflows = now.table_fulls - std::min(began.table_fulls, now.table_fulls);
  const std::uint64_t forced =
      now.forced_gc_runs - std::min(began.forced_gc_runs, now.forced_gc_runs);
  if (overflows > 0)
    found.push_back({"overflows", "", evidence.daemon ? Gravity::stall : Gravity::warning,
                     "the kernel has refused neighbour entries because its table was full",
                     fmt::format("{} times {}", overflows, since), "headctl neigh limits"});
  if (forced > 0)
    found.push_back({"collections", "", Gravity::warning,
                     "the kernel has had to throw out neighbour entries to make room",
                     fmt::format("{} forced collections {}", forced, since),
                     "headctl neigh limits"});
}

void look_at_others(const Evidence& evidence, std::vector<Finding>& found) {
  const KernelEvidence& kernel = evidence.kernel;
  const std::uint64_t others = others_of(kernel);
  if (4 * others > kernel.table.limits.thresh3)
    found.push_back({"other-tenants", "", Gravity::warning,
                     "others fill much of the neighbour table, which all programs and network "
                     "namespaces of this kernel share",
                     fmt::format("{} entries of others, in a table of at most {}", others,
                                 kernel.table.limits.thresh3),
                     "headctl neigh --foreign ; ip -all netns exec ip -6 neigh show nud all"});
  if (kernel.foreign > 0)
    found.push_back({"foreign-entries", "", Gravity::warning,
                     "discs use neighbour entries that somebody else made, and that headd leaves "
                     "alone: it cannot say whether they stay, or follow a move",
                     fmt::format("{} neighbours of discs", kernel.foreign),
                     "headctl neigh --foreign   # then, for each: ip neigh del ADDRESS dev DEV"});
}

void look_at_routes(const Evidence& evidence, std::vector<Finding>& found) {
  const KernelEvidence& kernel = evidence.kernel;
  const bool routes = evidence.daemon && evidence.daemon->route_mode;
  const std::uint64_t discs =
      std::max(kernel.neighbours, routes ? evidence.daemon->discs : std::uint64_t{0});
  const std::uint64_t wanted = 2 * discs + 1024;
  if (!kernel.route_max_size || *kernel.route_max_size >= wanted) return;
  found.push_back({"route-max-size", "", Gravity::warning,
                   "the kernel keeps fewer IPv6 routes and path MTUs than there are discs",
                   fmt::format("net.ipv6.route.max_size is {}, {} neighbours of discs want {}",
                               *kernel.route_max_size, discs, wanted),
                   "sysctl -w net.ipv6.route.max_size=2147483647"});
}

}  // namespace

void look_at_table(const Evidence& evidence, std::vector<Finding>& found) {
  look_at_limits(evidence, found);
  look_at_room(evidence, found);
  look_at_counters(evidence, found);
  look_at_others(evidence, found);
  look_at_routes(evidence, found);
}

}  // namespace head::neigh
