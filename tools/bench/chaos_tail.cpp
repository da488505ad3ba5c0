// head-bench chaos-tail: a tail that misbehaves when it is told to. It serves one disc (fixed
// newstyle, simple replies) and keeps what is not flushed in memory alone, so that SIGKILL loses
// it. It never lies about what it stores. One thread, one poll loop: each round it first carries
// out what was put off, then takes from each session, oldest first, what has arrived. It is told
//   corrupt, truncate, twice                      to do so to its next reply
//   late, refuse, shutdown, silent, dribble MS    to do so for so many milliseconds
//   slow MS       to give changes that arrive meanwhile to workers that take seconds, outlive their
//                 session, and are overtaken by what arrives later
//   einval MS     to answer FLUSH with EINVAL meanwhile
//   eio           to answer the next FLUSH with EIO, and forget what was not flushed, which can
//                 be read for some seconds still
//   well          to do none of it any more; only what its slow workers have goes on
// Of a FLUSH that failed with EIO it writes "f" to STORE.failed, and "t" when that answer has
// arrived at the head.
#include "iouring/unique_fd.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/chaos_session.hpp"
#include "tools/bench/chaos_store.hpp"
#include "tools/bench/nbd_bytes.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <deque>
#include <fcntl.h>
#include <list>
#include <map>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <random>
#include <sstream>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>

