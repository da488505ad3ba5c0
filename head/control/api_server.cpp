#include "head/control/api_server.hpp"

#include "head/base/log.hpp"

#include <fmt/format.h>

#include <system_error>

namespace head::control {

namespace {

constexpr int backlog = 128;
constexpr unsigned tcp_threads = 4;
constexpr int tcp_backlog = 32;

}  // namespace

ApiServer::ApiServer(Agent& agent, const Api::Options& options, const iouring::UnixAccess& access,
                     const std::optional<ListenAddress>& tcp)
    : path_(options.run_dir / "api.sock"),
      tcp_(open(tcp)),
      api_(agent, with(options, tcp_.problem)),
      server_(iouring::unix_listener(path_.string(), access, backlog), api_, api_threads) {
  if (tcp_.listener) tcp_server_.emplace(std::move(tcp_.listener), read_only_, tcp_threads);
}

ApiServer::~ApiServer() {
  api_.stop();
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

ApiServer::Tcp ApiServer::open(const std::optional<ListenAddress>& where) {
  Tcp tcp;
  if (!where) return tcp;
  try {
    tcp.listener = listen_at(*where, tcp_backlog);
    tcp.address = address_of(tcp.listener);
  } catch (const std::system_error& error) {
    tcp.problem = fmt::format(
        "metrics and the status page are not served on TCP: {} is not to be had ({}); let "
        "[metrics] listen in head.toml name another address, or \"off\", and start headd again",
        to_string(*where), error.code().message());
    log::warning("{}", tcp.problem);
  }
  return tcp;
}

Api::Options ApiServer::with(Api::Options options, const std::string& problem) {
  if (!problem.empty()) options.problems.push_back(problem);
  return options;
}

}  // namespace head::control
