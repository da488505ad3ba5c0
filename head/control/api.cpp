#include "head/control/api.hpp"

#include "head/base/json_text.hpp"
#include "head/control/api_json.hpp"
#include "head/control/api_request.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <new>
#include <optional>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>

namespace head::control {

namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

// For the memory that something long takes, while others have it.
constexpr std::chrono::seconds long_patience{30};
constexpr std::size_t short_answer = 64 * 1024;

constexpr std::string_view discs_path = "/v1/discs/";
constexpr std::string_view imports_path = "/v1/imports/";
constexpr std::string_view latency_path = "/v1/latency/";

// What there is, and the names that a query on it may have.
struct Route {
  std::string_view method;
  std::string_view path;  // One that ends with '/' is followed by a name.
  std::array<std::string_view, 2> names{};
};
constexpr std::array routes = {
    Route{"GET", "/"},
    Route{"GET", "/v1/status"},
    Route{"GET", "/v1/discs"},
    Route{"GET", discs_path, {"wait"}},
    Route{"PUT", discs_path, {"wait"}},
    Route{"DELETE", discs_path, {"wait"}},
    Route{"PATCH", discs_path},
    Route{"POST", "/v1/import", {"part_of", "check"}},
    Route{"POST", "/v1/moves"},
    Route{"POST", "/v1/reload"},
    Route{"POST", "/v1/upgrade"},
    Route{"GET", imports_path, {"wait"}},
    Route{"GET", "/v1/neighbours", {"entries", "kernel"}},
    Route{"GET", "/v1/neighbours/changes", {"since"}},
    Route{"GET", "/v1/doctor"},
    Route{"GET", "/v1/log"},
    Route{"GET", "/v1/config"},
    Route{"GET", "/v1/crashes"},
    Route{"GET", "/v1/latency", {"histogram"}},
    Route{"GET", latency_path, {"histogram"}},
    Route{"GET", "/v1/stalls", {"disc", "limit"}},
    Route{"GET", "/metrics", {"disc"}},
};

// What follows `prefix` in `path`.
std::optional<std::string> rest(const std::string& path, std::string_view prefix) {
  if (path.compare(0, prefix.size(), prefix) != 0 || path.size() == prefix.size())
    return std::nullopt;
  return path.substr(prefix.size());
}

HttpResponse no_route(const std::string& path) {
  return problem(Problem::no_such_route,
                 fmt::format("there is nothing at {}; see API.md for what there is", path));
}

bool leads_to(const Route& route, const std::string& path) {
  return route.path.size() > 1 && route.path.back() == '/' ? rest(path, route.path).has_value()
                                                           : path == route.path;
}

std::optional<HttpResponse> objection_to_query(const HttpRequest& request, const Route& route) {
  const auto& names = route.names;
  for (const auto& [name, value] : request.query) {
    if (!name.empty() && std::find(names.begin(), names.end(), name) != names.end()) continue;
    std::string known = names[0].empty() ? "none" : "only ";
    known += names[0];
    if (!names[1].empty()) known += fmt::format(" and {}", names[1]);
    return problem(Problem::bad_request,
                   fmt::format("the query has \"{}\", but {} takes {}; nothing was done",
                               name.substr(0, 40), request.path, known));
  }
  return std::nullopt;
}

Result<std::vector<catalogue::DiscSpec>, HttpResponse> specs_of(const json& body) {
  const auto list = body.is_object() ? body.find("discs") : body.end();
  if (!body.is_object() || list == body.end() || !list->is_array() || body.size() != 1)
    return Failure{problem(Problem::bad_json, "an import is {\"discs\": [{...}, ...]}")};
  std::vector<catalogue::DiscSpec> specs;
  specs.reserve(list->size());
  for (std::size_t i = 0; i < list->size(); ++i) {
    auto spec = catalogue::spec_from_json((*list)[i]);
    if (!spec) return Failure{problem(Problem::bad_disc, spec.error(), i)};
    specs.push_back(*spec);
  }
  return specs;
}

}  // namespace

Api::Api(Agent& agent, Options options) : agent_(agent), options_(std::move(options)) {}

void Api::stop() noexcept {
  stopping_ = true;
  agent_.bell().ring();
}

std::shared_ptr<void> Api::room_for_body(std::size_t bytes) {
  static const auto none = std::make_shared<char>();
  // It is there as it came, as it was gathered, and as a handler has it.
  return bytes <= disc_body_max ? none : bodies_.take(3 * bytes, long_patience);
}

