// discs.json as text: pure, so that it can be tested without a disk.
#include "head/base/json_text.hpp"
#include "head/catalogue/store.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace head::catalogue {

namespace {

using nlohmann::json;

constexpr std::string_view format_name = "headstart discs";
constexpr int version = 1;
constexpr std::size_t depth_max = 8;

Result<std::map<std::string, DiscSpec>, std::string> parse_discs(const json& list) {
  std::map<std::string, DiscSpec> discs;
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto spec = spec_from_json(list[i]);
    if (!spec) return Failure{fmt::format("entry {} is wrong: {}", i + 1, spec.error())};
    if (!discs.emplace(spec->name, *spec).second)
      return Failure{fmt::format("disc {} is in it twice", spec->name)};
  }
  return discs;
}

}  // namespace

std::string to_text(const std::map<std::string, DiscSpec>& discs) {
  // One disc a line: people compare such files, and tools that merge them work by lines.
  std::string text =
      fmt::format("{{\"format\": \"{}\", \"version\": {}, \"discs\": [", format_name, version);
  const char* separator = "\n";
  for (const auto& [name, spec] : discs) {
    text += separator;
    text += to_json(spec).dump();
    separator = ",\n";
  }
  text += "\n]}\n";
  return text;
}

Result<std::map<std::string, DiscSpec>, std::string> parse_text(std::string_view text) {
  if (!is_shallow_json(text, depth_max)) return Failure{std::string("it is nested too deeply")};
  json document;
  try {
    document = json::parse(text);
  } catch (const json::parse_error& error) {
    return Failure{fmt::format("it is cut off or damaged at byte {}", error.byte)};
  }
  if (!document.is_object() || document.value("format", json()) != format_name)
    return Failure{fmt::format("it does not say that its format is \"{}\"", format_name)};
  const json& said = document["version"];
  if (!said.is_number_integer()) return Failure{std::string("it has no version")};
  if (said != version)
    return Failure{
        fmt::format("it is of version {} and this headd knows version {}", said.dump(), version)};
  const json& list = document["discs"];
  if (!list.is_array()) return Failure{std::string("it has no list of discs")};
  return parse_discs(list);
}

}  // namespace head::catalogue
