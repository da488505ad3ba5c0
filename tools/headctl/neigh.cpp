// neigh and neigh limits: the kernel's neighbour table, with what headd knows of it where there is
// one.
#include "tools/headctl/commands.hpp"
#include "tools/headctl/kernel_neighbours.hpp"
#include "tools/headctl/neigh_limits.hpp"
#include "tools/headctl/neigh_list.hpp"
#include "tools/headctl/output.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace headctl {

namespace {

using nlohmann::json;

struct Source {
  json table;
  std::string why_kernel;  // Why it is the kernel's alone; "" when headd's is in it.
};

// headd's answer, to which the entries that headd does not keep are added; or the kernel's alone.
Source ask(const Context& context, bool kernel, bool entries) {
  if (kernel) return {kernel_neighbours(entries), "as asked for"};
  try {
    json answer = context.client().get(entries ? "/v1/neighbours" : "/v1/neighbours?entries=false");
    answer["source"] = "headd";
    if (entries) answer["entries"] = merged(answer["entries"], kernel_neighbours(true)["entries"]);
    return {std::move(answer), ""};
  } catch (const Failure& failure) {
    if (failure.status != Exit::unreachable) throw;
    return {kernel_neighbours(entries), failure.what()};
  }
}

void explain(const Source& source, bool asked_for) {
  if (!source.why_kernel.empty() && !asked_for)
    note("this is the kernel's table: " + source.why_kernel);
}

std::uint64_t or_else(std::int64_t said, std::uint64_t otherwise) {
  return said < 0 ? otherwise : static_cast<std::uint64_t>(said);
}

}  // namespace

Exit neigh(const Context& context, const NeighOptions& options) {
  const bool plain = !options.filter.narrows() && options.filter.sort == "address";
  if (options.kernel && context.json && plain) {
    print_kernel_neighbours(options.filter.all);
    return Exit::done;
  }
  Source source = ask(context, options.kernel, true);
  if (!source.why_kernel.empty() && !options.filter.discs.empty())
    throw Failure(Exit::unreachable,
                  "only headd knows which disc an entry belongs to: " + source.why_kernel);
  if (!source.why_kernel.empty() && options.filter.conflicts)
    throw Failure(Exit::unreachable,
                  "only headd knows what was said of an entry: " + source.why_kernel);
  const std::size_t read = source.table["entries"].size();
  source.table["entries"] = chosen(source.table["entries"], options.filter);
  if (source.table.contains("routes"))
    source.table["routes"] = chosen_routes(source.table["routes"], options.filter);
  if (context.json) {
    print(source.table);
    return Exit::done;
  }
  explain(source, options.kernel);
  const json& entries = source.table["entries"];
  const json routes = source.table.value("routes", json::array());
  if (options.filter.conflicts) {
    json both = entries;
    both.insert(both.end(), routes.begin(), routes.end());
    show(conflicts_table(both));
  } else {
    show(neigh_table(entries));
    if (!routes.empty()) {
      print(std::string("\n"));
      show(routes_table(routes));
    }
  }
  print(neigh_summary(source.table, entries.size(), read));
  return Exit::done;
}

Exit neigh_limits(const Context& context, const NeighLimitsOptions& options) {
  Source source = ask(context, options.kernel, false);
  const std::size_t ours = kernel_neighbours_ours();
  const auto all = source.table["table"]["entries"].get<std::uint64_t>();
  std::uint64_t discs = ours;
  std::uint64_t others = all > ours ? all - ours : 0;
  if (const auto& told = source.table["table"]; told.contains("sized_for")) {
    discs = told["sized_for"]["discs"].get<std::uint64_t>();
    others = told["sized_for"]["others"].get<std::uint64_t>();
  }
  constexpr std::uint32_t most = 1u << 24;
  const json answer =
      with_needed(std::move(source.table), or_else(options.discs, discs), others, most);
  if (context.json) {
    print(answer);
    return Exit::done;
  }
  explain(source, options.kernel);
  print(limits_text(answer));
  return Exit::done;
}

}  // namespace headctl
