#include "head/control/http.hpp"

#include <nlohmann/json.hpp>

#include <array>

namespace head::control {

namespace {

struct Kind {
  const char* type;
  const char* title;
  int status;
};

constexpr std::array<Kind, 25> kinds = {{
    {"urn:headstart:bad-request", "The request cannot be understood", 400},
    {"urn:headstart:bad-json", "The body is not the JSON that was expected", 400},
    {"urn:headstart:bad-disc", "The disc cannot be as described", 422},
    {"urn:headstart:bad-config", "The configuration is wrong", 422},
    {"urn:headstart:no-such-route", "There is nothing at this path", 404},
    {"urn:headstart:no-such-disc", "There is no such disc", 404},
    {"urn:headstart:no-such-import", "There is no such import", 404},
    {"urn:headstart:no-such-tail", "No tail has this name", 404},
    {"urn:headstart:not-permitted", "Only operators may do this", 403},
    {"urn:headstart:method-not-allowed", "The path does not take this method", 405},
    {"urn:headstart:disc-exists", "The name is taken", 409},
    {"urn:headstart:disc-detaching", "The disc is being detached", 409},
    {"urn:headstart:outdated", "Something newer is known", 409},
    {"urn:headstart:disc-held", "The disc cannot go on", 409},
    {"urn:headstart:upgrade-under-way", "Another headd is taking over already", 409},
    {"urn:headstart:length-required", "The body's length is not given", 411},
    {"urn:headstart:wrong-host", "The host is not named by an address", 421},
    {"urn:headstart:too-large", "The request is too large", 413},
    {"urn:headstart:unsupported-encoding", "The body is encoded in a way that is not taken", 415},
    {"urn:headstart:too-many-discs", "The head is full", 507},
    {"urn:headstart:memory-ceiling", "It would take more memory than is allowed", 507},
    {"urn:headstart:not-stored", "The change could not be made durable", 507},
    {"urn:headstart:out-of-memory", "There is not enough memory", 503},
    {"urn:headstart:unavailable", "The head cannot do this now", 503},
    {"urn:headstart:not-upgraded", "No other headd has taken over", 502},
}};

}  // namespace

int http_status(Problem kind) noexcept {
  return kinds[static_cast<std::size_t>(kind)].status;
}

HttpResponse problem(Problem kind, std::string_view detail, std::optional<std::size_t> index) {
  const Kind& of = kinds[static_cast<std::size_t>(kind)];
  nlohmann::json body = {
      {"type", of.type}, {"title", of.title}, {"status", of.status}, {"detail", detail}};
  if (index) body["index"] = *index;
  // A caller's bytes may be repeated in a sentence; what is not UTF-8 in them is replaced.
  return {.status = of.status,
          .body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n",
          .content_type = "application/problem+json"};
}

}  // namespace head::control
