// What only tells how things are: the head as a whole, latency, stalls, neighbours, metrics.
#include "head/control/api.hpp"
#include "head/control/api_json.hpp"
#include "head/control/api_request.hpp"
#include "head/control/metrics.hpp"
#include "head/control/status_page.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cerrno>
#include <sys/random.h>
#include <system_error>

namespace head::control {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

HttpResponse Api::page() {
  std::array<std::uint64_t, 2> random{};
  if (::getrandom(random.data(), sizeof random, 0) != sizeof random)
    throw std::system_error(errno, std::generic_category(), "no random numbers");
  const std::string nonce = fmt::format("{:016x}{:016x}", random[0], random[1]);
  constexpr std::string_view place = "@NONCE@";
  HttpResponse response{
      .status = 200, .body = std::string(status_page), .content_type = "text/html; charset=utf-8"};
  for (auto at = response.body.find(place); at != std::string::npos;
       at = response.body.find(place, at))
    response.body.replace(at, place.size(), nonce);
  response.headers = {
      {"Content-Security-Policy",
       fmt::format("default-src 'none'; style-src 'nonce-{0}'; script-src 'nonce-{0}'; "
                   "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                   "frame-ancestors 'none'",
                   nonce)},
      {"Referrer-Policy", "no-referrer"}};
  return response;
}

HttpResponse Api::status() const {
  json object = to_json(agent_.status());
  object["version"] = options_.version;
  object["uptime_s"] = std::chrono::duration<double>(Clock::now() - began_).count();
  object["run_dir"] = options_.run_dir.native();
  object["problems"] = options_.problems;
  object["neighbours"] = to_json(agent_.neighbours(neigh::Detail::counts));
  if (const auto account = agent_.memory()) object["memory"] = to_json(*account, memory_here());
  return answer(200, object);
}

HttpResponse Api::latency(const HttpRequest& request, const std::string& name) const {
  const std::string* said = query(request, "histogram");
  if (said != nullptr && *said != "true" && *said != "false")
    return problem(Problem::bad_request,
                   fmt::format("histogram is true or false, and not \"{}\"", said->substr(0, 20)));
  const bool histogram = said != nullptr && *said == "true";
  if (name.empty()) return answer(200, to_json(agent_.latency(), histogram));
  const auto latency = agent_.latency(name);
  if (!latency) return no_disc(name);
  json object = to_json(*latency, histogram);
  object["name"] = name;
  return answer(200, object);
}

HttpResponse Api::stalls(const HttpRequest& request) const {
  const std::string* disc = query(request, "disc");
  const std::string* limit = query(request, "limit");
  const auto most = limit != nullptr ? number<std::size_t>(*limit) : 100;
  if (!most) return problem(Problem::bad_request, "limit is how many stalls at most: a number");
  return answer(200, to_json(agent_.stalls(disc != nullptr ? *disc : "", *most)));
}

HttpResponse Api::neighbours(const HttpRequest& request) const {
  const auto without = [&](const char* what) {
    const std::string* const said = query(request, what);
    return said != nullptr && *said == "false";
  };
  if (without("entries")) return answer(200, to_json(agent_.neighbours(neigh::Detail::counts)));
  const bool of_kernel = !without("kernel");
  const auto detail = of_kernel ? neigh::Detail::entries : neigh::Detail::bindings;
  return {.status = 200, .body = to_body(agent_.neighbours(detail), of_kernel)};
}

HttpResponse Api::metrics(const HttpRequest& request) {
  std::vector<std::string> discs;
  for (const auto& [key, value] : request.query)
    if (key == "disc") discs.push_back(value);
  return {.status = 200,
          .body = metrics_text(scrape(agent_, groups_, options_.version, discs)),
          .content_type = "text/plain; version=0.0.4; charset=utf-8"};
}

}  // namespace head::control
