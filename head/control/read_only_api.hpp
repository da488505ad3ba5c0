// The API as it is on TCP, where anybody on this machine, and any page in a browser on it, can ask:
// only what reads, nothing that waits, and only of those who name this machine by an address.
#pragma once

#include "head/control/http.hpp"

#include <utility>

namespace head::control {

// Nothing when `request` may be made there.
std::optional<HttpResponse> objection_on_tcp(const HttpRequest& request);

class ReadOnlyApi final : public HttpHandler {
 public:
  // `api` outlives it.
  explicit ReadOnlyApi(HttpHandler& api) : api_(api) {}

  std::optional<HttpResponse> objection(const HttpRequest& request, int) override {
    return objection_on_tcp(request);
  }
  HttpResponse on_request(const HttpRequest& request) noexcept override;
  std::size_t body_max(const std::string&, const std::string&) noexcept override { return 0; }

 private:
  HttpHandler& api_;
};

}  // namespace head::control