std::size_t Api::body_max(const std::string& method, const std::string& path) noexcept {
  return method == "POST" && (path == "/v1/import" || path == "/v1/moves") ? import_body_max
                                                                           : disc_body_max;
}

HttpResponse Api::on_request(const HttpRequest& request) noexcept {
  try {
    return route(request);
  } catch (const std::bad_alloc&) {
    return {.status = http_status(Problem::out_of_memory),
            .body = R"({"type": "urn:headstart:out-of-memory", "status": 503})"};
  } catch (const std::exception& error) {
    // Whatever a caller can do wrong was refused before.
    return problem(Problem::unavailable,
                   fmt::format("the head could not do this now: {}; try it again", error.what()));
  }
}

HttpResponse Api::route(const HttpRequest& request) {
  const auto& [method, path] = std::tie(request.method, request.path);
  std::string_view asked = method;
  if (asked == "HEAD") asked = "GET";
  const Route* found = nullptr;
  for (const Route& route : routes) {
    if (!leads_to(route, path)) continue;
    found = &route;
    if (route.method == asked) break;
  }
  if (found == nullptr) return no_route(path);
  if (found->method != asked)
    return problem(Problem::method_not_allowed,
                   fmt::format("{} does not take {}; see API.md", path, method.substr(0, 20)));
  if (auto objection = objection_to_query(request, *found)) return std::move(*objection);
  if (asked == "PUT") return attach(request, *rest(path, discs_path));
  if (asked == "DELETE") return detach(request, *rest(path, discs_path));
  if (asked == "PATCH") return change(request, *rest(path, discs_path));
  if (asked == "GET") return get(request);
  if (path == "/v1/moves") return move(request);
  if (path == "/v1/reload") return options_.reloader != nullptr ? reload() : no_route(path);
  if (path == "/v1/upgrade")
    return options_.upgrader != nullptr ? upgrade(request) : no_route(path);
  return import(request);
}

HttpResponse Api::get(const HttpRequest& request) {
  const std::string& path = request.path;
  if (path == "/") return page();
  if (path == "/v1/status") return status();
  if (path == "/v1/latency") return latency(request, "");
  if (const auto name = rest(path, discs_path)) return one_disc(request, *name);
  if (const auto name = rest(path, latency_path)) return latency(request, *name);
  if (const auto id = rest(path, imports_path)) return one_import(request, *id);
  return at_length([&] { return get_long(request); });
}

HttpResponse Api::get_long(const HttpRequest& request) {
  const std::string& path = request.path;
  if (path == "/v1/discs") return discs();
  if (path == "/v1/neighbours") return neighbours(request);
  if (path == "/v1/neighbours/changes") return changes(request);
  if (path == "/v1/doctor") return doctor();
  if (path == "/v1/log") return log();
  if (path == "/v1/config") return config();
  if (path == "/v1/crashes") return crashes();
  if (path == "/v1/stalls") return stalls(request);
  return metrics(request);
}

template <class Make>
HttpResponse Api::at_length(Make make) {
  const auto too_late = [] {
    return problem(Problem::out_of_memory,
                   "others have long lists made, or are slow to take them, and there is memory for "
                   "few at a time; ask again");
  };
  const std::unique_lock alone(at_length_, long_patience);
  if (!alone) return too_late();
  HttpResponse response = make();
  if (response.body.size() <= short_answer) return response;
  response.held = answers_.take(response.body.size(), long_patience);
  return response.held != nullptr ? std::move(response) : too_late();
}

// As text, one disc after the other: the values of one take more memory than its text.
HttpResponse Api::discs() const {
  HttpResponse response{.status = 200, .body = "{\"discs\":["};
  agent_.each_disc([&](const DiscStatus& disc) {
    if (response.body.back() != '[') response.body += ',';
    response.body += to_text(shown(disc));
  });
  response.body += "]}\n";
  return response;
}

HttpResponse Api::one_disc(const HttpRequest& request, const std::string& name) {
  wait(request, [&] {
    const auto disc = agent_.disc(name);
    return !disc || is_settled(disc->state);
  });
  const auto disc = agent_.disc(name);
  return disc ? answer(200, shown(*disc)) : no_disc(name);
}

