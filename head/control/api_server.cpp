#include "head/control/api_server.hpp"

#include "head/base/log.hpp"
#include "head/control/upgrade.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <system_error>

namespace head::control {

namespace {

constexpr int backlog = 128;
constexpr int tcp_backlog = 32;

iouring::UniqueFd copy_of(const iouring::UniqueFd& fd) noexcept {
  return iouring::UniqueFd(iouring::adopt, ::fcntl(fd.fd(), F_DUPFD_CLOEXEC, 0));
}

}  // namespace

ApiServer::ApiServer(Agent& agent, const Api::Options& options, const iouring::UnixAccess& access,
                     const std::optional<ListenAddress>& tcp,
                     std::vector<iouring::UniqueFd> inherited)
    : path_(options.run_dir / "api.sock"),
      local_(inherited.empty() ? iouring::unix_listener(path_.string(), access, backlog)
                               : std::move(inherited[0])),
      local_copy_(copy_of(local_)),
      tcp_(open(tcp, inherited.size() > 1 ? std::move(inherited[1]) : iouring::UniqueFd())),
      api_(agent, with(options, tcp_.problem)) {
  if (tcp_.listener) tcp_copy_ = copy_of(tcp_.listener);
  if (options.upgrader != nullptr) options.upgrader->set_listeners(listeners());
  server_.emplace(std::move(local_), api_, api_threads);
  if (tcp_.listener) tcp_server_.emplace(std::move(tcp_.listener), read_only_, tcp_threads);
}

ApiServer::~ApiServer() {
  api_.stop();
  if (leave_path_) return;
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

std::vector<int> ApiServer::listeners() const {
  std::vector<int> all{local_copy_.fd()};
  if (tcp_copy_) all.push_back(tcp_copy_.fd());
  return all;
}

ApiServer::Tcp ApiServer::open(const std::optional<ListenAddress>& where,
                               iouring::UniqueFd inherited) {
  Tcp tcp;
  if (!where) return tcp;
  try {
    const bool same = inherited && (where->port == 0 || address_of(inherited) == *where);
    tcp.listener = same ? std::move(inherited) : listen_at(*where, tcp_backlog);
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
