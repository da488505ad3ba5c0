// head-bench neigh --storm: a tail with many idle discs dies, and what is sent because of it is
// counted at a port of the switch that has nothing to do with it. The tail's own port is gone, so
// that the switch sends everywhere what is for it.
//
//   headd (head) ──┐
//   tail ──────────┤ switch, a bridge
//   (other) ───────┘  the port where packets are counted
#include "iouring/unique_fd.hpp"
#include "netlink/socket.hpp"
#include "tools/bench/bench.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/headd.hpp"
#include "tools/bench/process.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <optional>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace bench {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr const char* tail_mac = "02:00:00:00:5a:01";

// Packets of IPv6, those of routers and multicast groups left out: nobody's tail.
struct Counted {
  std::uint64_t solicitations = 0, tcp = 0, others = 0;
  std::uint64_t all() const noexcept { return solicitations + tcp + others; }
};

// What goes past an interface of the caller's network namespace, for so long.
Counted count_packets(const char* interface, std::chrono::duration<double> time) {
  const iouring::UniqueFd fd(
      iouring::adopt,
      ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_IPV6)));
  sockaddr_ll here{};
  here.sll_family = AF_PACKET;
  here.sll_protocol = htons(ETH_P_IPV6);
  here.sll_ifindex = static_cast<int>(::if_nametoindex(interface));
  if (!fd || ::bind(fd.fd(), reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0)
    throw std::runtime_error("packets cannot be counted; are you root?");
  constexpr std::size_t next_header = 20, icmp_type = 54;  // From the frame's beginning.
  Counted counted;
  std::array<std::uint8_t, 2048> frame{};
  const auto end = Clock::now() + time;
  for (auto now = Clock::now(); now < end; now = Clock::now()) {
    pollfd ready{.fd = fd.fd(), .events = POLLIN, .revents = 0};
    ::poll(&ready, 1, 100);
    const ssize_t size = ::recv(fd.fd(), frame.data(), frame.size(), 0);
    if (size <= static_cast<ssize_t>(icmp_type)) continue;
    if (frame[next_header] == IPPROTO_TCP) {
      ++counted.tcp;
    } else if (frame[next_header] != IPPROTO_ICMPV6) {
      // Reports of groups begin with a header of options.
      counted.others += frame[next_header] != IPPROTO_HOPOPTS;
    } else if (frame[icmp_type] == ND_NEIGHBOR_SOLICIT) {
      ++counted.solicitations;
    } else if (frame[icmp_type] == ND_NEIGHBOR_ADVERT || frame[icmp_type] < MLD_LISTENER_QUERY) {
      ++counted.others;
    }
  }
  return counted;
}

class Storm {
 public:
  Storm(const Common& common, unsigned discs, bool kept)
      : names_{fmt::format("hs{}h", ::getpid()), fmt::format("hs{}s", ::getpid()),
               fmt::format("hs{}t", ::getpid()), fmt::format("hs{}o", ::getpid())},
        discs_(discs) {
    try {
      make_network();
      tail_ = Process({"ip", "netns", "exec", tail(), "nbdkit", "-f", "-t", "1", "null", "1M"},
                      scratch_ / "tail.log");
      headd_.emplace(common, scratch_, "headd", "", Arguments{"ip", "netns", "exec", head()},
                     kept ? Arguments{} : Arguments{"--no-neigh"});
      attach(kept);
    } catch (...) {
      remove_network();
      throw;
    }
  }
  Storm(const Storm&) = delete;
  Storm& operator=(const Storm&) = delete;
  ~Storm() {
    headd_.reset();
    tail_ = {};
    remove_network();
  }

  unsigned ready() const noexcept { return ready_; }

  // From when no disc has a connection any more.
  Counted measure(std::chrono::duration<double> time) {
    ip("-n " + switch_name() + " link set p-t down");
    await("the loss of all connections", [&] { return in_state("ready") == 0; });
    std::this_thread::sleep_for(1s);
    Counted counted;
    netlink::run_in_namespace("/run/netns/" + other(),
                              [&] { counted = count_packets("o0", time); });
    return counted;
  }

 private:
  const std::string& head() const { return names_[0]; }
  const std::string& switch_name() const { return names_[1]; }
  const std::string& tail() const { return names_[2]; }
  const std::string& other() const { return names_[3]; }

  std::string address_of(unsigned disc) const {
    return fmt::format("fd00:5a::1:{:x}:{:x}", disc >> 16, disc & 0xffff);
  }
  void ip(const std::string& words) { output_of({"sh", "-c", "ip " + words}, scratch_.path()); }

