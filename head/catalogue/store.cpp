#include "head/catalogue/store.hpp"

#include "head/base/locks.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <tuple>
#include <unistd.h>
#include <utility>

namespace head::catalogue {

namespace {

using iouring::adopt;
using iouring::UniqueFd;

[[noreturn]] void fail(const std::string& what, const std::filesystem::path& path, int error,
                       std::string_view way_out) {
  throw StoreError(
      fmt::format("cannot {} {}: {}; {}", what, path.native(), std::strerror(error), way_out));
}

UniqueFd open_or_fail(const std::filesystem::path& path, int flags, const std::string& what) {
  UniqueFd fd(adopt, ::open(path.c_str(), flags | O_CLOEXEC, 0600));
  if (!fd) fail(what, path, errno, "check the state directory's owner, mode and disk");
  return fd;
}

void sync_or_fail(const UniqueFd& fd, const std::filesystem::path& path) {
  if (::fsync(fd.fd()) != 0) fail("sync", path, errno, "check the disk");
}

std::string read_all(const UniqueFd& fd, const std::filesystem::path& path) {
  std::string text;
  char piece[64 * 1024];
  for (;;) {
    const ssize_t size = ::read(fd.fd(), piece, sizeof piece);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) fail("read", path, errno, "check the disk");
    if (size == 0) return text;
    text.append(piece, static_cast<std::size_t>(size));
  }
}

UniqueFd take_ownership(const std::filesystem::path& directory) {
  try {
    return lock_directory(directory, "--state-dir");
  } catch (const LockError& error) {
    throw StoreError(error.what());
  }
}

// Invalid where there is none.
UniqueFd open_if_there(const std::filesystem::path& file) {
  UniqueFd fd(adopt, ::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno != ENOENT) fail("open", file, errno, "check its owner and mode");
  return fd;
}

bool stays_proven(const DiscSpec& before, const DiscSpec& now) noexcept {
  return before.uri == now.uri && told_of(before) == told_of(now);
}

StoredDiscs load(const UniqueFd& fd, const std::filesystem::path& file) {
  if (!fd) return {};
  auto discs = parse_text(read_all(fd, file));
  if (!discs)
    throw StoreError(fmt::format(
        "{} is not used and was left as it is: {}; mend it or restore it from a backup, or move it "
        "away to begin without discs",
        file.native(), discs.error()));
  return *discs;
}

}  // namespace

Store::Store(std::filesystem::path directory)
    : directory_(std::move(directory)), file_(directory_ / "discs.json") {
  if (::mkdir(directory_.c_str(), 0700) != 0 && errno != EEXIST)
    fail("make the state directory", directory_, errno,
         "make its parent, or choose another with --state-dir");
  owner_lock_ = take_ownership(directory_);
  const UniqueFd fd = open_if_there(file_);
  ours_ = identity_of(fd);
  discs_ = load(fd, file_);
}

Store::Identity Store::identity_of(const UniqueFd& fd) noexcept {
  struct stat now {};
  if (!fd || ::fstat(fd.fd(), &now) != 0) return {};
  return {static_cast<std::int64_t>(now.st_ino), now.st_mtim.tv_sec, now.st_mtim.tv_nsec,
          now.st_size};
}

void Store::prepare_for_next() {
  std::unique_lock lock(lock_);
  while (writing_) written_.wait(lock);
  const UniqueFd fd = open_if_there(file_);
  if (discs_.empty() || (fd && identity_of(fd) == ours_)) return;
  if (!fd) {
    const std::shared_ptr<Batch> mine = open_;
    write_batch(lock);
    if (!mine->failure.empty()) throw StoreError(mine->failure);
    return;
  }
  const StoredDiscs edited = load(fd, file_);
  for (const auto& [name, disc] : discs_) {
    const auto found = edited.find(name);
    if (found == edited.end() || found->second.spec.uri != disc.spec.uri)
      throw StoreError(fmt::format(
          "{} was changed by others and has {} {}: detach it first, or undo that", file_.string(),
          found == edited.end() ? "no disc" : "another tail for disc", name));
  }
}

StoredDiscs Store::edited() const {
  const UniqueFd fd = open_if_there(file_);
  {
    const std::lock_guard lock(lock_);
    if (writing_ || identity_of(fd) == ours_) return {};
  }
  return load(fd, file_);
}

std::vector<DiscSpec> Store::discs() const {
  const std::lock_guard lock(lock_);
  std::vector<DiscSpec> list;
  list.reserve(discs_.size());
  for (const auto& [name, disc] : discs_) list.push_back(disc.spec);
  return list;
}

std::optional<nbd::ExportInfo> Store::shape(const std::string& name) const {
  const std::lock_guard lock(lock_);
  const auto at = discs_.find(name);
  return at == discs_.end() ? std::nullopt : at->second.shape;
}

