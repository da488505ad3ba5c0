#include "head/control/read_only_api.hpp"

#include "head/control/listen_address.hpp"

#include <fmt/format.h>

namespace head::control {

namespace {

// Nothing of it is for another site's pages, nor for a cache, nor for guesses at what it is.
constexpr std::pair<const char*, const char*> guards[] = {
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"X-Content-Type-Options", "nosniff"},
    {"Cache-Control", "no-store"},
};

HttpResponse guarded(HttpResponse response) {
  for (const auto& [name, value] : guards) response.headers.emplace_back(name, value);
  return response;
}

}  // namespace

std::optional<HttpResponse> objection_on_tcp(const HttpRequest& request) {
  // A page of another site whose name was made to lead here (DNS rebinding) says that name.
  if (!is_plain_host(request.host))
    return guarded(
        problem(Problem::wrong_host,
                fmt::format("this is answered to those who ask for a literal address or localhost, "
                            "and not for \"{}\"; ask http://localhost:PORT/ or the like",
                            request.host.substr(0, 80))));
  if (request.method != "GET" && request.method != "HEAD")
    return guarded(problem(Problem::method_not_allowed,
                           fmt::format("only GET and HEAD are taken on TCP, and not {}; whatever "
                                       "changes something is asked on the Unix socket",
                                       request.method.substr(0, 20))));
  if (request.path == "/v1/log" || request.path == "/v1/config" || request.path == "/v1/crashes")
    return guarded(problem(Problem::no_such_route,
                           fmt::format("{} is told on the Unix socket only", request.path)));
  return std::nullopt;
}

HttpResponse ReadOnlyApi::on_request(const HttpRequest& request) noexcept {
  try {
    HttpRequest asked = request;
    // Whoever waits keeps a place that the Unix socket's clients need.
    std::erase_if(asked.query, [](const auto& of) { return of.first == "wait"; });
    return guarded(api_.on_request(asked));
  } catch (const std::exception&) {
    return {.status = http_status(Problem::out_of_memory), .body = {}};
  }
}

}  // namespace head::control
