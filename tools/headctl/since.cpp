#include "tools/headctl/since.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace headctl {

namespace {

constexpr std::time_t day = 86'400;

std::optional<std::time_t> whole(std::string_view digits) {
  std::time_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool right = error == std::errc() && end == digits.data() + digits.size() && value >= 0;
  return right ? std::optional(value) : std::nullopt;
}

std::optional<std::time_t> ago(const std::string& text, std::time_t now) {
  constexpr std::string_view units = "smhd";
  constexpr std::time_t seconds[] = {1, 60, 3600, day};
  const auto unit = units.find(text.back());
  if (unit == std::string_view::npos) return {};
  const auto count = whole(std::string_view(text).substr(0, text.size() - 1));
  if (!count || *count > now / seconds[unit]) return {};
  return now - *count * seconds[unit];
}

bool filled(const std::string& text, const char* format, std::tm& into) {
  const char* end = ::strptime(text.c_str(), format, &into);
  return end != nullptr && *end == '\0';
}

std::optional<std::time_t> of_clock(const std::string& text, std::time_t now) {
  std::tm local{};
  ::localtime_r(&now, &local);
  local.tm_sec = 0;
  const std::tm today = local;
  if (!filled(text, "%H:%M:%S", local) && !filled(text, "%H:%M", local = today)) return {};
  local.tm_isdst = -1;
  const std::time_t then = std::mktime(&local);
  return then > now ? then - day : then;
}

std::optional<std::time_t> of_date(const std::string& text) {
  for (const char* format : {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"}) {
    std::tm date{};
    date.tm_isdst = -1;
    if (filled(text, format, date)) return std::mktime(&date);
  }
  std::tm utc{};
  if (filled(text, "%Y-%m-%dT%H:%M:%SZ", utc)) return ::timegm(&utc);
  return {};
}

}  // namespace

std::optional<std::time_t> parse_since(const std::string& text, std::time_t now) {
  if (text.empty() || text.size() > 32) return {};
  std::optional<std::time_t> then;
  if (text.front() == '@') then = whole(std::string_view(text).substr(1));
  if (!then) then = ago(text, now);
  if (!then) then = of_clock(text, now);
  if (!then) then = of_date(text);
  return then && *then >= 0 && *then <= now ? then : std::nullopt;
}

}  // namespace headctl
