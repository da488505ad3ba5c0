// stalls: the requests that took too long, each with its cause, who waits now, and the discs whose
// first connection took long.
#include "tools/headctl/commands.hpp"
#include "tools/headctl/output.hpp"
#include "tools/headctl/text.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstring>
#include <ctime>

namespace headctl {

namespace {

using nlohmann::json;

std::string local_time(double since_1970) {
  const auto whole = static_cast<std::time_t>(std::floor(since_1970));
  const auto ms = static_cast<int>((since_1970 - static_cast<double>(whole)) * 1e3);
  std::tm local{};
  ::localtime_r(&whole, &local);
  return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:03}", local, ms);
}

std::string waiting_text(const json& waiting) {
  Table table({{"WAITING"}, {"STATE", false, tone_of}, {"FOR", true}, {"REQUESTS", true}});
  for (const json& disc : waiting)
    table.add({disc["disc"], disc["state"], human_time(disc["seconds"]), disc["in_flight"].dump()});
  return table.text(out_style());
}

std::string stalls_text(const json& stalls) {
  Table table({{"ENDED"},
               {"DISC"},
               {"CAUSE"},
               {"TOOK", true},
               {"IN HEAD", true},
               {"ON WIRE", true},
               {"AT TAIL", true},
               {"HELD UP", true},
               {"REQUEST"},
               {"OFFSET", true},
               {"SIZE", true}});
  for (const json& stall : stalls)
    table.add({local_time(stall["ended"]), stall["disc"], stall["cause"],
               human_time(stall["seconds"]), human_time(stall["head_s"]),
               human_time(stall["wire_s"]), human_time(stall["tail_s"]),
               human_time(stall["held_up_s"]), stall["operation"], stall["offset"].dump(),
               human_bytes(stall["length"])});
  return table.text(out_style());
}

std::string openings_text(const json& openings) {
  Table table({{"OPENED"}, {"DISC"}, {"CAUSE"}, {"TOOK", true}, {"HELD UP", true}, {"RESULT"}});
  for (const json& opening : openings)
    table.add({local_time(opening["ended"]), opening["disc"], opening["cause"],
               human_time(opening["seconds"]), human_time(opening["held_up_s"]),
               opening.contains("errno") ? std::strerror(opening["errno"]) : "connected"});
  return table.text(out_style());
}

}  // namespace

Exit stalls(const Context& context, const StallsOptions& options) {
  std::string path = fmt::format("/v1/stalls?limit={}", options.limit);
  if (!options.name.empty()) path += "&disc=" + encoded(options.name);
  const json answer = context.client().get(path);
  if (context.json) {
    print(answer);
    return Exit::done;
  }
  if (!answer["waiting"].empty()) print(waiting_text(answer["waiting"]) + "\n");
  if (!answer["stalls"].empty())
    print(stalls_text(answer["stalls"]));
  else if (answer["waiting"].empty())
    print(std::string("no request took longer than the stall threshold\n"));
  const json openings = answer.value("openings", json::array());
  if (!openings.empty()) print("\n" + openings_text(openings));
  return Exit::done;
}

}  // namespace headctl
