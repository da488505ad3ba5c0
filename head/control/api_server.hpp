// The API on its socket, RUN/api.sock: everything that has to begin and end together.
#pragma once

#include "head/control/api.hpp"
#include "head/control/http_server.hpp"
#include "iouring/socket.hpp"

#include <filesystem>
#include <utility>

namespace head::control {

class ApiServer {
  static constexpr int backlog = 128;

 public:
  // Serves as soon as it is made; throws std::runtime_error, with one sentence, when it cannot.
  // `agent` outlives it. The caller owns options.run_dir.
  ApiServer(Agent& agent, const Api::Options& options, const iouring::UnixAccess& access)
      : path_(options.run_dir / "api.sock"),
        api_(agent, options),
        server_(iouring::unix_listener(path_.string(), access, backlog), api_, api_threads) {}
  // Answers what was asked already; those who wait are told how things stand.
  ~ApiServer() {
    api_.stop();
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  const std::filesystem::path path_;
  Api api_;
  HttpServer server_;
};

}  // namespace head::control