  void make_network() {
    for (const std::string& name : names_) ip("netns add " + name);
    ip(fmt::format("-n {} link add sw0 type bridge", switch_name()));
    ip(fmt::format("-n {} link set sw0 up", switch_name()));
    const std::array<std::array<std::string, 3>, 3> ends = {
        {{head(), "h0", "p-h"}, {tail(), "t0", "p-t"}, {other(), "o0", "p-o"}}};
    for (const auto& [netns, end, port] : ends) {
      ip(fmt::format("link add name {} netns {} type veth peer name {} netns {}", end, netns, port,
                     switch_name()));
      ip(fmt::format("-n {} link set {} master sw0 up", switch_name(), port));
      ip(fmt::format("netns exec {} sysctl -qw net.ipv6.conf.{}.accept_dad=0", netns, end));
      ip(fmt::format("-n {} link set lo up", netns));
    }
    ip(fmt::format("netns exec {} sysctl -qw net.ipv6.conf.o0.disable_ipv6=1", other()));
    ip(fmt::format("-n {} link set t0 address {}", tail(), tail_mac));
    for (const auto& [netns, end, port] : ends) ip(fmt::format("-n {} link set {} up", netns, end));
    ip(fmt::format("-n {} addr add fd00:5a::1/64 dev h0 nodad", head()));
    const auto batch = scratch_ / "addresses";
    std::ofstream addresses(batch);
    for (unsigned disc = 1; disc <= discs_; ++disc)
      addresses << fmt::format("addr add {}/64 dev t0 nodad\n", address_of(disc));
    addresses.close();
    ip(fmt::format("-n {} -batch {}", tail(), batch.string()));
  }

  void remove_network() noexcept {
    for (const std::string& name : names_) try {
        ip("netns del " + name);
      } catch (...) {  // It was not made.
      }
  }

  // Without the keeper the kernel's table may be too small for all of them.
  void attach(bool all) {
    nlohmann::json list = {{"version", 1}, {"discs", nlohmann::json::array()}};
    for (unsigned disc = 1; disc <= discs_; ++disc)
      list["discs"].push_back({{"name", fmt::format("d{}", disc)},
                               {"uri", fmt::format("nbd://[{}]/", address_of(disc))},
                               {"lladdr", tail_mac}});
    const auto file = scratch_ / "discs";
    std::ofstream(file) << list;
    headd_->headctl({"import", file});
    const auto until = Clock::now() + 30s;
    await("the discs", [&] {
      ready_ = in_state("ready");
      return ready_ == discs_ || (!all && Clock::now() > until);
    });
  }

  unsigned in_state(const char* state) {
    const auto status = nlohmann::json::parse(headd_->headctl({"status", "--json"}));
    return status["by_state"].value(state, 0u);
  }

  template <class Done>
  void await(const char* what, const Done& done) {
    const auto end = Clock::now() + 120s;
    while (!done()) {
      if (Clock::now() > end) throw std::runtime_error(fmt::format("waited in vain for {}", what));
      std::this_thread::sleep_for(200ms);
    }
  }

  const Scratch scratch_;
  const std::array<std::string, 4> names_;
  const unsigned discs_;
  unsigned ready_ = 0;  // Of these, before the tail died.
  Process tail_;
  std::optional<Headd> headd_;
};

struct Subject {
  const char* name;
  bool kept;
  std::vector<double> ready{}, all{}, solicitations{}, tcp{};
};

}  // namespace

void neigh_storm(const Common& common, const NeighOptions& options) {
  Subject subjects[] = {{.name = "headd", .kept = true},
                        {.name = "headd without its keeper: the kernel alone", .kept = false}};
  for (unsigned round = 1; round <= common.rounds; ++round)
    for (Subject& subject : subjects) {
      progress(fmt::format("{} discs of a dead tail, round {} of {}, {}", options.storm, round,
                           common.rounds, subject.name));
      Storm storm(common, options.storm, subject.kept);
      const Counted counted = storm.measure(std::chrono::duration<double>(options.seconds));
      const auto rate = [&](std::uint64_t packets) {
        return static_cast<double>(packets) / options.seconds;
      };
      subject.ready.push_back(storm.ready());
      subject.all.push_back(rate(counted.all()));
      subject.solicitations.push_back(rate(counted.solicitations));
      subject.tcp.push_back(rate(counted.tcp));
    }
  Table table(fmt::format("A dead tail of {} idle discs: packets a second at an uninvolved port; "
                          "medians",
                          options.storm),
              {"by", "discs ready before", "packets/s", "solicitations/s", "TCP/s"});
  for (const Subject& subject : subjects)
    table.add({std::string(subject.name), median(subject.ready), median(subject.all),
               median(subject.solicitations), median(subject.tcp)});
  table.print(common.json);
}

}  // namespace bench
