// upgrade: another headd takes over, guests and all.
#include "tools/headctl/commands.hpp"
#include "tools/headctl/output.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace headctl {

Exit upgrade(const Context& context, const UpgradeOptions& options) {
  nlohmann::json wanted = nlohmann::json::object();
  if (!options.binary.empty()) wanted["binary"] = options.binary;
  const auto answer = context.client().post("/v1/upgrade", wanted);
  if (context.json)
    print(answer);
  else
    print(fmt::format("process {} has taken over {} discs; their {} guests waited for {:.0f} ms\n",
                      answer["pid"].get<int>(), answer["discs"].get<std::uint64_t>(),
                      answer["guests"].get<std::uint64_t>(),
                      answer["pause_seconds"].get<double>() * 1000));
  return Exit::done;
}

}  // namespace headctl
