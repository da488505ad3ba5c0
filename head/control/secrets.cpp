#include "head/control/secrets.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace head::control {

namespace {

constexpr std::string_view removed = "\"REMOVED\"";
constexpr std::array<std::string_view, 8> secret_words = {
    "password", "passwd", "secret", "token", "credential", "passphrase", "psk", "private"};

bool is_secret(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::any_of(secret_words.begin(), secret_words.end(),
                     [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

// "scheme://user:password@host": what is before the @.
std::string without_users(std::string_view line) {
  std::string made;
  for (;;) {
    const auto scheme = line.find("://");
    if (scheme == std::string_view::npos) return made += line;
    const auto begin = scheme + 3;
    const auto end = std::min(line.find_first_of("/ \t\"'", begin), line.size());
    const auto at = line.substr(begin, end - begin).rfind('@');
    made += line.substr(0, begin);
    if (at != std::string_view::npos) made += "REMOVED";
    line.remove_prefix(begin + (at != std::string_view::npos ? at : 0));
    made += line.substr(0, 1);
    line.remove_prefix(std::min<std::size_t>(1, line.size()));
  }
}

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t#");
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

}  // namespace

std::string without_secrets(std::string_view text) {
  std::string made;
  bool secret_section = false, inside = false;  // Of a value of many lines.
  std::string_view quote;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (inside) {
      inside = line.find(quote) == std::string_view::npos;
      continue;
    }
    const std::string_view words = trimmed(line);
    const auto equals = words.find('=');
    if (words.starts_with('[')) secret_section = is_secret(words);
    const bool key = equals != std::string_view::npos && !words.starts_with('[');
    if (key && (secret_section || is_secret(words.substr(0, equals)))) {
      made += line.substr(0, line.find('=') + 1);
      (made += ' ') += removed;
      const std::string_view value = trimmed(words.substr(equals + 1));
      for (const std::string_view begins : {"\"\"\"", "'''", "["}) {
        if (!value.starts_with(begins)) continue;
        quote = begins == "[" ? "]" : begins;
        inside = value.find(quote, begins.size()) == std::string_view::npos;
      }
    } else {
      made += without_users(line);
    }
    made += '\n';
  }
  return made;
}

}  // namespace head::control
