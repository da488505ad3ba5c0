// neigh and neigh limits: the kernel's neighbour table, with what headd knows of it where there is
// one.
#include "netlink/socket.hpp"
#include "tools/headctl/commands.hpp"
#include "tools/headctl/kernel_neighbours.hpp"
#include "tools/headctl/neigh_limits.hpp"
#include "tools/headctl/neigh_list.hpp"
#include "tools/headctl/output.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <future>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace headctl {

namespace {

using nlohmann::json;

struct Source {
  json table;
  std::string why_kernel;  // Why it is the kernel's alone; "" when headd's is in it.
};

// Is what headd keeps in the table that is seen from here?
bool is_of_here(const json& answer) {
  const std::uint64_t here = netlink::namespace_cookie();
  return answer.value("namespace_cookie", here) == here;
}

// headd's answer, to which the entries that headd does not keep are added; or the kernel's alone.
Source ask(const Context& context, bool kernel, bool entries) {
  if (kernel) return {kernel_neighbours(entries), "as asked for"};
  try {
    json answer = context.client().get(entries ? "/v1/neighbours" : "/v1/neighbours?entries=false");
    answer["source"] = "headd";
    if (entries && is_of_here(answer))
      answer["entries"] = merged(answer["entries"], kernel_neighbours(true)["entries"]);
    return {std::move(answer), ""};
  } catch (const Failure& failure) {
    if (failure.status != Exit::unreachable) throw;
    return {kernel_neighbours(entries), failure.what()};
  }
}

void explain(const std::string& why_kernel, bool asked_for) {
  if (!why_kernel.empty() && !asked_for) note("this is the kernel's table: " + why_kernel);
}

void show_routes(const json& routes) {
  if (routes.empty()) return;
  print(std::string("\n"));
  show(routes_table(routes));
}

// headd's answer. What the kernel has of its entries is read here, meanwhile, unless headd is in
// another network namespace; then nothing of what is read here belongs to it, and `kernel` is empty
// afterwards. An earlier headd tells all as well.
std::optional<HeaddAnswer> ask_for_all(Client&& client, std::future<KernelTable>& reading,
                                       KernelTable& kernel) {
  constexpr const char* whole = "/v1/neighbours";
  std::optional<HeaddAnswer> answer;
  try {
    answer = HeaddAnswer::parse(client.text("/v1/neighbours?kernel=false"));
  } catch (const Refused&) {
    answer = HeaddAnswer::parse(client.text(whole));
  }
  kernel = reading.get();
  if (!answer || is_of_here(answer->rest())) return answer;
  kernel.entries.clear();
  return HeaddAnswer::parse(client.text(whole));
}

// Lists the whole table.
void list_all(const Context& context, const NeighOptions& options) {
  auto reading = std::async(std::launch::async, [] { return read_kernel(true); });
  std::string why_kernel;
  std::optional<HeaddAnswer> answer;
  KernelTable kernel;
  if (!options.kernel) {
    try {
      answer = ask_for_all(context.client(), reading, kernel);
      if (!answer) throw Failure(Exit::unexpected, "what headd answered is no neighbour table");
    } catch (const Failure& failure) {
      if (failure.status != Exit::unreachable) throw;
      why_kernel = failure.what();
    }
  }
  if (reading.valid()) kernel = reading.get();
  const Listing listing(answer ? &*answer : nullptr, kernel, options.filter.all);
  if (context.json) {
    listing.write_json([](std::string_view piece) { print(std::string(piece)); });
    return;
  }
  explain(why_kernel, options.kernel);
  show(listing.table());
  const json& rest = listing.rest();
  show_routes(chosen_routes(rest.value("routes", json::array()), options.filter));
  print(neigh_summary(rest, listing.shown(), listing.read()));
}

std::uint64_t or_else(std::int64_t said, std::uint64_t otherwise) {
  return said < 0 ? otherwise : static_cast<std::uint64_t>(said);
}

}  // namespace

Exit neigh(const Context& context, const NeighOptions& options) {
  const bool whole = !options.filter.narrows() && options.filter.sort == "address";
  if (whole) {
    list_all(context, options);
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
    print(answer_text(std::move(source.table)));
    return Exit::done;
  }
  explain(source.why_kernel, options.kernel);
  const json& entries = source.table["entries"];
  const json routes = source.table.value("routes", json::array());
  if (options.filter.conflicts) {
    json both = entries;
    both.insert(both.end(), routes.begin(), routes.end());
    show(conflicts_table(both));
  } else {
    show(neigh_table(entries));
    show_routes(routes);
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
  explain(source.why_kernel, options.kernel);
  print(limits_text(answer));
  return Exit::done;
}

}  // namespace headctl
