#include "tools/headctl/import_file.hpp"

#include "tools/headctl/failure.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <unordered_set>
#include <utility>

namespace headctl {

namespace {

using nlohmann::json;

[[noreturn]] void refuse(const std::string& file, std::size_t line, std::string_view why) {
  throw Failure(Exit::invalid, fmt::format("{}:{}: {}", file, line, why));
}

std::size_t line_of(std::string_view text, std::size_t byte) {
  const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(byte, text.size()));
  return 1 + static_cast<std::size_t>(std::count(text.begin(), end, '\n'));
}

ImportList from_json(const std::string& file, std::string_view text, const ListKind& kind) {
  json document;
  try {
    document = json::parse(text);
  } catch (const json::parse_error& error) {
    refuse(file, line_of(text, error.byte), "this is not JSON");
  }
  if (document.is_object() && document.contains(kind.many)) document = json(document[kind.many]);
  if (!document.is_array())
    refuse(
        file, 1,
        fmt::format("a list of {0} is [{{...}}, ...] or {{\"{0}\": [{{...}}, ...]}}", kind.many));
  ImportList list;
  list.name = file;
  list.lines.resize(document.size());
  *list.discs = std::move(document);
  return list;
}

json to_json(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return number->get();
  if (const auto* truth = node.as_boolean()) return truth->get();
  // Something that no disc has; headd will say so.
  return json::object();
}

ImportList from_toml(const std::string& file, const std::string& text, const ListKind& kind) {
  toml::table document;
  try {
    document = toml::parse(text);
  } catch (const toml::parse_error& error) {
    refuse(file, error.source().begin.line, error.description());
  }
  const toml::array* discs = document[kind.one].as_array();
  if (discs == nullptr || document.size() != 1)
    refuse(
        file, 1,
        fmt::format("a list of {} in TOML is [[{}]] tables and nothing else", kind.many, kind.one));
  ImportList list;
  list.name = file;
  for (const toml::node& node : *discs) {
    const std::size_t line = node.source().begin.line;
    const toml::table* table = node.as_table();
    if (table == nullptr) refuse(file, line, fmt::format("a {0} is a [[{0}]] table", kind.one));
    json disc = json::object();
    for (const auto& [key, value] : *table) disc[std::string(key.str())] = to_json(value);
    list.discs->push_back(std::move(disc));
    list.lines.push_back(line);
  }
  return list;
}

json value_of(const std::string& key, const std::string& text) {
  if (key == "read_only" && (text == "true" || text == "false")) return text == "true";
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool counts = key == "connections" || key == "generation" || key == "grace_s";
  if (counts && error == std::errc() && end == text.data() + text.size()) return number;
  return text;
}

ImportList from_lines(const std::string& file, const std::string& text, const ListKind& kind) {
  ImportList list;
  list.name = file;
  std::istringstream lines(text);
  std::string line;
  for (std::size_t number = 1; std::getline(lines, line); ++number) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string name, uri, word;
    if (!(words >> name)) continue;
    json disc = {{"name", name}};
    if (kind.has_uri) {
      if (!(words >> uri)) refuse(file, number, fmt::format("a line is {}", kind.line));
      disc["uri"] = uri;
    }
    while (words >> word) {
      const std::size_t equals = word.find('=');
      if (equals == std::string::npos)
        refuse(file, number, fmt::format("{} is not KEY=VALUE, dev=eth0 say", word));
      const std::string key = word.substr(0, equals);
      disc[key] = value_of(key, word.substr(equals + 1));
    }
    list.discs->push_back(std::move(disc));
    list.lines.push_back(number);
  }
  return list;
}

}  // namespace

ImportList::ImportList() : discs(std::make_shared<json>(json::array())) {}

ImportList parse_import(const std::string& file, std::string_view text, const ListKind& kind) {
  const std::string ending = std::filesystem::path(file).extension();
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  const std::string_view first = begin == std::string_view::npos ? "" : text.substr(begin, 2);
  if (ending == ".toml" || (ending != ".json" && first == "[["))
    return from_toml(file, std::string(text), kind);
  if (ending == ".json" || first.substr(0, 1) == "{" || first.substr(0, 1) == "[")
    return from_json(file, text, kind);
  return from_lines(file, std::string(text), kind);
}

ImportList read_import(const std::string& file, const ListKind& kind) {
  std::ostringstream text;
  if (file == "-") {
    text << std::cin.rdbuf();
    return parse_import("standard input", text.str(), kind);
  }
  std::error_code ignored;
  const bool folder = std::filesystem::is_directory(file, ignored);
  const std::ifstream stream(file, std::ios::binary);
  if (!stream || folder)
    throw Failure(Exit::invalid, fmt::format("cannot read {}: {}; name a file that lists {}", file,
                                             std::strerror(folder ? EISDIR : errno), kind.many));
  text << stream.rdbuf();
  return parse_import(file, text.str(), kind);
}

std::optional<std::size_t> repeated_name(const json& discs) {
  std::unordered_set<std::string> names;
  for (std::size_t i = 0; i < discs.size(); ++i) {
    const json& disc = discs[i];
    if (!disc.is_object() || !disc.contains("name") || !disc["name"].is_string()) continue;
    if (!names.insert(disc["name"].get<std::string>()).second) return i;
  }
  return std::nullopt;
}

std::vector<json> split(json discs, std::size_t discs_max, std::size_t bytes_max) {
  std::vector<json> parts = {json::array()};
  std::size_t bytes = 0;
  for (json& disc : discs) {
    const std::size_t size = disc.dump(-1, ' ', false, json::error_handler_t::ignore).size() + 1;
    json* part = &parts.back();
    if (!part->empty() && (part->size() == discs_max || bytes + size > bytes_max)) {
      part = &parts.emplace_back(json::array());
      bytes = 0;
    }
    part->push_back(std::move(disc));
    bytes += size;
  }
  return parts;
}

}  // namespace headctl
