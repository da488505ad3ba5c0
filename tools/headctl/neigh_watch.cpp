// neigh watch: the kernel's word on its neighbour entries, and on headd's routes, a line for each
// change.
#include "netlink/format.hpp"
#include "netlink/host_routes.hpp"
#include "netlink/monitor.hpp"
#include "netlink/table.hpp"
#include "tools/headctl/commands.hpp"
#include "tools/headctl/kernel_neighbours.hpp"
#include "tools/headctl/neigh_change.hpp"
#include "tools/headctl/output.hpp"
#include "tools/headctl/since.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <poll.h>
#include <system_error>
#include <utility>

namespace headctl {

namespace {

using netlink::Neighbour;
using nlohmann::json;
using std::chrono::steady_clock;

std::string time_text(double since_1970, bool whole) {
  const auto seconds = static_cast<std::time_t>(since_1970);
  const auto ms = static_cast<int>((since_1970 - static_cast<double>(seconds)) * 1e3);
  return whole ? fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds), ms)
               : fmt::format("{:%H:%M:%S}.{:03}", fmt::localtime(seconds), ms);
}

std::string time_now(bool whole) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return time_text(std::chrono::duration<double>(now).count(), whole);
}

// Which disc an entry is of, as headd says: asked again, not too often, for what is not known, and
// now and then for what was.
class Discs {
 public:
  explicit Discs(const Context& context) : context_(context) {}

  std::string of(const std::string& address, const std::string& dev) {
    const std::pair key(address, dev);
    if (discs_.count(key) == 0 || steady_clock::now() - asked_ > kept) ask();
    const auto at = discs_.find(key);
    return at != discs_.end() ? at->second : "";
  }

 private:
  void ask() {
    if (asked_ != steady_clock::time_point() && steady_clock::now() - asked_ < pause) return;
    asked_ = steady_clock::now();
    try {
      const nlohmann::json answer = context_.client().get("/v1/neighbours");
      discs_.clear();
      for (const char* kind : {"entries", "routes"})
        for (const auto& entry : answer.value(kind, json::array()))
          if (!entry["discs"].empty())
            discs_[{entry["address"].get<std::string>(), entry["dev"].get<std::string>()}] =
                entry["discs"][0].get<std::string>();
    } catch (const Failure&) {
      // No headd: the kernel's word stands without discs.
    }
  }

  static constexpr std::chrono::seconds pause{2}, kept{30};
  const Context& context_;
  steady_clock::time_point asked_{};
  std::map<std::pair<std::string, std::string>, std::string> discs_;  // By address and interface.
};

class Watch {
 public:
  Watch(const Context& context, const NeighWatchOptions& options)
      : context_(context), options_(options), discs_(context) {
    for (Neighbour& entry : dumped()) entries_[entry.key] = std::move(entry);
    std::vector<netlink::HostRoute> routes;
    netlink::Socket socket;
    netlink::dump_routes(socket, routes);
    for (const netlink::HostRoute& route : routes) routes_[route.address] = route;
  }

  void run() {
    const auto end = steady_clock::now() + std::chrono::seconds(options_.seconds);
    if (!options_.since.empty()) tell_past();
    note(fmt::format("watching {} entries", entries_.size()));
    while (options_.seconds == 0 || steady_clock::now() < end) {
      pollfd readable{monitor_.fd(), POLLIN, 0};
      ::poll(&readable, 1, 200);
      const netlink::Changes changes = monitor_.read();
      lost_ = lost_ || changes.lost;
      for (const auto& link : changes.links) names_[link.link.ifindex] = link.link.name;
      for (const auto& [entry, gone] : changes.neighbours) take(entry, gone);
      for (const auto& [route, gone] : changes.host_routes) take(route, gone);
      if (lost_ && changes.drained) look_again();
      if (std::fflush(stdout) != 0) return;
    }
  }

