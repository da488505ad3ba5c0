#include "tools/headctl/doctor.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace headctl {

namespace {

using nlohmann::json;

std::string indented(std::string text, const std::string& by) {
  for (auto at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 1))
    text.insert(at + 1, by);
  return by + text + "\n";
}

std::string finding_text(const json& finding, const Style& style) {
  const bool stall = finding["severity"] == "stall";
  std::string title = finding["id"];
  if (finding.contains("subject")) title += " " + finding["subject"].get<std::string>();
  std::string text = fmt::format(
      "{}  {}\n",
      stall ? painted("STALL  ", Tone::bad, style) : painted("WARNING", Tone::warn, style), title);
  text += indented(finding["sentence"], "  ");
  text += indented("seen: " + finding["evidence"].get<std::string>(), "  ");
  text += indented(finding["fix"], "    ");
  return text + "\n";
}

}  // namespace

std::string strategies_text(const json& strategies) {
  std::string chosen = "none", rest;
  for (const json& rung : strategies) {
    if (rung["chosen"].get<bool>()) {
      chosen = rung["name"];
      continue;
    }
    rest += fmt::format("{}{}{}", rest.empty() ? "" : ", ", rung["name"].get<std::string>(),
                        rung["possible"].get<bool>() ? "" : " (this kernel cannot)");
  }
  return strategies.empty() ? "" : fmt::format("{}; besides: {}", chosen, rest);
}

std::string doctor_text(const json& answer, const Style& style) {
  std::string text;
  std::size_t stalls = 0;
  for (const char* severity : {"stall", "warning"})
    for (const json& finding : answer["findings"])
      if (finding["severity"] == severity) {
        stalls += finding["severity"] == "stall";
        text += finding_text(finding, style);
      }
  const std::size_t all = answer["findings"].size();
  const bool kernel = answer["source"] == "kernel";
  const std::string where = kernel ? " (the kernel alone was asked)" : "";
  if (stalls > 0)
    text += fmt::format("This head can stall: {} of {} findings say so{}.\n", stalls, all, where);
  else if (all > 0)
    text += fmt::format("Nothing found that stalls this head; {} warnings{}.\n", all, where);
  else
    text += fmt::format("Nothing found that stalls this head{}.\n", where);
  if (answer.contains("strategies"))
    text += "Neighbour entries are written as: " + strategies_text(answer["strategies"]) + "\n";
  return text;
}

}  // namespace headctl
