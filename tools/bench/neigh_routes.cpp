#include "tools/bench/neigh_routes.hpp"

#include "netlink/format.hpp"
#include "netlink/host_routes.hpp"
#include "tools/bench/neigh_keeper.hpp"
#include "tools/bench/process.hpp"

#include <fmt/format.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <stdexcept>

namespace bench {
namespace {

constexpr unsigned tails = 50;
constexpr std::chrono::seconds lease{600};

struct Times {
  std::vector<double> ours_install, ip_install;
  std::vector<double> ours_move, ip_move;
  std::vector<double> ours_dump, ip_dump;
  std::vector<double> ours_prune, ip_prune;
};

double milliseconds(const std::function<void()>& work) {
  const auto began = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began)
      .count();
}

void expect(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

// Each disc over a tail; with `shift`, over the next one.
std::vector<netlink::HostRoute> numbered_routes(int ifindex, unsigned count, unsigned shift) {
  std::vector<netlink::HostRoute> routes;
  unsigned number = 0;
  for (const netlink::Entry& entry : numbered_entries(ifindex, count)) {
    netlink::Ip6 tail{0xfe, 0x80};
    tail[15] = static_cast<std::uint8_t>(1 + (number++ + shift) % tails);
    routes.push_back({entry.key.address, {ifindex, tail}, lease});
  }
  return routes;
}

void write_batch(const std::string& file, const std::vector<netlink::HostRoute>& routes,
                 const char* verb, const std::string& rest) {
  std::ofstream out(file);
  for (const netlink::HostRoute& route : routes)
    out << fmt::format("route {} {}/128 via {} dev head0 proto {} metric {}{}\n", verb,
                       netlink::to_string(route.address),
                       netlink::to_string(route.next_hop.address), netlink::our_protocol,
                       netlink::our_metric, rest);
  expect(static_cast<bool>(out.flush()), "the batches for ip could not be written");
}

class Subject {
 public:
  Subject(unsigned count, const Scratch& scratch) : scratch_(scratch) {
    const int ifindex = make_interface(scratch);
    wanted_ = numbered_routes(ifindex, count, 0);
    moved_ = numbered_routes(ifindex, count, 1);
    for (const netlink::HostRoute& route : wanted_) addresses_.push_back(route.address);
    const std::string expires = fmt::format(" expires {}", lease.count());
    write_batch(scratch / "routes", wanted_, "replace", expires);
    write_batch(scratch / "moves", moved_, "replace", expires);
    write_batch(scratch / "ends", moved_, "del", "");
  }

  void round(Times& times) {
    times.ours_install.push_back(milliseconds([&] { set(wanted_); }));
    check(wanted_);
    times.ours_move.push_back(milliseconds([&] { set(moved_); }));
    check(moved_);
    times.ours_dump.push_back(milliseconds([&] { netlink::dump_routes(socket_, actual_); }));
    times.ip_dump.push_back(milliseconds([&] { run({"sh", "-c", show}); }));
    times.ours_prune.push_back(milliseconds(
        [&] { expect(netlink::remove_routes(socket_, addresses_).empty(), "a route stays"); }));
    times.ip_install.push_back(milliseconds([&] { ip_batch("routes"); }));
    times.ip_move.push_back(milliseconds([&] { ip_batch("moves"); }));
    check(moved_);
    times.ip_prune.push_back(milliseconds([&] { ip_batch("ends"); }));
    check({});
  }

 private:
  static constexpr const char* show = "ip -6 route show proto 72 >/dev/null";

  void set(const std::vector<netlink::HostRoute>& routes) {
    expect(netlink::set_routes(socket_, routes).empty(), "a route was refused");
  }
  void check(const std::vector<netlink::HostRoute>& wanted) {
    netlink::dump_routes(socket_, actual_);
    bool same = actual_.size() == wanted.size();
    for (std::size_t i = 0; same && i < wanted.size(); ++i)
      same = actual_[i].address == wanted[i].address && actual_[i].next_hop == wanted[i].next_hop;
    expect(same, "the routes are not as they were written");
  }
  void ip_batch(const char* name) { run({"ip", "-6", "-batch", scratch_ / name}); }
  void run(const Arguments& arguments) { output_of(arguments, scratch_.path()); }

  const Scratch& scratch_;
  netlink::Socket socket_;
  std::vector<netlink::HostRoute> wanted_, moved_, actual_;
  std::vector<netlink::Ip6> addresses_;
};

}  // namespace

void measure_routes(const Common& common, unsigned count, Table& table) {
  Times times;
  const Spinners spinners(common.spin);
  netlink::run_in_namespace({}, [&] {
    const Scratch scratch;
    Subject subject(count, scratch);
    for (unsigned round = 1; round <= common.rounds; ++round) {
      progress(fmt::format("{} routes, round {} of {}", count, round, common.rounds));
      subject.round(times);
    }
  });
  const auto add = [&](const char* what, const std::vector<double>& ours, const char* peer,
                       const std::vector<double>& theirs) {
    const double mine = median(ours), other = median(theirs);
    const auto row = [&](const char* who, double time, Table::Cell ratio) {
      table.add({std::string(what), std::string(who), static_cast<double>(count), time,
                 1000 * time / count, ratio});
    };
    row("headstart", mine, std::monostate());
    row(peer, other, other / mine);
  };
  add("install", times.ours_install, "ip -6 -batch", times.ip_install);
  add("replace: every disc moves", times.ours_move, "ip -6 -batch", times.ip_move);
  add("dump", times.ours_dump, "ip -6 route show", times.ip_dump);
  add("prune", times.ours_prune, "ip -6 -batch", times.ip_prune);
}

}  // namespace bench
