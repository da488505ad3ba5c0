#include "tools/bench/neigh_listing.hpp"

#include "netlink/format.hpp"
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
#include <thread>

namespace bench {
namespace {

using namespace std::chrono_literals;

struct Way {
  std::string name;
  std::string command;
  std::vector<double> ms{};
};

// Discs that are on hold: their entries are kept, and nothing is sent to a tail.
void attach(const Headd& headd, std::span<const netlink::Entry> entries,
            const std::filesystem::path& list) {
  std::ofstream file(list);
  file << "{\"discs\": [";
  for (const netlink::Entry& entry : entries)
    file << fmt::format(
        R"({}{{"name": "d{}", "uri": "nbd://[{}]/", "lladdr": "{}", "dev": "head0", )"
        R"("order": "hold"}})",
        &entry == entries.data() ? "" : ",\n", &entry - entries.data(),
        netlink::to_string(entry.key.address), netlink::to_string(entry.lladdr));
  file << "]}\n";
  file.close();
  headd.headctl({"import", list});
  const std::string held = fmt::format(" {} held", entries.size());
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (headd.headctl({"status"}).find(held) == std::string::npos) {
    if (std::chrono::steady_clock::now() > deadline)
      throw std::runtime_error("headd did not hold all entries in time");
    std::this_thread::sleep_for(100ms);
  }
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
    const auto entries = numbered_entries(make_interface(scratch), count);
    netlink::Table kernel;
    if (!kernel.set(entries).empty()) throw std::runtime_error("an entry was refused");
    const auto discs = std::min<std::size_t>(count, listed_discs_max);
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
