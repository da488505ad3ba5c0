// What a tail of head-bench chaos stores: a file, and before it a volatile cache that is gone with
// the process. A sector is written to the file when it is flushed, or at some moment before that,
// as caches do.
#pragma once

#include "iouring/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <vector>

namespace bench::chaos {

// So long a tail that is late puts off a change at most: less than headd's quarantine.
constexpr unsigned late_ms_max = 400;
// And so long a worker that is slow, which is more.
constexpr unsigned slow_ms_max = 6000;

class Store {
 public:
  // Throws std::system_error when the file cannot be used.
  Store(const std::filesystem::path& file, std::uint64_t bytes);

  std::uint64_t size() const noexcept { return bytes_.size(); }
  // Offsets and lengths are of whole sectors within the disc.
  std::span<const std::byte> read(std::uint64_t offset, std::uint64_t length) const;
  void write(std::uint64_t offset, std::span<const std::byte> data);
  void flush();
  void flush(std::uint64_t offset, std::uint64_t length);
  // What was not flushed is taken for clean from now on, as Linux does when a write to its storage
  // fails. It can be read until it is dropped, or the process ends, unless it is written again.
  void forget();
  void drop_forgotten();
  // One sector that is not flushed, any, goes to the file.
  void evict(std::uint64_t any);

 private:
  void save(std::uint64_t sector);
  void load(std::uint64_t sector);

  iouring::UniqueFd file_;
  std::vector<std::byte> bytes_;
  std::set<std::uint64_t> dirty_, forgotten_;  // Sectors.
};

}  // namespace bench::chaos
