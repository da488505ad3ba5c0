#include "tools/bench/neigh_listing.hpp"

#include "netlink/format.hpp"
#include "netlink/link.hpp"
#include "netlink/socket.hpp"
#include "netlink/table.hpp"
#include "tools/bench/headd.hpp"
#include "tools/bench/neigh_keeper.hpp"
#include "tools/bench/process.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <span>
#include <stdexcept>

namespace bench {
namespace {

struct Way {
  std::string name;
  std::string command;
  std::vector<double> ms{};
};

constexpr netlink::Mac tail_lladdr{0x02, 0, 0, 0, 0, 0xfe};

// The tail of all discs, in a network namespace of its own, to which it takes tail0. nbdkit takes
// one thread for each connection.
Process start_tail(const Scratch& scratch) {
  const std::string there = fmt::format(
      "nsenter --net=/proc/self/fd/9 ip link set tail0 netns $$;"
      "ip link set lo up; ip link set tail0 address {} up;"
      "ip -6 addr add 2001:db8::fe/64 dev tail0 nodad;"
      "ip -6 route add local 2001:db8::1:0:0/112 dev lo;"
      "exec nbdkit -f -t 1 -i :: null 1M",
      netlink::to_string(tail_lladdr));
  const std::string here = "exec 9</proc/self/ns/net; exec unshare --net sh -ec '" + there + "'";
  Process tail({"sh", "-c", here}, scratch / "tail.log");
  // Entries do not outlive the loss of carrier that taking tail0 away is.
  tail.await("carrying packets", [] {
    netlink::Socket socket;
    std::vector<netlink::Link> links;
    netlink::dump_links(socket, links);
    const auto is = [&](std::string_view name) {
      return std::any_of(links.begin(), links.end(), [&](const netlink::Link& link) {
        return link.name == name && link.running();
      });
    };
    return is("head0") && !is("tail0");
  });
  return tail;
}

void attach(const Headd& headd, std::span<const netlink::Entry> entries,
            const std::filesystem::path& list) {
  std::ofstream file(list);
  file << "{\"discs\": [";
  for (const netlink::Entry& entry : entries)
    file << fmt::format(
        R"({}{{"name": "d{}", "uri": "nbd://[{}]/", "lladdr": "{}", "dev": "head0"}})",
        &entry == entries.data() ? "" : ",\n", &entry - entries.data(),
        netlink::to_string(entry.key.address), netlink::to_string(entry.lladdr));
  file << "]}\n";
  file.close();
  headd.headctl({"import", list, "--wait"});
}

double milliseconds_of(const std::string& command, const Scratch& scratch) {
  const auto began = std::chrono::steady_clock::now();
  output_of({"sh", "-c", "exec " + command + " >/dev/null"}, scratch.path());
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began)
      .count();
}

}  // namespace

void measure_listing(const Common& common, unsigned count, Table& table) {
  const Scratch scratch;
  netlink::run_in_namespace({}, [&] {
    auto entries = numbered_entries(make_interface(scratch), count);
    const auto discs = std::min<std::size_t>(count, listed_discs_max);
    for (netlink::Entry& entry : std::span(entries).first(discs)) entry.lladdr = tail_lladdr;
    const Process tail = start_tail(scratch);
    netlink::Table kernel;
    if (!kernel.set(entries).empty()) throw std::runtime_error("an entry was refused");
    const Headd headd(common, scratch, "headd", "", {}, {});
    attach(headd, std::span(entries).first(discs), scratch / "discs.json");

    const std::string headctl = common.bin / "headctl";
    const std::string asking = fmt::format("{} --api {} neigh", headctl, headd.api().string());
    std::vector<Way> ways{{"ip -j -6 neigh show", "ip -j -6 neigh show"},
                          {"headctl neigh --json", asking + " --json"},
                          {"headctl neigh", asking},
                          {"headctl neigh --kernel --json", headctl + " neigh --kernel --json"},
                          {"headctl neigh --kernel", headctl + " neigh --kernel"}};
    for (unsigned round = 0; round < common.rounds; ++round)
      for (Way& way : ways) way.ms.push_back(milliseconds_of(way.command, scratch));
    const double of_ip = median(ways.front().ms);
    for (const Way& way : ways)
      table.add({way.name, static_cast<double>(count), static_cast<double>(discs), median(way.ms),
                 median(way.ms) / of_ip});
  });
}

}  // namespace bench