namespace bench {
namespace {

using namespace std::chrono_literals;
using namespace nbd_bytes;
using chaos::Request;
using chaos::Session;
using chaos::Store;
using Clock = std::chrono::steady_clock;
using iouring::UniqueFd;

constexpr std::uint32_t shutting_down = 108;  // NBD_ESHUTDOWN
constexpr std::size_t workers_max = 8;        // That are slow at a time.
// So long what is forgotten can still be read: time for a head that keeps it to write it again,
// even where the answer was on its way for some seconds.
constexpr auto forgotten_for = 6s;

UniqueFd made(int fd, const char* what) {
  if (fd < 0) throw std::system_error(errno, std::generic_category(), what);
  return UniqueFd(iouring::adopt, fd);
}

std::uint16_t command_named(const std::string& name) {
  if (name == "trim") return cmd_trim;
  return name == "write-zeroes" ? cmd_zero : cmd_disconnect;
}

class Tail {
 public:
  explicit Tail(const ChaosTailOptions& options)
      : options_(options), store_(options.store, options.bytes), random_(options.seed) {
    control_ = made(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "a socket");
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    options.control.string().copy(name.sun_path, sizeof name.sun_path - 1);
    ::unlink(name.sun_path);
    if (::bind(control_.fd(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0)
      throw std::system_error(errno, std::generic_category(), "binding the control socket");
    const auto failed = options.store.string() + ".failed";
    failed_ = made(::open(failed.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600),
                   "the list of what failed");
    listen();
  }

  [[noreturn]] void run() {
    for (Clock::time_point before = Clock::now();;) {
      const Clock::time_point now = Clock::now();
      // It was stopped: who gave it up long ago need not fear what it puts off now.
      const bool stopped = now - before > 100ms;
      before = now;
      obey();
      if (stopped) until_["late"] = {};
      carry_out(stopped);
      tell_failures();
      if (!listener_ && !doing("refuse")) listen();
      accept();
      for (Session& session : sessions_) serve(session);
      sessions_.remove_if([](const Session& one) { return !one.is_open(); });
      wait();
    }
  }

 private:
  void listen();
  void accept();
  void wait() const;
  void obey();
  bool doing(const std::string& what) const {
    const auto found = until_.find(what);
    return found != until_.end() && Clock::now() < found->second;
  }
  void serve(Session& session);
  void on_request(Session& session, Request request);
  void put_off(const Session& session, Request request, bool slow);
  void carry_out(bool all);
  std::uint32_t perform(const Request& request);
  std::uint32_t flush();
  void tell_failures();
  void answer(Session& session, const Request& request, std::uint32_t error);
  // What it had put off for an ended session is not done any more, unless by a slow worker.
  void forget_ended();

  const ChaosTailOptions options_;
  Store store_;
  std::mt19937_64 random_;
  UniqueFd control_, listener_, failed_;
  std::list<Session> sessions_;
  unsigned sessions_made_ = 0;
  struct Late {
    Clock::time_point due;
    bool slow;
    unsigned session;
    Request request;
  };
  std::deque<Late> late_;
  bool flush_fails_ = false;
  Clock::time_point dropped_at_ = Clock::time_point::max();  // What was forgotten.
  std::vector<unsigned> told_;  // Sessions to which the answer of a failed FLUSH is on its way.
  std::map<std::string, Clock::time_point> until_;
  std::string next_;  // What is done to the next reply.
};

void Tail::listen() {
  listener_ = made(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "a socket");
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(static_cast<std::uint16_t>(options_.port));
  ::inet_pton(AF_INET6, options_.address.c_str(), &address.sin6_addr);
  const int on = 1;
  ::setsockopt(listener_.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(listener_.fd(), IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof on);
  if (::bind(listener_.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener_.fd(), 16) != 0)
    throw std::system_error(errno, std::generic_category(), "listening at " + options_.address);
}

void Tail::accept() {
  if (!listener_) return;
  const int fd = ::accept4(listener_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sessions_.emplace_back(UniqueFd(iouring::adopt, fd), ++sessions_made_, store_.size());
}

void Tail::wait() const {
  std::vector<pollfd> polls{{control_.fd(), POLLIN, 0}, {listener_.fd(), POLLIN, 0}};
  for (const Session& session : sessions_)
    polls.push_back({session.fd(),
                     static_cast<short>((session.has_ended() ? 0 : POLLIN) |
                                        (session.is_sending() ? POLLOUT : 0)),
                     0});
  ::poll(polls.data(), polls.size(), late_.empty() ? 20 : 2);
}

void Tail::obey() {
  char text[64];
  for (ssize_t size; (size = ::recv(control_.fd(), text, sizeof text, 0)) > 0;) {
    std::istringstream words(std::string(text, static_cast<std::size_t>(size)));
    std::string what;
    unsigned ms = 0;
    words >> what;
    if (!(words >> ms)) {
      if (what == "well") until_.clear();
      if (what == "well" || what == "eio") flush_fails_ = what == "eio";
      if (what != "eio") next_ = what == "well" ? "" : what;
      continue;
    }
    until_[what] = Clock::now() + std::chrono::milliseconds(ms);
    if (what != "refuse") continue;
    listener_ = {};
    for (Session& session : sessions_) session.end();
    forget_ended();
  }
}

void Tail::serve(Session& session) {
  if (!doing("silent")) session.greet();
  session.receive();
  while (const auto request = session.next()) on_request(session, *request);
  if (session.has_ended()) forget_ended();
  session.send(doing("dribble"));
  session.close_if_over();
}

void Tail::on_request(Session& session, Request request) {
  if (request.type == command_named(options_.hangs_up_on)) return session.end();
  if (doing("shutdown")) {
    answer(session, request, shutting_down);
  } else if (request.is_change() && doing("slow") && random_() % 8 == 0 &&
             late_.size() < workers_max) {
    put_off(session, std::move(request), true);
  } else if (request.is_change() && doing("late")) {
    put_off(session, std::move(request), false);
  } else {
    answer(session, request, perform(request));
  }
}

void Tail::put_off(const Session& session, Request request, bool slow) {
  const unsigned least = slow ? 500 : 20;
  const unsigned most = slow ? chaos::slow_ms_max : chaos::late_ms_max;
  const auto wait = std::chrono::milliseconds(least + random_() % (most - least));
  late_.push_back({Clock::now() + wait, slow, session.id(), std::move(request)});
}

// What was put off is carried out though its session is gone: a ghost. All of it, where this was
// stopped for a while.
void Tail::carry_out(bool all) {
  const auto now = Clock::now();
  if (all && dropped_at_ != Clock::time_point::max()) dropped_at_ = now + forgotten_for;
  if (now > dropped_at_) {
    store_.drop_forgotten();
    dropped_at_ = Clock::time_point::max();
  }
  for (std::size_t i = 0; i < late_.size();) {
    if ((!all || late_[i].slow) && late_[i].due > now) {
      ++i;
      continue;
    }
    const Late late = std::move(late_[i]);
    late_.erase(late_.begin() + static_cast<std::ptrdiff_t>(i));
    const auto error = perform(late.request);
    for (Session& session : sessions_)
      if (session.id() == late.session) answer(session, late.request, error);
  }
}

std::uint32_t Tail::perform(const Request& request) {
  if (request.type == cmd_read) return 0;
  if (request.type == cmd_flush) return flush();
  if (!request.is_change()) return EINVAL;
  if (request.type == cmd_write)
    store_.write(request.offset, request.payload);
  else if (request.type == cmd_zero || random_() % 4 != 0)  // A TRIM may do nothing.
    store_.write(request.offset, Bytes(request.length));
  if ((request.flags & flag_fua) != 0) store_.flush(request.offset, request.length);
  if (random_() % 8 == 0) store_.evict(random_());
  return 0;
}

std::uint32_t Tail::flush() {
  if (doing("einval")) return EINVAL;
  if (!std::exchange(flush_fails_, false)) {
    store_.flush();
    return 0;
  }
  store_.forget();
  dropped_at_ = Clock::now() + forgotten_for;
  return EIO;
}

// That its kernel has got an answer is taken for that the head has.
void Tail::tell_failures() {
  std::erase_if(told_, [this](unsigned id) {
    const auto session = std::find_if(sessions_.begin(), sessions_.end(),
                                      [id](const Session& one) { return one.id() == id; });
    if (session == sessions_.end()) return true;
    if (!session->is_delivered()) return false;
    if (::write(failed_.fd(), "t", 1) != 1) throw std::runtime_error("a note cannot be written");
    return true;
  });
}

void Tail::answer(Session& session, const Request& request, std::uint32_t error) {
  if (request.type == cmd_flush && error == EIO) {
    if (::write(failed_.fd(), "f", 1) != 1) throw std::runtime_error("a note cannot be written");
    told_.push_back(session.id());
  }
  if (session.has_ended()) return;
  const std::string how = std::exchange(next_, "");
  const bool wrong_magic = how == "corrupt" && random_() % 2 == 0;
  Bytes reply;
  put<std::uint32_t>(reply, reply_magic ^ (wrong_magic ? 1u << random_() % 32 : 0u));
  put<std::uint32_t>(reply, error);
  // No cookie that anybody would choose.
  const bool wrong_cookie = how == "corrupt" && !wrong_magic;
  put<std::uint64_t>(reply, request.cookie ^ (wrong_cookie ? 0xdead'beef'0bad'cafe : 0));
  if (request.type == cmd_read && error == 0) {
    const auto data = store_.read(request.offset, request.length);
    reply.insert(reply.end(), data.begin(), data.end());
  }
  if (how == "truncate") {
    reply.resize(random_() % reply.size());
    session.end(true);
    forget_ended();
  }
  session.reply(reply);
  if (how == "twice") session.reply(reply);
}

void Tail::forget_ended() {
  std::erase_if(late_, [this](const Late& late) {
    const auto ended = [&](const Session& one) {
      return one.id() == late.session && one.has_ended();
    };
    return !late.slow && std::any_of(sessions_.begin(), sessions_.end(), ended);
  });
}

}  // namespace

void chaos_tail(const Common&, const ChaosTailOptions& options) {
  Tail(options).run();
}

}  // namespace bench
