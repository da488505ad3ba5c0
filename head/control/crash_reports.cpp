#include "head/control/crash_reports.hpp"

#include "head/base/log.hpp"
#include "head/base/post_mortem.hpp"
#include "head/base/symbols.hpp"
#include "iouring/unique_fd.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <optional>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace head::control {

namespace {

namespace fs = std::filesystem;
using iouring::UniqueFd;

constexpr std::size_t raw_max = 4 << 20;
constexpr std::chrono::seconds explained_within{60};
constexpr std::size_t told_lines_max = 24;

std::string read_file(const fs::path& path, std::size_t most) {
  std::ifstream file(path, std::ios::binary);
  std::string text(most, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return text;
}

// Those whose names end so, the newest first.
std::vector<fs::path> reports(const fs::path& folder, std::string_view extension) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator at(folder, error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    const std::string name = at->path().filename();
    if (at->path().extension() != extension) continue;
    if (name.rfind("crash-", 0) == 0 || name.rfind("stall-", 0) == 0) found.push_back(at->path());
  }
  const auto time_of = [](const fs::path& path) { return path.filename().string().substr(6); };
  std::sort(found.begin(), found.end(),
            [&](const auto& a, const auto& b) { return time_of(a) > time_of(b); });
  return found;
}

void keep_newest(const fs::path& folder) {
  const auto all = reports(folder, ".txt");
  std::error_code ignored;
  for (std::size_t i = post_mortem::reports_max; i < all.size(); ++i) fs::remove(all[i], ignored);
}

// The first block of lines, and the first thread's.
std::string worth_telling(std::string_view text) {
  std::size_t end = 0;
  for (int blocks = 0; blocks < 2 && end != std::string_view::npos; ++blocks)
    end = text.find("\n\n", end == 0 ? 0 : end + 2);
  std::size_t lines = 0;
  for (std::size_t at = 0; at != std::string_view::npos && at < end; ++lines) {
    if (lines == told_lines_max) return std::string(text.substr(0, at));
    at = text.find('\n', at + 1);
  }
  return std::string(text.substr(0, end));
}

// As post_mortem.cpp names them: "crash-", digits, ".raw".
bool is_name_of_report(std::string_view name) {
  constexpr std::string_view extension = ".raw";
  if (name.substr(0, 6) != "crash-" && name.substr(0, 6) != "stall-") return false;
  name.remove_prefix(6);
  if (name.size() <= extension.size() || name.substr(name.size() - 4) != extension) return false;
  name.remove_suffix(extension.size());
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// As post_mortem.cpp begins them.
bool is_report(std::string_view text) {
  const std::size_t first = text.find('\n');
  if (text.rfind("headd ", 0) != 0 || first == std::string_view::npos) return false;
  return text.substr(first + 1).rfind("build id ", 0) == 0;
}

struct Report {
  std::string text;
  struct stat about {};
};

bool is_still(const UniqueFd& folder, const std::string& name, const struct stat& about) {
  struct stat now {};
  return ::fstatat(folder.fd(), name.c_str(), &now, AT_SYMLINK_NOFOLLOW) == 0 &&
         now.st_dev == about.st_dev && now.st_ino == about.st_ino;
}

// Nothing where it is none.
std::optional<Report> read_report(const UniqueFd& folder, const std::string& name) {
  if (!is_name_of_report(name)) return std::nullopt;
  const UniqueFd file(iouring::adopt, ::openat(folder.fd(), name.c_str(),
                                               O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  Report report;
  if (!file || ::fstat(file.fd(), &report.about) != 0 || !S_ISREG(report.about.st_mode))
    return std::nullopt;
  report.text.resize(raw_max);
  std::size_t size = 0;
  for (ssize_t got = 1; got > 0 && size < raw_max; size += static_cast<std::size_t>(got)) {
    got = ::read(file.fd(), report.text.data() + size, raw_max - size);
    if (got < 0) return std::nullopt;
  }
  report.text.resize(size);
  if (!is_report(report.text)) return std::nullopt;
  return report;
}

// The errno; nothing of it is there then.
int write_new(const UniqueFd& folder, const fs::path& name, std::string_view text) {
  const UniqueFd file(iouring::adopt,
                      ::openat(folder.fd(), name.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640));
  if (!file) return errno;
  while (!text.empty()) {
    const ssize_t wrote = ::write(file.fd(), text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) {
      const int error = errno;
      ::unlinkat(folder.fd(), name.c_str(), 0);
      return error;
    }
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return 0;
}

// False when it was ended because of `stop`, or could not be begun.
bool run_explainer(const fs::path& raw, const std::stop_token& stop) {
  std::string self = "/proc/self/exe";
  std::string flag = "--explain-crash";
  std::string file = raw.native();
  char* const arguments[] = {self.data(), flag.data(), file.data(), nullptr};
  pid_t child = 0;
  // Signals that are held in this process are held in none that it starts.
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const int error = ::posix_spawn(&child, self.c_str(), nullptr, &attributes, arguments, environ);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    log::warning("headd: {} cannot be explained now: {}", raw.string(), std::strerror(error));
    return false;
  }
  const auto until = std::chrono::steady_clock::now() + explained_within;
  for (;;) {
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) != 0) return true;
    const bool late = std::chrono::steady_clock::now() >= until;
    if (late || stop.stop_requested()) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      return late;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace

std::vector<CrashReport> crash_reports(const fs::path& folder) {
  std::vector<CrashReport> list;
  for (const char* extension : {".txt", ".raw"})
    for (const fs::path& path : reports(folder, extension))
      list.push_back({path.filename(), read_file(path, crash_text_max)});
  return list;
}

Result<std::string, std::string> explain_crash(const fs::path& raw) {
  // By the folder that was opened: no name leads anywhere else meanwhile.
  const fs::path parent = raw.has_parent_path() ? raw.parent_path() : ".";
  const UniqueFd folder(iouring::adopt, ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::string name = raw.filename();
  auto report = folder ? read_report(folder, name) : std::nullopt;
  if (!report)
    return Failure{fmt::format(
        "{} is no report of a crash that headd has written, and was left as it is: name a "
        "crash-SECONDS.raw or stall-SECONDS.raw of STATE/crashes",
        raw.string())};
  auto explained = symbols::explain(report->text);
  const std::string text = explained ? *explained
                                     : fmt::format("{}\n(no names for the addresses: {})\n",
                                                   report->text, explained.error());
  const fs::path into = fs::path(name).replace_extension(".txt");
  if (const int error = write_new(folder, into, text); error == EEXIST)
    return Failure{fmt::format("{} is there already, and was left as it is: move it away",
                               (parent / into).string())};
  else if (error != 0)
    return Failure{fmt::format("{} cannot be written: {}; {} is kept", (parent / into).string(),
                               std::strerror(error), raw.string())};
  if (is_still(folder, name, report->about)) ::unlinkat(folder.fd(), name.c_str(), 0);
  return fmt::format("{}\n{} has all of it\n", worth_telling(text), (parent / into).string());
}

CrashExplainer::CrashExplainer(fs::path folder) : folder_(std::move(folder)) {
  look();
}

void CrashExplainer::look() {
  worker_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

void CrashExplainer::work(const std::stop_token& stop) const {
  post_mortem::guard_thread();
  // Tried once each: what cannot be explained would not be the next time.
  for (const fs::path& raw : reports(folder_, ".raw")) {
    if (!run_explainer(raw, stop)) return;
    std::error_code error;
    if (fs::exists(raw, error)) {
      fs::path into = raw;
      fs::rename(raw, into.replace_extension(".txt"), error);
      log::warning("headd: it ended unexpectedly before, and why is told in {}", into.string());
    }
  }
  keep_newest(folder_);
}

}  // namespace head::control
