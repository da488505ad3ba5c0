// What head-bench chaos is played on: a head and two tails, each a network namespace, at a switch
// that is one more; headd with its keeper, and for each disc a process that serves it at the disc's
// own address on one of the tails. All of it is gone with its owner, and no command takes for ever.
//
//   guests ─► headd (head) ── switch ─┬─ tail 1: chaos-tail of some discs
//                                     └─ tail 2: of the others
#pragma once

#include "tools/bench/bench.hpp"
#include "tools/bench/process.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bench::chaos {

constexpr std::uint64_t disc_bytes = 1 << 20;

struct Disc {
  std::string name;
  std::string address;
  std::string durability;
  unsigned tail;            // 0 or 1
  std::string hangs_up_on;  // What its tail does not survive, see chaos_tail.cpp.
};

class Stage {
 public:
  // Throws std::runtime_error when it cannot be built here.
  Stage(const Common& common, std::vector<Disc> discs, unsigned seed);
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  ~Stage();

  const std::vector<Disc>& discs() const { return discs_; }
  std::filesystem::path socket_of(const Disc& disc) const;
  static std::string mac_of(unsigned tail);

  // Of a disc's tail, the process.
  void start_tail(std::size_t disc);
  void kill_tail(std::size_t disc);
  void signal_tail(std::size_t disc, int signal);
  void command_tail(std::size_t disc, const std::string& words);
  std::string failures_of_tail(std::size_t disc) const;  // As chaos_tail.cpp says.
  // From its next start on.
  void poison_tail(std::size_t disc, const std::string& command);
  // Its address goes to the other tail; a process there must be started.
  void move_address(std::size_t disc, bool announced);

  void start_headd();
  void kill_headd();
  void signal_headd(int signal);
  std::string upgrade_headd();  // What headctl says of it.
  std::string headctl(Arguments arguments);
  std::string headd_log(std::size_t bytes_max) const;  // The end of it.
  bool headd_runs();

  void in_head(Arguments command) { in(head_, std::move(command)); }
  void in_switch(Arguments command) { in(switch_, std::move(command)); }
  void in_tail(unsigned tail, Arguments command) { in(tails_[tail], std::move(command)); }

 private:
  std::string in(const std::string& netns, Arguments command);
  void make_network();
  void remove_network() noexcept;
  void await_end_of_headd();

  const std::filesystem::path bin_;
  Scratch scratch_;
  std::string head_, switch_;
  std::vector<std::string> tails_;
  std::vector<Disc> discs_;
  unsigned seed_;
  std::vector<Process> servers_;
  Process headd_;    // As it was started;
  pid_t heir_ = -1;  // as it is since it was upgraded.
};

}  // namespace bench::chaos
