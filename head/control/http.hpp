// A request and its answer as values, and the problems an answer can tell (RFC 9457).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace head::control {

struct HttpRequest {
  std::string method;
  std::string path;  // Decoded, without the query.
  std::vector<std::pair<std::string, std::string>> query;
  std::string body;
  std::string host{};  // As the Host header has it; "" where there is none, or more than one.
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers{};  // Besides those that all have.
  std::shared_ptr<void> held{};                                // Until it is sent, or given up.
};

// Each has a `type` that never changes, "urn:headstart:no-such-disc" say, and an HTTP status.
enum class Problem : std::uint8_t {
  bad_request,
  bad_json,
  bad_disc,
  bad_config,
  no_such_route,
  no_such_disc,
  no_such_import,
  no_such_tail,
  not_permitted,
  method_not_allowed,
  disc_exists,
  disc_detaching,
  outdated,
  disc_held,
  upgrade_under_way,
  length_required,
  wrong_host,
  too_large,
  unsupported_encoding,
  too_many_discs,
  memory_ceiling,
  not_stored,
  out_of_memory,
  unavailable,
  not_upgraded,
};

// `detail` is one sentence that names the thing and the way out.
// `index`: which element of the list in the body is meant, where one is.
HttpResponse problem(Problem kind, std::string_view detail,
                     std::optional<std::size_t> index = std::nullopt);
int http_status(Problem kind) noexcept;

class HttpHandler {
 public:
  // On one of the server's threads. Asked before a request's body is read: an answer ends it.
  // `client` is the socket that it came on.
  virtual std::optional<HttpResponse> objection(const HttpRequest& /*request*/, int /*client*/) {
    return std::nullopt;
  }
  virtual HttpResponse on_request(const HttpRequest& request) noexcept = 0;
  // What is held while a body of so many bytes, which has not come yet, is taken and answered.
  // Null: there is no room for it now.
  virtual std::shared_ptr<void> room_for_body(std::size_t /*bytes*/) {
    return std::make_shared<char>();
  }
  // The largest body that such a request may have, in bytes.
  virtual std::size_t body_max(const std::string& method, const std::string& path) noexcept = 0;

 protected:
  ~HttpHandler() = default;
};

}  // namespace head::control
