// POST /v1/upgrade.
#include "head/control/api.hpp"
#include "head/control/api_request.hpp"
#include "head/control/upgrade.hpp"

#include <nlohmann/json.hpp>

namespace head::control {

using nlohmann::json;

HttpResponse Api::upgrade(const HttpRequest& request) {
  const auto body =
      request.body.empty() ? json::object() : json::parse(request.body, nullptr, false);
  const auto binary = body.is_object() ? body.find("binary") : body.end();
  const bool named = body.is_object() && binary != body.end();
  if (!body.is_object() || body.size() > (named ? 1 : 0) || (named && !binary->is_string()))
    return problem(Problem::bad_json, "an upgrade is {} or {\"binary\": \"/absolute/path\"}");
  const auto done = options_.upgrader->upgrade(named ? binary->get<std::string>() : std::string());
  if (!done)
    return problem(done.error().under_way ? Problem::upgrade_under_way : Problem::not_upgraded,
                   done.error().sentence);
  return answer(200, {{"pid", done->pid},
                      {"discs", done->discs},
                      {"guests", done->guests},
                      {"pause_seconds", std::chrono::duration<double>(done->pause).count()}});
}

}  // namespace head::control
