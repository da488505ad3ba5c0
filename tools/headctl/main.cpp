// headctl: what an operator asks of headd. A client of its API and of nothing else; only `neigh`
// also reads the kernel, so that it works without headd.
#include "tools/headctl/command.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>
#include <thread>
#include <unistd.h>

namespace headctl {

CLI::App* add_command(CLI::App& app, Context& context, const std::string& name,
                      const std::string& description, std::function<Exit()> run) {
  CLI::App* command = app.add_subcommand(name, description);
  command->add_flag("--json", context.json, "For programs, as head/control/API.md has it");
  command->callback([&context, run = std::move(run)] { context.run = run; });
  return command;
}

void print(const nlohmann::json& json) {
  print(json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void note(const std::string& sentence) {
  std::fprintf(stderr, "headctl: %s\n", sentence.c_str());
}

bool on_terminal() {
  return ::isatty(STDERR_FILENO) == 1;
}

void pause_if_early(std::chrono::steady_clock::time_point asked) {
  std::this_thread::sleep_until(asked + std::chrono::milliseconds(200));
}

namespace {

int run(int argc, char** argv) {
  Context context;
  CLI::App app("Asks headd for discs, and what became of them.", "headctl");
  app.require_subcommand(0, 1);  // Where there is none, below: that names what was said instead.
  app.footer(exit_statuses);
  app.set_version_flag("--version", HEAD_VERSION);
  app.add_option("--api", context.api, "The API's socket")->capture_default_str()->take_last();
  add_attach(app, context);
  add_detach(app, context);
  add_import(app, context);
  add_discs(app, context);
  add_latency(app, context);
  add_neigh(app, context);
  add_status(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    if (const auto words = app.remaining(); app.get_subcommands().empty() && !words.empty()) {
      note("there is no command or option " + words.front() + "; see headctl --help");
      return static_cast<int>(Exit::usage);
    }
    note(std::string(error.what()) + "; see headctl --help");
    return static_cast<int>(Exit::usage);
  }
  if (!context.run) {
    note("a command is needed, discs say; see headctl --help");
    return static_cast<int>(Exit::usage);
  }
  return static_cast<int>(context.run());
}

}  // namespace

}  // namespace headctl

int main(int argc, char** argv) {
  try {
    const int status = headctl::run(argc, argv);
    if (std::fflush(stdout) == 0) return status;
    headctl::note("cannot write the result; is the disk full?");
  } catch (const headctl::Failure& failure) {
    headctl::note(failure.what());
    return static_cast<int>(failure.status);
  } catch (const nlohmann::json::exception&) {
    headctl::note("headd's answer is not as documented; are headctl and headd of one version?");
  } catch (const std::exception& error) {
    headctl::note(error.what());
  }
  return static_cast<int>(headctl::Exit::unexpected);
}
