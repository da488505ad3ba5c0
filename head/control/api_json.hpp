// The API's values as JSON: what API.md calls a disc, a status, a latency and a neighbour table.
// Times are seconds, sizes bytes. Internal to the API.
#pragma once

#include "head/control/disc_status.hpp"
#include "head/control/memory_here.hpp"
#include "head/neigh/snapshot.hpp"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>

namespace head::control {

nlohmann::json to_json(const DiscStatus& disc, const std::filesystem::path& run_dir);
nlohmann::json to_json(const ImportStatus& import);
nlohmann::json to_json(const AgentStatus& status);
// `histogram`: with the counts of the buckets that are not empty.
nlohmann::json to_json(const LatencyStatus& latency, bool histogram);
nlohmann::json to_json(const StallStatus& stalls);
// Without entries and routes;
nlohmann::json to_json(const neigh::Snapshot& snapshot);
// with them, as text: the values of all of them would take many times as much memory. `of_kernel`:
// with what the kernel has of each entry.
std::string to_body(const neigh::Snapshot& snapshot, bool of_kernel = true);
nlohmann::json to_json(const MemoryAccount& account, const MemoryHere& here);

// As text, and with a line feed. Never throw for what is in it: bytes that are not UTF-8 are
// replaced.
std::string to_text(const nlohmann::json& object);
std::string to_body(const nlohmann::json& json);

}  // namespace head::control
