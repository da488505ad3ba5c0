#include "tools/bench/chaos_store.hpp"

#include "tests/check/pattern.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <system_error>

namespace bench::chaos {

using check::sector_bytes;

Store::Store(const std::filesystem::path& file, std::uint64_t bytes)
    : file_(iouring::adopt, ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)),
      bytes_(bytes) {
  if (!file_ || ::ftruncate(file_.fd(), static_cast<off_t>(bytes)) != 0 ||
      ::pread(file_.fd(), bytes_.data(), bytes, 0) != static_cast<ssize_t>(bytes))
    throw std::system_error(errno, std::generic_category(), "opening " + file.string());
}

std::span<const std::byte> Store::read(std::uint64_t offset, std::uint64_t length) const {
  return std::span(bytes_).subspan(offset, length);
}

void Store::write(std::uint64_t offset, std::span<const std::byte> data) {
  std::copy(data.begin(), data.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
  for (std::uint64_t at = offset; at < offset + data.size(); at += sector_bytes)
    forgotten_.erase(at / sector_bytes), dirty_.insert(at / sector_bytes);
}

void Store::flush() {
  flush(0, size());
}

void Store::flush(std::uint64_t offset, std::uint64_t length) {
  const auto end = dirty_.lower_bound((offset + length) / sector_bytes);
  for (auto it = dirty_.lower_bound(offset / sector_bytes); it != end; it = dirty_.erase(it))
    save(*it);
}

void Store::evict(std::uint64_t any) {
  if (dirty_.empty()) return;
  auto it = dirty_.lower_bound(any % (size() / sector_bytes));
  if (it == dirty_.end()) it = dirty_.begin();
  save(*it);
  dirty_.erase(it);
}

void Store::forget() {
  forgotten_.merge(dirty_);
  dirty_.clear();
}

void Store::drop_forgotten() {
  for (const std::uint64_t sector : forgotten_) load(sector);
  forgotten_.clear();
}

void Store::load(std::uint64_t sector) {
  const auto at = sector * sector_bytes;
  if (::pread(file_.fd(), bytes_.data() + at, sector_bytes, static_cast<off_t>(at)) !=
      static_cast<ssize_t>(sector_bytes))
    throw std::system_error(errno, std::generic_category(), "reading the store");
}

void Store::save(std::uint64_t sector) {
  const auto at = sector * sector_bytes;
  if (::pwrite(file_.fd(), bytes_.data() + at, sector_bytes, static_cast<off_t>(at)) !=
      static_cast<ssize_t>(sector_bytes))
    throw std::system_error(errno, std::generic_category(), "writing the store");
}

}  // namespace bench::chaos
