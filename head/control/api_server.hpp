// The API on its sockets, RUN/api.sock and TCP: everything that has to begin and end together. Each
// has threads of its own, so that clients of the one take none from those of the other.
#pragma once

#include "head/control/api.hpp"
#include "head/control/http_server.hpp"
#include "head/control/listen_address.hpp"
#include "head/control/read_only_api.hpp"
#include "iouring/socket.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace head::control {

// Beside api_threads, where it is on TCP.
inline constexpr unsigned tcp_threads = 4;

class ApiServer {
 public:
  // Serves as soon as it is made; throws std::runtime_error, with one sentence, when it cannot.
  // Without the address for TCP it serves all the same, and says so in the log and in its status.
  // `agent` outlives it. The caller owns options.run_dir.
  // `inherited`: its listeners, where another had them; the local one first. The upgrader of
  // `options` knows its listeners before anybody can ask for an upgrade.
  ApiServer(Agent& agent, const Api::Options& options, const iouring::UnixAccess& access,
            const std::optional<ListenAddress>& tcp = std::nullopt,
            std::vector<iouring::UniqueFd> inherited = {});
  // Answers what was asked already; those who wait are told how things stand.
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  const std::filesystem::path& path() const noexcept { return path_; }
  // Descriptors of its listeners, in that order, for as long as it is there.
  std::vector<int> listeners() const;
  // The socket's path is another's: it stays when this ends.
  void leave_path() noexcept { leave_path_ = true; }
  // Where it is on TCP, if it is.
  const std::optional<ListenAddress>& tcp() const noexcept { return tcp_.address; }

 private:
  struct Tcp {
    iouring::UniqueFd listener{};
    std::optional<ListenAddress> address{};
    std::string problem{};
  };
  static Tcp open(const std::optional<ListenAddress>& where, iouring::UniqueFd inherited);
  static Api::Options with(Api::Options options, const std::string& problem);

  const std::filesystem::path path_;
  bool leave_path_ = false;
  iouring::UniqueFd local_;
  iouring::UniqueFd local_copy_, tcp_copy_;
  Tcp tcp_;
  Api api_;
  ReadOnlyApi read_only_{api_};
  std::optional<HttpServer> server_;
  std::optional<HttpServer> tcp_server_;
};

}  // namespace head::control
