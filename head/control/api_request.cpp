#include "head/control/api_request.hpp"

#include "head/base/json_text.hpp"
#include "head/control/api_json.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace head::control {

using nlohmann::json;

namespace {

constexpr std::size_t depth_max = 8;

Problem kind_of(Refusal::Why why) noexcept {
  switch (why) {
    case Refusal::Why::no_such_disc:
      return Problem::no_such_disc;
    case Refusal::Why::no_such_import:
      return Problem::no_such_import;
    case Refusal::Why::no_such_tail:
      return Problem::no_such_tail;
    case Refusal::Why::outdated:
      return Problem::outdated;
    case Refusal::Why::exists:
      return Problem::disc_exists;
    case Refusal::Why::detaching:
      return Problem::disc_detaching;
    case Refusal::Why::too_many:
      return Problem::too_many_discs;
    case Refusal::Why::no_memory:
      return Problem::memory_ceiling;
    case Refusal::Why::not_stored:
      return Problem::not_stored;
    case Refusal::Why::held:
      return Problem::disc_held;
    case Refusal::Why::upgrading:
      return Problem::unavailable;
    case Refusal::Why::duplicate:
    case Refusal::Why::unfit:
      break;
  }
  return Problem::bad_disc;
}

}  // namespace

const std::string* query(const HttpRequest& request, std::string_view name) {
  for (const auto& [key, value] : request.query)
    if (key == name) return &value;
  return nullptr;
}

HttpResponse answer(int status, const json& object) {
  return {.status = status, .body = to_body(object)};
}

HttpResponse no_disc(const std::string& name) {
  return problem(Problem::no_such_disc,
                 fmt::format("there is no disc {}; GET /v1/discs lists them", name.substr(0, 80)));
}

HttpResponse answer(const Refusal& refusal) {
  return problem(kind_of(refusal.why), refusal.sentence, refusal.index);
}

Result<json, HttpResponse> parse_body(const std::string& body, std::size_t values_max) {
  if (!is_shallow_json(body, depth_max))
    return Failure{problem(Problem::bad_json, "the body is nested deeper than anything here is")};
  if (const std::size_t values = json_values(body); values > values_max)
    return Failure{problem(Problem::too_large,
                           fmt::format("the body has some {} values and {} are taken at most; send "
                                       "it in parts",
                                       values, values_max))};
  json object = json::parse(body, nullptr, false);
  if (object.is_discarded())
    return Failure{problem(Problem::bad_json, "the body is not JSON in UTF-8; see API.md")};
  return object;
}

}  // namespace head::control
