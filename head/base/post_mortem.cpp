#include "head/base/post_mortem.hpp"

#include "head/base/log.hpp"
#include "head/base/stacks.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string_view>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

namespace head::post_mortem {

namespace {

constexpr std::array fatal = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};

// Everything a handler needs, made ready before.
struct Prepared {
  std::array<char, 4096> folder{};
  std::array<char, 64> version{};
  std::array<char, 41> build_id{};
};
Prepared prepared;
std::array<struct sigaction, fatal.size()> before;
std::atomic<pid_t> dying{0};

// A line, put together without an allocation and written at once.
class Line {
 public:
  explicit Line(int file) noexcept : file_(file) {}
  ~Line() {
    put("\n");
    const char* at = text_.data();
    while (used_ > 0) {
      const ssize_t wrote = ::write(file_, at, used_);
      if (wrote <= 0) return;
      at += wrote;
      used_ -= static_cast<std::size_t>(wrote);
    }
  }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  Line& put(std::string_view text) noexcept {
    const std::size_t fits = std::min(text.size(), text_.size() - used_);
    std::copy_n(text.data(), fits, text_.data() + used_);
    used_ += fits;
    return *this;
  }
  template <class Number>
  Line& number(Number value, int base = 10) noexcept {
    char digits[24];
    const auto end = std::to_chars(std::begin(digits), std::end(digits), value, base).ptr;
    return put({digits, static_cast<std::size_t>(end - digits)});
  }
  Line& address(const void* at) noexcept {
    return put("0x").number(reinterpret_cast<std::uintptr_t>(at), 16);
  }

 private:
  int file_;
  std::array<char, 512> text_{};
  std::size_t used_ = 0;
};

std::string_view name_of(int signal) noexcept {
  switch (signal) {
    case SIGSEGV:
      return "SIGSEGV";
    case SIGBUS:
      return "SIGBUS";
    case SIGILL:
      return "SIGILL";
    case SIGFPE:
      return "SIGFPE";
    case SIGABRT:
      return "SIGABRT";
    default:
      return "SIGSYS";
  }
}

// The linker's note of the running program (elf(5), NT_GNU_BUILD_ID).
int find_build_id(dl_phdr_info* info, std::size_t, void*) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    if (header.p_type != PT_NOTE) continue;
    const char* at = reinterpret_cast<const char*>(info->dlpi_addr + header.p_vaddr);
    const char* const end = at + header.p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      const auto* note = reinterpret_cast<const ElfW(Nhdr)*>(at);
      const auto padded = [](std::size_t size) { return (size + 3) / 4 * 4; };
      const char* const text = at + sizeof *note + padded(note->n_namesz);
      if (note->n_type == NT_GNU_BUILD_ID && note->n_descsz <= 20) {
        for (std::size_t j = 0; j < note->n_descsz; ++j) {
          constexpr std::string_view hex = "0123456789abcdef";
          const auto byte = static_cast<unsigned char>(text[j]);
          prepared.build_id[2 * j] = hex[byte >> 4];
          prepared.build_id[2 * j + 1] = hex[byte & 15];
        }
        return 1;
      }
      at = text + padded(note->n_descsz);
    }
  }
  return 1;  // The first object is the program.
}

