#include "head/neigh/doctor.hpp"

#include "head/neigh/doctor_parts.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace head::neigh {

std::string_view to_string(Gravity gravity) noexcept {
  return gravity == Gravity::stall ? "stall" : "warning";
}

namespace {

void look_at_capabilities(const DaemonEvidence& daemon, std::vector<Finding>& found) {
  if (!daemon.enabled || !daemon.permitted) return;
  if (!daemon.choice.problem.empty())
    found.push_back(
        {"strategy", "", Gravity::warning, daemon.choice.problem,
         fmt::format("the kernel was probed: {}", in_words(daemon.capabilities)),
         "set strategy = \"auto\" in [neighbours] of head.toml, then: systemctl restart "
         "headd"});
  if (!daemon.capabilities.problem.empty())
    found.push_back({"not-probed", "", Gravity::warning,
                     "what this kernel's neighbour table can do could not be found out, so that "
                     "it is guessed",
                     daemon.capabilities.problem,
                     "headctl neigh limits   # is there room?\nsystemctl restart headd"});
  if (!daemon.capabilities.ext_learned)
    found.push_back(
        {"not-exempt", "", Gravity::warning,
         "this kernel does not exempt our entries from collection: only the table's "
         "limits keep them",
         fmt::format("the kernel was probed: {}", in_words(daemon.capabilities)),
         "headctl neigh limits   # they must be enough; a kernel from 4.20 on is better"});
}

void look_at_keeper(const DaemonEvidence& daemon, std::vector<Finding>& found) {
  if (!daemon.enabled)
    found.push_back({"keeper-off", "", daemon.discs > 0 ? Gravity::stall : Gravity::warning,
                     "headd leaves neighbours to the kernel: requests wait for discovery whenever "
                     "an entry is not there",
                     fmt::format("--no-neigh, or enabled = false; {} discs", daemon.discs),
                     "take --no-neigh from headd's command line, and enabled = false from "
                     "[neighbours] of head.toml, then: systemctl restart headd"});
  else if (!daemon.permitted)
    found.push_back({"not-permitted", "", Gravity::stall,
                     "headd may not change the neighbour table, so that no entries are kept",
                     "the kernel answers that CAP_NET_ADMIN is lacking",
                     "systemctl edit headd   # [Service] AmbientCapabilities=CAP_NET_ADMIN\n"
                     "systemctl restart headd"});
  if (daemon.stalls > 0)
    found.push_back(
        {"stalled", "", Gravity::stall,
         "requests have waited for neighbour discovery since headd began",
         fmt::format("{} requests, {:.3f} s together", daemon.stalls, daemon.stall_seconds),
         "headctl stalls ; headctl neigh watch --since 1h"});
  if (daemon.notifications_lost > 0)
    found.push_back({"notifications-lost", "", Gravity::warning,
                     "the kernel told more of its neighbours than headd could hear; each time the "
                     "whole table was read again",
                     fmt::format("{} times since headd began", daemon.notifications_lost),
                     "sysctl -w net.core.rmem_max=67108864 ; systemctl restart headd"});
}

void look_at_bindings(const DaemonEvidence& daemon, std::vector<Finding>& found) {
  if (daemon.conflicts > 0)
    found.push_back(
        {"conflicts", "", Gravity::warning,
         "discs are at other link-layer addresses than was told: they moved, or what "
         "was told is wrong",
         fmt::format("{} addresses; {}", daemon.conflicts, daemon.conflict),
         "headctl neigh --conflicts ; headctl move NAME --lladdr MAC   # if it is right"});
  if (daemon.claims > 0)
    found.push_back(
        {"claims", "", Gravity::warning,
         "another host says that it has addresses of discs, whose tail still answers: it is not "
         "followed",
         fmt::format("{} addresses; {}", daemon.claims, daemon.claim),
         "headctl neigh --conflicts   # then find that host by its link-layer address; if it is "
         "right: headctl move NAME --lladdr MAC"});
  if (daemon.flapping > 0)
    found.push_back({"flapping", "", Gravity::stall,
                     "addresses change to and fro between hosts: two of them have the same one",
                     fmt::format("{} addresses; {}", daemon.flapping, daemon.flapper),
                     "headctl neigh --conflicts   # then take the address from one of the hosts"});
  if (daemon.silent_moves > 0)
    found.push_back({"silent-moves", "", Gravity::stall,
                     "tails take discs over without announcing it: requests wait until the old "
                     "link-layer address has not answered",
                     fmt::format("{} times an address that had answered was found at another host "
                                 "by asking, with no unsolicited advertisement (override) before; "
                                 "last disc {}",
                                 daemon.silent_moves, daemon.silent_mover),
                     "sysctl -w net.ipv6.conf.all.ndisc_notify=1   # on the tails, and for the "
                     "interface that has the discs' addresses"});
  if (daemon.route_mode && !daemon.listening)
    found.push_back({"routes-unheard", "", Gravity::stall,
                     "headd cannot hear who announces a disc's address, and in route mode nothing "
                     "else follows a disc that moves: requests wait until headd asks for it",
                     "neighbours.mode is \"routes\", and headd lacks CAP_NET_RAW or "
                     "neighbours.announcements is false",
                     "systemctl edit headd   # [Service] AmbientCapabilities=CAP_NET_ADMIN "
                     "CAP_NET_RAW\nsystemctl restart headd"});
  if (daemon.route_mode && daemon.tails_bad > 0)
    found.push_back({"tails-without-answer", "", Gravity::warning,
                     "tails do not answer at their link-local address: their discs are kept as "
                     "neighbours, not led by routes",
                     fmt::format("{} next hops", daemon.tails_bad),
                     "editor /etc/head/head.toml   # [tails] NAME = \"MAC fe80::ADDRESS\"\n"
                     "systemctl restart headd"});
  for (const std::string& pair : daemon.twins)
    found.push_back(
        {"same-export", pair, Gravity::warning,
         fmt::format("discs {} are one export, and can be written through both; what one "
                     "writes the other may take for another disc's",
                     pair),
         "the same address, port and name in their URIs",
         "headctl detach NAME   # the one that ought not to be; or attach both anew with "
         "--identity shape"});
}

void look_at_files(const DaemonEvidence& daemon, std::vector<Finding>& found) {
  if (daemon.deaf != 0)
    found.push_back({"no-listener", "", Gravity::stall,
                     fmt::format("no guest can connect to {} discs, whose sockets could not be "
                                 "opened; headd tries again every second",
                                 daemon.deaf),
                     daemon.deaf_disc,
                     "prlimit --pid $(pidof headd) --nofile=65536   # where descriptors have run "
                     "out"});
  if (daemon.files_max == 0) return;
  const std::uint64_t left = daemon.files_max - std::min(daemon.files, daemon.files_max);
  if (left >= std::max<std::uint64_t>(64, daemon.files_max / 20)) return;
  found.push_back({"open-files", "", Gravity::warning,
                   "headd has hardly any descriptors left: discs and guests will be refused",
                   fmt::format("{} of {} are open, with {} discs", daemon.files, daemon.files_max,
                               daemon.discs),
                   fmt::format("systemctl edit headd   # [Service] LimitNOFILE={}\n"
                               "systemctl restart headd",
                               std::max<std::uint64_t>(65'536, 4 * daemon.files_max))});
}

// What the kernel takes counts for the machine, and for a group as well.
void look_at_memory(const DaemonEvidence& daemon, std::vector<Finding>& found) {
  const auto mib = [](std::uint64_t bytes) { return bytes >> 20; };
  if (!daemon.memory_objection.empty())
    found.push_back({"memory-account", "", Gravity::warning,
                     "more is attached than the configuration has memory for: no further disc is "
                     "attached",
                     daemon.memory_objection,
                     "editor /etc/head/head.toml   # [memory]\nheadctl reload"});
  if (daemon.memory_there != 0 && daemon.memory + daemon.kernel_memory > daemon.memory_there)
    found.push_back(
        {"memory-machine", "", Gravity::warning,
         fmt::format("headd may take more memory than {} has, if guests and tails do their worst",
                     daemon.memory_of),
         fmt::format("up to {} MiB itself, and {} MiB of the kernel's, of {} MiB",
                     mib(daemon.memory), mib(daemon.kernel_memory), mib(daemon.memory_there)),
         "headctl status --json   # \"memory\" has the parts; lower data.guests_max, say"});
  else if (daemon.tcp_limit != 0 && daemon.tail_sockets > daemon.tcp_limit)
    found.push_back({"memory-machine", "", Gravity::warning,
                     "the kernel lets all TCP sockets have less than those to tails may want: when "
                     "tails do not read, others are slowed as well",
                     fmt::format("up to {} MiB to and from tails, of {} MiB (net.ipv4.tcp_mem)",
                                 mib(daemon.tail_sockets), mib(daemon.tcp_limit)),
                     "sysctl -w net.ipv4.tcp_mem=...   # more, in pages"});
}

}  // namespace

std::string in_words(const netlink::Capabilities& kernel) {
  const auto word = [](bool can) { return can ? "kept" : "not kept"; };
  return fmt::format(
      "EXT_LEARNED is {}, EXT_VALIDATED is {}, EXT_MANAGED is {}, NDA_PROTOCOL is {}",
      word(kernel.ext_learned), word(kernel.validated), word(kernel.managed),
      word(kernel.protocol));
}

std::vector<Finding> diagnose(const Evidence& evidence) {
  std::vector<Finding> found;
  if (!evidence.daemon && !evidence.no_daemon.empty())
    found.push_back({"no-daemon", "", Gravity::warning,
                     "no headd answers: discs are not served, and nobody keeps the table",
                     evidence.no_daemon, "systemctl start headd"});
  if (!evidence.kernel.problem.empty())
    found.push_back({"unreadable", "", Gravity::warning,
                     "the kernel does not tell all that there is to look at",
                     evidence.kernel.problem, "headctl doctor   # as root, where headd runs"});
  look_at_table(evidence, found);
  look_at_interfaces(evidence, found);
  if (evidence.daemon) {
    look_at_capabilities(*evidence.daemon, found);
    look_at_keeper(*evidence.daemon, found);
    look_at_discs(*evidence.daemon, found);
    look_at_bindings(*evidence.daemon, found);
    look_at_files(*evidence.daemon, found);
    look_at_memory(*evidence.daemon, found);
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Finding& a, const Finding& b) { return a.gravity > b.gravity; });
  return found;
}

int exit_status(std::span<const Finding> findings) noexcept {
  int status = 0;
  for (const Finding& finding : findings)
    status = std::max(status, finding.gravity == Gravity::stall ? 2 : 1);
  return status;
}

std::string_view verdict(std::span<const Finding> findings) noexcept {
  constexpr std::string_view words[] = {"well", "warnings", "can-stall"};
  return words[exit_status(findings)];
}

}  // namespace head::neigh
