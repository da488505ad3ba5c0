#include "netlink/thresholds.hpp"

#include "netlink/message.hpp"
#include "netlink/parse.hpp"

#include <cerrno>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

namespace netlink {

namespace {

constexpr int ndtpa_mcast_reprobes = 17;
const std::string ndisc_cache = "ndisc_cache";

template <class Each>
std::error_code for_each_part(Socket& socket, Each&& each) {
  ndtmsg header{};
  header.ndtm_family = AF_INET6;
  return socket.query(
      [&](std::uint32_t sequence, std::vector<std::byte>& out) {
        Message()
            .start(RTM_GETNEIGHTBL, NLM_F_REQUEST | NLM_F_DUMP, sequence, header)
            .append_to(out);
      },
      true,
      [&](std::uint16_t type, Bytes payload) {
        if (type == RTM_NEWNEIGHTBL) each(parse_table(payload));
      });
}

template <class Fill>
std::error_code change_table(Socket& socket, Fill&& fill) {
  ndtmsg header{};
  header.ndtm_family = AF_INET6;
  return socket.request(
      [&](std::uint16_t flags, std::uint32_t sequence, std::vector<std::byte>& out) {
        Message message;
        message.start(RTM_SETNEIGHTBL, flags, sequence, header).put(NDTA_NAME, ndisc_cache);
        fill(message);
        message.append_to(out);
      });
}

}  // namespace

std::error_code read_table(Socket& socket, TableState& into) {
  bool found = false;
  const auto error = for_each_part(socket, [&](const TablePart& part) {
    if (!part.table) return;
    into = *part.table;
    found = true;
  });
  if (error) return error;
  return found ? std::error_code() : system_error(ENOENT);
}

std::error_code write_limits(Socket& socket, const TableLimits& limits) {
  // One message: the kernel sets all three under the table's lock, largest limit or smallest
  // first makes no difference to anybody.
  return change_table(socket, [&](Message& message) {
    message.put(NDTA_THRESH3, limits.thresh3)
        .put(NDTA_THRESH2, limits.thresh2)
        .put(NDTA_THRESH1, limits.thresh1);
  });
}

std::string explain_limits_error(std::error_code error) {
  if (error.value() == ENOENT)
    return "the limits of the neighbour table can be changed only from the initial network "
           "namespace; start headd there, or give it that namespace with "
           "--table-netns /proc/1/ns/net";
  if (error.value() == EPERM || error.value() == EACCES)
    return "changing the limits of the neighbour table needs CAP_NET_ADMIN; start headd as root "
           "or with that capability, or set net.ipv6.neigh.default.gc_thresh1, 2 and 3 with sysctl";
  return "the limits of the neighbour table could not be changed: " + error.message();
}

std::error_code read_timers(Socket& socket, std::vector<DeviceTimers>& into) {
  into.clear();
  return for_each_part(socket, [&](const TablePart& part) {
    if (part.device) into.push_back(*part.device);
  });
}

std::error_code write_timers(Socket& socket, int ifindex, const TimerChanges& changes) {
  return change_table(socket, [&](Message& message) {
    message.open(NDTA_PARMS).put(NDTPA_IFINDEX, static_cast<std::uint32_t>(ifindex));
    const auto put = [&](int type, const auto& value) {
      if (value) message.put(type, *value);
    };
    put(NDTPA_BASE_REACHABLE_TIME, changes.base_reachable_ms);
    put(NDTPA_RETRANS_TIME, changes.retrans_ms);
    put(NDTPA_DELAY_PROBE_TIME, changes.delay_first_probe_ms);
    put(NDTPA_UCAST_PROBES, changes.ucast_solicit);
    put(ndtpa_mcast_reprobes, changes.mcast_resolicit);
    put(NDTPA_APP_PROBES, changes.app_solicit);
    message.close();
  });
}

}  // namespace netlink
