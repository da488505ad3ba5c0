// reload: head.toml is read again.
#include "tools/headctl/commands.hpp"
#include "tools/headctl/output.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace headctl {

namespace {

std::string names(const nlohmann::json& list) {
  std::string text;
  for (const auto& name : list) text += (text.empty() ? "" : ", ") + name.get<std::string>();
  return text.empty() ? "nothing" : text;
}

}  // namespace

Exit reload(const Context& context) {
  const auto answer = context.client().post("/v1/reload", nlohmann::json::object());
  if (context.json)
    print(answer);
  else
    print(fmt::format("changed now: {}; at the next start: {}\n", names(answer["applied"]),
                      names(answer["at_next_start"])));
  return Exit::done;
}

}  // namespace headctl
