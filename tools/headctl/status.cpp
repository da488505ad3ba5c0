// status: the head as a whole.
#include "tools/headctl/commands.hpp"
#include "tools/headctl/doctor.hpp"
#include "tools/headctl/output.hpp"
#include "tools/headctl/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace headctl {

namespace {

using nlohmann::json;

std::string states_text(const json& by_state) {
  std::string text;
  for (const char* state : {"ready", "reconnecting", "held", "failing", "failed", "connecting",
                            "resolving", "pending", "detaching"})
    if (const auto n = by_state.value(state, std::size_t{0}); n != 0)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", n, state);
  return text;
}

std::string limits_text(const json& limits) {
  return fmt::format("{}/{}/{}", limits["gc_thresh1"].dump(), limits["gc_thresh2"].dump(),
                     limits["gc_thresh3"].dump());
}

std::string neighbours_text(const json& discs) {
  const auto lost = discs.value("lost", std::size_t{0});
  return fmt::format("{} held, {} not ready{}", discs["held"].dump(), discs["unready"].dump(),
                     lost == 0 ? "" : fmt::format(", {} of these without a way", lost));
}

// What a headd that is older does not tell is left out.
void add_memory(Sheet& sheet, const json& memory) {
  if (memory.empty()) return;
  const auto bytes = [&](const char* name) {
    return human_bytes(memory[name].get<std::uint64_t>());
  };
  sheet.add("memory", fmt::format("{} now; up to {}, of {} allowed", bytes("resident"),
                                  bytes("account"), bytes("ceiling")));
  sheet.add("kernel's memory", fmt::format("up to {}, of {} allowed", bytes("kernel_account"),
                                           bytes("kernel_ceiling")));
  if (memory.contains("problem")) sheet.add("problem", memory["problem"].get<std::string>());
}

}  // namespace

std::string by_cause(const json& counts, const json& seconds) {
  std::string text;
  for (const auto& [cause, count] : counts.items())
    if (count != 0)
      text += fmt::format("{}{} {} ({})", text.empty() ? "" : ", ", cause, count.dump(),
                          human_time(seconds[cause].get<double>()));
  return text;
}

std::string neighbour_stall_text(const json& object) {
  std::string text = fmt::format("{}, {} together", object["neighbour_stalls"].dump(),
                                 human_time(object["neighbour_stall_seconds"].get<double>()));
  if (const auto waits = object.value("interface_waits", std::uint64_t{0}); waits != 0)
    text += fmt::format("; {} for an interface that was away, {} together", waits,
                        human_time(object.value("interface_wait_seconds", 0.0)));
  return text;
}

Exit status(const Context& context) {
  json answer = context.client().get("/v1/status");
  if (context.json) {
    print(answer);
    return Exit::done;
  }
  json& neighbours = answer["neighbours"];
  const json& table = neighbours["table"];
  Sheet sheet;
  sheet.add("headd",
            fmt::format("{}, up {}", answer.value("version", ""), human_age(answer["uptime_s"])));
  sheet.add("discs",
            fmt::format("{} of at most {}", answer["discs"].dump(), answer["discs_max"].dump()));
  sheet.add("states", states_text(answer["by_state"]));
  sheet.add("data threads", answer["data_threads"].dump());
  sheet.add("guests", answer["guests"].dump());
  sheet.add("reconnects", answer["reconnects"].dump());
  sheet.add("stalls", by_cause(answer["stalls"], answer["stall_seconds"]));
  sheet.add("slow openings", by_cause(answer.value("slow_openings", json::object()),
                                      answer.value("slow_opening_seconds", json::object())));
  sheet.add("waits for neighbours", neighbour_stall_text(answer));
  sheet.add("neighbours", neighbours["enabled"].get<bool>() ? neighbours_text(neighbours["discs"])
                                                            : "left to the kernel (--no-neigh)");
  sheet.add("entries written", strategies_text(neighbours.value("strategies", json::array())));
  sheet.add("neighbour table",
            fmt::format("{} entries, limits {}, overflows {}, forced collections {}",
                        table["entries"].dump(), limits_text(table["limits"]),
                        table["overflows"].dump(), table["forced_collections"].dump()));
  add_memory(sheet, answer.value("memory", json::object()));
  for (const json* problems : {&answer["problems"], &neighbours["problems"]})
    for (const json& problem : *problems) sheet.add("problem", problem.get<std::string>());
  show(sheet.text());
  return Exit::done;
}

}  // namespace headctl
