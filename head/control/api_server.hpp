// The API on its socket, RUN/api.sock: everything that has to begin and end together.
#pragma once

#include "head/control/api.hpp"
#include "head/control/config.hpp"
#include "head/control/http_server.hpp"
#include "head/control/unix_socket.hpp"

#include <filesystem>
#include <utility>

namespace head::control {

class ApiServer {
 public:
  // Serves as soon as it is made; throws std::runtime_error, with one sentence, when it cannot.
  // `agent` outlives it. options.run_dir must exist.
  ApiServer(Agent& agent, const Api::Options& options, const Config::Socket& access)
      : path_(options.run_dir / "api.sock"),
        api_(agent, options),
        server_(listen_unix(path_, access), api_, api_threads) {}
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