int create(std::string_view kind, std::array<char, 4200>& path) noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  char* at = path.data();
  const auto put = [&](std::string_view text) {
    std::copy(text.begin(), text.end(), at);
    at += text.size();
  };
  put(prepared.folder.data());
  put("/");
  put(kind);
  put("-");
  at = std::to_chars(at, at + 20, now.tv_sec).ptr;
  put(".raw");
  *at = '\0';
  return ::open(path.data(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
}

void write_stack(int file, pid_t thread, const stacks::Stack& stack) noexcept {
  Line(file)
      .put("\nthread ")
      .number(thread)
      .put(" ")
      .put(stacks::name_of(thread).data())
      .put(stack.depth == 0 ? ": it does not answer" : ":");
  for (std::size_t i = 0; i < stack.depth; ++i) Line(file).put("  ").address(stack.frames[i]);
}

// What the addresses mean: which file is mapped where.
void write_maps(int file) noexcept {
  Line(file).put("\nmaps:");
  const int maps = ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (maps < 0) return;
  std::array<char, 4096> piece;
  for (ssize_t got = 0; (got = ::read(maps, piece.data(), piece.size())) > 0;)
    if (::write(file, piece.data(), static_cast<std::size_t>(got)) != got) break;
  ::close(maps);
}

void write_rest(int file, pid_t except) noexcept {
  static std::array<pid_t, stacks::threads_max> threads;
  const std::size_t count = stacks::list_threads(threads);
  static stacks::Stack stack;
  for (std::size_t i = 0; i < count; ++i) {
    if (threads[i] == except) continue;
    stacks::take(threads[i], stack);
    write_stack(file, threads[i], stack);
  }
  Line(file).put("\nlast lines of the log:");
  for (std::size_t i = log::recent_max; i-- > 0;)
    if (const char* line = log::recent(i)) Line(file).put(line);
  write_maps(file);
}

void write_header(int file, std::string_view what) noexcept {
  Line(file).put("headd ").put(prepared.version.data()).put(" ").put(what);
  Line(file).put("build id ").put(prepared.build_id.data());
  Line(file).put("process ").number(::getpid());
}

void on_fatal(int signal, siginfo_t* info, void*) {
  const auto self = static_cast<pid_t>(::syscall(SYS_gettid));
  pid_t nobody = 0;
  if (!dying.compare_exchange_strong(nobody, self)) {
    if (nobody == self) ::_exit(128 + signal);  // In this handler.
    for (;;) ::pause();                         // Another thread dies for all of us.
  }
  const bool faulted = info->si_code > 0 && signal != SIGABRT;
  std::array<char, 4200> path{};
  const int file = create("crash", path);
  if (file >= 0) {
    write_header(file, "crashed");
    if (faulted)
      Line(file).put("signal ").put(name_of(signal)).put(" for address ").address(info->si_addr);
    else
      Line(file).put("signal ").put(name_of(signal)).put(" from process ").number(info->si_pid);
    static stacks::Stack own;
    stacks::take(self, own);
    write_stack(file, self, own);
    write_rest(file, self);
    ::fsync(file);
    ::close(file);
    Line(STDERR_FILENO)
        .put("<2>headd: crashed by ")
        .put(name_of(signal))
        .put("; where it was is told in ")
        .put(path.data());
  }
  // As without us: core dumps and the service manager see the signal. A fault happens again.
  for (std::size_t i = 0; i < fatal.size(); ++i) ::sigaction(fatal[i], &before[i], nullptr);
  if (!faulted) ::syscall(SYS_tgkill, ::getpid(), self, signal);
}

// A stack that has overflowed is no place for a handler.
class OtherStack {
 public:
  OtherStack() noexcept
      : memory_(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
  }
  OtherStack(const OtherStack&) = delete;
  OtherStack& operator=(const OtherStack&) = delete;
  ~OtherStack() {
    if (memory_ == MAP_FAILED) return;
    const stack_t none{.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
    ::sigaltstack(&none, nullptr);
    ::munmap(memory_, size);
  }
  void use() const noexcept {
    const stack_t other{.ss_sp = memory_, .ss_flags = 0, .ss_size = size};
    if (memory_ != MAP_FAILED) ::sigaltstack(&other, nullptr);
  }

 private:
  static constexpr std::size_t size = 64 << 10;
  void* const memory_;
};

}  // namespace

void prepare(const std::filesystem::path& folder, const std::string& version) {
  std::filesystem::create_directories(folder);
  std::copy_n(folder.native().begin(), std::min(folder.native().size(), prepared.folder.size() - 1),
              prepared.folder.begin());
  std::copy_n(version.begin(), std::min(version.size(), prepared.version.size() - 1),
              prepared.version.begin());
  ::dl_iterate_phdr(find_build_id, nullptr);
  stacks::prepare();
  guard_thread();
  struct sigaction action {};
  action.sa_sigaction = on_fatal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < fatal.size(); ++i) ::sigaction(fatal[i], &action, &before[i]);
}

void guard_thread() noexcept {
  thread_local OtherStack other;
  other.use();
}

std::filesystem::path write_stall() {
  std::array<char, 4200> path{};
  const int file = create("stall", path);
  if (file < 0) return {};
  write_header(file, "has a data thread that comes to nothing");
  write_rest(file, 0);
  ::close(file);
  return path.data();
}

}  // namespace head::post_mortem
