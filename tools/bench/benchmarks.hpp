// The benchmarks, as plain functions over plain options; command_line.cpp says which words mean
// which. Each measures, prints its tables to standard output, and throws std::runtime_error with
// one sentence when it cannot. To add one: its options and its function here, what it does in a
// file of its own, how it is said in command_line.cpp.
#pragma once

#include "tools/bench/bench.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bench {

struct NbdOptions {
  std::string tail = "nbdkit";
  double seconds = 2;
  std::vector<std::string> only;
};
void nbd(const Common& common, const NbdOptions& options);

struct DiscsOptions {
  std::vector<unsigned> counts{1, 100, 1000, 10000};
  double seconds = 2;
};
void discs(const Common& common, const DiscsOptions& options);

struct ScrapeOptions {
  unsigned discs = 10'000;
  double seconds = 5;
};
void scrape(const Common& common, const ScrapeOptions& options);

struct LoadOptions {
  std::filesystem::path discs;
  unsigned rate = 1000;
  double seconds = 20;
  double stall_ms = 20;
  unsigned write_percent = 30;
  bool reconnect = false;  // When a session ends, begin another; otherwise that is an error.
};
void load(const Common& common, const LoadOptions& options);

struct CausesOptions {
  unsigned trials = 100;
  std::vector<std::string> only;
};
void causes(const Common& common, const CausesOptions& options);

struct ChaosOptions {
  double seconds = 60;
  unsigned seed = 1;
  unsigned rate = 150;                         // Requests per second of each guest.
  std::vector<std::string> faults{"default"};  // Kinds of them.
  std::vector<std::string> discs;              // By name; none: all.
};
std::vector<std::string> chaos_discs();  // The names that there are.
// Prints each fault, and the verdict last; throws when the history does not check out.
void chaos_run(const Common& common, const ChaosOptions& options);

struct GuestsOptions {
  std::filesystem::path socket;  // Of a disc that is blank.
  std::uint64_t bytes = 64 << 20;
  std::string durability = "replay";
  unsigned guests = 2;
  unsigned rate = 200;  // Requests per second of each.
  std::uint64_t largest_bytes = 8192;
  double seconds = 10;
  unsigned seed = 1;
};
// Ends after so many seconds, or by SIGTERM; SIGUSR1 says that headd is about to be killed. Prints
// the verdict last; throws when the history does not check out.
void guests(const Common& common, const GuestsOptions& options);

struct ChaosTailOptions {
  std::string address;  // IPv6, where it listens.
  unsigned port = 10809;
  std::filesystem::path store;  // What is flushed; made when it is not there.
  std::uint64_t bytes = 1 << 20;
  std::filesystem::path control;  // A datagram socket that it is told on what to do.
  std::string hangs_up_on;        // The command at which it ends the session: trim, write-zeroes.
  unsigned seed = 1;
};
// A tail that misbehaves as it is told; chaos_tail.cpp says how.
void chaos_tail(const Common& common, const ChaosTailOptions& options);

struct NeighOptions {
  std::vector<unsigned> counts{1000, 10'000, 100'000};
  bool simulate = false;  // The model instead, for so many:
  unsigned heads = 1000;
  unsigned discs = 10'000;
  unsigned seed = 1;
  unsigned storm = 0;   // Instead: a dead tail of so many idle discs,
  double seconds = 20;  // counted for so long.
};
void neigh(const Common& common, const NeighOptions& options);
void neigh_simulate(const Common& common, const NeighOptions& options);
void neigh_storm(const Common& common, const NeighOptions& options);

}  // namespace bench
