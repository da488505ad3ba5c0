// What the API's handlers share: reading a query, and the answers that several of them give.
// Internal to the API.
#pragma once

#include "head/base/result.hpp"
#include "head/control/agent.hpp"
#include "head/control/http.hpp"

#include <nlohmann/json_fwd.hpp>

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

namespace head::control {

// All of `text`, or nothing.
template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Null: the query does not say it.
const std::string* query(const HttpRequest& request, std::string_view name);

// The body as JSON, or the problem that it is none, or has more values than that.
inline constexpr std::size_t object_values_max = 100, list_values_max = 256 * 1024;
Result<nlohmann::json, HttpResponse> parse_body(const std::string& body,
                                                std::size_t values_max = object_values_max);

HttpResponse answer(int status, const nlohmann::json& object);
HttpResponse answer(const Refusal& refusal);
HttpResponse no_disc(const std::string& name);

}  // namespace head::control