 private:
  void tell_past() {
    const auto since = parse_since(options_.since, std::time(nullptr));
    if (!since) throw Failure(Exit::usage, since_rule);
    json answer = context_.client().get(fmt::format("/v1/neighbours/changes?since={}", *since));
    for (json& change : answer["changes"]) {
      if (!wanted(change["dev"], change.value("disc", ""))) continue;
      const std::string time = time_text(change["time"].get<double>(), true);
      change["time"] = time;
      print(context_.json ? change.dump() + "\n" : change_line(change, time) + "\n");
    }
  }

  bool wanted(const std::string& dev, const std::string& disc) const {
    const auto passes = [](const std::vector<std::string>& only, const std::string& one) {
      return only.empty() || std::find(only.begin(), only.end(), one) != only.end();
    };
    return passes(options_.devs, dev) && passes(options_.discs, disc);
  }

  static std::vector<Neighbour> dumped() {
    std::vector<Neighbour> entries;
    if (const auto error = netlink::dump(entries))
      throw Failure(Exit::refused, "cannot read the neighbour table: " + error.message());
    return entries;
  }

  void take(const Neighbour& entry, bool gone) {
    NeighChange change;
    const auto at = entries_.find(entry.key);
    if (at != entries_.end()) change.before = at->second;
    if (!gone) change.after = entry;
    if (gone && at == entries_.end()) return;
    if (gone)
      entries_.erase(at);
    else
      entries_[entry.key] = entry;
    tell(change);
  }

  // What headd renews stays as it is.
  void take(const netlink::HostRoute& route, bool gone) {
    RouteChange change;
    const auto at = routes_.find(route.address);
    if (at != routes_.end()) change.before = at->second;
    if (!gone) change.after = route;
    // Of one that was replaced the kernel tells the end after the beginning.
    if (gone && (!change.before || change.before->next_hop != route.next_hop)) return;
    if (gone)
      routes_.erase(at);
    else
      routes_[route.address] = route;
    if (what_changed(change).empty()) return;
    const std::string& dev = name_of(route.next_hop.ifindex);
    const std::string disc = discs_.of(netlink::to_string(route.address), dev);
    if (!wanted(dev, disc)) return;
    const NeighPlace place{time_now(context_.json), dev, disc};
    print(context_.json ? change_json(change, place).dump() + "\n"
                        : change_line(change, place) + "\n");
  }

  const std::string& name_of(int ifindex) {
    std::string& dev = names_[ifindex];
    if (dev.empty()) dev = device_name(ifindex);
    return dev;
  }

  void look_again() {
    lost_ = false;
    std::vector<Neighbour> before;
    for (const auto& [key, entry] : entries_) before.push_back(entry);
    const std::vector<Neighbour> after = dumped();
    note("the kernel dropped notifications; the whole table was read again");
    entries_.clear();
    for (const Neighbour& entry : after) entries_[entry.key] = entry;
    for (const NeighChange& change : differences(before, after)) tell(change);
  }

  void tell(const NeighChange& change) {
    if (what_changed(change).empty()) return;
    const netlink::NeighbourKey& key = change.entry().key;
    const std::string& dev = name_of(key.ifindex);
    const std::string disc = discs_.of(netlink::to_string(key.address), dev);
    if (!wanted(dev, disc)) return;
    const NeighPlace place{time_now(context_.json), dev, disc};
    print(context_.json ? change_json(change, place).dump() + "\n"
                        : change_line(change, place) + "\n");
  }

  const Context& context_;
  const NeighWatchOptions& options_;
  netlink::Monitor monitor_;  // Before the first dump: nothing falls between the two.
  Discs discs_;
  std::map<netlink::NeighbourKey, Neighbour> entries_;
  std::map<netlink::Ip6, netlink::HostRoute> routes_;
  std::map<int, std::string> names_;
  bool lost_ = false;
};

}  // namespace

Exit neigh_watch(const Context& context, const NeighWatchOptions& options) {
  try {
    Watch(context, options).run();
  } catch (const std::system_error& error) {
    throw Failure(Exit::refused, fmt::format("cannot watch the neighbour table: {}", error.what()));
  }
  return Exit::done;
}

}  // namespace headctl
