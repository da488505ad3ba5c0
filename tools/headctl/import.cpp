// import: many discs at once.
#include "tools/headctl/commands.hpp"
#include "tools/headctl/import_file.hpp"
#include "tools/headctl/output.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdio>
#include <utility>

namespace headctl {

namespace {

using nlohmann::json;

std::size_t count(const json& import, const char* state) {
  return import["by_state"].value(state, std::size_t{0});
}

std::string summary(const json& import) {
  std::string text = fmt::format("{} discs", import["total"].dump());
  if (import["unchanged"] != 0)
    text += fmt::format(", {} attached before", import["unchanged"].dump());
  for (const char* state : {"ready", "pending", "resolving", "connecting", "reconnecting", "held",
                            "failed", "detaching"})
    if (const std::size_t n = count(import, state); n != 0)
      text += fmt::format(", {} {}", n, state);
  return text;
}

// On a terminal: one line that is written over.
void show_progress(const json& import, bool last) {
  if (!on_terminal()) return;
  constexpr std::size_t bar_width = 40;
  const auto total = import["total"].get<std::size_t>();
  const std::size_t done = import["unchanged"].get<std::size_t>() + count(import, "ready");
  const std::size_t filled = total == 0 ? bar_width : bar_width * done / total;
  const std::string bar = std::string(filled, '#') + std::string(bar_width - filled, '.');
  std::fprintf(stderr, "\r[%s] %s \033[K%s", bar.c_str(), summary(import).c_str(),
               last ? "\n" : "");
  std::fflush(stderr);
}

json send(Client& client, const ImportOptions& options, ImportList list) {
  try {
    return client.post("/v1/import", {{"discs", std::move(*list.discs)}});
  } catch (const Refused& refused) {
    std::string where = options.file;
    if (refused.index && *refused.index < list.lines.size()) {
      const std::size_t line = list.lines[*refused.index];
      where += line != 0 ? fmt::format(":{}", line)
                         : fmt::format(": disc {} of the list", *refused.index + 1);
    }
    throw Failure(refused.status,
                  fmt::format("{}: {}; nothing was attached", where, refused.what()));
  }
}

// Until the import is settled. Where nobody said --wait, only as long as it gets on: discs may
// have tails that are not there, and it goes on without being looked at.
void follow(Client& client, json& import, bool to_the_end) {
  constexpr std::chrono::seconds patience{3};
  const std::string path = fmt::format("/v1/imports/{}?wait=1", import["id"].dump());
  auto changed = std::chrono::steady_clock::now();
  for (;;) {
    const bool settled = import["settled"].get<bool>();
    const auto asked = std::chrono::steady_clock::now();
    const bool last = settled || (!to_the_end && asked - changed > patience);
    show_progress(import, last);
    if (last) return;
    json next = client.get(path);
    if (next != import) changed = std::chrono::steady_clock::now();
    import = std::move(next);
    if (!import["settled"].get<bool>()) pause_if_early(asked);
  }
}

}  // namespace

Exit import(const Context& context, const ImportOptions& options) {
  Client client = context.client();
  json answer = send(client, options, read_import(options.file));
  if (options.wait || on_terminal()) follow(client, answer, options.wait);
  if (context.json)
    print(answer);
  else
    print(summary(answer) + "\n");
  const bool bad = count(answer, "failed") + count(answer, "held") != 0;
  return options.wait && bad ? Exit::not_ready : Exit::done;
}

}  // namespace headctl
