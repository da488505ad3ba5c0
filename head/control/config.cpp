#include "head/control/config.hpp"

#include "head/control/config_keys.hpp"
#include "head/export/payload_pool.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

namespace head::control {

namespace {

// At most so much of anybody's text is repeated in a sentence.
constexpr std::size_t quote_max = 80;

std::string quote(std::string_view text) {
  std::string quoted(text.substr(0, quote_max));
  std::replace_if(
      quoted.begin(), quoted.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return quoted;
}

ConfigError unknown(unsigned line, const std::string& key) {
  const std::string_view meant = closest_key(key);
  std::string sentence = fmt::format("line {}: there is no key {}", line, quote(key));
  if (!meant.empty()) sentence += fmt::format("; did you mean {}?", meant);
  return {.line = line, .key = key, .sentence = std::move(sentence)};
}

Value value_of(const toml::node& node) {
  if (const auto* truth = node.as_boolean()) return truth->get();
  if (const auto* number = node.as_integer()) return number->get();
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* array = node.as_array()) {
    std::vector<std::string> words;
    for (const toml::node& element : *array) {
      const auto* word = element.as_string();
      if (word == nullptr) return {};
      words.push_back(word->get());
    }
    return words;
  }
  return {};
}

// Finds the first mistake in the order of the file.
class Reader {
 public:
  void read(const toml::table& table, const std::string& section) {
    for (const auto& [key, node] : table) {
      const std::string name =
          section.empty() ? std::string(key.str()) : section + "." + std::string(key.str());
      if (node.is_table() && section.empty() && is_section(name))
        read(*node.as_table(), name);
      else
        set(name, key.source().begin.line, node);
    }
  }

  const Config& config() const { return config_; }
  const std::optional<ConfigError>& error() const { return error_; }

 private:
  static bool is_section(std::string_view name) {
    return std::any_of(key_entries().begin(), key_entries().end(), [&](const KeyEntry& entry) {
      return entry.key.name.substr(0, entry.key.name.find('.')) == name;
    });
  }

  void set(const std::string& name, unsigned line, const toml::node& node) {
    const auto entries = key_entries();
    const std::size_t dot = name.find('.');
    const bool tail = dot != std::string::npos && name.substr(0, dot) == tails_section;
    const auto entry = std::find_if(entries.begin(), entries.end(), [&](const KeyEntry& e) {
      return e.key.name == (tail ? tail_key : std::string_view(name));
    });
    if (entry == entries.end()) return complain(unknown(line, name));
    const Value value = value_of(node);
    if (tail ? set_tail(config_, name.substr(dot + 1), value) : entry->set(config_, value)) return;
    complain({.line = line,
              .key = name,
              .sentence = fmt::format("line {}: {} must be {}", line, name, entry->key.rule)});
  }

  void complain(ConfigError error) {
    if (!error_ || error.line < error_->line) error_ = std::move(error);
  }

  Config config_;
  std::optional<ConfigError> error_;
};

// A parser that recurses must not be led deep: dotted keys nest one table a dot, and a line bounds
// how many dots there are.
std::optional<ConfigError> check_size(std::string_view text) {
  if (text.size() > config_size_max)
    return ConfigError{.sentence = fmt::format("it is larger than {} bytes", config_size_max)};
  unsigned line = 1;
  for (std::size_t at = 0; at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (end - at > config_line_max)
      return ConfigError{
          .line = line,
          .sentence = fmt::format("line {} is longer than {} characters", line, config_line_max)};
    at = end + 1;
  }
  return std::nullopt;
}

}  // namespace

Result<Config, ConfigError> parse_config(std::string_view text) {
  if (auto error = check_size(text)) return Failure{std::move(*error)};
  Reader reader;
  try {
    reader.read(toml::parse(text), "");
  } catch (const toml::parse_error& error) {
    const unsigned line = error.source().begin.line;
    return Failure{ConfigError{
        .line = line,
        .sentence = fmt::format("line {} is not TOML: {}", line, quote(error.description()))}};
  }
  if (reader.error()) return Failure{*reader.error()};
  return reader.config();
}

Result<Config, ConfigError> load_config(const std::filesystem::path& file, bool required) {
  std::error_code ignored;
  const bool folder = std::filesystem::is_directory(file, ignored);
  std::ifstream stream(file, std::ios::binary);
  if (!stream || folder) {
    const int error = folder ? EISDIR : errno;
    if (!required && error == ENOENT) return Config{};
    return Failure{
        ConfigError{.sentence = fmt::format("cannot read {}: {}; name another with --config",
                                            file.native(), std::strerror(error))}};
  }
  std::ostringstream text;
  text << stream.rdbuf();
  auto config = parse_config(text.str());
  if (config) return config;
  ConfigError error = config.error();
  error.sentence = fmt::format("{}: {}", file.native(), error.sentence);
  return Failure{std::move(error)};
}

unsigned data_threads(const Config& config) noexcept {
  if (config.data.threads != 0) return config.data.threads;
  const auto room = static_cast<unsigned>((std::size_t{config.memory.ceiling_mib} << 20) / 4 /
                                          exports::PayloadPool::smallest);
  return std::clamp(std::min(std::thread::hardware_concurrency() / 2, room), 1u, 64u);
}

}  // namespace head::control
