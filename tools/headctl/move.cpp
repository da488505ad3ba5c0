// move, and import --moves: discs whose tails have other link-layer addresses from now on.
#include "tools/headctl/commands.hpp"
#include "tools/headctl/import_file.hpp"
#include "tools/headctl/output.hpp"
#include "tools/headctl/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace headctl {

namespace {

using nlohmann::json;

Exit tell(const Context& context, const json& answer) {
  const auto moved = answer["moved"].get<std::size_t>();
  const auto ready = answer["ready"].get<std::size_t>();
  if (context.json)
    print(answer);
  else
    print(fmt::format("{} moved in {}{}\n", moved == 1 ? "1 disc" : fmt::format("{} discs", moved),
                      human_time(answer["seconds"].get<double>()),
                      ready == moved ? ""
                                     : fmt::format(", {} of them not in the neighbour table yet; "
                                                   "`headctl discs` says why",
                                                   moved - ready)));
  return ready == moved ? Exit::done : Exit::not_ready;
}

}  // namespace

Exit move(const Context& context, const MoveOptions& options) {
  json one = {{"name", options.name}};
  if (!options.lladdr.empty()) one["lladdr"] = options.lladdr;
  if (!options.to.empty()) one["to"] = options.to;
  if (options.generation >= 0) one["generation"] = options.generation;
  Client client = context.client();
  return tell(context, client.post("/v1/moves", {{"moves", {one}}}));
}

Exit import_moves(const Context& context, const std::string& file) {
  const ImportList list = read_import(file, move_list);
  Client client = context.client();
  try {
    return tell(context, client.post("/v1/moves", {{"moves", *list.discs}}));
  } catch (const Refused& refused) {
    if (!refused.index || *refused.index >= list.lines.size()) throw;
    const std::size_t line = list.lines[*refused.index];
    const std::string place = line != 0 ? fmt::format("{}:{}", list.name, line)
                                        : fmt::format("{}: move {}", list.name, *refused.index + 1);
    throw Failure(refused.status, fmt::format("{}: {}; nothing was moved", place, refused.what()));
  }
}

}  // namespace headctl
