#include "head/control/trace_file.hpp"

#include "head/base/log.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace head::control {
namespace {

namespace fs = std::filesystem;
using disc::Trace;
using disc::Traces;
using Record = Traces::Record;
using iouring::UniqueFd;

constexpr std::string_view prefix = "traces.";
constexpr std::size_t bytes_most = std::size_t{256} << 20;

// At the file's begin; records follow.
struct alignas(64) Header {
  char magic[8] = {'H', 'E', 'A', 'D', 'T', 'R', 'C', '1'};
  std::uint32_t record_bytes = sizeof(Record);
};
static_assert(sizeof(Header) == 64 && sizeof(Record) == 48);

iouring::Instant now() {
  return std::chrono::steady_clock::now();
}

// Nothing that a headd can be sure of: all of it is in doubt.
std::vector<Trace> unreadable(std::chrono::milliseconds quarantine) {
  return {{.range = disc::whole_disc, .until = now() + quarantine}};
}

std::vector<Trace> read_traces(const UniqueFd& file, std::chrono::milliseconds quarantine) {
  Header header, none{};
  std::memset(none.magic, 0, sizeof none.magic);
  const ssize_t begun = ::pread(file.fd(), &header, sizeof header, 0);
  struct stat about {};
  if (begun < 0 || ::fstat(file.fd(), &about) != 0) return unreadable(quarantine);
  if (begun == 0 ||
      (begun == sizeof header && std::memcmp(header.magic, none.magic, sizeof header.magic) == 0))
    return {};  // It had not begun to serve.
  const auto size = static_cast<std::size_t>(about.st_size);
  if (begun != sizeof header || size > bytes_most ||
      std::memcmp(header.magic, Header{}.magic, sizeof header.magic) != 0 ||
      header.record_bytes != sizeof(Record))
    return unreadable(quarantine);
  std::vector<Record> records((size - sizeof header) / sizeof(Record));
  const auto bytes = static_cast<ssize_t>(records.size() * sizeof(Record));
  if (::pread(file.fd(), records.data(), static_cast<std::size_t>(bytes), sizeof header) != bytes)
    return unreadable(quarantine);
  return Traces::read(records, now(), quarantine);
}

// What is in the files of headds that run no more, which are to be removed; and in those of others
// that run.
struct Left {
  std::vector<fs::path> files;
  std::vector<Trace> traces;
  std::vector<Trace> of_running;
};

Left left_in(const fs::path& run_dir, const fs::path& own, std::chrono::milliseconds quarantine) {
  Left left;
  std::error_code error;
  for (fs::directory_iterator entry(run_dir, error), end; !error && entry != end;
       entry.increment(error)) {
    const fs::path& path = entry->path();
    std::error_code no_file;
    if (!path.filename().string().starts_with(prefix) || path == own ||
        entry->symlink_status(no_file).type() != fs::file_type::regular)
      continue;
    const UniqueFd file(iouring::adopt,
                        ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    const bool locked = file && ::flock(file.fd(), LOCK_EX | LOCK_NB) == 0;
    if (!locked && errno == ENOENT) continue;
    if (!locked && errno == EWOULDBLOCK) {
      const auto traces = read_traces(file, quarantine);
      left.of_running.insert(left.of_running.end(), traces.begin(), traces.end());
      continue;
    }
    if (!locked)
      log::warning("headd: {} cannot be read: {}; changes wait for the quarantine", path.native(),
                   std::strerror(errno));
    const auto traces = locked ? read_traces(file, quarantine) : unreadable(quarantine);
    left.files.push_back(path);
    left.traces.insert(left.traces.end(), traces.begin(), traces.end());
  }
  return left;
}

[[noreturn]] void fail(const fs::path& path, const char* what, int error) {
  throw std::runtime_error(fmt::format(
      "{}, where headd remembers what its tails have to do, cannot be {}: {}; make room "
      "there, or choose another --run-dir",
      path.native(), what, std::strerror(error)));
}

}  // namespace

TraceFile::TraceFile(const fs::path& run_dir, unsigned threads,
                     std::chrono::milliseconds quarantine)
    : run_dir_(run_dir), quarantine_(quarantine) {
  // Nobody may look at it before it is locked and whole: it gets its name last.
  const fs::path named =
      run_dir / fmt::format("{}{}-{}", prefix, ::getpid(), now().time_since_epoch().count());
  const fs::path name = run_dir / fmt::format("new-traces.{}", ::getpid());
  file_ = UniqueFd(iouring::adopt,
                   ::open(name.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file_) fail(name, "made", errno);
  path_ = name;
  ::flock(file_.fd(), LOCK_EX);
  const std::size_t records = (threads + 1) * records_each;
  bytes_ = sizeof(Header) + records * sizeof(Record);
  if (const int error = ::posix_fallocate(file_.fd(), 0, static_cast<off_t>(bytes_))) {
    remove();
    fail(name, "as large as is needed", error);
  }
  memory_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file_.fd(), 0);
  if (memory_ == MAP_FAILED) {
    const int error = errno;
    remove();
    fail(name, "mapped", error);
  }
  ::new (memory_) Header;
  if (::rename(name.c_str(), named.c_str()) != 0) {
    const int error = errno;
    remove();
    ::munmap(memory_, bytes_);
    fail(named, "named", error);
  }
  path_ = named;
  auto* const first = reinterpret_cast<Record*>(static_cast<std::byte*>(memory_) + sizeof(Header));
  records_ = {first, records};
  for (unsigned i = 0; i < threads; ++i)
    traces_.push_back(
        std::make_unique<Traces>(std::span(first + i * records_each, records_each), left_));
  kept_.emplace(std::span(first + threads * records_each, records_each), left_);
  look();
}

// What is found is kept in this file as well before the other one goes.
void TraceFile::look() {
  const Left found = left_in(run_dir_, path_, quarantine_);
  keep(found.traces);
  for (const fs::path& file : found.files) {
    std::error_code ignored;
    fs::remove(file, ignored);
  }
  if (!found.traces.empty())
    log::info("headd: one before it has left {} changes unanswered; what overlaps them waits",
              found.traces.size());
}

void TraceFile::look_at_running() {
  keep(left_in(run_dir_, path_, quarantine_).of_running);
}

void TraceFile::keep(std::span<const Trace> found) {
  for (const Trace& trace : found) kept_->abandon(kept_->note(trace), trace.until, now());
}

TraceFile::~TraceFile() {
  traces_.clear();
  kept_.reset();
  if (Traces::read(records_, now(), std::chrono::hours(1)).empty()) remove();
  ::munmap(memory_, bytes_);
}

void TraceFile::remove() noexcept {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

}  // namespace head::control
