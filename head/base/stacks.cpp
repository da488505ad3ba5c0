#include "head/base/stacks.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <execinfo.h>
#include <fcntl.h>
#include <string_view>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

namespace head::stacks {

namespace {

int ask_signal() noexcept {
  return SIGRTMIN + 5;
}

// One thread is asked at a time. Each question has a number, so that a late answer to an earlier
// one is none to this.
enum : std::uint32_t { idle = 0, writing = 1, done = 2, first_question = 4 };
std::atomic<std::uint32_t> question{idle};
std::atomic<std::uint32_t> last_question{first_question};
std::atomic<bool> busy{false};
Stack answer;

void fill(Stack& into) noexcept {
  const int depth = ::backtrace(into.frames.data(), static_cast<int>(depth_max));
  into.depth = static_cast<std::size_t>(std::max(depth, 0));
}

void on_question(int, siginfo_t* info, void*) {
  const int saved = errno;
  auto asked = static_cast<std::uint32_t>(info->si_value.sival_int);
  if (question.compare_exchange_strong(asked, writing)) {
    fill(answer);
    question.store(done);
  }
  errno = saved;
}

bool send(pid_t thread, std::uint32_t number) noexcept {
  siginfo_t info{};
  info.si_code = SI_QUEUE;
  info.si_pid = ::getpid();
  info.si_uid = ::getuid();
  info.si_value.sival_int = static_cast<int>(number);
  return ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), thread, ask_signal(), &info) == 0;
}

void nap() noexcept {
  constexpr timespec short_while{.tv_sec = 0, .tv_nsec = 500'000};
  ::clock_nanosleep(CLOCK_MONOTONIC, 0, &short_while, nullptr);
}

constexpr int naps = static_cast<int>(patience / std::chrono::microseconds(500));

}  // namespace

void prepare() {
  Stack unused;
  fill(unused);  // Loads the unwinder, which a handler could not.
  struct sigaction action {};
  action.sa_sigaction = on_question;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigfillset(&action.sa_mask);
  if (::sigaction(ask_signal(), &action, nullptr) != 0)
    throw std::system_error(errno, std::generic_category(), "no handler for a signal");
}

void take(pid_t thread, Stack& into) noexcept {
  into.depth = 0;
  if (thread == static_cast<pid_t>(::syscall(SYS_gettid))) return fill(into);
  for (int i = 0; busy.exchange(true); ++i) {
    if (i == naps) return;
    nap();
  }
  const std::uint32_t number = last_question.fetch_add(1) | first_question;
  question.store(number);
  if (send(thread, number))
    for (int i = 0; i < naps && question.load() != done; ++i) nap();
  std::uint32_t unanswered = number;
  if (!question.compare_exchange_strong(unanswered, idle)) {
    for (int i = 0; i < naps && question.load() != done; ++i) nap();
    if (question.load() != done) return;  // It hangs in the unwinder: nobody else is asked.
    into = answer;
    question.store(idle);
  }
  busy.store(false);
}

std::size_t list_threads(std::span<pid_t> into) noexcept {
  const int folder = ::open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return 0;
  std::size_t count = 0;
  alignas(dirent64) char entries[4096];
  for (;;) {
    const auto got = ::syscall(SYS_getdents64, folder, entries, sizeof entries);
    if (got <= 0) break;
    for (long at = 0; at < got && count < into.size();) {
      const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
      const std::string_view name = entry->d_name;
      pid_t thread = 0;
      const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), thread);
      if (error == std::errc() && end == name.data() + name.size()) into[count++] = thread;
      at += entry->d_reclen;
    }
  }
  ::close(folder);
  return count;
}

Name name_of(pid_t thread) noexcept {
  Name name{"?"};
  char path[64] = "/proc/self/task/";
  char* const end = std::to_chars(path + std::strlen(path), path + 48, thread).ptr;
  std::strcpy(end, "/comm");
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return name;
  const ssize_t got = ::read(file, name.data(), name.size() - 1);
  ::close(file);
  if (got <= 0) return Name{"?"};
  name[static_cast<std::size_t>(got)] = '\0';
  if (name[static_cast<std::size_t>(got) - 1] == '\n')
    name[static_cast<std::size_t>(got) - 1] = '\0';
  return name;
}

}  // namespace head::stacks
