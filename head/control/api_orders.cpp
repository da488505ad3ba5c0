// PATCH /v1/discs/NAME: what of a disc can change while it is attached; and who may change
// anything.
#include "head/catalogue/disc_spec.hpp"
#include "head/control/api.hpp"
#include "head/control/api_request.hpp"
#include "head/control/peer.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

namespace head::control {

namespace {

using nlohmann::json;

Result<DiscChange, std::string> change_from(const json& body) {
  if (!body.is_object() || body.empty())
    return Failure{
        std::string("a change is an object with \"order\", \"grace_s\" or \"look\", or several")};
  DiscChange change;
  for (const auto& [key, value] : body.items()) {
    const auto wrong = [&key = key](std::string_view rule) {
      return Failure{fmt::format("\"{}\" {}; nothing was changed", key.substr(0, 40), rule)};
    };
    if (key == "order") {
      const auto order = catalogue::order_from_json(value);
      if (!order) return wrong(order.error());
      change.order = *order;
    } else if (key == "grace_s") {
      const auto grace = catalogue::grace_from_json(value);
      if (!grace) return wrong(grace.error());
      change.grace = *grace;
    } else if (key == "look") {
      if (value != true) return wrong("is true, or absent");
      change.look = true;
    } else {
      return wrong("cannot change while a disc is attached; order and grace_s can");
    }
  }
  return change;
}

}  // namespace

std::optional<HttpResponse> Api::objection(const HttpRequest& request, int client) {
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (reads || !options_.operators || may_change(peer_of(client), options_.operators, ::geteuid()))
    return std::nullopt;
  return problem(Problem::not_permitted,
                 fmt::format("{} {} changes something, and that is for root and the group that "
                             "api.operator_group in head.toml names; nothing was changed",
                             request.method.substr(0, 20), request.path));
}

HttpResponse Api::change(const HttpRequest& request, const std::string& name) {
  const auto body = parse_body(request.body);
  if (!body) return body.error();
  const auto wanted = change_from(*body);
  if (!wanted) return problem(Problem::bad_disc, wanted.error());
  if (const auto refusal = agent_.change(name, *wanted)) return answer(*refusal);
  const auto disc = agent_.disc(name);
  return disc ? answer(200, shown(*disc)) : no_disc(name);
}

}  // namespace head::control
