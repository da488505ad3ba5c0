// What the command lines of the tools share: commands with options of their own, at most one of
// which is said; commands can be inside commands. Only files named command_line.cpp include this.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace tools {

// A command being declared, and where its options go.
template <class Options>
struct Declared {
  CLI::App& command;
  Options& options;
};

// Declares commands, and knows after the parse which of them was said. Context is what all commands
// are given, Outcome what they return.
template <class Context, class Outcome>
class Commands {
 public:
  Context context;
  std::function<Outcome(const Context&)> said;
  // Options that every command has, if any.
  void (*for_each)(CLI::App& command, Context& context) = nullptr;

  template <class Options>
  Declared<Options> add(CLI::App& app, const std::string& name, const std::string& description,
                        Outcome (*run)(const Context&, const Options&)) {
    const auto options = std::make_shared<Options>();
    CLI::App& command = add_any(app, name, description, [run, options](const Context& given) {
      return run(given, *options);
    });
    return {command, *options};
  }
  CLI::App& add(CLI::App& app, const std::string& name, const std::string& description,
                Outcome (*run)(const Context&)) {
    return add_any(app, name, description, run);
  }

 private:
  CLI::App& add_any(CLI::App& app, const std::string& name, const std::string& description,
                    std::function<Outcome(const Context&)> run) {
    CLI::App* const command = app.add_subcommand(name, description);
    if (for_each != nullptr) for_each(*command, context);
    // Of a command within a command both are called back, the inner one first.
    command->callback([this, command, run = std::move(run)] {
      if (command->get_subcommands().empty()) said = run;
    });
    return *command;
  }
};

// The text that was asked for instead of a command, by --help or --version. `refuse` is given one
// sentence, and throws; `kind` is what commands are called in it.
template <class Refuse>
std::optional<std::string> parse(CLI::App& app, int argc, const char* const* argv,
                                 const std::string& kind, const Refuse& refuse) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return app.help();
  } catch (const CLI::CallForVersion&) {
    return HEAD_VERSION "\n";
  } catch (const CLI::ParseError& error) {
    if (const auto words = app.remaining(); app.get_subcommands().empty() && !words.empty())
      refuse("there is no " + kind + " or option " + words.front());
    refuse(error.what());
  }
  return std::nullopt;
}

}  // namespace tools
