// The commands, as plain functions over plain options; command_line.cpp says which words mean
// which. Each prints its result, as JSON if the context says so, and returns the exit status, or
// throws Failure. To add one: its options and its function here, what it does in a file of its own,
// how it is said in command_line.cpp.
#pragma once

#include "tools/headctl/client.hpp"
#include "tools/headctl/neigh_list.hpp"

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace headctl {

// What goes before or with any command.
struct Context {
  std::string api = "/run/head/api.sock";
  bool json = false;

  // When headd is to have answered everything; absent: each question has its time.
  std::optional<std::chrono::steady_clock::time_point> until{};

  Client client() const { return Client(api, until); }
};

struct AttachOptions {
  std::string name, uri, lladdr, dev, grade, durability, identity;
  bool read_only = false;
  bool wait = false;
  std::int64_t timeout_s = 60;  // Of the wait.
  int connections = 1;
  std::int64_t generation = 0;  // Of what is said of its link-layer address.
  std::int64_t grace_s = 0;     // 0: guests wait however long it takes.
};
Exit attach(const Context& context, const AttachOptions& options);

struct DetachOptions {
  std::vector<std::string> names;
  bool no_wait = false;
};
Exit detach(const Context& context, const DetachOptions& options);

struct MoveOptions {
  std::string name, lladdr, to;
  std::int64_t generation = -1;  // Below 0: one more than the disc has.
};
Exit move(const Context& context, const MoveOptions& options);
Exit import_moves(const Context& context, const std::string& file);

struct OrderOptions {
  std::vector<std::string> names;
};
Exit hold(const Context& context, const OrderOptions& options);
Exit resume(const Context& context, const OrderOptions& options);
Exit fail(const Context& context, const OrderOptions& options);
Exit look(const Context& context, const OrderOptions& options);

struct ImportOptions {
  std::string file;
  bool wait = false;
  std::int64_t timeout_s = 60;  // Of the wait, since another disc was ready.
  bool moves = false;           // Of discs that there are.
};
Exit import(const Context& context, const ImportOptions& options);

struct DiscsOptions {
  std::string name;  // Empty: all of them.
};
Exit discs(const Context& context, const DiscsOptions& options);

struct LatencyOptions {
  std::string name;  // Empty: of all discs together.
  bool histogram = false, heatmap = false;
  unsigned seconds = 30;                // Of the heat map.
  std::vector<std::string> operations;  // In pictures; empty: all together.
  std::string svg;                      // A file for the picture; empty: none.
};
Exit latency(const Context& context, const LatencyOptions& options);

struct StallsOptions {
  std::string name;  // Empty: of all discs.
  unsigned limit = 20;
};
Exit stalls(const Context& context, const StallsOptions& options);

struct NeighOptions {
  bool kernel = false;
  NeighFilter filter;
};
Exit neigh(const Context& context, const NeighOptions& options);

struct NeighLimitsOptions {
  bool kernel = false;
  std::int64_t discs = -1;  // Below 0: as many as there are.
};
Exit neigh_limits(const Context& context, const NeighLimitsOptions& options);

struct NeighWatchOptions {
  std::vector<std::string> discs, devs;
  unsigned seconds = 0;  // 0: for ever.
  std::string since;     // From then on, as headd remembers it; empty: from now on.
};
Exit neigh_watch(const Context& context, const NeighWatchOptions& options);

struct DoctorOptions {
  bool kernel = false;
  std::int64_t discs = -1;  // As if there were so many; below 0: as many as there are.
  std::vector<std::string> devs;
};
Exit doctor(const Context& context, const DoctorOptions& options);
// What doctor prints as JSON.
nlohmann::json examined(const Context& context, const DoctorOptions& options);

struct ReportOptions {
  std::string file;
  bool list = false, force = false;
};
Exit report(const Context& context, const ReportOptions& options);

struct TopOptions {
  double seconds = 1;  // Between two samples.
};
Exit top(const Context& context, const TopOptions& options);
struct UpgradeOptions {
  std::string binary;
};
Exit upgrade(const Context& context, const UpgradeOptions& options);
Exit reload(const Context& context);

Exit status(const Context& context);
// "tail 3 (1.20 s), queue 1 (30.00 ms)": of `stalls` and `stall_seconds`, for example.
std::string by_cause(const nlohmann::json& counts, const nlohmann::json& seconds);
// How often, and for how long, requests waited for neighbour discovery, or for an interface.
std::string neighbour_stall_text(const nlohmann::json& object);

}  // namespace headctl
