// What the commands share: the options that come before or go with each of them, and how results
// are printed. A group of commands is added by its add_…() function.
#pragma once

#include "tools/headctl/client.hpp"

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace headctl {

struct Context {
  std::string api = "/run/head/api.sock";
  bool json = false;
  // What the chosen command does; set while the command line is parsed.
  std::function<Exit()> run;

  Client client() const { return Client(api); }
};

// A command with --json, which makes `run` the thing to do.
CLI::App* add_command(CLI::App& app, Context& context, const std::string& name,
                      const std::string& description, std::function<Exit()> run);

void print(const nlohmann::json& json);  // On standard output, indented.
void print(const std::string& text);     // As it is.
void note(const std::string& sentence);  // On standard error.
bool on_terminal();                      // Whether standard error is one: for progress.

// After an answer to a wait that was begun then: where headd answered at once, because very many
// wait, it is not asked again at once.
void pause_if_early(std::chrono::steady_clock::time_point asked);

void add_attach(CLI::App& app, Context& context);
void add_detach(CLI::App& app, Context& context);
void add_import(CLI::App& app, Context& context);
void add_discs(CLI::App& app, Context& context);
void add_latency(CLI::App& app, Context& context);
void add_neigh(CLI::App& app, Context& context);
void add_status(CLI::App& app, Context& context);

}  // namespace headctl