std::optional<netlink::Mac> Store::proven(const DiscSpec& spec) const {
  const std::lock_guard lock(lock_);
  const auto at = discs_.find(spec.name);
  const bool stays = at != discs_.end() && stays_proven(at->second.spec, spec);
  return stays ? at->second.proven : std::nullopt;
}

void Store::put(std::span<const DiscSpec> specs) {
  std::unique_lock lock(lock_);
  for (const DiscSpec& spec : specs) {
    StoredDisc disc{.spec = spec};
    if (const auto at = discs_.find(spec.name); at != discs_.end()) {
      const StoredDisc& before = at->second;
      if (before.spec.uri == spec.uri) disc.shape = before.shape;
      if (stays_proven(before.spec, spec)) disc.proven = before.proven;
    }
    apply(spec.name, disc);
  }
  commit(lock);
}

void Store::remember(std::span<const Shape> shapes) {
  std::unique_lock lock(lock_);
  for (const Shape& shape : shapes) {
    const auto at = discs_.find(shape.name);
    if (at == discs_.end() || at->second.spec.uri != shape.uri) continue;
    StoredDisc disc = at->second;
    disc.shape = shape.info;
    apply(shape.name, disc);
  }
  commit(lock);
}

void Store::prove(std::span<const Proof> proofs) {
  std::unique_lock lock(lock_);
  for (const Proof& proof : proofs) {
    const auto at = discs_.find(proof.name);
    if (at == discs_.end() || told_of(at->second.spec) != proof.told) continue;
    StoredDisc disc = at->second;
    disc.proven = proof.lladdr;
    apply(proof.name, disc);
  }
  commit(lock);
}

void Store::remove(std::span<const std::string> names) {
  std::unique_lock lock(lock_);
  for (const std::string& name : names) apply(name, std::nullopt);
  commit(lock);
}

std::uint64_t Store::writes() const {
  const std::lock_guard lock(lock_);
  return writes_;
}

void Store::apply(const std::string& name, const std::optional<StoredDisc>& disc) {
  const auto at = discs_.find(name);
  std::optional<StoredDisc> before;
  if (at != discs_.end()) before = at->second;
  if (before == disc) return;
  open_->changes.push_back({.name = name, .before = std::move(before), .after = disc});
  if (disc)
    discs_.insert_or_assign(name, *disc);
  else
    discs_.erase(at);
}

void Store::commit(std::unique_lock<std::mutex>& lock) {
  // Even without a change of its own a caller waits: what it relies on may still be on its way.
  const std::shared_ptr<Batch> mine = open_;
  if (mine->changes.empty() && !writing_) return;
  while (!mine->done) {
    if (writing_)
      written_.wait(lock);
    else
      write_batch(lock);
  }
  if (!mine->failure.empty()) throw StoreError(mine->failure);
}

void Store::write_batch(std::unique_lock<std::mutex>& lock) {
  const std::shared_ptr<Batch> batch = std::exchange(open_, std::make_shared<Batch>());
  writing_ = true;
  try {
    const std::string text = to_text(discs_);
    lock.unlock();
    const Identity written = write_file(text);
    lock.lock();
    ours_ = written;
    ++writes_;
  } catch (const std::exception& error) {
    if (!lock.owns_lock()) lock.lock();
    batch->failure = error.what();
    undo(*batch);
  }
  writing_ = false;
  batch->done = true;
  written_.notify_all();
}

void Store::undo(const Batch& batch) {
  for (auto change = batch.changes.rbegin(); change != batch.changes.rend(); ++change) {
    const auto at = discs_.find(change->name);
    const bool newer = change->after ? at == discs_.end() || at->second.spec != change->after->spec
                                     : at != discs_.end();
    if (newer) continue;
    std::optional<StoredDisc> back = change->before;
    const auto found = [](const StoredDisc& disc) { return std::tie(disc.shape, disc.proven); };
    if (back && change->after && found(at->second) != found(*change->after)) {
      back->shape = at->second.shape;  // These are newer.
      back->proven = at->second.proven;
    }
    if (back)
      discs_.insert_or_assign(change->name, *back);
    else
      discs_.erase(change->name);
  }
}

Store::Identity Store::write_file(std::string_view text) const {
  const std::filesystem::path next = file_.native() + ".new";
  Identity identity;
  {
    const UniqueFd fd = open_or_fail(next, O_WRONLY | O_CREAT | O_TRUNC, "write");
    while (!text.empty()) {
      const ssize_t size = ::write(fd.fd(), text.data(), text.size());
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) fail("write", next, errno, "make room on the disk of the state directory");
      text.remove_prefix(static_cast<std::size_t>(size));
    }
    sync_or_fail(fd, next);
    identity = identity_of(fd);
  }
  if (::rename(next.c_str(), file_.c_str()) != 0)
    fail("put in place", file_, errno, "check the state directory's owner and mode");
  sync_or_fail(open_or_fail(directory_, O_RDONLY | O_DIRECTORY, "open"), directory_);
  return identity;
}

}  // namespace head::catalogue
