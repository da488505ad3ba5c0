// neigh: the neighbour table, as headd keeps it, or as the kernel has it when there is no headd.
#include "tools/headctl/commands.hpp"
#include "tools/headctl/kernel_neighbours.hpp"
#include "tools/headctl/output.hpp"
#include "tools/headctl/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace headctl {

namespace {

using nlohmann::json;

struct Source {
  json table;
  std::string why_kernel;  // Why it is not headd's; "" when it is.
};

Source ask(const Context& context, bool kernel) {
  if (kernel) return {kernel_neighbours(), "as asked for"};
  try {
    json answer = context.client().get("/v1/neighbours");
    answer["source"] = "headd";
    return {std::move(answer), ""};
  } catch (const Failure& failure) {
    if (failure.status != Exit::unreachable) throw;
    return {kernel_neighbours(), failure.what()};
  }
}

std::string first_of(const json& discs) {
  if (discs.empty()) return "";
  std::string text = discs[0].get<std::string>();
  return discs.size() == 1 ? text : fmt::format("{} and {} more", text, discs.size() - 1);
}

std::string summary(const json& source) {
  const json& table = source["table"];
  const json& limits = table["limits"];
  const auto entries = table["entries"].get<std::uint64_t>();
  const auto most = limits["gc_thresh3"].get<std::uint64_t>();
  std::string text = fmt::format(
      "{} shown; {} in the whole table, limits {}/{}/{} ({:.0f} % full), overflows {}, forced "
      "collections {}\n",
      source["entries"].size(), entries, limits["gc_thresh1"].dump(), limits["gc_thresh2"].dump(),
      most, most == 0 ? 0.0 : 100.0 * static_cast<double>(entries) / static_cast<double>(most),
      table["overflows"].dump(), table["forced_collections"].dump());
  if (source.contains("discs"))
    text += fmt::format("discs: {} held, {} not ready, {} that need no entry\n",
                        source["discs"]["held"].dump(), source["discs"]["unready"].dump(),
                        source["discs"]["others"].dump());
  if (table.contains("sized_for") && table["sized_for"]["discs"] != 0)
    text += fmt::format(
        "limits sized for {} neighbours of discs beside {} other entries, of all "
        "programs and network namespaces of this kernel\n",
        table["sized_for"]["discs"].dump(), table["sized_for"]["others"].dump());
  for (const json& problem : source.value("problems", json::array()))
    text += "problem: " + problem.get<std::string>() + "\n";
  return text;
}

}  // namespace

Exit neigh(const Context& context, const NeighOptions& options) {
  const Source source = ask(context, options.kernel);
  if (context.json) {
    print(source.table);
    return Exit::done;
  }
  if (!source.why_kernel.empty() && !options.kernel)
    note("this is the kernel's table: " + source.why_kernel);
  Table table({{"ADDRESS"},
               {"DEV"},
               {"LLADDR"},
               {"STATE"},
               {"OWNER"},
               {"CONFIRMED", true},
               {"MARKS"},
               {"DISC"}});
  for (const json& entry : source.table["entries"]) {
    const bool there = entry.value("state", "") != "ABSENT";
    table.add({entry.value("address", ""), entry.value("dev", ""), entry.value("lladdr", ""),
               entry.value("state", ""), there ? entry.value("owner", "") : "",
               there ? human_age(entry["confirmed_s"]) : "", entry.value("marks", ""),
               first_of(entry.value("discs", json::array()))});
  }
  print(table.text());
  print(summary(source.table));
  return Exit::done;
}

}  // namespace headctl
