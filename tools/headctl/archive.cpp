#include "tools/headctl/archive.hpp"

#include "tools/headctl/failure.hpp"

#include <fmt/format.h>

#include <archive.h>
#include <archive_entry.h>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <memory>
#include <stdio.h>
#include <unistd.h>

namespace headctl {

namespace {

struct Free {
  void operator()(archive* made) const { ::archive_write_free(made); }
  void operator()(archive_entry* made) const { ::archive_entry_free(made); }
};

[[noreturn]] void fail(const std::string& file, const std::string& why) {
  throw Failure(Exit::refused, fmt::format("{} cannot be written: {}", file, why));
}

// A file under a name of its own beside the one that is meant; gone unless it was taken.
class Partial {
 public:
  explicit Partial(const std::string& file) : path_(file + ".XXXXXX") {
    fd_ = ::mkostemp(path_.data(), O_CLOEXEC);
    if (fd_ < 0) fail(file, std::strerror(errno));
  }
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;
  ~Partial() {
    ::close(fd_);
    if (!taken_) ::unlink(path_.c_str());
  }

  int fd() const noexcept { return fd_; }
  void take(const std::string& file, bool force) {
    const unsigned how = force ? 0 : RENAME_NOREPLACE;
    if (::fsync(fd_) != 0) fail(file, std::strerror(errno));
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, file.c_str(), how) != 0)
      fail(file, std::strerror(errno));
    taken_ = true;
  }

 private:
  std::string path_;
  int fd_ = -1;
  bool taken_ = false;
};

}  // namespace

void write_archive(const std::string& file, const std::vector<Member>& members, bool force) {
  Partial partial(file);
  const std::unique_ptr<archive, Free> out(::archive_write_new());
  const auto check = [&](la_ssize_t result) {
    if (result < ARCHIVE_OK) fail(file, ::archive_error_string(out.get()));
  };
  check(::archive_write_add_filter_gzip(out.get()));
  check(::archive_write_set_format_pax_restricted(out.get()));
  check(::archive_write_open_fd(out.get(), partial.fd()));
  const std::time_t now = std::time(nullptr);
  for (const Member& member : members) {
    const std::unique_ptr<archive_entry, Free> entry(::archive_entry_new());
    ::archive_entry_set_pathname(entry.get(), ("headstart-report/" + member.name).c_str());
    ::archive_entry_set_size(entry.get(), static_cast<la_int64_t>(member.text.size()));
    ::archive_entry_set_filetype(entry.get(), AE_IFREG);
    ::archive_entry_set_perm(entry.get(), 0600);
    ::archive_entry_set_mtime(entry.get(), now, 0);
    check(::archive_write_header(out.get(), entry.get()));
    check(::archive_write_data(out.get(), member.text.data(), member.text.size()));
  }
  check(::archive_write_close(out.get()));
  partial.take(file, force);
}

}  // namespace headctl
