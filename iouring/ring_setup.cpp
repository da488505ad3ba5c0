// How a ring begins: what the kernel has is found out by trying, best first.
#include "iouring/kernel.hpp"
#include "iouring/ring.hpp"
#include "iouring/socket.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <system_error>

namespace iouring {
namespace {

[[noreturn]] void fail(int error, const char* what) {
  throw std::system_error(error, std::generic_category(), what);
}

}  // namespace

std::string Features::to_string() const {
  std::string text;
  const auto add = [&](bool has, const char* name) {
    if (has) text += (text.empty() ? "" : " ") + std::string(name);
  };
  add(defer_taskrun, "defer-taskrun");
  add(buffer_ring, "buffer-ring");
  add(direct_sockets, "direct-sockets");
  add(skip_success, "skip-success");
  return text.empty() ? "basic" : text;
}

Ring::Ring(const Options& options)
    : features_(options.allowed), now_(std::chrono::steady_clock::now()) {
  set_up(options);
  wake_fd_ = UniqueFd(iouring::adopt, eventfd(0, EFD_CLOEXEC));
  if (!wake_fd_) fail(errno, "an eventfd to wake a data thread");
  try {
    pool_ = std::make_unique<ReceivePool>(ring_, options.receive_buffers,
                                          options.receive_buffer_size, features_.buffer_ring);
    features_.buffer_ring = pool_->shared();
  } catch (...) {
    io_uring_queue_exit(&ring_);
    throw;
  }
  find_direct_sockets(options.direct_sockets);
  on_wake({});
}

bool Ring::try_set_up(const Options& options, unsigned flags) noexcept {
  io_uring_params params{};
  params.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  params.cq_entries = options.entries * 8;
  if (const int rc = io_uring_queue_init_params(options.entries, &ring_, &params); rc < 0) {
    errno = -rc;
    return false;
  }
  features_.skip_success = features_.skip_success && (params.features & IORING_FEAT_CQE_SKIP) != 0;
  return true;
}

void Ring::set_up(const Options& options) {
  if (features_.defer_taskrun &&
      try_set_up(options, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN))
    return;
  features_.defer_taskrun = false;
  if (try_set_up(options, IORING_SETUP_COOP_TASKRUN)) return;  // 5.19
  utsname kernel{};
  ::uname(&kernel);
  // Some kernels before that have a newer io_uring; they are not tested, and not promised.
  if (const auto objection = objection_to_kernel(kernel.release)) fail(ENOSYS, objection->c_str());
  if (!try_set_up(options, 0))
    fail(errno,
         "io_uring is not to be had: it needs kernel.io_uring_disabled=0, and a seccomp profile "
         "that allows it");
}

// Direct descriptors take no number of the process. They are of use where options can be set by
// command (6.7), and where a descriptor is closed when it is removed (6.13: before, it stayed open
// until every older request on any other one had ended, and a receive on an idle one never ends).
// To have only listeners among them, before, would not help: an accept does not end either, so a
// listener that was removed would stay, and its clients wait, as long as an older one is there.
void Ring::find_direct_sockets(unsigned wanted) noexcept {
  const bool allowed = features_.direct_sockets && features_.buffer_ring;
  features_.direct_sockets = false;
  rlimit files{};
  if (!allowed || getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  const auto places = static_cast<unsigned>(std::min<rlim_t>(wanted, files.rlim_cur));
  if (io_uring_register_files_sparse(&ring_, places) < 0) return;
  features_.direct_sockets = options_by_command() && removal_closes();
  if (!features_.direct_sockets) {
    io_uring_unregister_files(&ring_);
    return;
  }
  free_places_.reserve(places);
  places_.resize(places);
  for (unsigned i = places; i > 0; --i) free_places_.push_back(static_cast<int>(i - 1));
}

bool Ring::put_at(unsigned at, int fd) noexcept {
  return io_uring_register_files_update(&ring_, at, &fd, 1) == 1;
}

// The answer to the one request that was just queued.
int Ring::await_one() noexcept {
  io_uring_cqe* answer = nullptr;
  if (io_uring_submit_and_wait(&ring_, 1) < 0 || io_uring_wait_cqe(&ring_, &answer) != 0)
    return -EIO;
  const int res = answer->res;
  io_uring_cqe_seen(&ring_, answer);
  return res;
}

bool Ring::options_by_command() noexcept {
  const UniqueFd probe = tcp_socket({}, {});
  if (!probe || !put_at(0, probe.fd())) return false;
  static constexpr int on = 1;
  io_uring_sqe& sqe =
      set_option_sqe({.index = 0, .direct = true}, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
  io_uring_sqe_set_data(&sqe, nullptr);
  const bool set = await_one() >= 0;
  return put_at(0, -1) && set;
}

bool Ring::removal_closes() noexcept {
  std::array<int, 2> idle{};
  std::array<int, 2> removed{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, idle.data()) != 0) return false;
  UniqueFd idle_here(iouring::adopt, idle[0]);
  const UniqueFd idle_there(iouring::adopt, idle[1]);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, removed.data()) != 0) return false;
  UniqueFd removed_here(iouring::adopt, removed[0]);
  const UniqueFd removed_there(iouring::adopt, removed[1]);
  if (!put_at(0, idle_here.fd()) || !put_at(1, removed_here.fd())) return false;
  idle_here = {};
  removed_here = {};

  char byte = 0;
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_recv(&sqe, 0, &byte, 1, 0);
  sqe.flags |= IOSQE_FIXED_FILE;
  io_uring_sqe_set_data(&sqe, nullptr);
  io_uring_submit(&ring_);
  put_at(1, -1);
  const bool closed = ::recv(removed_there.fd(), &byte, 1, MSG_DONTWAIT) == 0;
  ::shutdown(idle_there.fd(), SHUT_RDWR);
  await_one();
  put_at(0, -1);
  return closed;
}

}  // namespace iouring