HttpResponse Api::attach(const HttpRequest& request, const std::string& name) {
  auto body = parse_body(request.body);
  if (!body) return body.error();
  json object = *body;
  if (object.is_object() && object.value("name", json(name)) != name)
    return problem(Problem::bad_disc,
                   fmt::format("the path names disc {} and the body another; leave \"name\" out",
                               name.substr(0, 80)));
  if (object.is_object()) object["name"] = name;
  const auto spec = catalogue::spec_from_json(object);
  if (!spec) return problem(Problem::bad_disc, spec.error());
  if (const auto refusal = agent_.attach(*spec)) return answer(*refusal);
  wait(request, [&] {
    const auto disc = agent_.disc(name);
    return !disc || is_settled(disc->state);
  });
  const auto disc = agent_.disc(name);
  if (!disc) return no_disc(name);
  return answer(is_settled(disc->state) ? 200 : 202, shown(*disc));
}

HttpResponse Api::detach(const HttpRequest& request, const std::string& name) {
  if (const auto refusal = agent_.detach(name)) return answer(*refusal);
  wait(request, [&] { return !agent_.disc(name).has_value(); });
  const bool gone = !agent_.disc(name).has_value();
  return answer(gone ? 200 : 202, {{"name", name}, {"state", gone ? "gone" : "detaching"}});
}

HttpResponse Api::import(const HttpRequest& request) {
  const std::string* part_of = query(request, "part_of");
  const auto id = part_of != nullptr ? number<std::uint64_t>(*part_of) : 0;
  const std::string* check = query(request, "check");
  if (!id)
    return problem(Problem::no_such_import, "part_of is the id that the import's answer gave");
  if (check != nullptr && *check != "true" && *check != "false")
    return problem(Problem::bad_request,
                   fmt::format("check is true or false, and not \"{}\"; nothing was attached",
                               check->substr(0, 20)));
  const ImportRequest how{.part_of = *id, .check_only = check != nullptr && *check == "true"};
  // One after the other: what a parser makes of a list is many times as large as its text.
  return at_length([&] { return import(request.body, how); });
}

HttpResponse Api::import(const std::string& text, const ImportRequest& how) {
  auto specs = [&]() -> Result<std::vector<catalogue::DiscSpec>, HttpResponse> {
    const auto body = parse_body(text, list_values_max);
    if (!body) return Failure{body.error()};
    return specs_of(*body);
  }();
  if (!specs) return specs.error();
  const auto import = agent_.import(std::move(*specs), how);
  if (!import) return answer(import.error());
  if (how.check_only)
    return answer(200, {{"total", import->total}, {"unchanged", import->unchanged}});
  return answer(202, to_json(*import));
}

HttpResponse Api::reload() {
  const auto told = options_.reloader->reload();
  if (!told) return problem(Problem::bad_config, told.error() + "; nothing was changed");
  return answer(200, {{"applied", told->applied}, {"at_next_start", told->at_next_start}});
}

HttpResponse Api::one_import(const HttpRequest& request, const std::string& id) {
  const auto wanted = number<std::uint64_t>(id);
  auto import = wanted ? agent_.import_status(*wanted) : std::nullopt;
  if (import && !import->settled) {
    wait(request, [&] {
      const auto now = agent_.import_status(*wanted);
      return !now || now->settled;
    });
    import = agent_.import_status(*wanted);
  }
  if (import) return answer(200, to_json(*import));
  return problem(Problem::no_such_import,
                 fmt::format("there is no import {}, or it was long ago; GET /v1/discs tells how "
                             "discs fare",
                             id.substr(0, 20)));
}

json Api::shown(const DiscStatus& disc) const {
  return to_json(disc, options_.run_dir);
}

template <class Settled>
void Api::wait(const HttpRequest& request, Settled settled) {
  // So often at most is looked again: every change of any disc rings.
  constexpr std::chrono::milliseconds pause{20};
  const std::string* text = query(request, "wait");
  const auto asked = text != nullptr ? number<unsigned>(*text) : std::nullopt;
  if (!asked || *asked == 0) return;
  const auto until = Clock::now() + std::min(std::chrono::seconds(*asked), api_wait_max);
  if (waiters_.fetch_add(1) < api_waiters_max) {
    for (;;) {
      const std::uint64_t seen = agent_.bell().rung();
      if (stopping_ || settled() || !agent_.bell().wait(seen, until)) break;
      std::this_thread::sleep_for(pause);
    }
  }
  waiters_.fetch_sub(1);
}

}  // namespace head::control
